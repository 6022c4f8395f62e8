package hessian

import "bytes"

// DubboRequest is the head of a Dubbo request's body in Hessian: five texts, the
// arguments, and a map of attachments. The texts point into the body, as far as
// it holds them in one piece; a null text is empty.
//
// A Dubbo server takes the service from the attachments where they name one:
// path and version there win over those of the head. Attachments.Target compares
// them. What the head says cannot be forged; what stands behind the arguments
// is as true as its sender, because a server goes on after an argument that it
// could not read, from where it stopped.
type DubboRequest struct {
	Dubbo      []byte // version of the protocol
	Path       []byte // the interface, with a context path before it if there is one
	Version    []byte // of the service
	Method     []byte
	Descriptor []byte // types of the parameters, one after another, as the JVM writes them
	// Generic is the first argument of a call to $invoke or $invokeAsync, trimmed
	// as the server trims it: the method that it is about. Else it is nil.
	Generic   []byte
	Arguments int // number of arguments
	Offset    int // of the first argument, from the start of the body
}

// Read fills q from r, which Reset has given the whole body or its beginning in
// the final dialect. It stops before the arguments, or after the first one of a
// generic call.
func (q *DubboRequest) Read(r *Reader) error {
	*q = DubboRequest{}
	for _, field := range [...]*[]byte{&q.Dubbo, &q.Path, &q.Version, &q.Method, &q.Descriptor} {
		if r.Null() {
			continue
		}
		text, err := r.String(nil)
		if err != nil {
			return err
		}
		*field = text
	}
	q.Offset = r.Offset()
	var ok bool
	if q.Arguments, ok = parameters(q.Descriptor); !ok {
		return r.fail(Malformed, "not a descriptor of parameters")
	}
	switch string(q.Method) {
	case "$invoke", "$invokeAsync":
	default:
		return nil
	}
	if q.Arguments == 0 {
		return r.fail(Refused, "a generic call without a method")
	}
	name, err := r.String(nil)
	q.Generic = trim(name)
	return err
}

// parameters counts the types in a descriptor (JVM specification 4.3.2).
func parameters(d []byte) (n int, ok bool) {
	for i := 0; i < len(d); n++ {
		for i < len(d) && d[i] == '[' {
			i++
		}
		if i == len(d) {
			return 0, false
		}
		switch d[i] {
		case 'B', 'C', 'D', 'F', 'I', 'J', 'S', 'Z':
			i++
		case 'L':
			start := i + 1
			for i < len(d) && d[i] != ';' {
				i++
			}
			if i == len(d) || i == start {
				return 0, false
			}
			i++
		default:
			return 0, false
		}
	}
	return n, true
}

// Attachments walks over the map of attachments, in the order of the body.
type Attachments struct {
	r     *Reader
	start int
	end   int // of the map, once it is known
	null  bool
}

// An Attachment is an entry of that map.
type Attachment struct {
	Key   []byte
	Value []byte // if Kind is Text
	Kind  Kind   // of the value
	Start int    // of the entry in the body
	From  int    // of the value
	End   int    // of the entry
}

// Attachments skips the arguments that r, on which q was read, has not passed,
// and goes into the attachments after them. Nothing may stand between or behind.
func (q *DubboRequest) Attachments(r *Reader) (Attachments, error) {
	left := q.Arguments
	if q.Generic != nil {
		left--
	}
	for range left {
		if err := r.Skip(); err != nil {
			return Attachments{}, err
		}
	}
	a := Attachments{r: r, start: r.Offset()}
	if r.Null() {
		a.null, a.end = true, r.Offset()
		return a, nil
	}
	return a, r.Map()
}

// Next reads the next entry. It returns false after the last one, or with the
// error.
func (a *Attachments) Next() (e Attachment, ok bool, err error) {
	if a.end > 0 {
		return Attachment{}, false, nil
	}
	r := a.r
	if r.End() {
		a.end = r.Offset()
		return Attachment{}, false, nil
	}
	e.Start = r.Offset()
	if e.Key, err = r.String(nil); err != nil {
		return e, false, err
	}
	e.From, e.Kind = r.Offset(), r.Kind()
	if e.Kind == Text {
		e.Value, err = r.String(nil)
	} else {
		err = r.Skip()
	}
	e.End = r.Offset()
	return e, err == nil, err
}

// Span returns where the map stands in the body. Its end is known after Next
// returned false. A map that is not null ends in one byte, before which entries
// can be added.
func (a *Attachments) Span() (start, end int, null bool) { return a.start, a.end, a.null }

// DubboTarget is what the attachments add to the identity of the service. The
// texts point into the body.
type DubboTarget struct {
	Group     []byte
	Interface []byte
}

// Target reads all attachments, which Next has not begun, and returns those that
// say where the request goes. It refuses what evades a rule: a path or version
// that differs from the head's, a name of the target that comes twice or is not
// a text, and bytes behind the map.
func (a *Attachments) Target(q *DubboRequest) (DubboTarget, error) {
	var found [4]Attachment // by targetPart; Key is nil where there is none
	for {
		e, ok, err := a.Next()
		if err != nil {
			return DubboTarget{}, err
		}
		if !ok {
			break
		}
		i := targetPart(e.Key)
		if i < 0 {
			continue
		}
		if found[i].Key != nil {
			return DubboTarget{}, a.r.failAt(e.Start, Refused, "an attachment of the target comes twice")
		}
		if e.Kind != Text && e.Kind != Null {
			return DubboTarget{}, a.r.failAt(e.From, Refused, "an attachment of the target is not a text")
		}
		found[i] = e
	}
	for i, head := range [...][]byte{partPath: q.Path, partVersion: q.Version} {
		if e := &found[i]; e.Key != nil && !bytes.Equal(e.Value, head) {
			return DubboTarget{}, a.r.failAt(e.From, Refused, "the attachments name another target than the head")
		}
	}
	if len(a.r.Rest()) > 0 {
		return DubboTarget{}, a.r.fail(Refused, "bytes behind the attachments")
	}
	return DubboTarget{found[partGroup].Value, found[partInterface].Value}, nil
}

const (
	partPath = iota
	partVersion
	partGroup
	partInterface
)

func targetPart(key []byte) int {
	switch string(key) {
	case "path":
		return partPath
	case "version":
		return partVersion
	case "group":
		return partGroup
	case "interface":
		return partInterface
	}
	return -1
}
