package grpcstats

import (
	"encoding/json"
	"strings"

	"sofamesh.io/sofamesh/sdk"
	"sofamesh.io/sofamesh/sdk/grpc"
)

// kinds says which of the protocols a request is of. A streaming call of the Connect
// protocol may look like a unary one too, which Envoy takes it for as well.
type kinds struct{ grpc, unary, streaming bool }

func kindsOf(h *sdk.Headers) kinds {
	if !h.HasID(sdk.HeaderPath) {
		return kinds{}
	}
	return kinds{grpc: grpc.IsRequest(h), unary: h.Has("connect-protocol-version"), streaming: isStreaming(h)}
}

func (k kinds) none() bool { return k == kinds{} }

func isStreaming(h *sdk.Headers) bool {
	return strings.HasPrefix(h.ID(sdk.HeaderContentType), "application/connect+")
}

// lastFrame is the flag of the frame that ends a streaming response of the Connect
// protocol: JSON that tells how the call has ended.
const lastFrame = 0x02

// maxEnd is the most bytes of that frame that are kept; a call whose end is longer
// counts as failed.
const maxEnd = 16 << 10

// ending follows a streaming response up to its last frame.
type ending struct {
	text    []byte
	begun   bool // the last frame is being read, or was
	over    bool
	success bool
	inside  bool  // of a frame
	prefix  uint8 // bytes of it that are to come
}

// count follows all of b and returns how many messages have begun in it. The last frame
// is none, and what comes after it is not looked at.
func (e *ending) count(f *grpc.Frames, b *sdk.Buffer) uint64 {
	before := f.Begun
	for p := range b.Chunks() {
		for len(p) > 0 && !e.over {
			p = p[e.next(f, p):]
		}
	}
	return f.Begun - before
}

// next takes from p what belongs to one frame.
func (e *ending) next(f *grpc.Frames, p []byte) int {
	first := !e.inside
	if first {
		e.inside, e.prefix = true, grpc.PrefixSize
		e.begun = p[0]&lastFrame != 0
	}
	n, end := f.Next(p)
	if first && e.begun {
		f.Begun--
	}
	head := min(int(e.prefix), n)
	e.prefix -= uint8(head)
	if e.begun && len(e.text) <= maxEnd {
		e.text = append(e.text, p[head:n]...)
	}
	if end {
		e.inside = false
		if e.begun {
			e.over, e.success = true, len(e.text) <= maxEnd && succeeded(e.text)
		}
	}
	return n
}

// succeeded reports whether the last frame tells of no error.
func succeeded(text []byte) bool {
	if string(text) == "{}" { // most often, and read without allocating
		return true
	}
	var end struct{ Error json.RawMessage }
	return json.Unmarshal(text, &end) == nil && end.Error == nil
}
