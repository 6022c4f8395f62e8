package config

import (
	"context"
	"errors"
	"fmt"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	tracev3 "github.com/envoyproxy/go-control-plane/envoy/config/trace/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/known/anypb"

	"sofamesh.io/sofamesh/mosn/eventloop"
	"sofamesh.io/sofamesh/mosn/fields"
	"sofamesh.io/sofamesh/mosn/listener"
	"sofamesh.io/sofamesh/mosn/route"
	"sofamesh.io/sofamesh/mosn/runtime"
	"sofamesh.io/sofamesh/mosn/stream"
	"sofamesh.io/sofamesh/sdk"
)

// unit is one resource while it is compiled: what all compilers of it share.
type unit struct {
	store    *Store
	name     string                   // `listener "http"`
	where    func(path string) string // nil: not known
	scope    sdk.Scope
	listener *listenerv3.Listener // nil for other resources
	edges    map[string]bool      // clusters that it names
	warnings []string
	uses     []use // subscriptions that it has asked for
}

// compiler implements sdk.Compiler for one place in a unit. Beside that interface it
// has a few methods that only network filters need; they ask for them by an
// interface of their own.
type compiler struct {
	*unit
	path  string
	stats sdk.Scope // nil: the unit's
}

var _ sdk.Compiler = compiler{}

// Compiler returns a compiler for what is not a resource: name stands for it in
// errors, where may be nil.
func (s *Store) Compiler(name string, where func(path string) string) sdk.Compiler {
	return compiler{unit: &unit{store: s, name: name, where: where, scope: s.o.Stats.Root(), edges: map[string]bool{}}}
}

// At implements sdk.Compiler.
func (c compiler) At(path string) sdk.Compiler { return c.at(path) }

func (c compiler) at(path string) compiler {
	c.path = joinPath(c.path, path)
	return c
}

func joinPath(base, path string) string {
	if base == "" || path == "" {
		return base + path
	}
	return base + "." + path
}

// Errorf implements sdk.Compiler.
func (c compiler) Errorf(format string, args ...any) error {
	return c.fault(fmt.Errorf(format, args...))
}

// fault places err here, unless it has its place already.
func (c compiler) fault(err error) error {
	if placed, ok := errors.AsType[*FieldError](err); ok && placed.Resource == c.name {
		return err
	}
	e := &FieldError{Resource: c.name, Path: c.path, Err: err}
	if c.where != nil {
		e.Where = c.where(c.path)
	}
	return e
}

// Warnf implements sdk.Compiler.
func (c compiler) Warnf(format string, args ...any) {
	c.warnings = append(c.warnings, c.Errorf(format, args...).Error())
}

// Stats implements sdk.Compiler.
func (c compiler) Stats() sdk.Scope {
	if c.stats != nil {
		return c.stats
	}
	return c.scope
}

// WithStats returns c with another scope, for what is compiled inside of what has its
// own prefix.
func (c compiler) WithStats(scope sdk.Scope) sdk.Compiler {
	c.stats = scope
	return c
}

// check holds m against the declared fields and the rules of its proto.
func (c compiler) check(m proto.Message) error {
	var errs []error
	c.store.ext.table.Check(m.ProtoReflect(), "", func(r fields.Refusal) {
		errs = append(errs, c.at(r.Path).Errorf("%s", r.Reason()))
	})
	validate(m, func(path, reason string) { errs = append(errs, c.at(path).Errorf("%s", reason)) })
	return errors.Join(errs...)
}

// Unpack implements sdk.Compiler.
func (c compiler) Unpack(a *anypb.Any) (proto.Message, error) {
	name := typeName(a.GetTypeUrl())
	if name == "" {
		return nil, c.Errorf("the configuration is missing")
	}
	if s, is, err := typedStruct(a); is {
		if err != nil {
			return nil, c.Errorf("%s: %w", name, err)
		}
		m, err := c.message(s)
		if err != nil {
			return nil, err
		}
		return m, c.at("value").check(m)
	}
	t, err := protoregistry.GlobalTypes.FindMessageByName(protoreflect.FullName(name))
	if err != nil {
		return nil, c.Errorf("%w", c.store.ext.missingType(name))
	}
	m := t.New().Interface()
	if err := proto.Unmarshal(a.GetValue(), m); err != nil {
		return nil, c.Errorf("%s: %w", name, err)
	}
	return m, c.check(m)
}

// Missing implements sdk.Compiler.
func (c compiler) Missing(category, name string, a *anypb.Any) error {
	return c.Errorf("%w", c.store.ext.missing(category, name, extensionType(a)))
}

// HTTPFilter implements sdk.Compiler.
func (c compiler) HTTPFilter(name string, config *anypb.Any) (*sdk.HTTPFilter, error) {
	typ := extensionType(config)
	if f, ok := c.store.ext.http.find(name, typ); ok {
		return f, nil
	}
	return nil, c.Errorf("%w", c.store.ext.missing(categoryHTTP, name, typ))
}

// Codec implements sdk.Compiler.
func (c compiler) Codec(name string) (*sdk.Codec, error) {
	if k := c.store.ext.codec(name); k != nil {
		return k, nil
	}
	return nil, c.Errorf("this proxy is built without the codec %q", name)
}

// AccessLog implements sdk.Compiler.
func (c compiler) AccessLog(name string, a *anypb.Any) (sdk.AccessLogger, error) {
	typ := extensionType(a)
	l, ok := c.store.ext.logs.find(name, typ)
	if !ok {
		return nil, c.Missing(categoryLog, name, a)
	}
	at := c.at("typed_config")
	m, err := at.extensionConfig(a, l.Config)
	if err != nil {
		return nil, err
	}
	return l.Compile(at, m)
}

// Tracer implements sdk.Compiler.
func (c compiler) Tracer(name string, a *anypb.Any) (sdk.TraceProvider, sdk.SpanQueue, error) {
	typ := typeName(a.GetTypeUrl())
	t, ok := c.store.ext.tracers.find(name, typ)
	if !ok {
		return nil, nil, c.Errorf("%w", c.store.ext.missing(categoryTracer, name, typ))
	}
	at := c.at("typed_config")
	m, err := at.extensionConfig(a, t.Config)
	if err != nil {
		return nil, nil, err
	}
	at.stats = c.store.o.Stats.Root() // all who trace alike share one provider
	p, err := t.Compile(at, m)
	if err != nil || c.store.o.Spans == nil { // nothing is sent while validating
		return p, noSpans{}, err
	}
	return p, c.store.o.Spans(t.Name+"\x00"+string(a.GetValue()), p), nil
}

type noSpans struct{}

func (noSpans) Put(_ int, s *sdk.Span) { s.Reset() }
func (noSpans) Close()                 {}

// Tracing returns the provider for those who trace and name none (the bootstrap's
// deprecated tracing), nil when there is none.
func (c compiler) Tracing() *tracev3.Tracing_Http { return c.store.o.Tracing }

// LocalAddress returns the machine's first address that is not loopback, "" for none.
func (c compiler) LocalAddress() string { return eventloop.MachineAddress() }

// Services compiles bootstrap_extensions; none is started. where may be nil.
func (s *Store) Services(list []*corev3.TypedExtensionConfig, where func(path string) string) ([]sdk.Service, error) {
	root := s.Compiler("bootstrap", where).(compiler)
	var services []sdk.Service
	for i, pb := range list {
		c := root.at(fmt.Sprintf("bootstrap_extensions[%d]", i))
		ext, ok := s.ext.boot.find(pb.GetName(), extensionType(pb.GetTypedConfig()))
		if !ok {
			return nil, c.Missing(categoryBootstrap, pb.GetName(), pb.GetTypedConfig())
		}
		c = c.at("typed_config")
		m, err := c.extensionConfig(pb.GetTypedConfig(), ext.Config)
		if err != nil {
			return nil, err
		}
		service, err := ext.Compile(c, m)
		if err != nil {
			return nil, err
		}
		services = append(services, service)
	}
	return services, nil
}

// extensionConfig unpacks the configuration of an extension; without one it is
// empty.
func (c compiler) extensionConfig(a *anypb.Any, def proto.Message) (proto.Message, error) {
	if a != nil {
		return c.Unpack(a)
	}
	m := def.ProtoReflect().New().Interface()
	return m, c.check(m)
}

// LogOutput implements sdk.Compiler.
func (c compiler) LogOutput(path string) (sdk.LogOutput, error) {
	if c.store.o.LogOutput == nil { // nothing is opened while validating
		return noOutput{}, nil
	}
	out, err := c.store.o.LogOutput(path)
	if err != nil {
		return nil, c.Errorf("%w", err)
	}
	return out, nil
}

type noOutput struct{}

func (noOutput) Scratch(int) []byte { return nil }
func (noOutput) Write(int, []byte)  {}

// Cluster implements sdk.Compiler.
func (c compiler) Cluster(name string) bool {
	c.edges[name] = true
	return c.store.hasCluster(name)
}

// Caller implements sdk.Compiler.
func (c compiler) Caller(cluster string) sdk.Caller {
	c.edges[cluster] = true
	if c.store.o.Calls == nil { // nothing is called while validating
		return noCaller{}
	}
	return c.store.o.Calls.Caller(cluster)
}

type noCaller struct{}

func (noCaller) Call(context.Context, *sdk.CallRequest) (*sdk.CallResponse, error) {
	return nil, errors.New("config: nothing is called while configuration is validated")
}

// Node returns the identity of this proxy. It must not be changed.
func (c compiler) Node() *corev3.Node { return c.store.o.Node }

// Runtime returns the runtime values in force.
func (c compiler) Runtime() *runtime.Values { return c.store.o.Runtime }

// Root returns the compiler at the root of the resource.
func (c compiler) Root() sdk.Compiler { return compiler{unit: c.unit} }

// Codecs returns all protocols, in the order in which they are tried on a connection.
func (c compiler) Codecs() []*sdk.Codec { return c.store.ext.codecs }

// Listener returns the listener that is compiled, nil when it is something else.
func (c compiler) Listener() *listenerv3.Listener { return c.listener }

// RouteNames are the names of what virtual clusters and routes count.
func (c compiler) RouteNames() *route.StatNames { return c.store.routed }

// ListenerStats is the scope of the listener that is compiled.
func (c compiler) ListenerStats() sdk.Scope {
	return c.Stats().Scope(listener.StatPrefix(c.listener))
}

// networkFilter compiles a filter of a listener's chain; c stands at it.
func (c compiler) networkFilter(pb *listenerv3.Filter) (stream.ConnFactory, error) {
	typ := extensionType(pb.GetTypedConfig())
	f, ok := c.store.ext.network.find(pb.GetName(), typ)
	if !ok {
		return nil, c.Missing(categoryNetwork, pb.GetName(), pb.GetTypedConfig())
	}
	at := c.at("typed_config")
	m, err := at.extensionConfig(pb.GetTypedConfig(), f.Config)
	if err != nil {
		return nil, err
	}
	return f.Compile(at, m)
}
