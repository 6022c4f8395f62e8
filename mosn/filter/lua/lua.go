// Package lua is envoy.filters.http.lua: scripts that look at requests and responses, and
// may change or answer them.
//
// A script has one interpreter on each loop, with its globals, and runs there as a
// coroutine of the stream. It is written as if it waited, for a body or for the answer to
// a call, but then it yields, and goes on when that has come. It is counted how many
// instructions it executes, and how many steps its patterns take; one that would hold up
// the loop is stopped. No goroutine is started for it.
//
// The interpreter is that of Lua 5.1 in Go, not LuaJIT: there are no modules, no files, no
// jit, ffi and bit, and of os only clock and time.
package lua

import (
	"fmt"
	"maps"
	"slices"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	luav3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/lua/v3"
	"google.golang.org/protobuf/proto"

	"sofamesh.io/sofamesh/mosn/fields"
	"sofamesh.io/sofamesh/mosn/format"
	"sofamesh.io/sofamesh/sdk"
)

const name = "envoy.filters.http.lua"

// Filter returns the extension.
func Filter() *sdk.HTTPFilter {
	const p = "envoy.extensions.filters.http.lua.v3."
	return &sdk.HTTPFilter{
		Name:   name,
		Config: &luav3.Lua{},
		Route:  &luav3.LuaPerRoute{},
		Fields: fields.Join(
			fields.Message(p+"Lua",
				fields.Supported("inline_code", "source_codes", "default_source_code", "stat_prefix", "clear_route_cache", "filter_context"),
				fields.Refused("package_paths", "package_cpaths", "shared_vm_id")),
			fields.Message(p+"LuaPerRoute",
				fields.Supported("disabled", "name", "source_code", "filter_context"),
				fields.Refused("package_paths", "package_cpaths", "shared_vm_id")),
			format.SourceFields(),
		),
		Compile: func(c sdk.Compiler, m proto.Message) (sdk.HTTPConfig, error) { return compile(c, m.(*luav3.Lua)) },
		CompileRoute: func(c sdk.Compiler, m proto.Message) (sdk.RouteConfig, error) {
			return compileRoute(c, m.(*luav3.LuaPerRoute))
		},
	}
}

// config is the compiled filter.
type config struct {
	script     *program // nil for none
	named      map[string]*program
	context    sdk.Value
	clearRoute bool
	scope      sdk.Scope

	errors, executions sdk.Counter
}

// route is what a route says.
type route struct {
	off     bool
	named   string
	script  *program
	context sdk.Value // missing when the route says nothing of it
}

func compile(c sdk.Compiler, pb *luav3.Lua) (*config, error) {
	cfg := &config{
		named: map[string]*program{}, context: sdk.StructOf(pb.GetFilterContext()),
		clearRoute: pb.GetClearRouteCache() == nil || pb.GetClearRouteCache().GetValue(),
		scope:      c.Stats().Scope("lua"),
	}
	if pb.GetStatPrefix() != "" {
		cfg.scope = cfg.scope.Scope(pb.GetStatPrefix())
	}
	cfg.errors, cfg.executions = cfg.scope.Counter("errors"), cfg.scope.Counter("executions")
	for _, name := range slices.Sorted(maps.Keys(pb.GetSourceCodes())) {
		p, err := compileSource(c.At(fmt.Sprintf("source_codes[%q]", name)), pb.GetSourceCodes()[name])
		if err != nil {
			return nil, err
		}
		cfg.named[name] = p
	}
	//lint:ignore SA1019 deprecated, and in many configurations
	inline := pb.GetInlineCode()
	var err error
	switch {
	case inline != "" && pb.GetDefaultSourceCode() != nil:
		err = c.At("inline_code").Errorf("only one of inline_code and default_source_code can be set")
	case inline != "":
		cfg.script, err = compileText(c.At("inline_code"), inline)
	case pb.GetDefaultSourceCode() != nil:
		cfg.script, err = compileSource(c.At("default_source_code"), pb.GetDefaultSourceCode())
	}
	return cfg, err
}

func compileSource(c sdk.Compiler, pb *corev3.DataSource) (*program, error) {
	text, err := format.Source(c, pb)
	if err != nil {
		return nil, err
	}
	return compileText(c, text)
}

func compileText(c sdk.Compiler, text string) (*program, error) {
	p, err := compileProgram(text)
	if err != nil {
		return nil, c.Errorf("script load error: %w", err)
	}
	return p, nil
}

func compileRoute(c sdk.Compiler, pb *luav3.LuaPerRoute) (*route, error) {
	r := &route{off: pb.GetDisabled(), named: pb.GetName()}
	if pb.GetFilterContext() != nil {
		r.context = sdk.StructOf(pb.GetFilterContext())
	}
	var err error
	if pb.GetSourceCode() != nil {
		r.script, err = compileSource(c.At("source_code"), pb.GetSourceCode())
	}
	return r, err
}

// New implements sdk.HTTPConfig.
func (c *config) New(s sdk.Stream) sdk.Filter {
	f := sdk.State[filter](s)
	f.c = c
	return f
}

// Close implements sdk.HTTPConfig: the machines are memory alone.
func (c *config) Close() {}

// script is what runs on a stream, nil for nothing.
func (c *config) scriptFor(s sdk.Stream) *program {
	r, _ := s.RouteConfig().(*route)
	switch {
	case r == nil:
		return c.script
	case r.off:
		return nil
	case r.script != nil:
		return r.script
	case r.named != "":
		return c.named[r.named]
	}
	return c.script
}

// filter is the filter of one stream.
type filter struct {
	sdk.PassThrough
	c               *config
	request, answer *run // nil while nothing runs
}

func (f *filter) inc(s sdk.Stream, c sdk.Counter) { s.Inc(c) }

// context is the filter context: the route's, else the filter's.
func (f *filter) context(s sdk.Stream) sdk.Value {
	if r, ok := s.RouteConfig().(*route); ok && r.context.Exists() {
		return r.context
	}
	return f.c.context
}

// OnRequestHeaders implements sdk.Filter.
func (f *filter) OnRequestHeaders(s sdk.Stream, end bool) sdk.Action {
	m := f.machine(s)
	if m == nil || m.onRequest == nil {
		return sdk.Continue
	}
	r := &run{s: s, f: f, m: m, toServer: true}
	f.request = r
	s.Inc(f.c.executions)
	r.begin(m.onRequest, end) // the stream may be over behind it
	return r.action()
}

func (f *filter) machine(s sdk.Stream) *machine {
	if p := f.c.scriptFor(s); p != nil {
		return p.on(s.Loop())
	}
	return nil
}

// OnRequestData implements sdk.Filter.
func (f *filter) OnRequestData(_ sdk.Stream, data *sdk.Buffer, end bool) sdk.Action {
	if f.request == nil {
		return sdk.Continue
	}
	return f.request.onData(data, end)
}

// OnRequestTrailers implements sdk.Filter.
func (f *filter) OnRequestTrailers(sdk.Stream) sdk.Action {
	if f.request == nil {
		return sdk.Continue
	}
	return f.request.onTrailers()
}

// OnResponseHeaders implements sdk.Filter.
func (f *filter) OnResponseHeaders(s sdk.Stream, end bool) sdk.Action {
	m := f.machine(s)
	if m == nil || m.onAnswer == nil {
		return sdk.Continue
	}
	r := &run{s: s, f: f, m: m}
	f.answer = r
	s.Inc(f.c.executions)
	r.begin(m.onAnswer, end)
	return r.action()
}

// OnResponseData implements sdk.Filter.
func (f *filter) OnResponseData(_ sdk.Stream, data *sdk.Buffer, end bool) sdk.Action {
	if f.answer == nil {
		return sdk.Continue
	}
	return f.answer.onData(data, end)
}

// OnResponseTrailers implements sdk.Filter.
func (f *filter) OnResponseTrailers(sdk.Stream) sdk.Action {
	if f.answer == nil {
		return sdk.Continue
	}
	return f.answer.onTrailers()
}

// OnEnd implements sdk.Filter.
func (f *filter) OnEnd(sdk.Stream) {
	for _, r := range []*run{f.request, f.answer} {
		if r != nil {
			r.stop()
		}
	}
	f.request, f.answer = nil, nil
}
