package tracing

const (
	aTrace = "11111111111111112222222222222222"
	aSpan  = "3333333333333333"
	parent = "traceparent: 00-" + aTrace + "-" + aSpan
)

// cases are compared with Envoy.
func cases() []*testCase {
	return []*testCase{
		{name: "otlp-plain", provider: otlpHTTP, requests: []string{"GET /a?b=c", "POST /status/503", "GET /status/404", "GET /x\nx-client-trace-id: mine"}, spans: 4},
		{name: "otlp-grpc", provider: otlpGRPC, requests: []string{"GET /a"}, spans: 1},
		{name: "otlp-egress", provider: otlpHTTP, direction: "OUTBOUND", requests: []string{"GET /a", "GET /a\nx-answer-operation: their-name"}, spans: 2},
		{name: "otlp-parent", provider: otlpHTTP, requests: []string{
			"GET /sampled\n" + parent + "-01\ntracestate: a=b", "GET /not\n" + parent + "-00", "GET /bad\ntraceparent: 00-zz", "GET /zero\ntraceparent: 00-00000000000000000000000000000000-" + aSpan + "-01",
			"GET /version\ntraceparent: 01-" + aTrace + "-" + aSpan + "-01",
		}, spans: 2},
		{name: "otlp-unsampled", provider: otlpHTTP, tracing: "random_sampling: {value: 0}", requests: []string{
			"GET /not", "GET /client\nx-client-trace-id: mine", "GET /forced\nx-envoy-force-trace: true", "GET /id\nx-request-id: 12345678-1234-9234-8234-123456789012",
			"GET /id\nx-request-id: 12345678-1234-b234-8234-123456789012", "GET /odd\nx-request-id: odd",
		}, spans: 3},
		{name: "otlp-overall", provider: otlpHTTP, tracing: "overall_sampling: {value: 0}\nclient_sampling: {value: 0}", requests: []string{"GET /a\nx-client-trace-id: mine", "GET /id\nx-request-id: 12345678-1234-9234-8234-123456789012"}},
		{name: "otlp-upstream", provider: otlpHTTP, tracing: "spawn_upstream_span: true\nverbose: true", requests: []string{"GET /a", "POST /status/404"}, spans: 4},
		{name: "otlp-retry", provider: otlpHTTP, tracing: "spawn_upstream_span: true",
			route:    "match: {prefix: /}\nroute: {cluster: backend, retry_policy: {retry_on: 5xx, num_retries: 1}}",
			requests: []string{"GET /status/503"}, spans: 3},
		{name: "otlp-refused", provider: otlpHTTP, tracing: "spawn_upstream_span: true",
			route: "match: {prefix: /}\nroute: {cluster: refused}", requests: []string{"GET /a"}, spans: 2},
		{name: "otlp-noroute", provider: otlpHTTP, route: "match: {prefix: /only}\nroute: {cluster: backend}", requests: []string{"GET /a"}, spans: 1},
		{name: "otlp-direct", provider: otlpHTTP, route: "match: {prefix: /}\ndirect_response: {status: 200, body: {inline_string: hi}}", requests: []string{"GET /a"}, spans: 1},
		{name: "otlp-tags", provider: otlpHTTP, tracing: `max_path_tag_length: 10
spawn_upstream_span: true
custom_tags:
- {tag: lit, literal: {value: v}}
- {tag: env, environment: {name: NO_SUCH_VARIABLE, default_value: dflt}}
- {tag: env2, environment: {name: NO_SUCH_VARIABLE}}
- {tag: hdr, request_header: {name: X-Tag}}
- {tag: hdr2, request_header: {name: x-none, default_value: none}}
- {tag: route, metadata: {kind: {route: {}}, metadata_key: {key: app, path: [{key: name}]}}}
- {tag: list, metadata: {kind: {route: {}}, metadata_key: {key: app, path: [{key: list}]}}}
- {tag: num, metadata: {kind: {route: {}}, metadata_key: {key: app, path: [{key: num}]}}}
- {tag: cluster, metadata: {kind: {cluster: {}}, metadata_key: {key: app, path: [{key: tier}]}}}
- {tag: host, metadata: {kind: {host: {}}, metadata_key: {key: app, path: [{key: zone}]}}}
- {tag: req, metadata: {kind: {request: {}}, metadata_key: {key: app, path: [{key: zone}]}, default_value: none}}
- {tag: fmt, value: "%REQ(:METHOD)% %RESPONSE_CODE% %REQ(NONE)%"}
- {tag: int, value: "%RESPONSE_CODE%", value_type: INT}
- {tag: dbl, literal: {value: "1.5"}, value_type: DOUBLE}
- {tag: bool, literal: {value: "true"}, value_type: BOOL}
- {tag: both, literal: {value: hcm}}
- {tag: notint, literal: {value: x}, value_type: INT}
- {tag: component, literal: {value: mine}}`,
			route: `metadata: {filter_metadata: {app: {name: r1, list: [1, a, {b: true}], num: 1.5}}}
tracing: {custom_tags: [{tag: both, literal: {value: route}}, {tag: more, literal: {value: r}}]}`,
			requests: []string{"GET /a/long/path?query=1\nx-tag: h1\nx-envoy-downstream-service-cluster: peer"}, spans: 2},
		{name: "otlp-decorator", provider: otlpHTTP, route: "decorator: {operation: my-op}", requests: []string{"GET /a", "GET /a\nx-envoy-decorator-operation: theirs"}, spans: 2},
		{name: "otlp-decorator-out", provider: otlpHTTP, direction: "OUTBOUND", route: "decorator: {operation: my-op}", requests: []string{"GET /a", "GET /a\nx-answer-operation: their-name"}, spans: 2},
		{name: "otlp-decorator-quiet", provider: otlpHTTP, route: "decorator: {operation: my-op, propagate: false}", requests: []string{"GET /a"}, spans: 1},
		{name: "otlp-operation", provider: otlpHTTP, tracing: "spawn_upstream_span: true\noperation: \"%REQ(:METHOD)% %RESPONSE_CODE% %REQ(NONE)%\"\nupstream_operation: \"up %UPSTREAM_CLUSTER%\"",
			route: "decorator: {operation: my-op}", requests: []string{"GET /a", "GET /a\nx-envoy-decorator-operation: theirs"}, spans: 4},
		{name: "otlp-operation-route", provider: otlpHTTP, tracing: "spawn_upstream_span: true\noperation: hcm",
			route: "tracing: {operation: \"by route %PROTOCOL%\", upstream_operation: up, random_sampling: {numerator: 100}}", requests: []string{"GET /a"}, spans: 2},
		{name: "otlp-route-sampling", provider: otlpHTTP, route: "tracing: {random_sampling: {numerator: 0}, client_sampling: {numerator: 0}}", requests: []string{"GET /a", "GET /a\nx-client-trace-id: c"}},
		{name: "otlp-quiet", provider: otlpHTTP, tracing: "no_context_propagation: true", requests: []string{"GET /a", "GET /a\n" + parent + "-01"}, spans: 2},
		{name: "otlp-grpc-request", provider: otlpHTTP, tracing: "spawn_upstream_span: true", requests: []string{
			"POST /a.B/C\ncontent-type: application/grpc\ngrpc-timeout: 1S\nx-answer-grpc: 14", "POST /a.B/C\ncontent-type: application/grpc\nx-answer-grpc: 5"}, spans: 4},
		{name: "otlp-edge", provider: otlpHTTP, tracing: "random_sampling: {value: 0}", hcm: "use_remote_address: true\npreserve_external_request_id: true", requests: []string{
			"GET /id\nx-request-id: 12345678-1234-9234-8234-123456789012", "GET /a\nx-envoy-force-trace: true\nx-envoy-decorator-operation: theirs"}},
		{name: "otlp-internal", provider: otlpHTTP, tracing: "random_sampling: {value: 0}", hcm: "use_remote_address: true\ninternal_address_config: {cidr_ranges: [{address_prefix: 127.0.0.0, prefix_len: 8}]}", requests: []string{
			"GET /id\nx-request-id: 12345678-1234-9234-8234-123456789012", "GET /a\nx-envoy-force-trace: true\nx-envoy-decorator-operation: theirs",
			"GET /a\nx-client-trace-id: c\nx-request-id: 12345678-1234-4234-8234-123456789012"}, spans: 3},
		{name: "otlp-start-child", provider: otlpHTTP, direction: "OUTBOUND", router: "start_child_span: true", requests: []string{"GET /a"}, spans: 2},
		{name: "otlp-operation-empty", provider: otlpHTTP, tracing: "spawn_upstream_span: true\noperation: \"%REQ(NONE)%\"\nupstream_operation: \"%REQ(NONE)%\"", requests: []string{"GET /a"}, spans: 2},
		{name: "otlp-http2", provider: otlpHTTP, tracing: "spawn_upstream_span: true", route: "match: {prefix: /}\nroute: {cluster: backend2}", requests: []string{"GET /a"}, spans: 2},
		{name: "otlp-rewrite", provider: otlpHTTP, route: "match: {prefix: /}\nroute: {cluster: backend, prefix_rewrite: /new/, host_rewrite_literal: other.test, timeout: 0s}", requests: []string{"GET /a"}, spans: 1},
		{name: "otlp-mirror", provider: otlpHTTP, route: "match: {prefix: /}\nroute: {cluster: backend, request_mirror_policies: [{cluster: backend2}, {cluster: backend2, trace_sampled: false}]}", requests: []string{"GET /a"}, spans: 2},
		{name: "otlp-timeout", provider: otlpHTTP, tracing: "spawn_upstream_span: true", route: "match: {prefix: /}\nroute: {cluster: backend, timeout: 0.3s}", requests: []string{"GET /sleep"}, spans: 2},
		{name: "otlp-per-try", provider: otlpHTTP, tracing: "spawn_upstream_span: true", route: "match: {prefix: /}\nroute: {cluster: backend, timeout: 2s, retry_policy: {retry_on: 5xx, num_retries: 1, per_try_timeout: 0.3s}}", requests: []string{"GET /sleep"}, spans: 3},
		{name: "otlp-reset", provider: otlpHTTP, tracing: "spawn_upstream_span: true", requests: []string{"GET /close"}, spans: 2},
		{name: "zipkin-spawn-out", provider: zipkinJSON, tracing: "spawn_upstream_span: true", direction: "OUTBOUND", requests: []string{
			"GET /new", "GET /multi\nx-b3-traceid: " + aTrace + "\nx-b3-spanid: " + aSpan + "\nx-b3-sampled: 1"}, spans: 4},
		{name: "zipkin-overall", provider: zipkinJSON, tracing: "overall_sampling: {value: 0}", requests: []string{
			"GET /new", "GET /multi\nx-b3-traceid: " + aTrace + "\nx-b3-spanid: " + aSpan + "\nx-b3-sampled: 1"}, spans: 1},
		{name: "otlp-no-pack", provider: otlpHTTP, hcm: `request_id_extension: {typed_config: {"@type": type.googleapis.com/envoy.extensions.request_id.uuid.v3.UuidRequestIdConfig, pack_trace_reason: false}}`,
			requests: []string{"GET /a", "GET /id\nx-request-id: 12345678-1234-9234-8234-123456789012"}, spans: 2},
		{name: "otlp-no-id-sampling", provider: otlpHTTP, tracing: "random_sampling: {value: 0}", hcm: `request_id_extension: {typed_config: {"@type": type.googleapis.com/envoy.extensions.request_id.uuid.v3.UuidRequestIdConfig, use_request_id_for_trace_sampling: false}}`,
			requests: []string{"GET /a"}, spans: 1},
		{name: "otlp-sampler-on", provider: otlpHTTP + `  sampler: {name: s, typed_config: {"@type": type.googleapis.com/envoy.extensions.tracers.opentelemetry.samplers.v3.AlwaysOnSamplerConfig}}
`, tracing: "random_sampling: {value: 0}", requests: []string{"GET /a", "GET /a\n" + parent + "-00\ntracestate: a=b", "GET /a\n" + parent + "-01\ntracestate: a=b"}},
		{name: "otlp-sampler-on2", provider: otlpHTTP + `  sampler: {name: s, typed_config: {"@type": type.googleapis.com/envoy.extensions.tracers.opentelemetry.samplers.v3.AlwaysOnSamplerConfig}}
`, requests: []string{"GET /a", "GET /a\n" + parent + "-00\ntracestate: a=b", "GET /a\n" + parent + "-01"}, spans: 3},
		{name: "otlp-sampler-ratio", provider: otlpHTTP + `  sampler: {name: s, typed_config: {"@type": type.googleapis.com/envoy.extensions.tracers.opentelemetry.samplers.v3.TraceIdRatioBasedSamplerConfig, sampling_percentage: {numerator: 50}}}
`, requests: []string{"GET /a\ntraceparent: 00-11111111111111112222222222222222-" + aSpan + "-00\ntracestate: a=b", "GET /a\ntraceparent: 00-1111111111111111eeeeeeeeeeeeeeee-" + aSpan + "-01",
			"GET /a\ntraceparent: 00-ffffffff111111111111111111111111-" + aSpan + "-01", "GET /a\ntraceparent: 00-00000000111111117fffffffffffffff-" + aSpan + "-01"}, spans: 1},
		{name: "otlp-sampler-parent", provider: otlpHTTP + `  sampler: {name: s, typed_config: {"@type": type.googleapis.com/envoy.extensions.tracers.opentelemetry.samplers.v3.ParentBasedSamplerConfig, wrapped_sampler: {name: w, typed_config: {"@type": type.googleapis.com/envoy.extensions.tracers.opentelemetry.samplers.v3.TraceIdRatioBasedSamplerConfig, sampling_percentage: {numerator: 0}}}}}
`, requests: []string{"GET /a", "GET /a\n" + parent + "-01\ntracestate: a=b", "GET /a\n" + parent + "-00"}, spans: 1},
		{name: "otlp-resource", provider: otlpHTTP + `  resource_detectors:
  - {name: e, typed_config: {"@type": type.googleapis.com/envoy.extensions.tracers.opentelemetry.resource_detectors.v3.EnvironmentResourceDetectorConfig}}
  - {name: c, typed_config: {"@type": type.googleapis.com/envoy.extensions.tracers.opentelemetry.resource_detectors.v3.StaticConfigResourceDetectorConfig, attributes: {b: static, deployment: lab}}}
`, requests: []string{"GET /a"}, spans: 1},
		{name: "otlp-bare", provider: `name: envoy.tracers.opentelemetry
typed_config:
  "@type": type.googleapis.com/envoy.config.trace.v3.OpenTelemetryConfig
  http_service: {http_uri: {uri: "http://collector.test/%CASE%", cluster: collector, timeout: 1s}, request_headers_to_add: [{header: {key: x-token, value: t1}}]}
  set_telemetry_sdk_resource_attributes: false
  set_service_name_resource_attribute: false
  set_instrumentation_scope: false
`, requests: []string{"GET /a"}, spans: 1},
		{name: "zipkin-plain", provider: zipkinJSON, requests: []string{"GET /a", "GET /status/500"}, spans: 2},
		{name: "zipkin-egress", provider: zipkinJSON, direction: "OUTBOUND", requests: []string{"GET /a"}, spans: 1},
		{name: "zipkin-wide", provider: zipkinJSON + "  trace_id_128bit: true\n", requests: []string{"GET /a"}, spans: 1},
		{name: "zipkin-parent", provider: zipkinJSON, tracing: "random_sampling: {value: 0}", requests: []string{
			"GET /multi\nx-b3-traceid: " + aTrace + "\nx-b3-spanid: " + aSpan + "\nx-b3-parentspanid: 4444444444444444\nx-b3-sampled: 1",
			"GET /narrow\nx-b3-traceid: 1111111111111111\nx-b3-spanid: " + aSpan + "\nx-b3-sampled: true",
			"GET /no\nx-b3-traceid: 1111111111111111\nx-b3-spanid: " + aSpan + "\nx-b3-sampled: 0",
			"GET /undecided\nx-b3-traceid: 1111111111111111\nx-b3-spanid: " + aSpan,
			"GET /single\nb3: " + aTrace + "-" + aSpan + "-1-4444444444444444",
			"GET /single64\nb3: 1111111111111111-" + aSpan + "-d",
			"GET /single0\nb3: 0", "GET /single1\nb3: 1", "GET /flags\nx-b3-flags: 1",
			"GET /bad\nb3: zz", "GET /badtrace\nx-b3-traceid: zz\nx-b3-spanid: " + aSpan, "GET /w3c\n" + parent + "-01",
			"GET /sampledonly\nx-b3-sampled: 1",
		}, spans: 7},
		{name: "zipkin-parent-out", provider: zipkinJSON, direction: "OUTBOUND", requests: []string{
			"GET /multi\nx-b3-traceid: " + aTrace + "\nx-b3-spanid: " + aSpan + "\nx-b3-parentspanid: 4444444444444444\nx-b3-sampled: 1"}, spans: 1},
		{name: "zipkin-unshared", provider: zipkinJSON + "  shared_span_context: false\n", requests: []string{
			"GET /multi\nx-b3-traceid: " + aTrace + "\nx-b3-spanid: " + aSpan + "\nx-b3-sampled: 1", "GET /new"}, spans: 2},
		{name: "zipkin-w3c", provider: zipkinJSON + "  trace_context_option: USE_B3_WITH_W3C_PROPAGATION\n", requests: []string{
			"GET /w3c\n" + parent + "-01", "GET /w3cno\n" + parent + "-00", "GET /new", "GET /bad\ntraceparent: 00-1",
			"GET /both\n" + parent + "-01\nx-b3-traceid: 1111111111111111\nx-b3-spanid: 5555555555555555\nx-b3-sampled: 1"}, spans: 3},
		{name: "zipkin-proto", provider: zipkinBase + "  collector_endpoint_version: HTTP_PROTO\n", tracing: "verbose: true", requests: []string{
			"GET /multi\nx-b3-traceid: " + aTrace + "\nx-b3-spanid: " + aSpan + "\nx-b3-sampled: 1"}, spans: 1},
		{name: "zipkin-upstream", provider: zipkinJSON, tracing: "spawn_upstream_span: true", requests: []string{
			"GET /new", "GET /multi\nx-b3-traceid: " + aTrace + "\nx-b3-spanid: " + aSpan + "\nx-b3-sampled: 1"}, spans: 4},
		{name: "zipkin-split", provider: zipkinJSON + "  split_spans_for_request: true\n", router: "start_child_span: true", requests: []string{"GET /new"}, spans: 2},
		{name: "zipkin-split-out", provider: zipkinJSON + "  split_spans_for_request: true\n", direction: "OUTBOUND", requests: []string{"GET /new"}, spans: 1},
		{name: "zipkin-decorator", provider: zipkinJSON, route: "decorator: {operation: my-op}", requests: []string{"GET /a"}, spans: 1},
		{name: "zipkin-service", provider: `name: envoy.tracers.zipkin
typed_config:
  "@type": type.googleapis.com/envoy.config.trace.v3.ZipkinConfig
  collector_endpoint_version: HTTP_JSON
  collector_service: {http_uri: {uri: "http://zipkin.test/%CASE%", cluster: collector, timeout: 1s}, request_headers_to_add: [{header: {key: x-token, value: t1}}]}
`, requests: []string{"GET /a"}, spans: 1},
		{name: "zipkin-hostname", provider: zipkinJSON + "  collector_hostname: host.test\n", requests: []string{"GET /a"}, spans: 1},
		{name: "zipkin-typed", provider: zipkinJSON, tracing: `custom_tags: [{tag: int, literal: {value: "5"}, value_type: INT}, {tag: empty, request_header: {name: x-none}}]`, requests: []string{"GET /a"}, spans: 1},
		{name: "zipkin-refused", provider: zipkinJSON, tracing: "spawn_upstream_span: true", route: "match: {prefix: /}\nroute: {cluster: refused}", requests: []string{"GET /a"}, spans: 2},
	}
}
