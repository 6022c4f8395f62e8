package service

import (
	"strings"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	previoushostsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/retry/host/previous_hosts/v3"
	"google.golang.org/protobuf/types/known/durationpb"

	"sofamesh.io/sofamesh/sdk"
	"sofamesh.io/sofamesh/sdk/grpc"
	"sofamesh.io/sofamesh/sdk/sdktest"
)

func TestGRPC(t *testing.T) {
	c := sdktest.NewCompiler(t)
	s, err := GRPC(c, sdktest.Text[corev3.GrpcService](t, `
		envoy_grpc { cluster_name: "c" max_receive_message_length { value: 9 } skip_envoy_headers: true }
		timeout { nanos: 250900000 }
		initial_metadata { key: "X-A" value: "100%%" }
		initial_metadata { key: "b" raw_value: "r" }
		retry_policy { retry_on: "5xx" num_retries { value: 3 } retry_back_off { base_interval { seconds: 1 } } }`), time.Second)
	if err != nil {
		t.Fatal(err)
	}
	if s.Cluster != "c" || s.Authority != "c" || s.Limit != 9 || !s.Bare || s.Timeout != 250*time.Millisecond {
		t.Errorf("%+v", s)
	}
	if len(s.Metadata) != 2 || s.Metadata[0] != (grpc.Pair{Name: "x-a", Value: "100%"}) || s.Metadata[1] != (grpc.Pair{Name: "b", Value: "r"}) {
		t.Errorf("%+v", s.Metadata)
	}
	if *s.Retry != (sdk.CallRetry{On: "5xx", Attempts: 3, Base: time.Second, Max: 10 * time.Second}) {
		t.Errorf("%+v", s.Retry)
	}
	s, err = GRPC(c, sdktest.Text[corev3.GrpcService](t, `envoy_grpc { cluster_name: "c" authority: "a" }`), time.Second)
	if err != nil || s.Authority != "a" || s.Timeout != time.Second || s.Retry != nil {
		t.Errorf("%+v, %v", s, err)
	}
}

func TestGRPCRefuses(t *testing.T) {
	const base = `envoy_grpc { cluster_name: "c" } `
	for text, want := range map[string]string{
		`google_grpc { target_uri: "x" stat_prefix: "y" }`:                                                    "google_grpc: is not supported",
		base + `initial_metadata { key: "a" value: "%PROTOCOL%" }`:                                            "initial_metadata[0]: \"%PROTOCOL%\"",
		base + `initial_metadata { key: "a" value: "a\nb" }`:                                                  "initial_metadata[0]: a header value",
		base + `retry_policy { retry_back_off { base_interval { seconds: 2 } max_interval { seconds: 1 } } }`: "retry_policy.retry_back_off.max_interval",
	} {
		_, err := GRPC(sdktest.NewCompiler(t), sdktest.Text[corev3.GrpcService](t, text), time.Second)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestRetryElsewhere(t *testing.T) {
	pb := &corev3.RetryPolicy{RetryHostPredicate: []*corev3.RetryPolicy_RetryHostPredicate{{
		Name:       "x",
		ConfigType: &corev3.RetryPolicy_RetryHostPredicate_TypedConfig{TypedConfig: sdktest.Any(t, &previoushostsv3.PreviousHostsPredicate{})},
	}}}
	for configured, want := range map[int64]int{0: 1, 4: 4} {
		pb.HostSelectionRetryMaxAttempts = configured
		if r, err := Retry(sdktest.NewCompiler(t), pb); err != nil || r.Elsewhere != want || r.Attempts != 1 {
			t.Errorf("%+v, %v", r, err)
		}
	}
	pb.RetryHostPredicate[0].ConfigType = nil
	if _, err := Retry(sdktest.NewCompiler(t), pb); err == nil || !strings.HasPrefix(err.Error(), "retry_host_predicate[0]: ") {
		t.Error(err)
	}
}

func TestURI(t *testing.T) {
	for uri, want := range map[string]string{
		"https://a.example:8443/x/y?q=1": "https a.example:8443 /x/y?q=1",
		"http://a":                       "http a /",
		"a:9411/api/v2/spans":            "http a:9411 /api/v2/spans",
		"a.b/c":                          "http a.b /c",
		"http://[::1]:80/":               "http [::1]:80 /",
	} {
		s, err := URI(sdktest.NewCompiler(t), &corev3.HttpUri{
			Uri: uri, HttpUpstreamType: &corev3.HttpUri_Cluster{Cluster: "c"}, Timeout: durationpb.New(time.Second),
		})
		if err != nil {
			t.Errorf("%s: %v", uri, err)
		} else if got := s.Scheme + " " + s.Host + " " + s.Path; got != want || s.Cluster != "c" || s.Timeout != time.Second {
			t.Errorf("%s: %+v", uri, s)
		}
	}
	for _, uri := range []string{"", "ftp://a/", "http://u:p@a/", "http:///x", "http://a b/", "/x"} {
		if s, err := URI(sdktest.NewCompiler(t), &corev3.HttpUri{Uri: uri, Timeout: durationpb.New(time.Second)}); err == nil {
			t.Errorf("%s: %+v", uri, s)
		}
	}
	if _, err := URI(sdktest.NewCompiler(t), &corev3.HttpUri{Uri: "http://a/"}); err == nil {
		t.Error("no timeout is no error")
	}
}

func TestServiceRequest(t *testing.T) {
	s, err := Service(sdktest.NewCompiler(t), sdktest.Text[corev3.HttpService](t, `
		http_uri { uri: "http://h/p" cluster: "c" timeout { seconds: 3 } }
		request_headers_to_add { header { key: "x-key" value: "v %REQ(:PATH)%" } }`))
	if err != nil {
		t.Fatal(err)
	}
	r := sdk.CallRequest{Body: []byte("old")}
	r.Headers.Add("old", "1")
	s.Request(&r, "POST")
	var lines []string
	for name, value := range r.Headers.All() {
		lines = append(lines, name+": "+value)
	}
	want := ":method: POST\n:path: /p\n:authority: h\n:scheme: http\nx-key: v /p"
	if got := strings.Join(lines, "\n"); got != want || r.Timeout != 3*time.Second || len(r.Body) != 0 {
		t.Errorf("%s\n%+v", got, r)
	}
	if _, err := Service(sdktest.NewCompiler(t), &corev3.HttpService{}); err == nil {
		t.Error("no URI is no error")
	}
}
