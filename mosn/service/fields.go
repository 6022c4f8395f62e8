package service

import (
	"sofamesh.io/sofamesh/mosn/fields"
	"sofamesh.io/sofamesh/sdk"
)

// Fields declares the messages that this package compiles.
func Fields() sdk.FieldStatus {
	const core = "envoy.config.core.v3."
	return fields.Join(
		fields.Message(core+"GrpcService",
			fields.Supported("envoy_grpc", "timeout", "initial_metadata", "retry_policy"), fields.Refused("google_grpc")),
		// Its retry_policy is for the streams of xDS alone.
		fields.Message(core+"GrpcService.EnvoyGrpc",
			fields.Supported("cluster_name", "authority", "max_receive_message_length", "skip_envoy_headers"),
			fields.Ignored("retry_policy")),
		fields.Message(core+"HttpUri", fields.Supported("uri", "cluster", "timeout")),
		fields.Message(core+"HttpService", fields.Supported("http_uri", "request_headers_to_add"), fields.Refused("formatters")),
		fields.Message(core+"RetryPolicy",
			fields.Supported("retry_back_off", "num_retries", "retry_on", "retry_host_predicate", "host_selection_retry_max_attempts"),
			fields.Refused("retry_priority")),
		fields.Message(core+"RetryPolicy.RetryHostPredicate", fields.Supported("name", "typed_config")),
		fields.Message(core+"BackoffStrategy", fields.Supported("base_interval", "max_interval")),
	)
}
