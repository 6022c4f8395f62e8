package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	"google.golang.org/protobuf/proto"

	"sofamesh.io/sofamesh/mosn/accesslog/file"
	"sofamesh.io/sofamesh/mosn/eventloop"
	"sofamesh.io/sofamesh/mosn/network/hcm"
	"sofamesh.io/sofamesh/mosn/protocol/http1"
	"sofamesh.io/sofamesh/mosn/protocol/http2"
	"sofamesh.io/sofamesh/mosn/stats"
	"sofamesh.io/sofamesh/mosn/stream"
	"sofamesh.io/sofamesh/mosn/trace/opentelemetry"
	"sofamesh.io/sofamesh/mosn/trace/zipkin"
	"sofamesh.io/sofamesh/sdk"
)

// extensions are the real ones: the store is tried with what it will meet.
func extensions() Extensions {
	return Extensions{
		Codecs:         []*sdk.Codec{http1.Codec(), http2.Codec()},
		HTTPFilters:    []*sdk.HTTPFilter{hcm.Router()},
		NetworkFilters: []stream.NetworkFilter{hcm.Filter()},
		AccessLogs:     []sdk.AccessLog{file.Logger()},
		Tracers:        []sdk.Tracer{opentelemetry.Tracer(), zipkin.Tracer()},
	}
}

func newRegistry(t testing.TB) *Registry {
	t.Helper()
	r, err := NewRegistry(extensions())
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func newStore(t testing.TB, boot *Bootstrap) *Store {
	t.Helper()
	o := Options{Registry: newRegistry(t), Stats: stats.NewStore(stats.Options{}), Loops: 1}
	if boot != nil {
		o.Node, o.Runtime, o.Tracing = boot.Proto.GetNode(), boot.Runtime.Values(), boot.Tracing()
	}
	return NewStore(o)
}

// write puts a file called name into a folder of the test.
func write(t testing.TB, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// compileText loads YAML and compiles its resources.
func compileText(t testing.TB, yaml string) (*Bootstrap, *Result, error) {
	t.Helper()
	boot, err := Load(Source{Path: write(t, "b.yaml", yaml)}, newRegistry(t))
	if err != nil {
		return nil, nil, err
	}
	r := newStore(t, boot).Apply(boot.Resources())
	return boot, r, r.Err()
}

// refused fails unless the YAML is refused by an error that holds all the parts.
func refused(t *testing.T, yaml string, parts ...string) {
	t.Helper()
	_, _, err := compileText(t, yaml)
	if err == nil {
		t.Errorf("accepted:\n%s", yaml)
		return
	}
	for _, p := range parts {
		if !strings.Contains(err.Error(), p) {
			t.Errorf("%s\nis refused by: %v\nwant: %s", yaml, err, p)
		}
	}
}

// hcmListener is a listener whose connection manager has more in it.
func hcmListener(more string) string {
	return `
static_resources:
  clusters: [{name: one, connect_timeout: 1s}]
  listeners:
  - name: web
    address: {socket_address: {address: 127.0.0.1, port_value: 0}}
    filter_chains:
    - filters:
      - name: hcm
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: web
          route_config: {virtual_hosts: [{name: all, domains: ["*"], routes: [{match: {prefix: /}, route: {cluster: one}}]}]}
` + more
}

const routerFilter = `
          http_filters:
          - name: router
            typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}
`

// fakeFilter is a network filter that counts.
type fakeFilter struct{ compiled, closed int }

func (f *fakeFilter) filter() stream.NetworkFilter {
	return stream.NetworkFilter{
		Name: "fake", Config: &hcmv3.HttpConnectionManager{}, Fields: hcm.Fields(),
		Compile: func(sdk.Compiler, proto.Message) (stream.ConnFactory, error) {
			f.compiled++
			return f, nil
		},
	}
}

func (f *fakeFilter) NewConn(*stream.Worker, *eventloop.Conn) eventloop.Handler { return nil }
func (f *fakeFilter) Close()                                                    { f.closed++ }
