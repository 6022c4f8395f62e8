// Package setfilterstate is envoy.filters.http.set_filter_state: it gives names to values
// made of what is known of a request, for access logs and later filters to read
// (%FILTER_STATE(name)%).
//
// A compiled filter is shared by all loops; what it keeps of a stream, the values among
// it, belongs to that stream's loop and is used again by later streams. The state of an
// RPC is set like that of any request.
package setfilterstate

import (
	"fmt"
	"slices"
	"unsafe"

	valuev3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/common/set_filter_state/v3"
	statev3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/set_filter_state/v3"
	"google.golang.org/protobuf/proto"

	"sofamesh.io/sofamesh/mosn/fields"
	"sofamesh.io/sofamesh/mosn/format"
	"sofamesh.io/sofamesh/sdk"
)

// Filter returns the extension.
func Filter() *sdk.HTTPFilter {
	return &sdk.HTTPFilter{
		Name:   "envoy.filters.http.set_filter_state",
		Config: &statev3.Config{},
		Route:  &statev3.Config{},
		Fields: fields.Join(
			fields.Message("envoy.extensions.filters.http.set_filter_state.v3.Config",
				fields.Supported("on_request_headers", "clear_route_cache")),
			fields.Message("envoy.extensions.filters.common.set_filter_state.v3.FilterStateValue",
				fields.Supported("object_key", "factory_key", "format_string", "skip_if_empty"),
				fields.Ignored("read_only"),
				fields.NoEffect("shared_with_upstream")), // there are no internal connections
		),
		Compile: func(c sdk.Compiler, m proto.Message) (sdk.HTTPConfig, error) {
			l, err := compile(c, m.(*statev3.Config))
			return &filter{own: l, clear: m.(*statev3.Config).GetClearRouteCache()}, err
		},
		CompileRoute: func(c sdk.Compiler, m proto.Message) (sdk.RouteConfig, error) {
			return compile(c, m.(*statev3.Config))
		},
		Merge: func(outer, inner sdk.RouteConfig) sdk.RouteConfig {
			return slices.Concat(outer.(values), inner.(values)) // all levels count, the innermost last
		},
	}
}

// values are set in turn.
type values []value

type value struct {
	key     string
	literal any // a string, where there is nothing to be made
	format  *format.Format
	skip    bool // an empty value is not set
}

func compile(c sdk.Compiler, pb *statev3.Config) (values, error) {
	var list values
	for i, v := range pb.GetOnRequestHeaders() {
		one, err := compileValue(c.At(fmt.Sprintf("on_request_headers[%d]", i)), v)
		if err != nil {
			return nil, err
		}
		list = append(list, one)
	}
	return list, nil
}

func compileValue(c sdk.Compiler, pb *valuev3.FilterStateValue) (v value, err error) {
	v = value{key: pb.GetObjectKey(), skip: pb.GetSkipIfEmpty()}
	field, factory := "factory_key", pb.GetFactoryKey()
	if factory == "" {
		field, factory = "object_key", v.key
	}
	switch factory {
	case "envoy.string", "envoy.hashable_string":
	default:
		return v, c.At(field).Errorf("%q names no kind of object that is built; envoy.string and envoy.hashable_string are", factory)
	}
	if v.format, err = format.Compile(c.At("format_string"), pb.GetFormatString()); err != nil {
		return v, err
	}
	if text, ok := v.format.Literal(); ok {
		v.literal = text
	}
	return v, nil
}

// filter is the compiled filter, and the one that all its streams share.
type filter struct {
	sdk.PassThrough
	own   values
	clear bool
}

// New implements sdk.HTTPConfig.
func (f *filter) New(sdk.Stream) sdk.Filter { return f }

// Close implements sdk.HTTPConfig.
func (f *filter) Close() {}

// made are the values of a stream. Their memory outlives the stream, so that it need not
// be made anew: unlike the state of sdk.State, which begins empty.
type made struct {
	texts []*text
	used  int
}

type text struct{ b []byte }

// maxKept bounds what is kept of a value when its stream is over.
const maxKept = 4 << 10

// String returns the text, which is valid until the stream ends.
func (t *text) String() string { return unsafe.String(unsafe.SliceData(t.b), len(t.b)) }

func madeOf(s sdk.Stream) *made {
	place, first := s.Slot()
	m, ok := (*place).(*made)
	if !ok {
		m = &made{}
		*place = m
	}
	if first {
		m.used = 0
	}
	return m
}

func (m *made) next() *text {
	if m.used == len(m.texts) {
		m.texts = append(m.texts, &text{})
	}
	m.used++
	t := m.texts[m.used-1]
	if t.b = t.b[:0]; cap(t.b) > maxKept {
		t.b = nil
	}
	return t
}

// OnRequestHeaders implements sdk.Filter.
func (f *filter) OnRequestHeaders(s sdk.Stream, _ bool) sdk.Action {
	m, ctx := madeOf(s), format.Context{Info: s.Info(), Request: s.Request()}
	f.own.set(m, &ctx)
	if l, ok := s.RouteConfig().(values); ok {
		l.set(m, &ctx)
	}
	if f.clear {
		s.ClearRoute()
	}
	return sdk.Continue
}

func (l values) set(m *made, ctx *format.Context) {
	for i := range l {
		v := &l[i]
		switch {
		case v.literal == "" && v.skip:
		case v.literal != nil:
			ctx.Info.SetFilterState(v.key, v.literal)
		default:
			t := m.next()
			if t.b = v.format.Append(t.b, ctx); len(t.b) > 0 || !v.skip {
				ctx.Info.SetFilterState(v.key, t)
			}
		}
	}
}
