// Package builtin is THE list of the data plane's extensions, as data: what the mosn
// binary is built with. A proxy with codecs of its own is built with With, one with
// other extensions takes Default() and adds theirs with Extensions.Add.
package builtin

import (
	"sofamesh.io/sofamesh/mosn/accesslog/file"
	"sofamesh.io/sofamesh/mosn/accesslog/stderr"
	"sofamesh.io/sofamesh/mosn/accesslog/stdout"
	"sofamesh.io/sofamesh/mosn/config"
	"sofamesh.io/sofamesh/mosn/filter/buffer"
	"sofamesh.io/sofamesh/mosn/filter/cors"
	"sofamesh.io/sofamesh/mosn/filter/fault"
	"sofamesh.io/sofamesh/mosn/filter/grpcbridge"
	"sofamesh.io/sofamesh/mosn/filter/grpcreversebridge"
	"sofamesh.io/sofamesh/mosn/filter/grpcstats"
	"sofamesh.io/sofamesh/mosn/filter/grpcweb"
	"sofamesh.io/sofamesh/mosn/filter/headermutation"
	"sofamesh.io/sofamesh/mosn/filter/healthcheck"
	"sofamesh.io/sofamesh/mosn/filter/localratelimit"
	"sofamesh.io/sofamesh/mosn/filter/lua"
	"sofamesh.io/sofamesh/mosn/filter/rbac"
	"sofamesh.io/sofamesh/mosn/filter/setfilterstate"
	"sofamesh.io/sofamesh/mosn/network/hcm"
	"sofamesh.io/sofamesh/mosn/protocol/bolt"
	"sofamesh.io/sofamesh/mosn/protocol/http1"
	"sofamesh.io/sofamesh/mosn/protocol/http2"
	"sofamesh.io/sofamesh/mosn/report/holmes"
	otlpmetrics "sofamesh.io/sofamesh/mosn/report/opentelemetry"
	"sofamesh.io/sofamesh/mosn/report/statsd"
	"sofamesh.io/sofamesh/mosn/stream"
	"sofamesh.io/sofamesh/mosn/trace/opentelemetry"
	"sofamesh.io/sofamesh/mosn/trace/zipkin"
	"sofamesh.io/sofamesh/sdk"
)

// Default returns the extensions of the mosn binary.
func Default() config.Extensions {
	return config.Extensions{
		Codecs: []*sdk.Codec{http1.Codec(), http2.Codec(), bolt.Codec(bolt.Limits{})},
		HTTPFilters: []*sdk.HTTPFilter{
			buffer.Filter(), cors.Filter(), fault.Filter(),
			grpcbridge.Filter(), grpcreversebridge.Filter(), grpcstats.Filter(), grpcweb.Filter(),
			headermutation.Filter(), healthcheck.Filter(), localratelimit.Filter(), lua.Filter(), rbac.Filter(), setfilterstate.Filter(),
			hcm.Router(),
		},
		NetworkFilters: []stream.NetworkFilter{hcm.Filter()},
		Bootstrap:      []sdk.BootstrapExtension{holmes.Extension()},
		AccessLogs:     []sdk.AccessLog{file.Logger(), stdout.Logger(), stderr.Logger()},
		StatsSinks:     []sdk.StatsSink{statsd.Sink(), statsd.DogSink(), otlpmetrics.Sink()},
		Tracers:        []sdk.Tracer{opentelemetry.Tracer(), zipkin.Tracer()},
	}
}

// With returns the extensions of the mosn binary and further protocols, for
//
//	func main() { server.Main(builtin.With(mycodec.Codec)) }
func With(codecs ...func() *sdk.Codec) config.Extensions {
	var more sdk.Extensions
	for _, codec := range codecs {
		more.Codecs = append(more.Codecs, codec())
	}
	return Default().Add(more)
}
