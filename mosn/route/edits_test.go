package route

import (
	"strings"
	"testing"

	"sofamesh.io/sofamesh/sdk"
)

// TestEdits holds the headers that Envoy 1.40 sent upstream.
func TestEdits(t *testing.T) {
	for _, c := range []struct {
		name, edits string
		lines       []string
		want        string // without :path and :authority
	}{
		{
			"actions", `request_headers_to_add: [
  {header: {key: x-append, value: new}, append_action: APPEND_IF_EXISTS_OR_ADD},
  {header: {key: X-Absent, value: new}, append_action: ADD_IF_ABSENT},
  {header: {key: x-over, value: new}, append_action: OVERWRITE_IF_EXISTS_OR_ADD},
  {header: {key: x-exists, value: new}, append_action: OVERWRITE_IF_EXISTS},
  {header: {key: x-empty, value: ""}},
  {header: {key: x-empty-kept, value: ""}, keep_empty_value: true}]`,
			[]string{"x-append: old", "x-absent: old", "x-over: old", "x-exists: old"},
			"x-append: old\nx-absent: old\nx-over: new\nx-exists: new\nx-append: new\nx-empty-kept: \n",
		},
		{
			"actions on nothing", `request_headers_to_add: [
  {header: {key: x-append, value: new}},
  {header: {key: x-absent, value: new}, append_action: ADD_IF_ABSENT},
  {header: {key: x-over, value: new}, append_action: OVERWRITE_IF_EXISTS_OR_ADD},
  {header: {key: x-exists, value: new}, append_action: OVERWRITE_IF_EXISTS}]`,
			nil, "x-over: new\nx-append: new\nx-absent: new\n",
		},
		{
			"values see what was there, replacing comes before adding", `request_headers_to_add: [
  {header: {key: x-a, value: app}},
  {header: {key: x-a, value: over}, append_action: OVERWRITE_IF_EXISTS_OR_ADD},
  {header: {key: x-b, value: "%REQ(x-a)%"}},
  {header: {key: x-c, value: "%REQ(x-none)%"}, append_action: OVERWRITE_IF_EXISTS_OR_ADD}]`,
			[]string{"x-a: old", "x-c: 5"}, "x-a: over\nx-c: 5\nx-a: app\nx-b: old\n",
		},
		{
			"conditions see what was there", `request_headers_to_add: [
  {header: {key: x-a, value: "1"}, append_action: ADD_IF_ABSENT},
  {header: {key: x-a, value: "2"}, append_action: ADD_IF_ABSENT},
  {header: {key: x-e, value: "1"}},
  {header: {key: x-e, value: "2"}, append_action: OVERWRITE_IF_EXISTS}]`,
			nil, "x-a: 1\nx-a: 2\nx-e: 1\n",
		},
		{
			"removing comes first", `request_headers_to_add: [{header: {key: x-r, value: new}}], request_headers_to_remove: [X-R, x-s]`,
			[]string{"x-r: old", "x-s: 1"}, "x-r: new\n",
		},
		{
			"the older field", `request_headers_to_add: [{header: {key: x-a, value: n}, append: false}, {header: {key: x-b, value: n}, append: true}]`,
			[]string{"x-a: o", "x-b: o"}, "x-a: n\nx-b: o\nx-b: n\n",
		},
		{
			"operators", `request_headers_to_add: [
  {header: {key: x-req, value: "<%REQ(x-in)%>"}},
  {header: {key: x-none, value: "<%REQ(x-nothing)%>"}},
  {header: {key: x-only-none, value: "%REQ(x-nothing)%"}},
  {header: {key: x-alt, value: "%REQ(x-nothing?x-in)%"}},
  {header: {key: x-cut, value: "%REQ(x-in):3%"}},
  {header: {key: x-percent, value: "100%%"}},
  {header: {key: x-raw, raw_value: cmF3}},
  {header: {key: x-flags, value: "%RESPONSE_FLAGS%"}},
  {header: {key: x-old, value: "%REQ(:METHOD)% %REQ(:PATH)%"}}]`,
			[]string{"x-in: value"},
			"x-in: value\nx-req: <value>\nx-none: <>\nx-alt: value\nx-cut: val\nx-percent: 100%\nx-raw: raw\nx-flags: -\nx-old: GET /p?q=1\n",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			table := routesOf(t, "{match: {prefix: /}, route: {cluster: c, prefix_rewrite: /z}, "+c.edits+"}")
			got := finalize(t, table, request("h", "/p?q=1", c.lines...), false)
			if got = strings.TrimPrefix(got, ":path: /zp?q=1\n:authority: h\n"); got != c.want {
				t.Errorf("got\n%swant\n%s", got, c.want)
			}
		})
	}
}

const levelTable = `
request_headers_to_add: [{header: {key: x-level, value: config}}]
response_headers_to_add: [{header: {key: x-level, value: config}}]
request_headers_to_remove: [x-drop-config]
response_headers_to_remove: [x-drop-config]
virtual_hosts:
- name: all
  domains: ["*"]
  request_headers_to_add: [{header: {key: x-level, value: vhost}}]
  response_headers_to_add: [{header: {key: x-level, value: vhost}}]
  request_headers_to_remove: [x-drop-vhost]
  response_headers_to_remove: [x-drop-vhost]
  routes:
  - match: {prefix: /}
    request_headers_to_add: [{header: {key: x-level, value: route}}]
    response_headers_to_add: [{header: {key: x-level, value: route}}]
    request_headers_to_remove: [x-drop-route]
    response_headers_to_remove: [x-drop-route]
    route:
      weighted_clusters:
        clusters:
        - name: c
          weight: 1
          request_headers_to_add: [{header: {key: x-level, value: cluster}}]
          response_headers_to_add: [{header: {key: x-level, value: cluster}}]
          request_headers_to_remove: [x-drop-cluster]
          response_headers_to_remove: [x-drop-cluster]
`

func TestEditLevels(t *testing.T) {
	const outwards = "x-level: cluster\nx-level: route\nx-level: vhost\nx-level: config\n"
	const inwards = "x-level: cluster\nx-level: config\nx-level: vhost\nx-level: route\n" // the cluster always comes first
	for text, want := range map[string]string{levelTable: outwards, "most_specific_header_mutations_wins: true\n" + levelTable: inwards} {
		table := compileTable(t, text)
		drop := []string{"x-drop-cluster: 1", "x-drop-route: 1", "x-drop-vhost: 1", "x-drop-config: 1"}
		h := request("h", "/", drop...)
		if got := strings.TrimPrefix(finalize(t, table, h, true), ":path: /\n:authority: h\n"); got != want {
			t.Errorf("request:\n%swant\n%s", got, want)
		}
		resp := new(sdk.Headers)
		for _, l := range drop {
			name, value, _ := strings.Cut(l, ": ")
			resp.Add(name, value)
		}
		_, r := table.Match(h, &MatchInput{})
		var s Scratch
		if r.FinalizeResponse(resp, h, nil, &s); dump(resp) != want {
			t.Errorf("response:\n%swant\n%s", dump(resp), want)
		}
	}
}

func TestResponseEdits(t *testing.T) {
	table := routesOf(t, `{name: r, match: {prefix: /}, direct_response: {status: 200}, response_headers_to_add: [
  {header: {key: x-back, value: add}}, {header: {key: x-n, value: "%RESP(x-back)%"}},
  {header: {key: x-m, value: "%REQ(x-q)%|%REQ(:path)%|%RESPONSE_CODE%"}},
  {header: {key: content-type, value: application/json}, append_action: OVERWRITE_IF_EXISTS_OR_ADD}]}`)
	h := request("h", "/x", "x-q: 7")
	_, r := table.Match(h, &MatchInput{})
	resp := new(sdk.Headers)
	resp.Add("x-back", "yes")
	resp.Add("content-type", "text/plain")
	var s Scratch
	r.FinalizeResponse(resp, h, &sdk.StreamInfo{ResponseCode: 201}, &s)
	if want := "x-back: yes\ncontent-type: application/json\nx-back: add\nx-n: yes\nx-m: 7|/x|201\n"; dump(resp) != want {
		t.Errorf("got\n%s", dump(resp))
	}
}

func TestEditErrors(t *testing.T) {
	for edits, want := range map[string]string{
		`request_headers_to_add: [{header: {key: Host, value: x}}]`:                                          `request_headers_to_add[0].header.key: "Host" may not be modified`,
		`request_headers_to_add: [{header: {key: ":path", value: x}}]`:                                       "may not be modified",
		`response_headers_to_add: [{header: {key: a, value: x}}, {header: {key: ":status", value: x}}]`:      "response_headers_to_add[1].header.key",
		`request_headers_to_remove: [host]`:                                                                  `request_headers_to_remove[0]: "host" may not be removed`,
		`response_headers_to_remove: [":status"]`:                                                            "may not be removed",
		`request_headers_to_add: [{header: {key: a, value: x}, append: true, append_action: ADD_IF_ABSENT}]`: "only one of append and append_action",
		`request_headers_to_add: [{header: {key: a, value: "%NOPE%"}}]`:                                      "request_headers_to_add[0].header.value",
		`request_headers_to_add: [{header: {key: a, value: "100% x"}}]`:                                      "header.value",
		`request_headers_to_add: [{header: {key: a, raw_value: Cg==}}]`:                                      "header.raw_value: a header value has no CR, LF or NUL",
	} {
		for _, level := range []string{
			"virtual_hosts: [{name: v, domains: ['*'], routes: [{match: {prefix: /}, direct_response: {status: 200}, " + edits + "}]}]",
			"virtual_hosts: [{name: v, domains: ['*'], " + edits + "}]",
			"{" + edits + "}",
			"virtual_hosts: [{name: v, domains: ['*'], routes: [{match: {prefix: /}, route: {weighted_clusters: {clusters: [{cluster_header: c, weight: 1, " + edits + "}]}}}]}]",
		} {
			mustFail(t, level, want)
		}
	}
}

// TestRequestAllocatesNothing follows a request through everything that has no
// regular expression to replace.
func TestRequestAllocatesNothing(t *testing.T) {
	table := compileTable(t, levelTable+`
  - match: {prefix: /}
    redirect: {host_redirect: h}
`)
	weighted := table.any.routes.all[0].weighted.choices[0].route
	weighted.Forward.rewritePath = &pathRewrite{prefix: "/new/"}
	weighted.Forward.rewriteHost = &hostRewrite{literal: "other"}
	weighted.request.add[0].Value = mustValue(t, "%REQ(x-a)% %PROTOCOL%")
	template := request("Some.Host.TEST", "/path?q=1", "x-a: 1", "x-drop-vhost: 1")
	h, resp, in, info := new(sdk.Headers), new(sdk.Headers), &MatchInput{Random: 7}, &sdk.StreamInfo{}
	var s Scratch
	dst := make([]byte, 0, 256)
	if n := testing.AllocsPerRun(100, func() {
		h.CopyFrom(template)
		resp.Reset()
		_, r := table.Match(h, in)
		if r.Forward.Cluster(h) != "c" || r.Forward.GlobalTimeout(h) == 0 {
			t.Fatal("no cluster")
		}
		r.FinalizeRequest(h, info, &s, true)
		r.FinalizeResponse(resp, h, info, &s)
		dst = table.any.tlsRedirect.Location(dst[:0], h, &s, true)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkFinalize(b *testing.B) {
	table := compileTable(b, levelTable)
	template := request("host", "/path?q=1", "x-a: 1")
	h, resp, in, info := new(sdk.Headers), new(sdk.Headers), &MatchInput{}, &sdk.StreamInfo{}
	var s Scratch
	b.ReportAllocs()
	for b.Loop() {
		h.CopyFrom(template)
		resp.Reset()
		_, r := table.Match(h, in)
		r.FinalizeRequest(h, info, &s, true)
		r.FinalizeResponse(resp, h, info, &s)
	}
}
