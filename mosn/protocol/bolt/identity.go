package bolt

import (
	"bytes"
	"strings"
	"unicode"

	"sofamesh.io/sofamesh/sdk"
	"sofamesh.io/sofamesh/sdk/hessian"
	"sofamesh.io/sofamesh/sdk/rpcview"
	"sofamesh.io/sofamesh/sdk/servicekey"
)

// The headers that say whom a call is for. SOFARPC's server reads service first.
const (
	headerService = "service"
	headerTarget  = "sofa_head_target_service"
	headerMethod  = "sofa_head_method_name"
	headerGeneric = "sofa_head_generic_type"
	headerFailed  = "sofa_head_response_error"
)

// identity is whom a call is for, as all who will read it agree.
type identity struct {
	service []byte // `interface[:version[:uniqueId]]`
	method  []byte
	generic []byte // nil: an ordinary call
	target  []byte // the second header's service
	writer  writerKind
}

// read finds the identity of a request: the header map, and for Hessian also the
// beginning of the body, must say the same. Calls with another request class than
// SOFARPC's are bare Bolt: their class chooses what handles them, so it is what
// they are for.
func (d *identity) read(c *conn, f *fixed, head, content []byte) error {
	*d = identity{}
	if err := d.headers(head[f.size+f.class:], c.cfg.Count); err != nil {
		return err
	}
	if class := head[f.size : f.size+f.class]; string(class) != hessian.SofaRequestClass {
		*d = identity{service: class, writer: writerBare}
		return nil
	}
	if d.service == nil {
		d.service = d.target
	} else if d.target != nil && !bytes.Equal(d.service, d.target) {
		return errTargets
	}
	switch f.serial {
	case serialHessian, serialHessian2:
		if err := d.body(c, content); err != nil {
			return err
		}
	case serialProtobuf, serialJSON, serialMsgPack, serialProtostuff:
		if hessian.IsSofaGeneric(d.method) {
			return errBody
		}
	default: // Fury, say, has the method in its body
		return errSerial
	}
	if len(d.service) == 0 || len(d.method) == 0 {
		return errNoName
	}
	return nil
}

// headers reads the header map. Java keeps the last of two equal keys and
// distinguishes case, others may not: neither is for us to guess.
func (d *identity) headers(block []byte, limit int) error {
	count := 0
	for at := 0; at < len(block); count++ {
		e, ok := next(block, at)
		if !ok {
			return errMap
		}
		at = e.end
		key := block[e.key:e.keyEnd]
		place, name := d.place(key)
		if place == nil {
			continue
		}
		if *place != nil || string(key) != name {
			return errSpelling
		}
		if !e.nullValue {
			*place = block[e.value:e.valueEnd:e.valueEnd]
		}
	}
	if count > limit {
		return errCount
	}
	return nil
}

// place returns where the value of a key belongs, and how the key is spelled.
func (d *identity) place(key []byte) (place *[]byte, name string) {
	switch len(key) {
	case len(headerService):
		place, name = &d.service, headerService
	case len(headerTarget):
		place, name = &d.target, headerTarget
	case len(headerMethod):
		place, name = &d.method, headerMethod
	case len(headerGeneric):
		place, name = &d.generic, headerGeneric
	}
	if place == nil || !strings.EqualFold(str(key), name) {
		return nil, ""
	}
	return place, name
}

// bodyLimits are more than any client needs for a SofaRequest's own fields, and keep
// what a connection's Reader holds small.
//
//nolint:gochecknoglobals // constant
var bodyLimits = hessian.Limits{Depth: 32, Values: 1 << 16, Classes: 8, Fields: 64}

// body reads the names that the Java server goes by.
func (d *identity) body(c *conn, content []byte) error {
	r := &c.hessian
	if err := r.Reset(hessian.Old, content, bodyLimits); err != nil {
		return errBody
	}
	var q hessian.SofaRequest
	err := q.Read(r)
	_ = r.Reset(hessian.Old, nil, bodyLimits) // it borrows the input no longer
	if err != nil || hessian.IsSofaGeneric(q.Generic) {
		return errBody
	}
	if d.service != nil && !bytes.Equal(d.service, q.Service) || d.method != nil && !bytes.Equal(d.method, q.Method) {
		return errBodyNames
	}
	d.service, d.method, d.writer = q.Service, q.Method, c.cfg.writerOf(&q)
	if q.Generic != nil {
		d.method, d.generic = q.Generic, q.Method
	}
	return nil
}

// show writes the identity into the view.
func (d *identity) show(m *sdk.Message) error {
	var buf [512]byte
	if d.method == nil { // bare Bolt
		return d.showClass(m, buf[:0])
	}
	key, err := servicekey.ParseTarget(str(d.service))
	if err != nil || !rpcview.InPath(d.method) {
		return errBadName
	}
	m.AddID(sdk.HeaderAuthority, str(servicekey.Append(buf[:0], key)))
	path := append(append(buf[:0], '/'), key.Interface...)
	m.AddID(sdk.HeaderPath, str(append(append(path, '/'), d.method...)))
	if key.Version != "" {
		m.AddID(sdk.HeaderRPCVersion, key.Version)
	}
	if key.Group != "" {
		m.AddID(sdk.HeaderRPCGroup, key.Group)
	}
	if d.generic != nil {
		value := append(buf[:0], d.generic...)
		rpcview.Clean(value)
		m.AddID(sdk.HeaderRPCGeneric, str(value))
	}
	return nil
}

func (d *identity) showClass(m *sdk.Message, buf []byte) error {
	key, err := servicekey.ParseTarget(str(d.service))
	if err != nil || key.Interface != str(d.service) || len(bytes.TrimFunc(d.service, trimmed)) < len(d.service) {
		return errBadName
	}
	m.AddID(sdk.HeaderAuthority, str(servicekey.Append(buf, key)))
	m.AddID(sdk.HeaderPath, str(append(append(buf, '/'), d.service...)))
	return nil
}

// trimmed tells the characters that a Node server cuts off a class's name, so that
// another one may be SofaRequest to it.
func trimmed(c rune) bool { return unicode.IsSpace(c) || c == 0xfeff }
