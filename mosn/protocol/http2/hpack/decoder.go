package hpack

import (
	"errors"

	"sofamesh.io/sofamesh/sdk"
	"sofamesh.io/sofamesh/sdk/httpfield"
)

// DefaultTableSize is the size of a dynamic table before any setting (RFC 9113,
// 6.5.2).
const DefaultTableSize = 4096

// What makes the blocks that follow unreadable too (RFC 9113, 4.3).
var (
	errInteger = errors.New("hpack: a malformed or too large number")
	errIndex   = errors.New("hpack: an index of no entry")
	errString  = errors.New("hpack: a string is longer than its block")
	errUpdate  = errors.New("hpack: a table size update that is too large, misplaced or missing")
)

// Decoder reads header blocks.
type Decoder struct {
	table  table
	limit  int    // the most that a size update may say
	rest   []byte // of the block
	begun  bool   // a field of the block was read: no size update may follow
	shrink bool   // the next block must begin with a size update
}

// Init gives the table its size, that of before the settings are acknowledged.
func (d *Decoder) Init(limit int) {
	d.limit = limit
	d.table.max = DefaultTableSize
}

// SetLimit changes the most that the peer may use for its table. It has agreed.
func (d *Decoder) SetLimit(limit int) {
	d.limit = limit
	d.shrink = d.table.max > limit
}

// Field is a field that Next has read.
type Field struct {
	ID          sdk.HeaderID
	Name, Value int // their lengths
	// Sensitive says that no compression may remember it (RFC 7541, 6.2.3).
	Sensitive bool
	// Invalid says that the name is neither a token in lower case nor a well-known
	// pseudo-header, or that the value holds a control character or is enclosed in
	// blanks (RFC 9113, 8.2.1).
	Invalid bool
}

// Begin begins a block, which Next reads. It must be read to its end, or the blocks
// that follow are lost.
func (d *Decoder) Begin(block []byte) { d.rest, d.begun = block, false }

// Next reads a field and writes it as a line behind the fields of h (see
// Headers.StartLine); the caller adds it or not. With skip the line may be missing:
// then the fields are read only to keep the table in step. It returns false at the
// end of the block; after an error no further block can be read.
func (d *Decoder) Next(h *sdk.Headers, f *Field, skip bool) (bool, error) {
	for len(d.rest) > 0 {
		b := d.rest[0]
		if b&0xe0 == 0x20 {
			if err := d.update(); err != nil {
				return false, err
			}
			continue
		}
		if d.shrink {
			return false, errUpdate
		}
		d.begun = true
		if skip && d.skipIndexed() {
			continue
		}
		if b&0x80 != 0 {
			return true, d.indexed(h, f, skip)
		}
		return true, d.literal(h, f, b)
	}
	d.rest = nil
	return false, nil
}

// skipIndexed passes over fields that a table has and one byte names: they are what
// makes a bomb of a block, and change nothing. It reports whether there was any.
func (d *Decoder) skipIndexed() bool {
	known := byte(min(staticLen+d.table.len(), 0x7e))
	n := 0
	for n < len(d.rest) && d.rest[n]-0x81 < known {
		n++
	}
	d.rest = d.rest[n:]
	return n > 0
}

// update reads a table size update.
func (d *Decoder) update() error {
	n, err := d.number(5)
	if err != nil {
		return err
	}
	if d.begun || n > d.limit {
		return errUpdate
	}
	d.shrink = false
	d.table.resize(n)
	return nil
}

// indexed reads a field that a table has.
func (d *Decoder) indexed(h *sdk.Headers, f *Field, skip bool) error {
	i, err := d.number(7)
	if err != nil {
		return err
	}
	if i == 0 {
		return errIndex
	}
	if i <= staticLen {
		s := static[i]
		*f = Field{ID: s.id, Name: s.name, Value: s.value}
		if !skip {
			copy(h.StartLine(len(s.line)), s.line)
		}
		return nil
	}
	e, err := d.dynamic(i)
	if err != nil {
		return err
	}
	*f = Field{ID: e.id, Name: int(e.name), Value: int(e.value), Invalid: e.invalid}
	if !skip {
		line := d.table.line(e)
		copy(h.StartLine(len(line)), line)
	}
	return nil
}

// dynamic returns the entry of the dynamic table with an index.
func (d *Decoder) dynamic(i int) (*entry, error) {
	if i -= staticLen; i > d.table.len() {
		return nil, errIndex
	}
	return d.table.entry(d.table.next - uint32(i)), nil
}

// text is a string as it stands in the block.
type text struct {
	p       []byte
	huffman bool
}

// max is the length that it has at most when it is decoded.
func (t text) max() int {
	if t.huffman {
		return decodedMax(len(t.p))
	}
	return len(t.p)
}

// put decodes it to dst and returns its length.
func (t text) put(dst []byte) (int, error) {
	if t.huffman {
		return decodeHuffman(dst, t.p)
	}
	return copy(dst, t.p), nil
}

// literal reads a field that the block spells out, but for its name perhaps.
func (d *Decoder) literal(h *sdk.Headers, f *Field, b byte) error {
	prefix := 4
	if b&0x40 != 0 {
		prefix = 6
	}
	i, err := d.number(prefix)
	if err != nil {
		return err
	}
	*f = Field{Sensitive: b&0xf0 == 0x10}
	name, err := d.name(i, f)
	if err != nil {
		return err
	}
	value, err := d.text()
	if err != nil {
		return err
	}
	p := h.StartLine(name.max() + value.max() + 4)
	if f.Name, err = name.put(p); err != nil {
		return err
	}
	if f.Value, err = value.put(p[f.Name+2:]); err != nil {
		return err
	}
	p = p[:f.Name+f.Value+4]
	p[f.Name], p[f.Name+1] = ':', ' '
	p[len(p)-2], p[len(p)-1] = '\r', '\n'
	judge(f, p, i == 0)
	if b&0x40 != 0 {
		if e, line := d.table.add(f.Name, f.Value); e != nil {
			copy(line, p)
			e.id, e.invalid = f.ID, f.Invalid
		}
	}
	return nil
}

// name finds the name of a literal field: that of entry i, or for 0 what follows.
func (d *Decoder) name(i int, f *Field) (text, error) {
	switch {
	case i == 0:
		return d.text()
	case i <= staticLen:
		s := static[i]
		f.ID = s.id
		return text{p: httpfield.Raw(s.line[:s.name])}, nil
	}
	e, err := d.dynamic(i)
	if err != nil {
		return text{}, err
	}
	f.ID, f.Invalid = e.id, e.invalid && !validName(e.id, d.table.line(e)[:e.name])
	return text{p: d.table.line(e)[:e.name]}, nil
}

// judge settles what a line that was spelled out is worth.
func judge(f *Field, line []byte, named bool) {
	if named {
		name := line[:f.Name]
		f.ID = sdk.LookupHeader(httpfield.String(name))
		f.Invalid = !validName(f.ID, name)
	}
	value := line[f.Name+2 : f.Name+2+f.Value]
	f.Invalid = f.Invalid || !httpfield.ValidValue(value)
}

// validName reports whether a name may be a field's: a token in lower case, or a
// pseudo-header that is known.
func validName(id sdk.HeaderID, name []byte) bool {
	return id != sdk.HeaderOther || httpfield.LowerToken(name)
}

// text reads a string.
func (d *Decoder) text() (text, error) {
	if len(d.rest) == 0 {
		return text{}, errString
	}
	huffman := d.rest[0]&0x80 != 0
	n, err := d.number(7)
	if err != nil {
		return text{}, err
	}
	if n > len(d.rest) {
		return text{}, errString
	}
	t := text{d.rest[:n], huffman}
	d.rest = d.rest[n:]
	return t, nil
}

// number reads an integer with a prefix of some bits (RFC 7541, 5.1). What is larger
// than any size or index that makes sense is refused.
func (d *Decoder) number(prefix int) (int, error) {
	p := d.rest
	mask := 1<<prefix - 1
	n := int(p[0]) & mask
	if n < mask {
		d.rest = p[1:]
		return n, nil
	}
	for i := 1; i < len(p) && i <= 4; i++ {
		n += int(p[i]&0x7f) << (7 * (i - 1))
		if p[i]&0x80 == 0 {
			d.rest = p[i+1:]
			return n, nil
		}
	}
	return 0, errInteger
}
