package config

import (
	"strings"
	"testing"
)

// tracingListener is hcmListener with tracing by a provider.
func tracingListener(name, typ, fields string) string {
	return hcmListener("          tracing: {provider: {name: " + name + `, typed_config: {"@type": type.googleapis.com/` + typ + ", " + fields + "}}}\n" + routerFilter)
}

// TestTracers: what cannot be done is refused by name, with the field.
func TestTracers(t *testing.T) {
	const (
		in      = `filter_chains[0].filters[0].typed_config.tracing.provider`
		zipkin  = "envoy.config.trace.v3.ZipkinConfig"
		otel    = "envoy.config.trace.v3.OpenTelemetryConfig"
		sampler = `sampler: {name: s, typed_config: {"@type": type.googleapis.com/envoy.extensions.tracers.opentelemetry.samplers.v3.`
		base    = "collector_cluster: one, collector_endpoint: /s, "
	)
	for _, c := range []struct{ name, typ, fields, want string }{
		{"envoy.tracers.datadog", "envoy.config.trace.v3.DatadogConfig", "collector_cluster: one", in + ": envoy.tracers.datadog is known but not built yet"},
		{"envoy.tracers.xray", "envoy.config.trace.v3.XRayConfig", "segment_name: x", in + ": envoy.tracers.xray is known but not built yet"},
		{"envoy.tracers.skywalking", "envoy.config.trace.v3.SkyWalkingConfig", "grpc_service: {}", in + ": envoy.tracers.skywalking is known but not built yet"},
		{"envoy.tracers.fluentd", "envoy.extensions.tracers.fluentd.v3.FluentdConfig", "cluster: one", "envoy.tracers.fluentd"},
		{"z", zipkin, base + "collector_endpoint_version: HTTP_JSON", ""},
		{"z", zipkin, base + "trace_id_128bit: true", "collector_endpoint_version: DEPRECATED_AND_UNAVAILABLE_DO_NOT_USE is not supported"},
		{"z", zipkin, base + "collector_endpoint_version: GRPC", "collector_endpoint_version: GRPC is not supported"},
		{"z", zipkin, "collector_endpoint: /s, collector_endpoint_version: HTTP_JSON", "collector_cluster or collector_service must be set"},
		{"z", zipkin, "collector_cluster: one, collector_endpoint_version: HTTP_JSON", "collector_endpoint must be set"},
		{"z", zipkin, "collector_cluster: two, collector_endpoint: /s, collector_endpoint_version: HTTP_JSON", `unknown cluster "two"`},
		{"z", zipkin, "collector_endpoint_version: HTTP_JSON, collector_service: {http_uri: {uri: /s, cluster: one, timeout: 1s}}", ""},
		{"o", otel, "grpc_service: {envoy_grpc: {cluster_name: one}}", ""},
		{"o", otel, "service_name: nobody sends", ""},
		{"o", otel, "grpc_service: {google_grpc: {target_uri: x, stat_prefix: x}}", "google_grpc"},
		{"o", otel, "grpc_service: {envoy_grpc: {cluster_name: one}}, http_service: {http_uri: {uri: http://a/b, cluster: one, timeout: 1s}}", "only one of grpc_service and http_service"},
		{"o", otel, sampler + "DynatraceSamplerConfig, tenant: x}}", "DynatraceSamplerConfig) is not supported"},
		{"o", otel, sampler + "CELSamplerConfig}}", "CELSamplerConfig) is not supported"},
		{"o", otel, sampler + "AlwaysOnSamplerConfig}}", ""},
		{"o", otel, sampler + "ParentBasedSamplerConfig, wrapped_sampler: {name: w}}}", "wrapped_sampler"},
		{"o", otel, `resource_detectors: [{name: d, typed_config: {"@type": type.googleapis.com/envoy.extensions.tracers.opentelemetry.resource_detectors.v3.DynatraceResourceDetectorConfig}}]`,
			"resource_detectors[0]: the resource detector d"},
	} {
		text := tracingListener(c.name, c.typ, c.fields)
		if c.want != "" {
			refused(t, text, c.want)
		} else if _, _, err := compileText(t, text); err != nil {
			t.Errorf("%s: %v", c.fields, err)
		}
	}
}

// TestBootstrapTracing: the bootstrap's provider is for those who trace and name none.
func TestBootstrapTracing(t *testing.T) {
	text := hcmListener("          tracing: {}\n" + routerFilter)
	if _, _, err := compileText(t, text); err != nil {
		t.Errorf("tracing without a provider: %v", err)
	}
	wrong := `tracing: {http: {name: z, typed_config: {"@type": type.googleapis.com/envoy.config.trace.v3.ZipkinConfig, collector_cluster: two, collector_endpoint: /s, collector_endpoint_version: HTTP_JSON}}}
`
	refused(t, wrong+text, `unknown cluster "two"`)
	if _, _, err := compileText(t, strings.Replace(wrong, "two", "one", 1)+text); err != nil {
		t.Error(err)
	}
}

// TestWholeTracing: a listener that sets what the cases against Envoy, in test/interop/tracing, set piece by piece.
func TestWholeTracing(t *testing.T) {
	const whole = `static_resources:
  clusters:
  - {name: one, type: STATIC}
  listeners:
  - name: in
    address: {socket_address: {address: 127.0.0.1, port_value: 0}}
    filter_chains:
    - filters:
      - name: hcm
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: t
          tracing:
            operation: "%PROTOCOL%"
            upstream_operation: "up %PROTOCOL%"
            custom_tags:
            - {tag: request, metadata: {kind: {request: {}}, metadata_key: {key: app, path: [{key: a}]}, default_value: none}}
            - {tag: route, metadata: {kind: {route: {}}, metadata_key: {key: app, path: [{key: a}]}}}
            - {tag: cluster, metadata: {kind: {cluster: {}}, metadata_key: {key: app, path: [{key: a}]}}}
            - {tag: host, metadata: {kind: {host: {}}, metadata_key: {key: app, path: [{key: a}]}}}
            - {tag: number, literal: {value: "5"}, value_type: INT}
            provider:
              name: envoy.tracers.opentelemetry
              typed_config:
                "@type": type.googleapis.com/envoy.config.trace.v3.OpenTelemetryConfig
                grpc_service: {envoy_grpc: {cluster_name: one}}
                service_name: shop
                max_cache_size: 9
                set_instrumentation_scope: false
                sampler:
                  name: parent
                  typed_config:
                    "@type": type.googleapis.com/envoy.extensions.tracers.opentelemetry.samplers.v3.ParentBasedSamplerConfig
                    wrapped_sampler:
                      name: ratio
                      typed_config:
                        "@type": type.googleapis.com/envoy.extensions.tracers.opentelemetry.samplers.v3.TraceIdRatioBasedSamplerConfig
                        sampling_percentage: {numerator: 50}
          route_config:
            virtual_hosts:
            - name: all
              domains: ["*"]
              routes:
              - match: {prefix: /}
                route: {cluster: one, request_mirror_policies: [{cluster: one, trace_sampled: false}]}
                tracing: {client_sampling: {numerator: 1}, random_sampling: {numerator: 2}, overall_sampling: {numerator: 3}}
          http_filters:
          - name: router
            typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router, start_child_span: true}
`
	if _, _, err := compileText(t, whole); err != nil {
		t.Error(err)
	}
}
