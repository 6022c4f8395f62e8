package http1

import (
	"bytes"

	"sofamesh.io/sofamesh/sdk"
)

// state is where in a message the reader stands.
type state uint8

const (
	inHead     state = iota // before or within a head
	inLength                // in a body of known length
	inChunks                // the states of a chunked body:
	inSize                  //   after the first digit of a size
	inExt                   //   in a chunk extension
	inExtEnd                //   after the CR of that line
	inChunk                 //   in a chunk's data
	inChunkEnd              //   after it
	inChunkLF               //   after the CR that follows it
	inTrailers              //   before or within the trailers
	untilClose              // in a body that ends with the connection
	opaque                  // after an upgrade: bytes, not messages
	done                    // between messages
	closed                  // nothing that comes will be read
)

// decoder is the reading half of a connection.
type decoder struct {
	cfg    *config
	left   uint64 // bytes left of the body or of the chunk
	stream uint64 // the exchange that is being read
	seen   int32  // bytes of an unfinished head, or of the line of a chunk size, looked at so far
	state  state
	lined  bool // the first line of the unfinished head is complete, and fine
}

// begin clears the event for a Decode.
func begin(ev *sdk.Event) {
	ev.Kind, ev.End, ev.Reset, ev.Stream, ev.Data = sdk.EventNone, false, sdk.ResetNone, 0, nil
}

// ready reports whether p, the beginning of a head, has become worth parsing: a
// head that comes in many pieces is parsed when its first line is there (so that
// nonsense is refused early) and when all of it is there, not for each piece.
func (d *decoder) ready(p []byte) bool {
	switch {
	case d.seen == 0 || len(p) > d.cfg.maxBytes:
		return true
	case !d.lined:
		return bytes.IndexByte(p[min(int(d.seen), len(p)):], '\n') >= 0
	}
	return headEnd(p, max(0, int(d.seen)-3)) >= 0
}

// wait takes note of an unfinished head, and refuses it when it is too large.
func (d *decoder) wait(p []byte) error {
	if len(p) > d.cfg.maxBytes {
		return errTooLarge
	}
	d.lined = d.lined || bytes.IndexByte(p[min(int(d.seen), len(p)):], '\n') >= 0
	d.seen = int32(len(p))
	return nil
}

// limit returns as much of p as a head may have.
func (d *decoder) limit(p []byte) []byte { return p[:min(len(p), d.cfg.maxBytes)] }

// headGuess is how much of the input is taken for a head at first. Most heads are
// shorter, and what follows one may be a large body.
const headGuess = 2 << 10

// load copies the beginning of p, at most n bytes, to the storage of m, where its
// lines are read.
func (d *decoder) load(p []byte, n int, m *sdk.Message) lines {
	p = p[:min(len(p), n)]
	m.Reset()
	l := lines{c: d.cfg, m: m}
	if d.cfg.keepCase {
		m.Load(p)
		l.kept = -len(p)
	}
	l.p = m.Load(p)
	return l
}

// fieldError settles an error in the header lines of p, which begin at offset
// line: it counts only when the head is complete, and an invalid character
// anywhere in it comes first, as with Envoy.
func fieldError(p []byte, line int, err error) error {
	end := headEnd(p, line-1)
	switch {
	case end < 0:
		return nil
	case invalid(p[:end]):
		return errCharacters
	}
	return err
}

// framed chooses how the body that follows a head is read.
func (d *decoder) framed(f *framing) (end bool) {
	d.seen, d.lined = 0, false
	switch {
	case f.coding == chunked:
		d.state, d.left = inChunks, 0
	case f.length > 0:
		d.state, d.left = inLength, f.length
	default:
		d.state = done
		return true
	}
	return false
}

// body reads what follows a head.
func (d *decoder) body(in []byte, ev *sdk.Event) (int, error) {
	switch d.state {
	case inLength:
		return d.data(in, ev), nil
	case untilClose, opaque:
		d.emit(in, ev)
		return len(in), nil
	case closed:
		return len(in), nil
	case done, inHead:
		return 0, nil
	}
	return d.chunked(in, ev)
}

// emit makes a data event of p, unless it is empty.
func (d *decoder) emit(p []byte, ev *sdk.Event) {
	if len(p) > 0 {
		ev.Kind, ev.Stream, ev.Data = sdk.EventData, d.stream, p
	}
}

// data takes body bytes up to the length that is left.
func (d *decoder) data(in []byte, ev *sdk.Event) int {
	n := len(in)
	if uint64(n) >= d.left {
		n = int(d.left)
		d.state = done
		ev.End = true
	}
	d.left -= uint64(n)
	d.emit(in[:n], ev)
	return n
}

// eof is EOF within a body.
func (d *decoder) eof(ev *sdk.Event) error {
	switch d.state {
	case untilClose, opaque:
		ev.Kind, ev.Stream, ev.End = sdk.EventData, d.stream, true
	case done, closed:
	case inHead:
		if d.seen > 0 {
			return errHeadCutOff
		}
	default:
		d.state = closed
		return errBodyCutOff
	}
	d.state = closed
	return nil
}
