package bolt

import (
	"hash/maphash"

	"sofamesh.io/sofamesh/sdk/hessian"
)

// writerKind is the kind of client that wrote a Hessian request, told by its
// definition of SofaRequest: one of those below, or a hash for any other. It is 0
// for what has no Hessian.
//
// A Node server keeps the definitions of classes for as long as a connection lasts,
// by name and number of fields alone (hessian.js 2). Behind a request of Java's it
// reads those of Node with their fields in Java's order, which breaks them; and who
// chooses the order could have another method read than the one that we saw. So each
// kind has connections of its own (sdk.Message.Share), on which every request begins
// with the same definition. All others share theirs, and the first of them decides
// for the connection. Bare Bolt is kept away from all, for its bodies may define
// SofaRequest anywhere.
type writerKind uint64

const (
	writerJava writerKind = 1 + iota
	writerNode
	writerBare
	writersKnown
)

// writerOf returns the kind of a request's writer. The seed keeps strangers from
// finding two definitions with one hash.
func (c *config) writerOf(q *hessian.SofaRequest) writerKind {
	switch q.Writer {
	case hessian.SofaJava:
		return writerJava
	case hessian.SofaNode:
		return writerNode
	}
	return max(writersKnown, writerKind(maphash.Bytes(c.seed, q.Definition)))
}

// Values of sdk.Message.Share.
const (
	shareJava = iota // and what has no Hessian
	shareNode
	shareBare
	shareOther
)

func (w writerKind) share() uint8 {
	switch w {
	case 0, writerJava:
		return shareJava
	case writerNode:
		return shareNode
	case writerBare:
		return shareBare
	}
	return shareOther
}

// admits reports whether a request of the kind may be written to this connection,
// and remembers it if it is one of those that are not known.
func (c *conn) admits(w writerKind) bool {
	if w.share() != shareOther {
		return true
	}
	if c.other == 0 {
		c.other = w
	}
	return c.other == w
}
