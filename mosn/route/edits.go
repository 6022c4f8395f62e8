package route

//lint:file-ignore SA1019 Envoy still reads these fields, so we do

import (
	"strings"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"

	"sofamesh.io/sofamesh/mosn/match"
	"sofamesh.io/sofamesh/sdk"
)

// edits is what one level of the configuration does to headers: the compiled form
// of a pair like request_headers_to_add and request_headers_to_remove.
//
// The order is Envoy's: headers are removed; then every value is made and every
// condition decided on what is there now, so that edits of one level do not see
// each other; then headers are replaced; then headers are added.
type edits struct {
	remove []string
	add    []headerEdit
}

type headerEdit struct {
	name   string
	action corev3.HeaderValueOption_HeaderAppendAction
	empty  bool // keep_empty_value
	value  headerValue
}

// editValue is the value that an edit has for this message.
type editValue struct {
	start, end int // in Scratch.buf
	use        bool
}

// adder is a message with header edits.
type adder interface {
	GetRequestHeadersToAdd() []*corev3.HeaderValueOption
	GetRequestHeadersToRemove() []string
	GetResponseHeadersToAdd() []*corev3.HeaderValueOption
	GetResponseHeadersToRemove() []string
}

// compileLevel compiles the edits of a level; one without edits is nil.
func compileLevel(c sdk.Compiler, pb adder) (request, response *edits, err error) {
	request, err = compileEdits(c, "request_headers_to_", pb.GetRequestHeadersToAdd(), pb.GetRequestHeadersToRemove())
	if err == nil {
		response, err = compileEdits(c, "response_headers_to_", pb.GetResponseHeadersToAdd(), pb.GetResponseHeadersToRemove())
	}
	return request, response, err
}

func compileEdits(c sdk.Compiler, field string, add []*corev3.HeaderValueOption, remove []string) (*edits, error) {
	if len(add)+len(remove) == 0 {
		return nil, nil
	}
	e := &edits{}
	for i, name := range remove {
		if !editable(name) {
			return nil, c.At(element(field+"remove", i)).Errorf("%q may not be removed", name)
		}
		e.remove = append(e.remove, match.HeaderName(name))
	}
	for i, pb := range add {
		one, err := compileEdit(c.At(element(field+"add", i)), pb)
		if err != nil {
			return nil, err
		}
		e.add = append(e.add, one)
	}
	return e, nil
}

// editable reports whether configuration may touch a header: pseudo headers and the
// host have rewrites of their own.
func editable(name string) bool {
	return !strings.HasPrefix(name, ":") && !strings.EqualFold(name, "host")
}

func compileEdit(c sdk.Compiler, pb *corev3.HeaderValueOption) (headerEdit, error) {
	e := headerEdit{
		name:   match.HeaderName(pb.GetHeader().GetKey()),
		action: pb.GetAppendAction(),
		empty:  pb.GetKeepEmptyValue(),
	}
	if !editable(pb.GetHeader().GetKey()) {
		return e, c.At("header.key").Errorf("%q may not be modified", pb.GetHeader().GetKey())
	}
	if old := pb.GetAppend(); old != nil {
		if e.action != corev3.HeaderValueOption_APPEND_IF_EXISTS_OR_ADD {
			return e, c.Errorf("only one of append and append_action may be set")
		}
		if !old.GetValue() {
			e.action = corev3.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD
		}
	}
	field, text := "header.value", pb.GetHeader().GetValue()
	if raw := pb.GetHeader().GetRawValue(); text == "" && len(raw) > 0 {
		field, text = "header.raw_value", string(raw)
	}
	var err error
	e.value, err = compileValue(c.At(field), text)
	return e, err
}

// apply edits h. req and resp are the headers that operators in values read; resp is
// nil for a request.
func (e *edits) apply(h, req, resp *sdk.Headers, info *sdk.StreamInfo, s *Scratch) {
	if e == nil {
		return
	}
	for _, name := range e.remove {
		h.Remove(name)
	}
	s.buf, s.values = s.buf[:0], s.values[:0]
	for i := range e.add {
		a := &e.add[i]
		start := len(s.buf)
		s.buf = a.value.append(s.buf, req, resp, info)
		use := (len(s.buf) > start || a.empty) && a.applies(h)
		s.values = append(s.values, editValue{start, len(s.buf), use})
	}
	e.set(h, s, true)
	e.set(h, s, false)
}

// applies reports whether the condition of the action holds.
func (a *headerEdit) applies(h *sdk.Headers) bool {
	switch a.action {
	case corev3.HeaderValueOption_ADD_IF_ABSENT:
		return !h.Has(a.name)
	case corev3.HeaderValueOption_OVERWRITE_IF_EXISTS:
		return h.Has(a.name)
	}
	return true
}

// set carries out the edits that replace, or those that add.
func (e *edits) set(h *sdk.Headers, s *Scratch, replace bool) {
	for i := range e.add {
		a, v := &e.add[i], &s.values[i]
		if !v.use || a.replaces() != replace {
			continue
		}
		if value := view(s.buf[v.start:v.end]); replace {
			h.Set(a.name, value)
		} else {
			h.Add(a.name, value)
		}
	}
}

func (a *headerEdit) replaces() bool {
	return a.action == corev3.HeaderValueOption_OVERWRITE_IF_EXISTS || a.action == corev3.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD
}
