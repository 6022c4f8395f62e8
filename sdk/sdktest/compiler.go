package sdktest

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	"sofamesh.io/sofamesh/sdk"
)

// Compiler is an sdk.Compiler that knows only what a test tells it. At returns
// another view of the same Compiler, so warnings, clusters and stats of nested
// messages all end up here.
type Compiler struct {
	*shared
	path string
}

// shared is what all views of one Compiler have in common.
type shared struct {
	tb       testing.TB
	scope    *Scope
	filters  map[string]*sdk.HTTPFilter
	codecs   map[string]*sdk.Codec
	loggers  map[string]sdk.AccessLogger
	tracers  map[string]tracer
	clusters map[string]bool
	asked    map[string]bool
	outputs  map[string]*Output
	warnings []string
	answer   Answer
}

var _ sdk.Compiler = (*Compiler)(nil)

// NewCompiler returns a compiler at the root path to which no extension and no
// cluster is known.
func NewCompiler(tb testing.TB) *Compiler {
	tb.Helper()
	return &Compiler{shared: &shared{
		tb:       tb,
		scope:    NewScope(),
		filters:  map[string]*sdk.HTTPFilter{},
		codecs:   map[string]*sdk.Codec{},
		loggers:  map[string]sdk.AccessLogger{},
		tracers:  map[string]tracer{},
		clusters: map[string]bool{},
		asked:    map[string]bool{},
		outputs:  map[string]*Output{},
	}}
}

// AddHTTPFilter makes f known by its name.
func (c *Compiler) AddHTTPFilter(f *sdk.HTTPFilter) { c.filters[f.Name] = f }

// AddCodec makes k known by its name.
func (c *Compiler) AddCodec(k *sdk.Codec) { c.codecs[k.Name] = k }

// AddAccessLog makes AccessLog return l for name, whatever its configuration.
func (c *Compiler) AddAccessLog(name string, l sdk.AccessLogger) { c.loggers[name] = l }

// AddCluster makes clusters known.
func (c *Compiler) AddCluster(names ...string) {
	for _, name := range names {
		c.clusters[name] = true
	}
}

// Clusters returns the names that Cluster was asked for, known or not, sorted.
func (c *Compiler) Clusters() []string { return slices.Sorted(maps.Keys(c.asked)) }

// Warnings returns what Warnf reported, each as "path: message".
func (c *Compiler) Warnings() []string { return c.warnings }

// Scope returns what Stats returns, with its way to see the names.
func (c *Compiler) Scope() *Scope { return c.scope }

// Path returns the path of this view, "" at the root.
func (c *Compiler) Path() string { return c.path }

// At implements sdk.Compiler.
func (c *Compiler) At(path string) sdk.Compiler {
	switch {
	case path == "":
		path = c.path
	case c.path != "":
		path = c.path + "." + path
	}
	return &Compiler{shared: c.shared, path: path}
}

// Errorf implements sdk.Compiler. The error reads "path: message", and wraps
// what the format wraps by %w.
func (c *Compiler) Errorf(format string, args ...any) error {
	err := fmt.Errorf(format, args...)
	if c.path == "" {
		return err
	}
	return fmt.Errorf("%s: %w", c.path, err)
}

// Warnf implements sdk.Compiler.
func (c *Compiler) Warnf(format string, args ...any) {
	c.warnings = append(c.warnings, c.Errorf(format, args...).Error())
}

// Stats implements sdk.Compiler.
func (c *Compiler) Stats() sdk.Scope { return c.scope }

// Unpack implements sdk.Compiler: it decodes every type that is linked in and
// applies the message's own validation. Declared fields are not checked.
func (c *Compiler) Unpack(a *anypb.Any) (proto.Message, error) {
	m, err := a.UnmarshalNew()
	if err != nil {
		return nil, c.Errorf("%w", err)
	}
	if v, ok := m.(interface{ Validate() error }); ok {
		if err := v.Validate(); err != nil {
			return nil, c.Errorf("%w", err)
		}
	}
	return m, nil
}

// Missing implements sdk.Compiler.
func (c *Compiler) Missing(category, name string, a *anypb.Any) error {
	return c.Errorf("no %s extension %q of type %q", category, name, a.GetTypeUrl())
}

// HTTPFilter implements sdk.Compiler: by name, else by the type of typed_config
// or of typed_per_filter_config.
func (c *Compiler) HTTPFilter(name string, config *anypb.Any) (*sdk.HTTPFilter, error) {
	typ := config.GetTypeUrl()
	if f := c.filters[name]; f != nil {
		return f, nil
	}
	for _, known := range slices.Sorted(maps.Keys(c.filters)) {
		f := c.filters[known]
		if hasType(f.Config, typ) || hasType(f.Route, typ) {
			return f, nil
		}
	}
	return nil, c.Errorf("no HTTP filter %q of type %q", name, typ)
}

func hasType(m proto.Message, typ string) bool {
	if m == nil || typ == "" {
		return false
	}
	full := string(m.ProtoReflect().Descriptor().FullName())
	return typ == full || typ == "type.googleapis.com/"+full
}

// Codec implements sdk.Compiler.
func (c *Compiler) Codec(name string) (*sdk.Codec, error) {
	if k := c.codecs[name]; k != nil {
		return k, nil
	}
	return nil, c.Errorf("no codec %q", name)
}

// AccessLog implements sdk.Compiler.
func (c *Compiler) AccessLog(name string, _ *anypb.Any) (sdk.AccessLogger, error) {
	if l := c.loggers[name]; l != nil {
		return l, nil
	}
	return nil, c.Errorf("no access logger %q", name)
}

// AddTracer makes Tracer return p and q for name, whatever its configuration.
func (c *Compiler) AddTracer(name string, p sdk.TraceProvider, q sdk.SpanQueue) {
	c.tracers[name] = tracer{p, q}
}

// Tracer implements sdk.Compiler.
func (c *Compiler) Tracer(name string, _ *anypb.Any) (sdk.TraceProvider, sdk.SpanQueue, error) {
	if t, ok := c.tracers[name]; ok {
		return t.provider, t.queue, nil
	}
	return nil, nil, c.Errorf("no tracer %q", name)
}

type tracer struct {
	provider sdk.TraceProvider
	queue    sdk.SpanQueue
}

// Output returns what LogOutput gives for a path.
func (c *Compiler) Output(path string) *Output {
	if c.outputs[path] == nil {
		c.outputs[path] = &Output{}
	}
	return c.outputs[path]
}

// LogOutput implements sdk.Compiler.
func (c *Compiler) LogOutput(path string) (sdk.LogOutput, error) { return c.Output(path), nil }

// Output is an sdk.LogOutput that keeps what is written. It serves one goroutine.
type Output struct {
	Text    []byte
	scratch []byte
}

// Scratch implements sdk.LogOutput.
func (o *Output) Scratch(int) []byte { return o.scratch[:0] }

// Write implements sdk.LogOutput.
func (o *Output) Write(_ int, line []byte) { o.Text, o.scratch = append(o.Text, line...), line }

// Cluster implements sdk.Compiler.
func (c *Compiler) Cluster(name string) bool {
	c.asked[name] = true
	return c.clusters[name]
}

// Caller implements sdk.Compiler: AnswerCalls answers.
func (c *Compiler) Caller(cluster string) sdk.Caller {
	c.asked[cluster] = true
	return caller{c.shared, cluster}
}

// Any packs m, failing the test when that is impossible.
func Any(tb testing.TB, m proto.Message) *anypb.Any {
	tb.Helper()
	a, err := anypb.New(m)
	if err != nil {
		tb.Fatal(err)
	}
	return a
}

// Text parses protobuf's text format into a new T, so that a test states a
// message in a few lines.
func Text[T any, M interface {
	*T
	proto.Message
}](tb testing.TB, text string) M {
	tb.Helper()
	m := M(new(T))
	if err := prototext.Unmarshal([]byte(text), m); err != nil {
		tb.Fatalf("%v in %s", err, text)
	}
	return m
}
