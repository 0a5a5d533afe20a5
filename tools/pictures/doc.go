// Package pictures draws the pictures of docs/explanation: `make pictures`. Each shows what the
// buckets that serve did with a stated load, in virtual time; a test fails when
// a committed picture is not what they do now.
package pictures
