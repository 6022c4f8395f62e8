package hessian

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
	Values  int // values read or skipped, the definitions of classes not counted: 4194304
	Classes int // definitions of classes: 1024
	Fields  int // fields of one class: 1024
	Text    int // bytes of a text that is handed out, not of one that is skipped: 65536
}

func (l Limits) orDefault() Limits {
	for _, f := range [...]struct {
		field *int
		value int
	}{
		{&l.Bytes, 16 << 20}, {&l.Depth, 256}, {&l.Values, 4 << 20},
		{&l.Classes, 1024}, {&l.Fields, 1024}, {&l.Text, 64 << 10},
	} {
		if *f.field == 0 {
			*f.field = f.value
		}
	}
	return l
}
