package grpcweb

import (
	"bytes"
	"encoding/base64"

	"sofamesh.io/sofamesh/sdk"
	"sofamesh.io/sofamesh/sdk/grpc"
)

// encoder writes bytes as base64, in place: what stands in a buffer goes to its end,
// translated. Each message is padded for itself, so that a client can read it when it
// has all of it, as Envoy does; unlike there, no message is held for that.
type encoder struct {
	frames grpc.Frames
	carry  [3]byte // bytes that do not make a group yet
	n      uint8
}

// encodeMessages encodes a piece of the body.
func (e *encoder) encodeMessages(b *sdk.Buffer) {
	for left := b.Len(); left > 0; {
		p := b.First()
		n, end := e.frames.Next(p[:min(len(p), left)])
		write(e, b, p[:n])
		if end {
			e.flush(b)
		}
		b.Drain(n)
		left -= n
	}
}

// write appends p to b, but for what does not make a group.
func write[T []byte | string](e *encoder, b *sdk.Buffer, p T) {
	var raw [3 * 64]byte
	var text [4 * 64]byte
	for len(p) > 0 {
		n := copy(raw[:], e.carry[:e.n])
		took := copy(raw[n:], p)
		n, p = n+took, p[took:]
		whole := n / 3 * 3
		base64.StdEncoding.Encode(text[:], raw[:whole])
		b.Append(text[:whole/3*4])
		e.n = uint8(copy(e.carry[:], raw[whole:n]))
	}
}

// flush appends what is left, padded.
func (e *encoder) flush(b *sdk.Buffer) {
	if e.n == 0 {
		return
	}
	var text [4]byte
	base64.StdEncoding.Encode(text[:], e.carry[:e.n])
	b.Append(text[:])
	e.n = 0
}

// decoder reads base64. Padding may stand anywhere at the end of a group, since clients
// encode their messages one by one; it is mandatory at the end.
type decoder struct {
	group [4]byte
	n     uint8
}

// whole reports whether what was read ends with a group.
func (d *decoder) whole() bool { return d.n == 0 }

// decode replaces what stands in b by what it means, but for the bytes of a group that
// has not come yet; it returns false when it means nothing.
func (d *decoder) decode(b *sdk.Buffer) bool {
	var raw [3 * 256]byte
	for left := b.Len(); left > 0; {
		p := b.First()
		p = p[:min(len(p), left, 4*256)]
		n, took, ok := d.some(raw[:], p)
		if !ok {
			return false
		}
		b.Append(raw[:n])
		b.Drain(took)
		left -= took
	}
	return true
}

// some decodes from the front of p: many groups at once where no padding is near, else
// the bytes of one.
func (d *decoder) some(out, p []byte) (n, took int, ok bool) {
	if d.n == 0 {
		run := p[:len(p)/4*4]
		if i := bytes.IndexByte(run, '='); i >= 0 {
			run = run[:i/4*4]
		}
		if len(run) > 0 {
			n, err := base64.StdEncoding.Decode(out, run)
			return n, len(run), err == nil && n == len(run)/4*3 // less: it has skipped line ends
		}
	}
	took = copy(d.group[d.n:], p)
	if d.n += uint8(took); d.n < 4 {
		return 0, took, true
	}
	d.n = 0
	n, ok = decodeGroup(out, d.group)
	return n, took, ok
}

// decodeGroup writes the one to three bytes of a group to out. The bits that padding
// leaves over must be 0.
func decodeGroup(out []byte, group [4]byte) (n int, ok bool) {
	pad := 0
	for pad < 2 && group[3-pad] == '=' {
		pad++
	}
	bits := uint32(0)
	for _, c := range group[:4-pad] {
		v, ok := digit(c)
		if !ok {
			return 0, false
		}
		bits = bits<<6 | v
	}
	bits <<= 6 * pad
	n = 3 - pad
	if bits&(1<<(8*pad)-1) != 0 {
		return 0, false
	}
	out[0], out[1], out[2] = byte(bits>>16), byte(bits>>8), byte(bits)
	return n, true
}

func digit(c byte) (v uint32, ok bool) {
	switch {
	case c >= 'A' && c <= 'Z':
		return uint32(c - 'A'), true
	case c >= 'a' && c <= 'z':
		return uint32(c-'a') + 26, true
	case c >= '0' && c <= '9':
		return uint32(c-'0') + 52, true
	case c == '+':
		return 62, true
	case c == '/':
		return 63, true
	}
	return 0, false
}
