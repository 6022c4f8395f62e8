package hcm

import (
	"strings"
	"testing"

	routerv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/router/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"

	"sofamesh.io/sofamesh/mosn/protocol/http1"
	"sofamesh.io/sofamesh/mosn/stream"
	"sofamesh.io/sofamesh/sdk"
	"sofamesh.io/sofamesh/sdk/sdktest"
)

const plain = ` stat_prefix: "t" route_config {} http_filters { name: "r" typed_config {
	[type.googleapis.com/envoy.extensions.filters.http.router.v3.Router] {} } }`

func compileText(t *testing.T, fields string) (*stream.Config, error) {
	t.Helper()
	c := sdktest.NewCompiler(t)
	c.AddCodec(http1.Codec())
	c.AddHTTPFilter(Router())
	return compile(c, sdktest.Text[hcmv3.HttpConnectionManager](t, fields))
}

const (
	xff    = `original_ip_detection_extensions { name: "x" typed_config { [type.googleapis.com/envoy.extensions.http.original_ip_detection.xff.v3.XffConfig] { %s } } }`
	custom = `original_ip_detection_extensions { name: "x" typed_config { [type.googleapis.com/envoy.extensions.http.original_ip_detection.custom_header.v3.CustomHeaderConfig] { header_name: "X-Ip" %s } } }`
	early  = `early_header_mutation_extensions { name: "x" typed_config { [type.googleapis.com/envoy.extensions.http.early_header_mutation.header_mutation.v3.HeaderMutation] { mutations { %s } } } }`
)

func with(text, fields string) string { return strings.Replace(text, "%s", fields, 1) }

func TestOrigins(t *testing.T) {
	cfg, err := compileText(t, with(xff, `skip_xff_append { value: false } xff_trusted_cidrs { cidrs { address_prefix: "10.0.0.0" prefix_len { value: 8 } } }`)+
		with(xff, "xff_num_trusted_hops: 2")+with(custom, "reject_with_status { code: NotFound }")+
		with(custom, "reject_with_status { code: OK } allow_extension_to_set_address_as_trusted: true")+plain)
	if err != nil {
		t.Fatal(err)
	}
	o := cfg.Origins
	if len(o) != 4 || !o[0].Append || o[0].Trusted[0].String() != "10.0.0.0/8" || o[1].Hops != 2 || o[1].Append || o[1].Trusted != nil ||
		o[2].Header != "x-ip" || o[2].Reject != 404 || o[3].Reject != 403 || !o[3].Internal {
		t.Errorf("%+v", o)
	}
}

func TestEarly(t *testing.T) {
	cfg, err := compileText(t, with(early, `remove: "a"`)+with(early, `remove: "b"`)+plain)
	if err != nil || len(cfg.Early) != 2 {
		t.Errorf("%+v, %v", cfg, err)
	}
}

func TestOriginsRefused(t *testing.T) {
	for fields, want := range map[string]string{
		with(xff, "") + "use_remote_address { value: true }":                                                     "original_ip_detection_extensions: cannot be used together with use_remote_address",
		with(xff, "") + "xff_num_trusted_hops: 1":                                                                "original_ip_detection_extensions: cannot be used together with xff_num_trusted_hops",
		with(xff, "xff_num_trusted_hops: 1 xff_trusted_cidrs {}"):                                                "typed_config.xff_trusted_cidrs: cannot be used",
		with(xff, `xff_trusted_cidrs { cidrs { address_prefix: "x" } }`):                                         "typed_config.xff_trusted_cidrs.cidrs[0]: ",
		strings.ReplaceAll(with(early, `remove: "a"`), "early_header_mutation_ext", "original_ip_detection_ext"): "original_ip_detection_extensions[0]: no envoy.http.original_ip_detection",
		strings.ReplaceAll(with(xff, ""), "original_ip_detection_ext", "early_header_mutation_ext"):              "early_header_mutation_extensions[0]: no envoy.http.early_header_mutation",
		with(early, ""): "early_header_mutation_extensions[0].typed_config",
	} {
		if _, err := compileText(t, fields+plain); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", fields, err)
		}
	}
}

func compileRouterText(t *testing.T, c sdk.Compiler, fields string) (*routerConfig, error) {
	t.Helper()
	conf, err := compileRouter(c, sdktest.Text[routerv3.Router](t, fields))
	r, _ := conf.(*routerConfig)
	return r, err
}

func TestRouterSettings(t *testing.T) {
	c := sdktest.NewCompiler(t)
	r, err := compileRouterText(t, c, `strict_check_headers: "x-envoy-retry-on" strict_check_headers: "x-envoy-max-retries"`)
	if err != nil || len(r.StrictHeaders) != 2 || r.StrictHeaders[0] != sdk.HeaderEnvoyRetryOn || r.UpstreamLog != nil {
		t.Errorf("%+v, %v", r, err)
	}
	if _, err = compileRouterText(t, c, `strict_check_headers: "x-other"`); err == nil || !strings.Contains(err.Error(), "strict_check_headers[0]") {
		t.Errorf("%v", err)
	}
	if _, err = compileRouterText(t, c, `upstream_log { name: "x" }`); err == nil || !strings.Contains(err.Error(), "upstream_log[0]") {
		t.Errorf("%v", err)
	}
}
