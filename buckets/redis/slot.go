package redis

import "strings"

// slotOf is the hash slot of a key: CRC16 (XMODEM) of its tag, the text between the
// first brace and the next closing one, else of all of it, as Redis Cluster
// specifies. A script call cannot span slots of a cluster.
func slotOf(key string) uint16 {
	if open := strings.IndexByte(key, '{'); open >= 0 {
		if length := strings.IndexByte(key[open+1:], '}'); length > 0 {
			key = key[open+1 : open+1+length]
		}
	}
	sum := uint16(0)
	for i := range len(key) {
		sum = sum<<8 ^ crc16[byte(sum>>8)^key[i]]
	}
	return sum % 16384
}

// bySlot parts keys by their slots: no command spans several.
func bySlot(keys []string) map[uint16][]string {
	parted := map[uint16][]string{}
	for _, key := range keys {
		parted[slotOf(key)] = append(parted[slotOf(key)], key)
	}
	return parted
}

var crc16 = func() (table [256]uint16) {
	for i := range table {
		sum := uint16(i) << 8
		for range 8 {
			high := sum & 0x8000
			if sum <<= 1; high != 0 {
				sum ^= 0x1021
			}
		}
		table[i] = sum
	}
	return table
}()
