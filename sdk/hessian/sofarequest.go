package hessian

// SofaRequestClass is the class of the object that a SOFARPC request starts
// with, as it stands in the body and in Bolt's class name.
const SofaRequestClass = "com.alipay.sofa.rpc.core.request.SofaRequest"

// SofaRequest is what a SOFARPC request says about its target inside its body:
// a SofaRequest object in the old dialect, then the arguments, one value after
// another. With Hessian the Java server goes by the body, not by Bolt's headers.
//
// The texts point into the body, as far as it holds them in one piece.
type SofaRequest struct {
	Service []byte // targetServiceUniqueName, `interface:version[:uniqueId]`
	Method  []byte // methodName
	// Generic is the first argument of a call to $invoke, $invokeAsync or
	// $genericInvoke: the method that it is about. Else it is nil. (SOFARPC's own generic client
	// already puts the real method into Method.)
	Generic []byte
	// Writer is who wrote it, as far as the definition of the class tells, and
	// Definition is that definition, with which the body begins.
	Writer     SofaWriter
	Definition []byte
}

// SofaWriter tells the clients apart by the order of the fields in their SofaRequest.
type SofaWriter uint8

const (
	// SofaOther is any other client.
	SofaOther SofaWriter = iota
	// SofaJava is sofa-rpc-all (its classes have been the same since 5.4.0).
	SofaJava
	// SofaNode is sofa-rpc-node.
	SofaNode
)

// The definitions with which these clients begin each request.
const (
	sofaClass = "O\xbc" + SofaRequestClass + "\x95"
	sofaJava  = sofaClass + "\x0dtargetAppName\x0amethodName\x17targetServiceUniqueName\x0crequestProps\x0dmethodArgSigs"
	sofaNode  = sofaClass + "\x0amethodName\x0dmethodArgSigs\x17targetServiceUniqueName\x0dtargetAppName\x0crequestProps"
)

// The fields that matter, by their names in the class.
const (
	sofaMethod  = "methodName"
	sofaService = "targetServiceUniqueName"
)

// Read fills q from r, which Reset has given the whole body or its beginning.
// It stops after the second of the two fields, in whatever order the class has
// them, and goes on only for a generic call; the rest of the body is not looked
// at. A body that is shorter than that is a Truncated error.
//
// Refused are: another class, another definition before that of the class (some
// servers keep definitions, and would take an earlier one of the same name for
// it), a missing or double field, a target or method that
// is null or not a text, and a value of a class before these fields, because
// only a reader that knows the class can say where it ends.
func (q *SofaRequest) Read(r *Reader) error {
	*q = SofaRequest{Writer: r.sofaWriter()}
	o, err := r.Object()
	if err != nil {
		return err
	}
	if len(r.classes) > 1 {
		return r.failAt(0, Refused, "another definition before the SofaRequest")
	}
	q.Definition = r.b[:o.class.end]
	left := 2 // fields after the two, in the known definitions
	if q.Writer != SofaOther {
		err = q.inOrder(r)
	} else {
		left, err = q.byName(r, o)
	}
	if err == nil && IsSofaGeneric(q.Method) {
		err = q.generic(r, left)
	}
	return err
}

// inOrder reads the two fields of a known writer.
func (q *SofaRequest) inOrder(r *Reader) (err error) {
	if q.Writer == SofaJava {
		if err = r.skipPlain(); err != nil {
			return err
		}
	}
	if q.Method, err = r.String(nil); err != nil {
		return err
	}
	if q.Writer == SofaNode {
		if err = r.skipPlain(); err != nil {
			return err
		}
	}
	q.Service, err = r.String(nil)
	return err
}

// byName reads the two fields of any writer and returns how many follow them.
func (q *SofaRequest) byName(r *Reader, o Instance) (left int, err error) {
	if err := checkSofaClass(o); err != nil {
		return 0, err
	}
	for q.Service == nil || q.Method == nil {
		// checkSofaClass saw both names, so there is a next field.
		name, _, err := o.Next()
		if err != nil {
			return 0, err
		}
		switch string(name) {
		case sofaService:
			q.Service, err = r.String(nil)
		case sofaMethod:
			q.Method, err = r.String(nil)
		default:
			err = r.skipPlain()
		}
		if err != nil {
			return 0, err
		}
	}
	return o.left, nil
}

// IsSofaGeneric reports whether a method is one of those that call another, which
// their first argument names.
func IsSofaGeneric(method []byte) bool {
	switch string(method) {
	case "$invoke", "$invokeAsync", "$genericInvoke":
		return true
	}
	return false
}

// sofaWriter reads the definition of a SofaRequest if the body begins with one
// that it knows.
func (r *Reader) sofaWriter() SofaWriter {
	if r.final || r.pos > 0 || len(r.b) < len(sofaJava) {
		return SofaOther
	}
	var w SofaWriter
	switch string(r.b[:len(sofaJava)]) {
	case sofaJava:
		w = SofaJava
	case sofaNode:
		w = SofaNode
	default:
		return SofaOther
	}
	r.pos = len(sofaJava)
	r.classes = append(r.classes, class{name: 1, names: len(sofaClass), fields: 5, end: r.pos})
	return w
}

// generic reads the rest of the object, of which so many fields are left, and the
// first argument.
func (q *SofaRequest) generic(r *Reader, left int) (err error) {
	for range left {
		if err := r.Skip(); err != nil {
			return err
		}
	}
	q.Generic, err = r.String(nil)
	return err
}

// checkSofaClass demands that o is a SofaRequest with each field of the target
// exactly once. It gets a copy, so that the caller can walk over the names again.
func checkSofaClass(o Instance) error {
	class, err := o.Class()
	if err != nil {
		return err
	}
	if string(class) != SofaRequestClass {
		return o.r.failAt(0, Refused, "not a SofaRequest")
	}
	methods, services := 0, 0
	for {
		name, ok, err := o.Next()
		if err != nil {
			return err
		}
		if !ok {
			break
		}
		switch string(name) {
		case sofaMethod:
			methods++
		case sofaService:
			services++
		}
	}
	if methods != 1 || services != 1 {
		return o.r.failAt(0, Refused, "a SofaRequest without its method and target, or with two")
	}
	return nil
}

// skipPlain skips a value that all readers end at the same byte: null, a number,
// a text, binary data, or a list or map of such. Types are refused too, because
// they choose a reader, apart from String[]: methodArgSigs, which in what Node
// sends stands before the target.
func (r *Reader) skipPlain() error {
	r.plain = true
	err := r.Skip()
	r.plain = false
	return err
}
