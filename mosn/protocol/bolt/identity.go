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

// read finds the identity of a request, of whose header map headers has told the
// part: for Hessian the beginning of the body must say the same. Calls with another
// request class than SOFARPC's are bare Bolt: their class chooses what handles them,
// so it is what they are for.
func (d *identity) read(c *conn, f *fixed, head, content []byte) error {
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

// headers reads the header map, and shows it. Java keeps the last of two equal keys
// and distinguishes case, others may not: neither is for us to guess.
func (d *identity) headers(v *viewer, limit int) error {
	var e entry
	for count := 0; e.end < len(v.block); count++ {
		if !e.next(v.block) {
			return errMap
		}
		if count == limit {
			return errCount
		}
		key := v.block[e.key:e.keyEnd]
		name := usual(key)
		if name == "" {
			var place *[]byte
			if place, name = d.place(key); place != nil {
				if *place != nil || string(key) != name {
					return errSpelling
				}
				if !e.null {
					*place = v.block[e.value:e.end:e.end]
				}
			}
		}
		v.add(&e, name)
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
	if place == nil || string(key) != name && !strings.EqualFold(str(key), name) {
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
	b := &c.beginning
	q := hessian.SofaRequest{Service: b.service, Method: b.method}
	d.writer = b.writer
	if !b.of(content) {
		r := &c.hessian
		if err := r.Reset(hessian.Old, content, bodyLimits); err != nil {
			return errBody
		}
		err := q.Read(r)
		end := r.Offset()
		_ = r.Reset(hessian.Old, nil, bodyLimits) // it borrows the input no longer
		if err != nil || hessian.IsSofaGeneric(q.Generic) {
			return errBody
		}
		d.writer = c.cfg.writerOf(&q)
		b.keep(content, end, &q, d.writer)
	}
	if d.service != nil && !bytes.Equal(d.service, q.Service) || d.method != nil && !bytes.Equal(d.method, q.Method) {
		return errBodyNames
	}
	d.service, d.method = q.Service, q.Method
	if q.Generic != nil {
		d.method, d.generic = q.Generic, q.Method
	}
	return nil
}

// show writes the identity into the view.
func (d *identity) show(m *sdk.Message, last *service) error {
	if d.method == nil { // bare Bolt
		return d.showClass(m)
	}
	if !rpcview.InPath(d.method) || last.parse(d.service) != nil {
		return errBadName
	}
	m.AddID(sdk.HeaderAuthority, str(last.authority))
	m.AddID(sdk.HeaderPath, str(last.pathOf(d.method)))
	if v := last.key.Version; v != "" {
		m.AddID(sdk.HeaderRPCVersion, v)
	}
	if g := last.key.Group; g != "" {
		m.AddID(sdk.HeaderRPCGroup, g)
	}
	if d.generic != nil {
		var buf [64]byte
		value := append(buf[:0], d.generic...)
		rpcview.Clean(value)
		m.AddID(sdk.HeaderRPCGeneric, str(value))
	}
	return nil
}

func (d *identity) showClass(m *sdk.Message) error {
	var buf [512]byte
	key, err := servicekey.ParseTarget(str(d.service))
	if err != nil || key.Interface != str(d.service) || len(bytes.TrimFunc(d.service, trimmed)) < len(d.service) {
		return errBadName
	}
	m.AddID(sdk.HeaderAuthority, str(servicekey.Append(buf[:0], key)))
	m.AddID(sdk.HeaderPath, str(append(append(buf[:0], '/'), d.service...)))
	return nil
}

// trimmed tells the characters that a Node server cuts off a class's name, so that
// another one may be SofaRequest to it.
func trimmed(c rune) bool { return unicode.IsSpace(c) || c == 0xfeff }
