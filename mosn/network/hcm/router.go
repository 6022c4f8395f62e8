package hcm

import (
	"fmt"

	routerv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/router/v3"
	"google.golang.org/protobuf/proto"

	"sofamesh.io/sofamesh/mosn/accesslog"
	"sofamesh.io/sofamesh/mosn/fields"
	"sofamesh.io/sofamesh/mosn/stream"
	"sofamesh.io/sofamesh/sdk"
)

// routerConfig is the compiled envoy.filters.http.router, the filter that ends every
// chain. Routing is the stream's own work, so it makes no filters: the connection
// manager takes it off the end of the chain and reads it.
type routerConfig struct{ stream.Router }

// New implements sdk.HTTPConfig and is not called.
func (*routerConfig) New(sdk.Stream) sdk.Filter { return sdk.PassThrough{} }

// Close implements sdk.HTTPConfig.
func (*routerConfig) Close() {}

// Router returns the extension envoy.filters.http.router.
func Router() *sdk.HTTPFilter {
	return &sdk.HTTPFilter{
		Name:     "envoy.filters.http.router",
		Config:   &routerv3.Router{},
		Terminal: true,
		Fields: fields.Join(
			fields.Message("envoy.extensions.filters.http.router.v3.Router",
				fields.Supported("suppress_envoy_headers", "respect_expected_rq_timeout", "dynamic_stats",
					"suppress_grpc_request_failure_code_stats", "start_child_span", "strict_check_headers", "upstream_log",
					"upstream_log_options"),
				fields.Refused("upstream_http_filters", "reject_connect_request_early_data"),
			),
			fields.Message("envoy.extensions.filters.http.router.v3.Router.UpstreamAccessLogOptions",
				fields.Supported("flush_upstream_log_on_upstream_stream", "upstream_log_flush_interval")),
		),
		Compile: compileRouter,
	}
}

func compileRouter(c sdk.Compiler, m proto.Message) (sdk.HTTPConfig, error) {
	pb := m.(*routerv3.Router)
	r := &routerConfig{stream.Router{
		SuppressEnvoyHeaders:     pb.GetSuppressEnvoyHeaders(),
		RespectExpectedRqTimeout: pb.GetRespectExpectedRqTimeout(),
		NoDynamicStats:           pb.GetDynamicStats() != nil && !pb.GetDynamicStats().GetValue(),
		//lint:ignore SA1019 deprecated, and still obeyed by Envoy
		StartChildSpan:    pb.GetStartChildSpan(),
		SuppressGRPCCodes: pb.GetSuppressGrpcRequestFailureCodeStats(),
	}}
	for i, name := range pb.GetStrictCheckHeaders() {
		id := strictHeader(name)
		if id == 0 {
			return nil, c.At(fmt.Sprintf("strict_check_headers[%d]", i)).Errorf("%q is not a header that can be checked", name)
		}
		r.StrictHeaders = append(r.StrictHeaders, id)
	}
	var err error
	r.UpstreamLog, err = compileUpstreamLog(c, pb)
	return r, err
}

// strictHeader is the header of the name, of those that can be checked.
func strictHeader(name string) sdk.HeaderID {
	for _, id := range [...]sdk.HeaderID{
		sdk.HeaderEnvoyUpstreamTimeoutMs, sdk.HeaderEnvoyUpstreamPerTryTimeoutMs, sdk.HeaderEnvoyMaxRetries,
		sdk.HeaderEnvoyRetryGRPCOn, sdk.HeaderEnvoyRetryOn,
	} {
		if id.Name() == name {
			return id
		}
	}
	return 0
}

func compileUpstreamLog(c sdk.Compiler, pb *routerv3.Router) (*stream.UpstreamLog, error) {
	var o accesslog.CompileOptions
	if h, ok := c.(host); ok {
		o.Runtime = h.Runtime()
	}
	log, err := accesslog.CompileField(c, "upstream_log", pb.GetUpstreamLog(), o)
	if log == nil || err != nil {
		return nil, err
	}
	options := pb.GetUpstreamLogOptions()
	return &stream.UpstreamLog{
		Log: log, Start: options.GetFlushUpstreamLogOnUpstreamStream(), Interval: options.GetUpstreamLogFlushInterval().AsDuration(),
	}, nil
}
