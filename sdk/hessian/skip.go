package hessian

// value skips one value; depth counts the containers around it.
func (r *Reader) value(depth int) error {
	for {
		f, at, err := r.first()
		if err != nil {
			return err
		}
		if f.op == opDefine {
			if err := r.define(at); err != nil {
				return err
			}
			continue
		}
		if r.values--; r.values < 0 {
			return r.failAt(at, Exceeded, "more values than the limit")
		}
		switch f.op {
		case opFixed:
			return r.advance(int(f.n))
		case opText, opTextHigh, opTextMore, opTextLast, opBytes, opBytesHigh, opBytesMore, opBytesLast:
			return r.chunks(f)
		case opRef:
			return r.index()
		case opRemote:
			if r.plain {
				return r.failAt(at, Refused, notPlain)
			}
			if err := r.skipType(); err != nil {
				return err
			}
			return r.skipText()
		case opBad:
			return r.failAt(at, Malformed, "no value starts with this byte")
		case opEnd:
			return r.failAt(at, Malformed, "an end where a value must be")
		}
		if depth >= r.limits.Depth {
			return r.failAt(at, Exceeded, "values are nested deeper than the limit")
		}
		if r.plain && !r.isPlain(f) {
			return r.failAt(at, Refused, notPlain)
		}
		return r.container(f, at, depth+1)
	}
}

const notPlain = "a value of a class where only plain ones are taken"

// isPlain reports whether the container that f starts has no type of the
// sender's choice.
func (r *Reader) isPlain(f form) bool {
	switch f.op {
	case opListOld, opMapOld:
		switch rest := r.Rest(); {
		case len(rest) == 0: // truncated, which is said elsewhere
			return true
		case rest[0] == 't':
			return f.op == opListOld && (begins(rest, "t\x00\x07[string") || begins(rest, "t\x00\x11[java.lang.String"))
		default:
			return rest[0] != 'T' && rest[0] != 'u'
		}
	case opListOpen, opListCounted:
		return f.n == 0
	}
	return f.op == opListShort || f.op == opMapUntyped
}

// begins reports whether b starts with s, as far as b goes.
func begins(b []byte, s string) bool {
	n := min(len(b), len(s))
	return string(b[:n]) == s[:n]
}

// container skips the rest of a list, a map or an object.
func (r *Reader) container(f form, at, depth int) error {
	switch f.op {
	case opObject, opObjectShort:
		c, err := r.classOf(f, at)
		if err != nil {
			return err
		}
		return r.counted(c.fields, depth)
	case opMapUntyped:
		return r.open(depth, true)
	case opMapOld, opMapTyped:
		if err := r.skipType(); err != nil {
			return err
		}
		return r.open(depth, true)
	case opListOld:
		return r.listOld(depth)
	case opListRefOld:
		if err := r.index(); err != nil {
			return err
		}
	}
	return r.list(f, depth)
}

// list skips the rest of a list in the forms of the final dialect, and of the
// old one's list with a known type, whose type has been read.
func (r *Reader) list(f form, depth int) error {
	if f.op == opListTyped || f.n == 1 && (f.op == opListOpen || f.op == opListCounted) {
		if err := r.skipType(); err != nil {
			return err
		}
	}
	switch f.op {
	case opListOpen:
		return r.open(depth, false)
	case opListCounted, opListRefOld:
		n, err := r.count()
		if err != nil {
			return err
		}
		return r.counted(n, depth)
	}
	return r.counted(int(f.n), depth)
}

// listOld skips the rest of V type? length? values z. A stated length must be
// true: some of Java's readers go by it, others by the end.
func (r *Reader) listOld(depth int) error {
	if err := r.skipType(); err != nil {
		return err
	}
	n, err := r.lengthOld()
	if err != nil {
		return err
	}
	if n < 0 {
		return r.open(depth, false)
	}
	if err := r.counted(n, depth); err != nil {
		return err
	}
	if r.pos == len(r.b) {
		return r.truncated()
	}
	if !r.End() {
		return r.fail(Refused, "a list is longer than it says")
	}
	return nil
}

// counted skips n values.
func (r *Reader) counted(n, depth int) error {
	for range n {
		if err := r.value(depth); err != nil {
			return err
		}
	}
	return nil
}

// open skips values, in pairs for a map, and the end after them.
func (r *Reader) open(depth int, pairs bool) error {
	for !r.End() {
		if err := r.value(depth); err != nil {
			return err
		}
		if pairs {
			if err := r.value(depth); err != nil {
				return err
			}
		}
	}
	return nil
}

// define reads the definition of a class, whose first byte stands at at.
func (r *Reader) define(at int) error {
	if len(r.classes) >= r.limits.Classes {
		return r.failAt(at, Exceeded, "more classes than the limit")
	}
	c := class{name: r.pos}
	if r.final {
		if err := r.skipText(); err != nil {
			return err
		}
	} else {
		n, err := r.count()
		if err != nil {
			return err
		}
		if err := r.chars(n); err != nil {
			return err
		}
	}
	n, err := r.count()
	if err != nil {
		return err
	}
	if n > r.limits.Fields {
		return r.failAt(at, Exceeded, "a class has more fields than the limit")
	}
	c.names, c.fields = r.pos, n
	for range n {
		if err := r.skipText(); err != nil {
			return err
		}
	}
	c.end = r.pos
	r.classes = append(r.classes, c)
	return nil
}

// classOf returns the class of an object whose first byte stands at at.
func (r *Reader) classOf(f form, at int) (class, error) {
	n := int(f.n)
	if f.op == opObject {
		i, err := r.count()
		if err != nil {
			return class{}, err
		}
		n = i
	}
	if n >= len(r.classes) {
		return class{}, r.failAt(at, Malformed, "an object of a class that is not defined")
	}
	return r.classes[n], nil
}

// skipType skips the type of a list or a map: a name, or a reference to one
// before. In the old draft there may be none.
func (r *Reader) skipType() error {
	if r.final {
		if r.Kind() == Text {
			return r.skipText()
		}
		return r.index()
	}
	if r.pos == len(r.b) {
		return r.truncated()
	}
	switch r.b[r.pos] {
	case 't':
		r.pos++
		n, err := r.uint16()
		if err != nil {
			return err
		}
		return r.chars(n)
	case 'T', 'u':
		r.pos++
		return r.index()
	}
	return nil
}

// lengthOld reads the length of a list in the old draft, -1 if it has none.
func (r *Reader) lengthOld() (int, error) {
	if r.pos == len(r.b) {
		return 0, r.truncated()
	}
	at := r.pos
	switch r.b[at] {
	case 'n':
		if err := r.advance(2); err != nil {
			return 0, err
		}
		return int(r.b[at+1]), nil
	case 'l':
		if err := r.advance(5); err != nil {
			return 0, err
		}
		n := integer(r.b[at:r.pos])
		if n < 0 {
			return 0, r.failAt(at, Malformed, "a negative count")
		}
		return int(n), nil
	}
	return -1, nil
}

func (r *Reader) skipText() error {
	f, at, err := r.first()
	if err != nil {
		return err
	}
	if f.kind != Text {
		return r.failAt(at, Refused, "not a text")
	}
	return r.chunks(f)
}

// count reads an int that counts or numbers something.
func (r *Reader) count() (int, error) {
	at := r.pos
	n, err := r.Int()
	if err == nil && n < 0 {
		err = r.failAt(at, Malformed, "a negative count")
	}
	return int(n), err
}

// index reads the number of an earlier type or value, which nothing here keeps.
func (r *Reader) index() error {
	_, err := r.count()
	return err
}
