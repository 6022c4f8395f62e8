//go:build linux

package h2

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"testing"
)

// script is a handler that writes down what comes.
type script struct {
	l    *Link
	said []string
	room int
}

func (s *script) note(format string, args ...any) bool {
	s.said = append(s.said, fmt.Sprintf(format, args...))
	return true
}

func (s *script) Headers(id uint32, end bool) bool {
	return s.note("headers %d %v %s %s", id, end, s.l.Head.Method(), s.l.Head.Path())
}

func (s *script) Data(id uint32, p []byte, end bool) bool { return s.note("data %d %v %s", id, end, p) }
func (s *script) Reset(id uint32)                         { s.note("reset %d", id) }
func (s *script) Room(uint32) *int                        { return &s.room }
func (s *script) Shift(by int)                            { s.room += by }

func newLink() (*Link, *script) {
	l := &Link{}
	s := &script{l: l}
	l.Accepted(-1, s)
	l.greeted, l.Out = true, nil
	return l, s
}

func made(kind, flags byte, id uint32, payload string) []byte {
	return append(appendHead(nil, len(payload), kind, flags, id), payload...)
}

func TestFramesInPieces(t *testing.T) {
	l, s := newLink()
	l.greeted = false
	block := string((&encoder{}).append(nil, unaryBlock))
	all := []byte(preface)
	for _, f := range [][]byte{
		made(frameSettings, 0, 0, "\x00\x04\x00\x01\x00\x00\x00\x99\x00\x00\x00\x00"),
		made(frameHeaders, flagWhole|flagPadded|flagPriority, 1, "\x02\x00\x00\x00\x03\x09"+block+"pp"),
		made(frameData, flagPadded, 1, "\x01abcp"),
		made(frameData, flagEnd, 1, "d"),
		made(framePing, 0, 0, "12345678"),
		made(99, 0, 7, "nobody knows"),
		made(frameReset, 0, 3, "\x00\x00\x00\x08"),
	} {
		all = append(all, f...)
	}
	var rest []byte
	for i := range all { // byte by byte
		var ok bool
		if rest, ok = l.each(append(rest, all[i])); !ok {
			t.Fatalf("byte %d of %d ended it", i, len(all))
		}
		rest = bytes.Clone(rest)
	}
	want := "[headers 1 false POST /bench.Echo/Unary data 1 false abc data 1 true d reset 3]"
	if got := fmt.Sprint(s.said); got != want || len(rest) != 0 {
		t.Errorf("%s, want %s", got, want)
	}
	answers := append(made(frameSettings, flagAck, 0, ""), made(framePing, flagAck, 0, "12345678")...)
	if !bytes.Equal(l.Out, answers) || l.Window() != 65536 || s.room != 1 {
		t.Errorf("answered %x, window %d and %d", l.Out, l.Window(), s.room)
	}
}

func TestMalformed(t *testing.T) {
	for name, data := range map[string][]byte{
		"padding":      made(frameData, flagPadded, 1, "\x09abc"),
		"no padding":   made(frameData, flagPadded, 1, ""),
		"priority":     made(frameHeaders, flagWhole|flagPriority, 1, "\x00\x00"),
		"block":        made(frameHeaders, flagWhole, 1, "\xff\xff\xff\xff"),
		"field":        made(frameHeaders, flagWhole, 1, "\x00\x01A\x00"),
		"continued":    made(frameHeaders, 0, 1, ""),
		"size":         {0xff, 0, 0, frameData, 0, 0, 0, 0, 1},
		"window":       made(frameWindowUpdate, 0, 0, "\x00"),
		"push":         made(framePush, 0, 1, "\x00\x00\x00\x02"),
		"going away":   made(frameGoAway, 0, 0, "\x00\x00\x00\x00\x00\x00\x00\x00"),
		"continuation": made(frameContinuation, 0, 1, ""),
	} {
		l, _ := newLink()
		if _, ok := l.each(data); ok {
			t.Errorf("%s was taken", name)
		}
	}
	l, _ := newLink()
	l.greeted = false
	if _, ok := l.each([]byte("GET / HTTP/1.1\r\nHost: bench.test\r\n\r\n")); ok {
		t.Error("HTTP/1.1 was taken")
	}
}

// What has no window waits, and what is said after it waits, too.
func TestWindows(t *testing.T) {
	l, s := newLink()
	l.room, s.room = 250, 1000
	m := NewRequest()
	for range 3 {
		l.Say(1, m, NewMark(1), &s.room)
	}
	l.End(1)
	one := headBytes + m.Size()
	if len(l.Out) != 2*one || l.room != 250-2*m.Size() || s.room != 1000-2*m.Size() {
		t.Fatalf("%d bytes out, windows %d and %d", len(l.Out), l.room, s.room)
	}
	update := func(id, n uint32) {
		if _, ok := l.each(made(frameWindowUpdate, 0, id, string(binary.BigEndian.AppendUint32(nil, n)))); !ok {
			t.Fatal("a WINDOW_UPDATE ended it")
		}
	}
	update(0, 10)
	if len(l.Out) != 2*one {
		t.Error("sent beyond the window")
	}
	s.room = 0
	update(0, 1000)
	if len(l.Out) != 2*one {
		t.Error("sent beyond the stream's window")
	}
	update(1, 105)
	if len(l.Out) != 3*one+headBytes || l.Out[len(l.Out)-5] != flagEnd || s.room != 0 || l.holding != 0 {
		t.Errorf("%d bytes out, stream's window %d, %d bytes held", len(l.Out), s.room, l.holding)
	}
	l.Out = nil
	for range giveBack / maxFrame {
		l.each(made(frameData, 0, 1, string(make([]byte, maxFrame))))
	}
	if want := appendWindow(nil, 0, giveBack); !bytes.Equal(l.Out, want) {
		t.Errorf("%x, want the window open again: %x", l.Out, want)
	}
}
