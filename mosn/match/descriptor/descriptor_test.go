package descriptor

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	"google.golang.org/protobuf/types/known/structpb"

	"sofamesh.io/sofamesh/mosn/runtime"
	"sofamesh.io/sofamesh/sdk"
	"sofamesh.io/sofamesh/sdk/sdktest"
)

// request is as much of a stream as descriptors are made of.
type request struct {
	sdk.Stream
	head     sdk.Headers
	info     sdk.StreamInfo
	metadata *sdk.Metadata
}

func (r *request) Request() *sdk.Headers        { return &r.head }
func (r *request) Info() *sdk.StreamInfo        { return &r.info }
func (r *request) Cluster() (string, sdk.Scope) { return "upstream", nil }
func (r *request) RouteValue(field string) any {
	if field == "metadata" && r.metadata != nil {
		return r.metadata
	}
	return nil
}

// provider is a compiler that knows this proxy and its runtime.
type provider struct {
	sdk.Compiler
	values *runtime.Values
}

func (p provider) Node() *corev3.Node          { return &corev3.Node{Cluster: "local"} }
func (p provider) Runtime() *runtime.Values    { return p.values }
func (p provider) At(path string) sdk.Compiler { return provider{p.Compiler.At(path), p.values} }

func (l *List) String() string {
	var list []string
	for _, d := range l.Descriptors {
		var one []string
		for _, e := range d.Entries {
			one = append(one, e.Key+"="+e.Value)
		}
		list = append(list, strings.Join(one, ","))
	}
	return strings.Join(list, " ")
}

func newRequest(t testing.TB) *request {
	r := &request{}
	r.head.Add(":path", "/a?q=a%20b+c&%72=%zz&e")
	r.head.Add("x-a", "1")
	r.head.Add("x-a", "2")
	r.info.DownstreamRemote = netip.MustParseAddrPort("10.1.2.3:4")
	space, err := structpb.NewStruct(map[string]any{"k": map[string]any{"l": "deep"}, "list": []any{"zero", "one"}, "n": 1})
	if err != nil {
		t.Fatal(err)
	}
	r.metadata = sdk.NewMetadata(map[string]*structpb.Struct{"space": space})
	r.info.Dynamic.Set("space", "k", sdk.String("dynamic"))
	return r
}

func TestActions(t *testing.T) {
	flag, err := structpb.NewStruct(map[string]any{formatFlag: true})
	if err != nil {
		t.Fatal(err)
	}
	formats, err := runtime.New(flag)
	if err != nil {
		t.Fatal(err)
	}
	metadata := func(path, more string) string {
		return `metadata { source: ROUTE_ENTRY descriptor_key: "m" metadata_key { key: "space" ` + path + " } " + more + " }"
	}
	for _, c := range []struct{ action, want, formatted string }{
		{`source_cluster {}`, "source_cluster=local", ""},
		{`destination_cluster {}`, "destination_cluster=upstream", ""},
		{`request_headers { header_name: "X-A" descriptor_key: "k" }`, "k=1", ""},
		{`request_headers { header_name: "none" descriptor_key: "k" }`, "none", ""},
		{`request_headers { header_name: "none" descriptor_key: "k" skip_if_absent: true }`, "", ""},
		{`query_parameters { query_parameter_name: "q" descriptor_key: "k" }`, "k=a b+c", ""},
		{`query_parameters { query_parameter_name: "r" descriptor_key: "k" }`, "k=%zz", ""},
		{`query_parameters { query_parameter_name: "e" descriptor_key: "k" }`, "k=", ""},
		{`query_parameters { query_parameter_name: "none" descriptor_key: "k" }`, "none", ""},
		{`remote_address {}`, "remote_address=10.1.2.3", ""},
		{`masked_remote_address {}`, "masked_remote_address=10.1.2.3/32", ""},
		{`masked_remote_address { v4_prefix_mask_len { value: 8 } }`, "masked_remote_address=10.0.0.0/8", ""},
		{`generic_key { descriptor_value: "%REQ(x-a)%" }`, "generic_key=%REQ(x-a)%", "generic_key=1"},
		{`generic_key { descriptor_value: "%REQ(none)%" descriptor_key: "k" }`, "k=%REQ(none)%", "none"},
		{`generic_key { descriptor_value: "%REQ(none)%" default_value: "d" }`, "generic_key=%REQ(none)%", "generic_key=d"},
		{`header_value_match { descriptor_value: "v" headers { name: "x-a" } }`, "header_match=v", ""},
		{`header_value_match { descriptor_value: "v" headers { name: "x-b" } }`, "none", ""},
		{`header_value_match { descriptor_value: "v" descriptor_key: "k" expect_match { value: false } headers { name: "x-b" } }`, "k=v", ""},
		{`query_parameter_value_match { descriptor_value: "v" query_parameters { name: "q" string_match { exact: "a b+c" } } }`, "query_match=v", ""},
		{`query_parameter_value_match { descriptor_value: "v" query_parameters { name: "q" string_match { exact: "a%20b+c" } } }`, "none", ""},
		{`query_parameter_value_match { descriptor_value: "v" query_parameters { name: "r" present_match: true } }`, "query_match=v", ""},
		{`query_parameter_value_match { descriptor_value: "v" query_parameters { name: "x" present_match: true } }`, "none", ""},
		{`query_parameter_value_match { descriptor_value: "v" expect_match { value: false } query_parameters { name: "x" present_match: true } }`, "query_match=v", ""},
		{`remote_address_match { descriptor_value: "%REQ(x-a)%" address_matcher { ranges { address_prefix: "10.0.0.0" prefix_len { value: 8 } } } }`, "remote_address_match=1", ""},
		{`remote_address_match { descriptor_value: "v" address_matcher { ranges { address_prefix: "11.0.0.0" prefix_len { value: 8 } } } }`, "none", ""},
		{`remote_address_match { descriptor_value: "v" descriptor_key: "k" address_matcher { ranges { address_prefix: "11.0.0.0" prefix_len { value: 8 } } invert_match: true } }`, "k=v", ""},
		{metadata(`path { key: "k" } path { key: "l" }`, ""), "m=deep", ""},
		{metadata(`path { key: "list" } path { index: 1 }`, ""), "m=one", ""},
		{metadata(`path { key: "list" } path { index: 2 }`, ""), "none", ""},
		{metadata(`path { key: "n" }`, ""), "none", ""},
		{metadata(`path { key: "x" }`, `default_value: "d"`), "m=d", ""},
		{metadata(`path { key: "x" }`, `skip_if_absent: true`), "", ""},
		{strings.Replace(metadata(`path { key: "k" }`, ""), "ROUTE_ENTRY", "DYNAMIC", 1), "m=dynamic", ""},
	} {
		for _, values := range []*runtime.Values{nil, formats} {
			want := c.want
			if values != nil && c.formatted != "" {
				want = c.formatted
			}
			got := "none"
			ps, err := Compile(provider{sdktest.NewCompiler(t), values}, sdktest.Text[routev3.VirtualHost](t, "rate_limits { actions { "+c.action+" } }").GetRateLimits())
			if err != nil {
				t.Fatalf("%s: %v", c.action, err)
			}
			var l List
			if ps.Append(&l, newRequest(t), 0); len(l.Descriptors) > 0 {
				got = l.String()
			}
			if got != want {
				t.Errorf("%s: %q, want %q", c.action, got, want)
			}
		}
	}
}

// TestPolicies: which policies make descriptors, and in what order.
func TestPolicies(t *testing.T) {
	const a, b, none = `actions { generic_key { descriptor_value: "a" } }`, `actions { generic_key { descriptor_value: "b" } }`,
		`actions { request_headers { header_name: "none" descriptor_key: "k" } }`
	for _, c := range []struct {
		config string
		stage  uint32
		want   string
	}{
		{"rate_limits {" + a + b + "} rate_limits {" + b + "}", 0, "generic_key=a,generic_key=b generic_key=b"},
		{"rate_limits {" + a + none + "} rate_limits {" + b + "}", 0, "generic_key=b"},
		{"rate_limits { disable_key: \"k\" " + a + "} rate_limits {" + b + "}", 0, "generic_key=b"},
		{"rate_limits { stage { value: 3 } " + a + "} rate_limits {" + b + "}", 0, "generic_key=b"},
		{"rate_limits { stage { value: 3 } " + a + "} rate_limits {" + b + "}", 3, "generic_key=a"},
	} {
		ps, err := Compile(sdktest.NewCompiler(t), sdktest.Text[routev3.VirtualHost](t, c.config).GetRateLimits())
		if err != nil {
			t.Fatal(err)
		}
		var l List
		for range 2 { // a list is used again
			l.Reset()
			ps.Append(&l, newRequest(t), c.stage)
		}
		if got := fmt.Sprint(&l); got != c.want {
			t.Errorf("%s: %q, want %q", c.config, got, c.want)
		}
	}
}

func TestNoAddress(t *testing.T) {
	ps, err := Compile(sdktest.NewCompiler(t), sdktest.Text[routev3.VirtualHost](t, `rate_limits { actions { remote_address {} } } rate_limits { actions { masked_remote_address {} } }`).GetRateLimits())
	if err != nil {
		t.Fatal(err)
	}
	r, l := newRequest(t), List{}
	r.info.DownstreamRemote = netip.AddrPort{}
	if ps.Append(&l, r, 0); len(l.Descriptors) > 0 {
		t.Errorf("%v", &l)
	}
	r.info.DownstreamRemote = netip.MustParseAddrPort("[::ffff:1.2.3.4]:5")
	if ps.Append(&l, r, 0); l.String() != "remote_address=1.2.3.4 masked_remote_address=1.2.3.4/32" {
		t.Errorf("%v", &l)
	}
}

func TestAllocs(t *testing.T) {
	ps, err := Compile(sdktest.NewCompiler(t), sdktest.Text[routev3.VirtualHost](t, `rate_limits {
		actions { remote_address {} } actions { masked_remote_address {} } actions { query_parameters { query_parameter_name: "q" descriptor_key: "k" } }
		actions { remote_address_match { descriptor_value: "%REQ(x-a)%" address_matcher { ranges { address_prefix: "10.0.0.0" prefix_len { value: 8 } } } } }
		actions { metadata { source: ROUTE_ENTRY descriptor_key: "m" metadata_key { key: "space" path { key: "k" } path { key: "l" } } } } }`).GetRateLimits())
	if err != nil {
		t.Fatal(err)
	}
	r := newRequest(t)
	var l List
	run := func() { l.Reset(); ps.Append(&l, r, 0) }
	if run(); len(l.Descriptors) != 1 {
		t.Fatal(&l)
	}
	if n := testing.AllocsPerRun(100, run); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
