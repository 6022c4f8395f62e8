package hcm

import (
	"strings"
	"testing"

	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"

	"sofamesh.io/sofamesh/mosn/protocol/http1"
	"sofamesh.io/sofamesh/sdk"
	"sofamesh.io/sofamesh/sdk/sdktest"
)

const router = `http_filters { name: "r" typed_config { [type.googleapis.com/envoy.extensions.filters.http.router.v3.Router] {} } }`

// TestRefused: what is not honoured is refused by its name, not accepted in silence.
func TestRefused(t *testing.T) {
	const rest = ` stat_prefix: "t" route_config {} ` + router
	tests := []struct{ name, fields, err string }{
		{"nothing", "", ""},
		{"stream errors", "stream_error_on_invalid_http_message { value: true }", "stream_error_on_invalid_http_message"},
		{
			"stream errors, not of HTTP/1", "stream_error_on_invalid_http_message { value: true }" +
				" http_protocol_options { override_stream_error_on_invalid_http_message {} }", "",
		},
		{
			"stream errors of HTTP/1", "http_protocol_options { override_stream_error_on_invalid_http_message { value: true } }",
			"override_stream_error_on_invalid_http_message",
		},
		{
			"jitter", "common_http_protocol_options { max_connection_duration_jitter { value: 5 } }",
			"max_connection_duration_jitter",
		},
		{"client certificates", "forward_client_cert_details: APPEND_FORWARD", "forward_client_cert_details"},
		{"HTTP/2", "codec_type: HTTP2", "codec_type"},
		{"an upgrade's filters", `upgrade_configs { upgrade_type: "a" filters { name: "x" } }`, "upgrade_configs[0].filters[0]"},
		{"an optional filter", `http_filters { name: "x" is_optional: true }`, ""},
		{"an unknown filter", `http_filters { name: "x" }`, "http_filters[0]"},
		{"a disabled router", `http_filters { name: "r" disabled: true typed_config { [type.googleapis.com/envoy.extensions.filters.http.router.v3.Router] {} } }`, "http_filters[0].disabled"},
		{"sockets", "internal_address_config { unix_sockets: true }", "internal_address_config.unix_sockets"},
		{"a malformed range", `internal_address_config { cidr_ranges { address_prefix: "x" } }`, "internal_address_config.cidr_ranges[0]"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := sdktest.NewCompiler(t)
			c.AddCodec(http1.Codec())
			c.AddHTTPFilter(Router())
			_, err := compile(c, sdktest.Text[hcmv3.HttpConnectionManager](t, tt.fields+rest))
			switch {
			case tt.err == "" && err != nil:
				t.Errorf("refused: %v", err)
			case tt.err != "" && (err == nil || !strings.Contains(err.Error(), tt.err)):
				t.Errorf("error %v does not name %s", err, tt.err)
			}
		})
	}
}

// closing is a filter's configuration that wants to be closed.
type closing struct {
	sdk.HTTPConfig
	closed *int
}

func (c closing) Close() { *c.closed++ }

// TestRefusedCloses: what a connection manager has compiled before it is refused is
// closed, as an extension may have started something.
func TestRefusedCloses(t *testing.T) {
	for name, rest := range map[string]string{
		"by the next filter":  `http_filters { name: "x" }`,
		"by its place":        "route_config {}",
		"by the routes":       router,
		"by the access log":   `route_config {} access_log { name: "none" } ` + router,
		"by the tracing":      `route_config {} tracing { operation: "%X%" } ` + router,
		"by the last filter":  `route_config {} http_filters { name: "x" is_optional: true }`,
		"by the request's id": `route_config {} request_id_extension { typed_config { type_url: "x/no.Such" } } ` + router,
	} {
		made, closed := 0, 0
		c := sdktest.NewCompiler(t)
		c.AddCodec(http1.Codec())
		c.AddHTTPFilter(Router())
		c.AddHTTPFilter(&sdk.HTTPFilter{
			Name: "f", Config: &structpb.Struct{},
			Compile: func(sdk.Compiler, proto.Message) (sdk.HTTPConfig, error) {
				made++
				return closing{closed: &closed}, nil
			},
		})
		const filter = `stat_prefix: "t" http_filters { name: "f" typed_config { [type.googleapis.com/google.protobuf.Struct] {} } }`
		cfg, err := compile(c, sdktest.Text[hcmv3.HttpConnectionManager](t, filter+rest))
		if err == nil || cfg != nil || made != 1 || closed != 1 {
			t.Errorf("%s: %v; %d configurations were made, %d closed", name, err, made, closed)
		}
	}
}
