package descriptors

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"
)

// parseNetwork reads an address or a network; an address is the network of
// itself. A v4 address in v6 form, as a dual-stack listener reports it
// (::ffff:10.0.0.1), is the v4 address, and a zone is dropped: one address is
// one network however it is written.
func parseNetwork(s string) (p netip.Prefix, ok bool) {
	if strings.IndexByte(s, '/') < 0 {
		a, err := netip.ParseAddr(s)
		if err != nil {
			return netip.Prefix{}, false
		}
		a = a.Unmap()
		return netip.PrefixFrom(a, a.BitLen()), true // which drops the zone
	}
	p, err := netip.ParsePrefix(s)
	if err != nil {
		return netip.Prefix{}, false
	}
	if a := p.Addr(); a.Is4In6() {
		if p.Bits() < 96 {
			return netip.Prefix{}, false // neither v4 nor v6: it holds all v4 addresses and others
		}
		p = netip.PrefixFrom(a.Unmap(), p.Bits()-96)
	}
	return p, true
}

// networkText is a network's one text: of a single address without its length.
func networkText(p netip.Prefix) string {
	if p.IsSingleIP() {
		return p.Addr().String()
	}
	return p.Masked().String()
}

// networks are the nodes of one key by network.
type networks struct {
	nodes   map[netip.Prefix]*node
	lengths []int // those that occur, longest first
}

func (t *networks) add(p netip.Prefix, n *node) {
	t.nodes[p] = n
	if i, found := slices.BinarySearchFunc(t.lengths, p.Bits(), func(a, b int) int { return cmp.Compare(b, a) }); !found {
		t.lengths = slices.Insert(t.lengths, i, p.Bits())
	}
}

// holding is the node of the network of a length that holds all of p.
func (t *networks) holding(p netip.Prefix, bits int) *node {
	if bits > p.Bits() {
		return nil
	}
	wider, _ := p.Addr().Prefix(bits)
	return t.nodes[wider]
}
