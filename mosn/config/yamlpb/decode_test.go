package yamlpb

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/fieldmaskpb"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"
	"google.golang.org/protobuf/types/known/typepb"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

func options() Options {
	return Options{Resolve: func(url string) (protoreflect.MessageType, error) {
		return protoregistry.GlobalTypes.FindMessageByURL(url)
	}}
}

func read[T any, M interface {
	*T
	proto.Message
}](text string) (M, error) {
	m := M(new(T))
	doc, err := ParseYAML("t.yaml", []byte(text))
	if err == nil {
		err = doc.Decode(m, options())
	}
	return m, err
}

// equal fails unless the YAML reads as the message in text form.
func equal[T any, M interface {
	*T
	proto.Message
}](t *testing.T, yaml, text string) {
	t.Helper()
	got, err := read[T, M](yaml)
	if err != nil {
		t.Errorf("%s\n%v", yaml, err)
		return
	}
	want := M(new(T))
	if err := prototext.Unmarshal([]byte(text), want); err != nil {
		t.Fatal(err)
	}
	if !proto.Equal(got, want) {
		t.Errorf("%s\nreads as %v\nwant     %v", yaml, got, want)
	}
}

func TestScalars(t *testing.T) {
	for yaml, text := range map[string]string{
		"name: plain":                    `name: "plain"`,
		"name: '5'":                      `name: "5"`,
		"name: !!str 5":                  `name: "5"`,
		"name: 1.5":                      `name: "1.5"`, // no float in Envoy's reader
		"name: 1e3":                      `name: "1e3"`,
		"name: 99999999999":              `name: "99999999999"`, // beyond 32 bits: a string
		"name: 2001-01-01":               `name: "2001-01-01"`,
		"name: |\n  a\n  b\n":            `name: "a\nb\n"`,
		"name: ~":                        ``,
		"name:":                          ``,
		"altStatName: x":                 `alt_stat_name: "x"`,
		"alt_stat_name: x":               `alt_stat_name: "x"`,
		"type: STRICT_DNS":               `type: STRICT_DNS`,
		"type: 1":                        `type: STRICT_DNS`,
		"lb_policy: 7":                   `lb_policy: 7`,
		"lb_policy: 9":                   `lb_policy: 9`, // open enum: for the rules to refuse
		"respect_dns_ttl: true":          `respect_dns_ttl: true`,
		"respect_dns_ttl: yes":           `respect_dns_ttl: true`,
		"respect_dns_ttl: On":            `respect_dns_ttl: true`,
		"respect_dns_ttl: N":             ``,
		"connect_timeout: 1s":            `connect_timeout {seconds: 1}`,
		"connect_timeout: -1.5s":         `connect_timeout {seconds: -1 nanos: -500000000}`,
		"connect_timeout: 0.000000001s":  `connect_timeout {nanos: 1}`,
		"connect_timeout: 315576000000s": `connect_timeout {seconds: 315576000000}`,
		"per_connection_buffer_limit_bytes: 0x10":       `per_connection_buffer_limit_bytes {value: 16}`,
		"per_connection_buffer_limit_bytes: '32768'":    `per_connection_buffer_limit_bytes {value: 32768}`,
		"per_connection_buffer_limit_bytes: 4000000000": `per_connection_buffer_limit_bytes {value: 4000000000}`,
	} {
		equal[clusterv3.Cluster](t, yaml, text)
	}
	equal[corev3.Pipe](t, "{path: /x, mode: 0644}", `path: "/x" mode: 420`)
	equal[corev3.DataSource](t, "inline_bytes: aGk=", `inline_bytes: "hi"`)
	equal[corev3.DataSource](t, "inline_bytes: _-8", `inline_bytes: "\377\357"`)
	equal[wrapperspb.DoubleValue](t, "NaN", `value: nan`)
	equal[wrapperspb.DoubleValue](t, "'-Infinity'", `value: -inf`)
	equal[wrapperspb.FloatValue](t, "1.5", `value: 1.5`)
	equal[wrapperspb.Int64Value](t, "'-9223372036854775808'", `value: -9223372036854775808`)
	equal[wrapperspb.UInt64Value](t, "'18446744073709551615'", `value: 18446744073709551615`)
	equal[timestamppb.Timestamp](t, "2001-02-03T04:05:06.5Z", `seconds: 981173106 nanos: 500000000`)
	equal[fieldmaskpb.FieldMask](t, "a,bC.dE", `paths: "a" paths: "b_c.d_e"`)
	equal[typepb.Option](t, "{name: x}", `name: "x"`)
}

func TestStruct(t *testing.T) {
	equal[structpb.Struct](t, "{a: 1, b: yes, c: ~, d: [x, {e: 010}], f: 1.5, g: 99999999999, h: '7'}", `
		fields {key: "a" value {number_value: 1}}
		fields {key: "b" value {bool_value: true}}
		fields {key: "c" value {null_value: NULL_VALUE}}
		fields {key: "d" value {list_value {
			values {string_value: "x"}
			values {struct_value {fields {key: "e" value {number_value: 8}}}}}}}
		fields {key: "f" value {string_value: "1.5"}}
		fields {key: "g" value {string_value: "99999999999"}}
		fields {key: "h" value {string_value: "7"}}`)
}

func TestAnyAndMaps(t *testing.T) {
	m, err := read[clusterv3.Cluster](`
typed_extension_protocol_options:
  a.b: {"@type": type.googleapis.com/envoy.config.core.v3.Locality, region: here}
  empty: {}
  wkt: {"@type": type.googleapis.com/google.protobuf.Duration, value: 2s}
`)
	if err != nil {
		t.Fatal(err)
	}
	inner, err := m.TypedExtensionProtocolOptions["a.b"].UnmarshalNew()
	if err != nil || inner.(*corev3.Locality).Region != "here" {
		t.Errorf("a.b is %v, %v", inner, err)
	}
	inner, err = m.TypedExtensionProtocolOptions["wkt"].UnmarshalNew()
	if err != nil || inner.(*durationpb.Duration).Seconds != 2 {
		t.Errorf("wkt is %v, %v", inner, err)
	}
	if e := m.TypedExtensionProtocolOptions["empty"]; e == nil || e.TypeUrl != "" {
		t.Errorf("empty is %v", e)
	}
}

func TestAliasesAndMerge(t *testing.T) {
	equal[bootstrapv3.Bootstrap](t, `
static_resources:
  clusters:
  - &base {name: a, type: STATIC, connect_timeout: &s 1s}
  - {<<: *base, name: b}
  - <<: [{name: c, type: EDS}, *base]
    connect_timeout: 3s
  - {name: d, connect_timeout: *s}
`, `static_resources {
		clusters {name: "a" type: STATIC connect_timeout {seconds: 1}}
		clusters {name: "b" type: STATIC connect_timeout {seconds: 1}}
		clusters {name: "c" type: EDS connect_timeout {seconds: 3}}
		clusters {name: "d" connect_timeout {seconds: 1}}
	}`)
}

func TestErrors(t *testing.T) {
	head := "static_resources:\n  clusters:\n  - name: one\n"
	for _, c := range []struct{ yaml, want string }{
		{head + "    connect_timeoutt: 1s", "t.yaml:4: static_resources.clusters[0].connect_timeoutt: unknown field"},
		{head + "    type: STATICC", "t.yaml:4: static_resources.clusters[0].type: is the string \"STATICC\", want one of STATIC, STRICT_DNS"},
		{head + "    type: true", "type: is the bool true, want one of"},
		{head + "    connect_timeout: 5", "connect_timeout: is the number 5, want a duration such as \"1.5s\""},
		{head + "    connect_timeout: 1.s", "want a duration"},
		{head + "    connect_timeout: 1.0000000001s", "want a duration"},
		{head + "    connect_timeout: 315576000001s", "want a duration"},
		{head + "    connect_timeout: {seconds: 1}", "connect_timeout: is a map, want a duration"},
		{head + "    alt_stat_name: 5", "is the number 5, want a string (in quotes"},
		{head + "    alt_stat_name: yes", "is the bool yes, want a string"},
		{head + "    alt_stat_name: [a]", "is a list, want a string"},
		{head + "    respect_dns_ttl: 'true'", "is the string \"true\", want true or false"},
		{head + "    per_connection_buffer_limit_bytes: -1", "is the number -1, want a number of type uint32"},
		{head + "    per_connection_buffer_limit_bytes: '4294967296'", "want a number of type uint32"},
		{head + "    name: two", "t.yaml:4: static_resources.clusters[0].name: is set twice"},
		{head + "    altStatName: a\n    alt_stat_name: b", "is set twice (as \"altStatName\" before)"},
		{head + "    type: STATIC\n    cluster_type: {name: x}", "cluster_type: must not be set together with type"},
		{head + "  - 5", "t.yaml:4: static_resources.clusters[1]: is the number 5, want a map with fields of envoy.config.cluster.v3.Cluster"},
		{head + "  - ~", "clusters[1]: is null, want a map"},
		{"static_resources: {clusters: {}}", "t.yaml:1: static_resources.clusters: is a map, want a list"},
		{"static_resources: []", "static_resources: is a list, want a map"},
		{"node: {metadata: 5}", "node.metadata: is the number 5, want a map"},
		{"node: {metadata: {a: 1, a: 2}}", `node.metadata["a"]: is set twice`},
		{"node: {metadata: {? [a] : 2}}", "a key must be a scalar"},
		{"node: {<<: 5}", "is the number 5, want a map or a list of maps to merge"},
		{"node: {id: a}\n---\nnode: {}", "holds more than one YAML document"},
		{"node: {id: a", "t.yaml:1: did not find expected"},
		{"a:\n\tb: 1", "t.yaml:2: found character that cannot start any token"},
		{"bootstrap_extensions: [{typed_config: {a: b}}]", `bootstrap_extensions[0].typed_config: lacks "@type"`},
		{"bootstrap_extensions: [{typed_config: {'@type': type.googleapis.com/no.Such}}]", "not found"},
		{"bootstrap_extensions: [{typed_config: [a]}]", `is a list, want a map with "@type"`},
		{"bootstrap_extensions: [{typed_config: {'@type': x/envoy.config.core.v3.Node, idd: x}}]", "bootstrap_extensions[0].typed_config.idd: unknown field: envoy.config.core.v3.Node has no \"idd\""},
		{"bootstrap_extensions: [{typed_config: {'@type': x/google.protobuf.Duration, value: 1}}]", "typed_config.value: is the number 1, want a duration"},
		{"a: &a [*a]\nnode: *a", "unknown field"},
		{"node: {metadata: {a: &a {b: *a}}}", "nested deeper than 100"},
	} {
		_, err := read[bootstrapv3.Bootstrap](c.yaml)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s\ngives %v\nwant  %s", c.yaml, err, c.want)
			continue
		}
		if _, ok := errors.AsType[*Error](err); !ok {
			t.Errorf("%v is not an *Error", err)
		}
	}
}

func TestErrorsAreAllNamedUpToALimit(t *testing.T) {
	_, err := read[corev3.Node]("a: 1\nb: 1\nid: 5\ncluster: x")
	if n := strings.Count(err.Error(), "\n") + 1; n != 3 {
		t.Errorf("%d errors, want 3: %v", n, err)
	}
	var b strings.Builder
	for i := range 100 {
		fmt.Fprintf(&b, "f%d: 1\n", i)
	}
	_, err = read[corev3.Node](b.String())
	if n := strings.Count(err.Error(), "\n") + 1; n != MaxErrors {
		t.Errorf("%d errors, want %d", n, MaxErrors)
	}
}

func TestUnknownFieldsCanBeAllowed(t *testing.T) {
	doc, err := ParseYAML("t.yaml", []byte("id: a\nidd: b\n"))
	if err != nil {
		t.Fatal(err)
	}
	var skipped []string
	var n corev3.Node
	o := Options{Unknown: func(e *Error) { skipped = append(skipped, e.Error()) }}
	if err := doc.Decode(&n, o); err != nil || n.Id != "a" {
		t.Errorf("%v, %v", &n, err)
	}
	if len(skipped) != 1 || !strings.HasPrefix(skipped[0], "t.yaml:2: idd: unknown field") {
		t.Errorf("skipped %q", skipped)
	}
}

// TestAliasBombs: a few lines of aliases stand for billions of nodes.
func TestAliasBombs(t *testing.T) {
	var b strings.Builder
	b.WriteString("metadata:\n  a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n")
	for i := range 12 {
		fmt.Fprintf(&b, "  a%d: &a%d [%s]\n", i+1, i+1, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*a%d,", i), 10), ","))
	}
	_, err := read[corev3.Node](b.String())
	if err == nil || !strings.Contains(err.Error(), "aliases make the document too large") {
		t.Errorf("the bomb gives %v", err)
	}
}

func TestDepth(t *testing.T) {
	deep := func(n int) string { return "a: " + strings.Repeat("[", n) + strings.Repeat("]", n) }
	if _, err := read[structpb.Struct](deep(90)); err != nil {
		t.Error(err)
	}
	for _, n := range []int{101, 9000} {
		if _, err := read[structpb.Struct](deep(n)); err == nil {
			t.Errorf("a depth of %d is accepted", n)
		}
	}
}

// TestJSONLikeProtojson: what protojson writes is read as the same message.
func TestJSONLikeProtojson(t *testing.T) {
	for _, text := range []string{
		`node {id: "a\001\"\\ \342\202\254 \360\237\230\200" metadata {fields {key: "x" value {number_value: 1.25e300}} fields {key: "y" value {list_value {}}}}}`,
		`static_resources {clusters {name: "a" connect_timeout {seconds: 3 nanos: 7} type: EDS lb_subset_config {default_subset {fields {key: "k" value {bool_value: false}}}}}}`,
		`stats_server_version_override {value: 18446744073709551615} stats_flush_interval {nanos: 1}`,
		`admin {address {pipe {path: "/x" mode: 420}}}`,
	} {
		want := &bootstrapv3.Bootstrap{}
		if err := prototext.Unmarshal([]byte(text), want); err != nil {
			t.Fatal(err)
		}
		for _, multiline := range []bool{false, true} {
			json, err := protojson.MarshalOptions{Multiline: multiline, UseProtoNames: multiline}.Marshal(want)
			if err != nil {
				t.Fatal(err)
			}
			doc, err := ParseJSON("t.json", json)
			if err != nil {
				t.Fatal(err)
			}
			got := &bootstrapv3.Bootstrap{}
			if err := doc.Decode(got, options()); err != nil || !proto.Equal(got, want) {
				t.Errorf("%s\nreads as %v, %v", json, got, err)
			}
		}
	}
}

func TestJSONErrors(t *testing.T) {
	for text, want := range map[string]string{
		"{\n \"id\": 5}":              "t.json:2: id: is the number 5, want a string",
		"{\n \"id\": \"a\",\n}":       "t.json:3: invalid character",
		"{\"id\": \"a\"} x":           "t.json:1: invalid character 'x'",
		"{\"id\": \"a\"} {}":          "text after the end",
		"{\"id\": \"a\"":              "unexpected EOF",
		"{\"id\": \"a\", \"id\": 1}":  "id: is set twice",
		"{\"cluster\": 1e3, \"x\":1}": "cluster: is the number 1e3, want a string",
		strings.Repeat("[", 5000):     "nested deeper",
	} {
		doc, err := ParseJSON("t.json", []byte(text))
		if err == nil {
			err = doc.Decode(new(corev3.Node), options())
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.60s gives %v, want %s", text, err, want)
		}
	}
}

func TestJSONNumbers(t *testing.T) {
	doc, err := ParseJSON("t.json", []byte(`{"path": "/x", "mode": 4.2e1}`))
	if err != nil {
		t.Fatal(err)
	}
	var p corev3.Pipe
	if err := doc.Decode(&p, options()); err != nil || p.Mode != 42 {
		t.Errorf("%v, %v", &p, err)
	}
	doc, _ = ParseJSON("t.json", []byte(`{"mode": 4.5}`))
	if err := doc.Decode(&p, options()); err == nil {
		t.Error("4.5 is a uint32")
	}
}

func TestEmptyDocuments(t *testing.T) {
	for _, text := range []string{"", "\n", "# nothing\n", "---\n"} {
		m, err := read[corev3.Node](text)
		if err != nil || !proto.Equal(m, &corev3.Node{}) {
			t.Errorf("%q: %v, %v", text, m, err)
		}
	}
	if doc, err := ParseJSON("t.json", []byte(" \n")); err != nil || doc.Decode(new(corev3.Node), options()) != nil {
		t.Errorf("blank JSON: %v", err)
	}
}

func TestLine(t *testing.T) {
	doc, err := ParseYAML("t.yaml", []byte(`
static_resources:
  clusters:
  - name: one
    loadAssignment:
      endpoints: [{}]
  - name: two
    metadata: { filter_metadata: { "a.b": { x: 1 } } }
`))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		path        string
		line, steps int
	}{
		{"static_resources", 2, 1},
		{"static_resources.clusters[1]", 7, 3},
		{"static_resources.clusters[0].load_assignment.endpoints[0]", 6, 6},
		{"static_resources.clusters[0].load_assignment.endpoints[1]", 6, 5},
		{"static_resources.clusters[0].nothing.here", 4, 3},
		{`static_resources.clusters[1].metadata.filter_metadata["a.b"]["x"]`, 8, 7},
		{"nowhere", 0, 0},
		{"", 0, 0},
	} {
		if line, steps := doc.Line(c.path); line != c.line || steps != c.steps {
			t.Errorf("%s: line %d after %d steps, want %d after %d", c.path, line, steps, c.line, c.steps)
		}
	}
	if n := doc.Len("static_resources.clusters"); n != 2 {
		t.Errorf("%d clusters", n)
	}
	if n := doc.Len("static_resources.listeners"); n != 0 {
		t.Errorf("%d listeners", n)
	}
}
