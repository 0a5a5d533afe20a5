package limiter

import (
	"crypto/sha256"
	"encoding/base64"
	"net/netip"
)

// longest is the longest key, in bytes, that stands in a bucket's key as it is. A
// longer one is hashed, for clients choose what programs make keys of.
const longest = 256

// bucketKey is the key of the bucket that a caller's key names. The keys of a
// domain's buckets begin with a brace, so that none of them is one of these.
func bucketKey(key string) string {
	if len(key) <= longest {
		return "weir:limiter:" + key
	}
	sum := sha256.Sum256([]byte(key))
	return "weir:limiter#" + base64.RawURLEncoding.EncodeToString(sum[:])
}

// AddressKey is the key of a client's network address, such as 192.0.2.1:5678, with
// or without the port. The addresses of an IPv6 network of 64 bits have one key:
// a host has them all to choose from.
func AddressKey(address string) string {
	addr, ok := parseAddress(address)
	if !ok {
		return "addr " + address
	}
	return keyOf(addr)
}

func keyOf(addr netip.Addr) string {
	if addr.Is6() {
		network, _ := addr.Prefix(64) // fails beyond 128 bits only
		return "addr " + network.String()
	}
	return "addr " + addr.String()
}

// parseAddress reads an address with or without a port. A zone and the form of
// IPv4 in IPv6 do not make it another address.
func parseAddress(s string) (netip.Addr, bool) {
	addr, err := netip.ParseAddr(s)
	if err != nil {
		withPort, err := netip.ParseAddrPort(s)
		if err != nil {
			return netip.Addr{}, false
		}
		addr = withPort.Addr()
	}
	return addr.Unmap().WithZone(""), true
}
