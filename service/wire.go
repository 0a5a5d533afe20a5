package service

import (
	"encoding/binary"
	"strings"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"
)

// Fields of a message are appended one after another; as in any message of
// proto3, a number that is 0 and a text that is empty are left out.

func appendNumber(b []byte, field protowire.Number, n uint64) []byte {
	if n == 0 {
		return b
	}
	return protowire.AppendVarint(protowire.AppendTag(b, field, protowire.VarintType), n)
}

// appendText appends a text, with what is no UTF-8 replaced: Envoy admits what it
// cannot read an answer to.
func appendText(b []byte, field protowire.Number, s string) []byte {
	if s == "" {
		return b
	}
	if !utf8.ValidString(s) {
		s = strings.ToValidUTF8(s, "\uFFFD")
	}
	return protowire.AppendString(protowire.AppendTag(b, field, protowire.BytesType), s)
}

func appendBytes(b []byte, field protowire.Number, content []byte) []byte {
	if len(content) == 0 {
		return b
	}
	return protowire.AppendBytes(protowire.AppendTag(b, field, protowire.BytesType), content)
}

// beginMessage begins a message within a message, and tells where it begins. What is
// appended until [endMessage] is in it.
func beginMessage(b []byte, field protowire.Number) (_ []byte, at int) {
	b = append(protowire.AppendTag(b, field, protowire.BytesType), 0)
	return b, len(b)
}

// endMessage ends the message that began at an index. Its length stands before it, in the
// one byte that beginMessage left, or in more: then the message is moved.
func endMessage(b []byte, at int) []byte {
	length := len(b) - at
	if length < 1<<7 {
		b[at-1] = byte(length)
		return b
	}
	more := protowire.SizeVarint(uint64(length)) - 1
	b = append(b, b[len(b)-more:]...)
	copy(b[at+more:], b[at:at+length])
	binary.PutUvarint(b[at-1:], uint64(length))
	return b
}
