package http1

import (
	"bytes"
	"math"

	"sofamesh.io/sofamesh/sdk"
	"sofamesh.io/sofamesh/sdk/httpfield"
)

// hexValue maps hexadecimal digits to their value and all else to 16 or more.
var hexValue = makeHexValue()

func makeHexValue() (t [256]uint8) {
	for i := range t {
		t[i] = 0xff
	}
	for i := range 10 {
		t['0'+i] = uint8(i)
	}
	for i := range 6 {
		t['a'+i], t['A'+i] = uint8(10+i), uint8(10+i)
	}
	return t
}

// chunked reads a chunked body (RFC 9112, 7.1) up to its next event. Extensions
// are dropped as they come, so that even an endless one is never held. As with
// Envoy the line of a size ends in CRLF; a chunk may end in a bare LF. Anything
// else after a chunk is refused (stricter: Envoy skips to the next LF).
func (d *decoder) chunked(in []byte, ev *sdk.Event) (int, error) {
	n := 0
	for n < len(in) && ev.Kind == sdk.EventNone {
		switch d.state {
		case inChunks, inSize, inExt, inExtEnd:
			used, err := d.size(in[n:])
			if err != nil {
				return n, err
			}
			n += used
		case inChunk:
			n += d.chunk(in[n:], ev)
		case inChunkEnd, inChunkLF:
			switch {
			case in[n] == '\n':
				d.state = inChunks
			case in[n] == '\r' && d.state == inChunkEnd:
				d.state = inChunkLF
			default:
				return n, errChunkEnd
			}
			n++
		case inTrailers:
			used, err := d.trailers(in[n:], ev)
			return n + used, err
		default: // the end of the body was seen
			return n, nil
		}
	}
	return n, nil
}

// size reads as much as there is of the line of a chunk size.
func (d *decoder) size(in []byte) (int, error) {
	for n, c := range in {
		if d.state == inExt {
			used, err := d.extension(in[n:])
			return n + used, err
		}
		switch v := hexValue[c]; {
		case d.state == inExtEnd:
			if c != '\n' {
				return n, errChunkSize
			}
			d.sized()
			return n + 1, nil
		case v < 16:
			if d.left > math.MaxUint64>>4 {
				return n, errChunkSize
			}
			d.left = d.left<<4 | uint64(v)
			d.state = inSize
		case d.state == inChunks:
			return n, errChunkSize
		case c == '\r':
			d.state = inExtEnd
		case c == ';' || httpfield.Blank(c):
			d.state = inExt
		default:
			return n, errChunkSize
		}
		if d.seen++; int(d.seen) > d.cfg.maxBytes {
			return n, errChunkLine
		}
	}
	return len(in), nil
}

// extension skips a chunk extension up to and with its CR.
func (d *decoder) extension(in []byte) (int, error) {
	n := bytes.IndexByte(in, '\r')
	end := n >= 0
	if !end {
		n = len(in)
	}
	if bytes.IndexByte(in[:n], '\n') >= 0 {
		return 0, errChunkSize
	}
	if int(d.seen)+n > d.cfg.maxBytes {
		return 0, errChunkLine
	}
	d.seen += int32(n)
	if end {
		d.state = inExtEnd
		n++
	}
	return n, nil
}

// sized turns to what follows the line of a size.
func (d *decoder) sized() {
	d.seen = 0
	d.state = inChunk
	if d.left == 0 {
		d.state = inTrailers
		d.lined = true
	}
}

// chunk takes data of a chunk. When the end of the body follows directly, it is
// taken too, which saves an event for most bodies.
func (d *decoder) chunk(in []byte, ev *sdk.Event) int {
	if uint64(len(in)) < d.left {
		d.left -= uint64(len(in))
		d.emit(in, ev)
		return len(in)
	}
	const last = "\r\n0\r\n\r\n"
	n := int(d.left)
	d.left = 0
	d.state = inChunkEnd
	d.emit(in[:n], ev)
	if rest := in[n:]; len(rest) >= len(last) && string(rest[:len(last)]) == last {
		d.state = done
		ev.End = true
		n += len(last)
	}
	return n
}

// trailers reads the trailers and ends the body. They are checked in any case,
// and given out when the configuration says so.
func (d *decoder) trailers(in []byte, ev *sdk.Event) (int, error) {
	if in[0] == '\n' || len(in) > 1 && in[0] == '\r' && in[1] == '\n' {
		d.ended(ev)
		return 1 + bytes.IndexByte(in, '\n'), nil
	}
	if !d.ready(in) {
		return 0, d.wait(in)
	}
	l := lines{c: d.cfg, p: d.limit(in)}
	if d.cfg.trailers {
		l = d.load(in, d.cfg.maxBytes, ev.Msg)
	}
	l.trailers = true
	n, err := l.read(0)
	if err != nil {
		err = fieldError(l.p, 1, err)
	}
	if err != nil {
		return 0, err
	}
	if n == 0 {
		return 0, d.wait(in)
	}
	d.ended(ev)
	if l.m != nil && l.m.Len() > 0 {
		ev.Kind, ev.Msg.Codec = sdk.EventTrailers, d.cfg.codec
	}
	return n, nil
}

// ended makes the event that ends a chunked body.
func (d *decoder) ended(ev *sdk.Event) {
	d.seen, d.lined, d.state = 0, false, done
	ev.Kind, ev.Stream, ev.End = sdk.EventData, d.stream, true
}
