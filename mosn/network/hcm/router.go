package hcm

import (
	routerv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/router/v3"
	"google.golang.org/protobuf/proto"

	"sofamesh.io/sofamesh/mosn/fields"
	"sofamesh.io/sofamesh/sdk"
)

// routerConfig is the compiled envoy.filters.http.router, the filter that ends every
// chain. Routing is the stream's own work, so it makes no filters: the connection
// manager takes it off the end of the chain and reads it.
type routerConfig struct {
	SuppressEnvoyHeaders bool
	// RespectExpectedTimeout makes a trusted x-envoy-expected-rq-timeout-ms of the
	// request its timeout.
	RespectExpectedTimeout bool
	NoDynamicStats         bool // responses are not counted by code
	StartChildSpan         bool
	SuppressGRPCCodes      bool
}

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
		Fields: fields.Message("envoy.extensions.filters.http.router.v3.Router",
			fields.Supported("suppress_envoy_headers", "respect_expected_rq_timeout", "dynamic_stats",
				"suppress_grpc_request_failure_code_stats", "start_child_span"),
			fields.Refused("upstream_log", "upstream_log_options", "strict_check_headers",
				"upstream_http_filters", "reject_connect_request_early_data"),
		),
		Compile: compileRouter,
	}
}

func compileRouter(_ sdk.Compiler, m proto.Message) (sdk.HTTPConfig, error) {
	pb := m.(*routerv3.Router)
	return &routerConfig{
		SuppressEnvoyHeaders:   pb.GetSuppressEnvoyHeaders(),
		RespectExpectedTimeout: pb.GetRespectExpectedRqTimeout(),
		NoDynamicStats:         pb.GetDynamicStats() != nil && !pb.GetDynamicStats().GetValue(),
		//lint:ignore SA1019 deprecated, and still obeyed by Envoy
		StartChildSpan:    pb.GetStartChildSpan(),
		SuppressGRPCCodes: pb.GetSuppressGrpcRequestFailureCodeStats(),
	}, nil
}
