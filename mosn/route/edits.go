package route

import (
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"

	"sofamesh.io/sofamesh/mosn/edit"
	"sofamesh.io/sofamesh/mosn/format"
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
	add    []edit.Option
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
		if !edit.Editable(name) {
			return nil, c.At(element(field+"remove", i)).Errorf("%q may not be removed", name)
		}
		e.remove = append(e.remove, match.HeaderName(name))
	}
	for i, pb := range add {
		one, err := edit.CompileOption(c.At(element(field+"add", i)), pb)
		if err != nil {
			return nil, err
		}
		e.add = append(e.add, one)
	}
	return e, nil
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
	ctx := format.Context{Info: info, Request: req, Response: resp}
	for i := range e.add {
		o := &e.add[i]
		start := len(s.buf)
		s.buf = o.Value.Append(s.buf, &ctx)
		s.values = append(s.values, editValue{start, len(s.buf), o.Applies(h, len(s.buf)-start)})
	}
	e.set(h, s, true)
	e.set(h, s, false)
}

// set carries out the edits that replace, or those that add.
func (e *edits) set(h *sdk.Headers, s *Scratch, replace bool) {
	for i := range e.add {
		o, v := &e.add[i], &s.values[i]
		if v.use && o.Replaces() == replace {
			o.Set(h, view(s.buf[v.start:v.end]))
		}
	}
}
