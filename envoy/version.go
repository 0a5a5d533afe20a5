package envoy

import (
	"fmt"
	"strconv"
	"strings"
)

// Version is that of an Envoy, as 1.40. The zero Version is not known.
type Version struct{ Major, Minor int }

// ParseVersion reads a version. What follows the second number does not matter: "1.40",
// "v1.40.2".
func ParseVersion(text string) (Version, error) {
	parts := strings.Split(strings.TrimPrefix(text, "v"), ".")
	if len(parts) == 2 || len(parts) == 3 {
		major, err := strconv.ParseUint(parts[0], 10, 16)
		minor, also := strconv.ParseUint(parts[1], 10, 16)
		if err == nil && also == nil {
			return Version{int(major), int(minor)}, nil
		}
	}
	return Version{}, fmt.Errorf("%s is no version of Envoy: write one as in 1.40", quote(text))
}

// AtLeast tells that a version is known and not before another.
func (v Version) AtLeast(other Version) bool {
	return v.Major > other.Major || v.Major == other.Major && v.Minor >= other.Minor
}

// dumpOf takes over which Envoy a node says that it is, where nobody stated it: the oldest,
// of several.
func (c *checker) dumpOf(node value) {
	if c.stated {
		return
	}
	version := node.get("user_agent_build_version", "version")
	v, err := ParseVersion(version.get("major_number").text() + "." + version.get("minor_number").text())
	if err == nil && (c.envoy == Version{} || c.envoy.AtLeast(v)) {
		c.envoy = v
	}
}
