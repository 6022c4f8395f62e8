package cel

import (
	"testing"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	exprpb "google.golang.org/genproto/googleapis/api/expr/v1alpha1"
	"google.golang.org/protobuf/proto"

	"sofamesh.io/sofamesh/mosn/match"
	"sofamesh.io/sofamesh/sdk"
	"sofamesh.io/sofamesh/sdk/sdktest"
)

func seeds() []string {
	return []string{
		`request.path == '/x' && request.headers['x-a'].startsWith('1')`, `has(request.referer) ? size(request.headers) > 3 : 'a' in request.headers`,
		`request.time > timestamp('2020-01-01T00:00:00Z') && request.duration < duration('1s')`, `metadata.filter_metadata['f']['l'][1] == 2.0`,
		`filter_state['text'] == b'value' || connection.id in [1, 2u, 3.0]`, `{'a': request.host}[request.method] != null`,
		`request.path.matches('^/[a-z]+$') && int(request.headers['x-n']) % 3 == 1`,
	}
}

// FuzzText compiles any text, in both strictnesses, and runs it: it must neither panic
// nor run away.
func FuzzText(f *testing.F) {
	for _, s := range seeds() {
		f.Add(s, "v")
	}
	f.Fuzz(func(t *testing.T, text, value string) {
		for _, config := range []*corev3.CelExpressionConfig{nil, {EnableStringConcat: true, EnableStringConversion: true, EnableStringFunctions: true}} {
			if p, err := CompileText(sdktest.NewCompiler(t), text, config, Anything); err == nil {
				run(p, value)
			}
		}
	})
}

// FuzzExpr does the same with expressions that no parser has made.
func FuzzExpr(f *testing.F) {
	for _, s := range append(seeds(), `request.headers.exists(k, k == 'a')`) {
		b, err := proto.Marshal(expr(f, s))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b, "v")
	}
	f.Fuzz(func(t *testing.T, b []byte, value string) {
		e := &exprpb.Expr{}
		if proto.Unmarshal(b, e) != nil {
			return
		}
		if p, err := CompileExpr(sdktest.NewCompiler(t), e, nil); err == nil {
			run(p, value)
		}
	})
}

func run(p *Program, value string) {
	d := sample()
	d.Request.Add("x-a", value)
	d.Request.Set(":path", value)
	p.Match(d)
	p.AppendText(nil, d)
	p.Decide(&match.Data{Info: &sdk.StreamInfo{}})
}
