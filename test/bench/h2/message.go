//go:build linux

package h2

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"strings"
)

// Kind is what is asked.
type Kind uint8

// The kinds. None is asked by a plan of another protocol.
const (
	None   Kind = iota
	Get         // GET of a page
	Unary       // a gRPC call of one message, answered by one
	Stream      // a gRPC call in which each message is answered by one, as long as the client goes on
)

const (
	getPath    = "/item?id=" // and a mark
	unaryPath  = "/bench.Echo/Unary"
	streamPath = "/bench.Echo/Stream"
)

// Bytes of a page, and of the payload of a gRPC message.
const (
	PageBytes    = 1024
	PayloadBytes = 100
)

// prefix stands before the payload of a gRPC message: not compressed, PayloadBytes.
const prefix = "\x00\x00\x00\x00\x64"

// Mark tells one request from all others, and so does its answer.
type Mark [16]byte

// NewMark writes n in hexadecimal.
func NewMark(n uint64) (m Mark) {
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], n)
	hex.Encode(m[:], b[:])
	return m
}

// Message is a body that is sent many times, each time with another mark.
type Message struct {
	bytes []byte
	mark  int // where it is
}

func newMessage(before string, size int, filler string) *Message {
	return &Message{[]byte(before + strings.Repeat(filler, size)), len(before)}
}

// NewRequest is the message of a gRPC call.
func NewRequest() *Message { return newMessage(prefix, PayloadBytes, "q") }

// NewAnswer is what answers a request of a kind.
func NewAnswer(k Kind) *Message {
	if k == Get {
		return newMessage("", PageBytes, "a")
	}
	return newMessage(prefix, PayloadBytes, "a")
}

// Size is the message's length in bytes.
func (m *Message) Size() int { return len(m.bytes) }

// Append writes the message to out.
func (m *Message) Append(out []byte, mark Mark) []byte {
	at := len(out) + m.mark
	out = append(out, m.bytes...)
	copy(out[at:], mark[:])
	return out
}

// Match tells whether p is this message, whole, and gives the mark.
func (m *Message) Match(p []byte) (mark Mark, ok bool) {
	if len(p) != len(m.bytes) {
		return mark, false
	}
	copy(mark[:], p[m.mark:])
	after := m.mark + len(mark)
	return mark, bytes.Equal(p[:m.mark], m.bytes[:m.mark]) && bytes.Equal(p[after:], m.bytes[after:])
}
