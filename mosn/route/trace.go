package route

import (
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"

	"sofamesh.io/sofamesh/mosn/format"
	"sofamesh.io/sofamesh/mosn/runtime"
	"sofamesh.io/sofamesh/mosn/trace"
	"sofamesh.io/sofamesh/sdk"
)

// Trace is what a route says of the traces of its requests.
type Trace struct {
	// Operation names the span (decorator), "" does not. Quiet keeps that name to
	// ourselves.
	Operation string
	Quiet     bool
	// Sampling replaces that of the connection manager; nil does not.
	Sampling *trace.Sampling
	// Tags come on top of those of the connection manager. Name and UpstreamName name the
	// spans of the request and of its attempts; nil does not.
	Tags               trace.Tags
	Name, UpstreamName *format.Format
}

// compileTrace compiles decorator and tracing of a route; nil when there is neither.
func compileTrace(c sdk.Compiler, pb *routev3.Route) (*Trace, error) {
	if pb.GetDecorator() == nil && pb.GetTracing() == nil {
		return nil, nil
	}
	d := pb.GetDecorator()
	t := &Trace{Operation: d.GetOperation(), Quiet: d.GetPropagate() != nil && !d.GetPropagate().GetValue()}
	p := pb.GetTracing()
	if p == nil {
		return t, nil
	}
	always := runtime.Always()
	t.Sampling = &trace.Sampling{Client: always, Random: always, Overall: always}
	if v := p.GetClientSampling(); v != nil {
		t.Sampling.Client = runtime.CompilePercent("", v)
	}
	if v := p.GetRandomSampling(); v != nil {
		t.Sampling.Random = runtime.CompilePercent("", v)
	}
	if v := p.GetOverallSampling(); v != nil {
		t.Sampling.Overall = runtime.CompilePercent("", v)
	}
	t.Sampling.SetKeys()
	c = c.At("tracing")
	var err error
	if t.Tags, err = trace.CompileTags(c, p.GetCustomTags()); err != nil {
		return nil, err
	}
	if t.Name, err = trace.CompileName(c.At("operation"), p.GetOperation()); err != nil {
		return nil, err
	}
	t.UpstreamName, err = trace.CompileName(c.At("upstream_operation"), p.GetUpstreamOperation())
	return t, err
}
