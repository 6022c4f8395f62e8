package bolt

import (
	"bytes"

	"sofamesh.io/sofamesh/sdk/hessian"
	"sofamesh.io/sofamesh/sdk/servicekey"
)

// What a connection keeps of the request before, because the next one is mostly for
// the same: it is used only when the bytes that it was made of come again. Both kinds
// are reused, and hold no more than a few times maxKept bytes.

// maxKept is the longest that is kept, in bytes.
const maxKept = 512

// service is a service as the view shows it.
type service struct {
	name      []byte         // empty: none
	key       servicekey.Key // parts of name
	authority []byte
	path      []byte // the interface between slashes, and the last method
	method    int    // where that is
}

// parse makes s the service of that name.
func (s *service) parse(name []byte) (err error) {
	if len(name) > 0 && bytes.Equal(name, s.name) {
		return nil
	}
	if cap(s.name) > maxKept {
		*s = service{}
	}
	s.name = append(s.name[:0], name...)
	if s.key, err = servicekey.ParseTarget(str(s.name)); err != nil {
		s.name = s.name[:0]
		return err
	}
	s.authority = servicekey.Append(s.authority[:0], s.key)
	s.path = append(append(append(s.path[:0], '/'), s.key.Interface...), '/')
	s.method = len(s.path)
	return nil
}

// pathOf is the path of a method, valid until the next request's.
func (s *service) pathOf(method []byte) []byte {
	if len(method) > maxKept {
		return append(bytes.Clone(s.path[:s.method]), method...)
	}
	s.path = append(s.path[:s.method], method...)
	return s.path
}

// beginning is the beginning of a body, up to where its reader stops, and what it
// says. A body that begins with the same bytes says the same.
type beginning struct {
	bytes           []byte // empty: none
	service, method []byte
	writer          writerKind
}

// keep notes what the first n bytes of a body say.
func (b *beginning) keep(body []byte, n int, q *hessian.SofaRequest, w writerKind) {
	if n > maxKept || q.Generic != nil {
		return
	}
	b.bytes = append(b.bytes[:0], body[:n]...)
	b.service, b.method = append(b.service[:0], q.Service...), append(b.method[:0], q.Method...)
	b.writer = w
}

// of reports whether body begins so.
func (b *beginning) of(body []byte) bool { return len(b.bytes) > 0 && bytes.HasPrefix(body, b.bytes) }
