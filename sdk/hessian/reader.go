package hessian

import "encoding/binary"

// Reader walks over a sequence of Hessian values in one body: it skips values,
// or goes into them. It is not for concurrent use. After an error its place is
// undefined and only Reset makes it usable again.
type Reader struct {
	b       []byte
	pos     int
	values  int // that may still come
	final   bool
	plain   bool // refuse objects and types: see skipPlain
	limits  Limits
	classes []class // reused from body to body
}

// class is a definition that stands in the body.
type class struct {
	name   int // offset of its name: a text, but in the old draft an int and characters
	names  int // offset of the first field's name, a text
	fields int
	end    int // offset of what follows the last field's name
}

// Reset makes r read body, which it borrows until the next Reset. It is an error
// only if body is longer than the limits allow.
func (r *Reader) Reset(d Dialect, body []byte, l Limits) error {
	l = l.orDefault()
	r.b, r.pos, r.values = body, 0, l.Values
	r.final, r.plain, r.limits = d == Final, false, l
	r.classes = r.classes[:0]
	if len(body) > l.Bytes {
		return r.fail(Exceeded, "the body is longer than the limit")
	}
	return nil
}

// Skip returns the length of the one value that b starts with. For more than a
// value, or to save the making of a table of classes, use a Reader.
func Skip(d Dialect, b []byte, l Limits) (n int, err error) {
	var r Reader
	if err := r.Reset(d, b, l); err != nil {
		return 0, err
	}
	if err := r.Skip(); err != nil {
		return 0, err
	}
	return r.pos, nil
}

// Offset returns the place of the next value, in bytes from the body's start.
func (r *Reader) Offset() int { return r.pos }

// Rest returns what has not been read.
func (r *Reader) Rest() []byte { return r.b[r.pos:] }

// Kind says what comes next, without reading it: None at the end of the body,
// and Object where definitions of classes precede an instance.
func (r *Reader) Kind() Kind {
	if r.pos >= len(r.b) {
		return None
	}
	return r.form(r.b[r.pos]).kind
}

// Skip reads over one value with all that is inside, and over the definitions of
// classes that precede it.
func (r *Reader) Skip() error { return r.value(0) }

// Null reads a null if it comes next, and reports whether it did.
func (r *Reader) Null() bool {
	if r.Kind() != Null {
		return false
	}
	r.pos++
	return true
}

// Int reads an int of 32 bits. Other numbers are refused.
func (r *Reader) Int() (int32, error) {
	if k := r.Kind(); k != Int && k != None {
		return 0, r.fail(Refused, "not an int")
	}
	n, err := r.Long()
	return int32(n), err
}

// Long reads an int or a long.
func (r *Reader) Long() (int64, error) {
	f, at, err := r.first()
	if err != nil {
		return 0, err
	}
	if f.kind != Int && f.kind != Long {
		return 0, r.failAt(at, Refused, "neither an int nor a long")
	}
	if err := r.advance(int(f.n)); err != nil {
		return 0, err
	}
	return integer(r.b[at:r.pos]), nil
}

// integer returns the value of a whole int or long, whose tags are apart from
// each other and the same in both dialects.
func integer(b []byte) int64 {
	tag := int64(b[0])
	switch {
	case len(b) == 9:
		return int64(binary.BigEndian.Uint64(b[1:]))
	case len(b) == 5:
		return int64(int32(binary.BigEndian.Uint32(b[1:])))
	case len(b) == 1 && tag < 0xd8:
		return tag - 0x90
	case len(b) == 1:
		return tag - 0xe0
	case len(b) == 2 && tag < 0xf0:
		return (tag-0xc8)<<8 | int64(b[1])
	case len(b) == 2:
		return (tag-0xf8)<<8 | int64(b[1])
	case tag >= 0xd0:
		return (tag-0xd4)<<16 | int64(b[1])<<8 | int64(b[2])
	}
	return (tag-0x3c)<<16 | int64(b[1])<<8 | int64(b[2])
}

// Map goes into a map: what follows are its keys and values in turn, until End.
// Its type, if it has one, is skipped.
func (r *Reader) Map() error {
	f, at, err := r.first()
	if err != nil {
		return err
	}
	switch f.op {
	case opMapUntyped:
		return nil
	case opMapOld, opMapTyped:
		return r.skipType()
	}
	return r.failAt(at, Refused, "not a map")
}

// End reads the end of a map, or of a list without a length, if it comes next,
// and reports whether it did.
func (r *Reader) End() bool {
	if r.Kind() != End {
		return false
	}
	r.pos++
	return true
}

// An Instance is an object that a Reader went into.
type Instance struct {
	r     *Reader
	class class
	names int // offset of the next field's name
	left  int // fields that Next has not named
}

// Object goes into an object, over the definitions of classes before it. What
// follows are the values of its fields.
func (r *Reader) Object() (Instance, error) {
	for {
		f, at, err := r.first()
		if err != nil {
			return Instance{}, err
		}
		switch f.op {
		case opDefine:
			if err := r.define(at); err != nil {
				return Instance{}, err
			}
		case opObject, opObjectShort:
			c, err := r.classOf(f, at)
			return Instance{r, c, c.names, c.fields}, err
		default:
			return Instance{}, r.failAt(at, Refused, "not an object")
		}
	}
}

// Class returns the name of the object's class.
func (o *Instance) Class() ([]byte, error) {
	r, here := o.r, o.r.pos
	defer func() { r.pos = here }()
	r.pos = o.class.name
	if r.final {
		return r.String(nil)
	}
	n, err := r.count()
	if err != nil {
		return nil, err
	}
	start := r.pos
	if err := r.chars(n); err != nil {
		return nil, err
	}
	return r.decode(nil, start, r.pos)
}

// Next returns the name of the next field, or false after the last. The Reader
// stays where it is: before the field's value, when the caller has read the
// values of the fields before it.
func (o *Instance) Next() (name []byte, ok bool, err error) {
	if o.left == 0 {
		return nil, false, nil
	}
	r, here := o.r, o.r.pos
	r.pos = o.names
	name, err = r.String(nil)
	o.names, r.pos = r.pos, here
	o.left--
	return name, err == nil, err
}

// first reads the first byte of a value.
func (r *Reader) first() (f form, at int, err error) {
	at = r.pos
	if at >= len(r.b) {
		return form{}, at, r.truncated()
	}
	r.pos++
	return r.form(r.b[at]), at, nil
}

func (r *Reader) advance(n int) error {
	if n > len(r.b)-r.pos {
		return r.truncated()
	}
	r.pos += n
	return nil
}

func (r *Reader) truncated() error {
	return &Error{len(r.b), Truncated, "the body ends inside a value"}
}

func (r *Reader) fail(reason Reason, what string) error { return r.failAt(r.pos, reason, what) }

func (r *Reader) failAt(at int, reason Reason, what string) error {
	return &Error{at, reason, what}
}
