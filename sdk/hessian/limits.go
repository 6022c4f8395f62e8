package hessian

import "cmp"

// Dialect is the form of Hessian 2 that a body is written in.
type Dialect uint8

const (
	// Old is the first Hessian 2 draft, as SOFARPC (sofa-hessian 3) and
	// SOFARegistry write it.
	Old Dialect = iota
	// Final is the Hessian 2.0 serialization protocol, as Dubbo writes it.
	Final
)

// Limits bounds what a body may make a Reader do. A field that is zero stands
// for the default, given at the field.
type Limits struct {
	Bytes   int // length of a body: 16 MB
	Depth   int // containers inside one another: 256
	Values  int // values skipped, the definitions of classes not counted: 4194304
	Classes int // definitions of classes: 1024
	Fields  int // fields of one class: 1024
	Text    int // bytes of a text that is handed out, not of one that is skipped: 65536
}

func (l Limits) orDefault() Limits {
	return Limits{
		Bytes:   cmp.Or(l.Bytes, 16<<20),
		Depth:   cmp.Or(l.Depth, 256),
		Values:  cmp.Or(l.Values, 4<<20),
		Classes: cmp.Or(l.Classes, 1024),
		Fields:  cmp.Or(l.Fields, 1024),
		Text:    cmp.Or(l.Text, 64<<10),
	}
}
