// Package platform is what deployers of envoyproxy/ratelimit run and write beside it: a
// control plane that sends rules over ADS, the authority that signs for both, and what a
// manifest says of a container. Examples and tests play the platform with it.
package platform
