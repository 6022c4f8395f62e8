package opentelemetry

import (
	"context"
	"encoding/binary"
	"strings"
	"testing"
	"time"

	sinkv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/stat_sinks/open_telemetry/v3"
	metricspb "go.opentelemetry.io/proto/otlp/metrics/v1"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"sofamesh.io/sofamesh/sdk"
	"sofamesh.io/sofamesh/sdk/sdktest"
)

const grpcService = `grpc_service { envoy_grpc { cluster_name: "c" } timeout { seconds: 1 } } `

func snapshot() *sdk.StatsSnapshot {
	tagged := func(full, common, cluster string) sdk.StatName {
		return sdk.StatName{Full: full, Common: common, Tags: []sdk.StatTag{{Name: "envoy.cluster_name", Value: cluster}}}
	}
	at := func(s int64) time.Time { return time.Unix(s, 0) }
	return &sdk.StatsSnapshot{
		Start: at(1), Since: at(2), Time: at(3),
		Counters: []sdk.Stat{
			{StatName: tagged("cluster.a.rq", "cluster.rq", "a"), Value: 9, Delta: 3},
			{StatName: tagged("cluster.b.rq", "cluster.rq", "b"), Value: 5, Delta: 1},
		},
		Gauges: []sdk.Stat{{StatName: sdk.StatName{Full: "server.live", Common: "server.live"}, Value: 1}},
		Histograms: []sdk.StatHistogram{{
			StatName: tagged("cluster.a.time", "cluster.time", "a"),
			Bounds:   []float64{1, 5},
			Interval: sdk.StatDistribution{Count: 2, Sum: 6, AtMost: []uint64{0, 2}},
			Total:    sdk.StatDistribution{Count: 4, Sum: 12, AtMost: []uint64{1, 3}},
		}},
	}
}

// collector compiles a sink whose calls answer takes; it returns what it was sent.
func collector(t *testing.T, config string, body string, lines ...string) (sdk.StatsFlusher, func() []*metricspb.MetricsData) {
	t.Helper()
	var got []*metricspb.MetricsData
	c := sdktest.NewCompiler(t)
	c.AddCluster("c")
	c.AnswerCalls(func(cluster string, r *sdk.CallRequest) (*sdk.CallResponse, *sdk.CallError) {
		if cluster != "c" || r.Headers.Path() != method || r.Timeout != time.Second {
			t.Errorf("a call to %s%s, timeout %v", cluster, r.Headers.Path(), r.Timeout)
		}
		if n := binary.BigEndian.Uint32(r.Body[1:]); int(n) != len(r.Body)-5 {
			t.Errorf("a message of %d in %d bytes", n, len(r.Body))
		}
		m := &metricspb.MetricsData{}
		if err := proto.Unmarshal(r.Body[5:], m); err != nil {
			t.Error(err)
		}
		got = append(got, m)
		return sdktest.Response(body, lines...), nil
	})
	s, err := Sink().Compile(c, sdktest.Text[sinkv3.SinkConfig](t, grpcService+config))
	if err != nil {
		t.Fatal(err)
	}
	return s, func() []*metricspb.MetricsData { return got }
}

const (
	okBody = "\x00\x00\x00\x00\x00"
	ok     = ":status: 200"
	grpcOK = "grpc-status: 0"
)

// metrics is what was sent, as text.
func metrics(t *testing.T, m *metricspb.MetricsData) string {
	t.Helper()
	var b strings.Builder
	for _, metric := range m.GetResourceMetrics()[0].GetScopeMetrics()[0].GetMetrics() {
		text, err := prototext.MarshalOptions{}.Marshal(metric)
		if err != nil {
			t.Fatal(err)
		}
		b.WriteString(strings.ReplaceAll(string(text), "  ", " ") + "\n")
	}
	return b.String()
}

func TestCumulative(t *testing.T) {
	s, got := collector(t, "", okBody, ok, grpcOK)
	if err := s.Flush(t.Context(), snapshot()); err != nil {
		t.Fatal(err)
	}
	const want = `name:"server.live" gauge:{data_points:{time_unix_nano:3000000000 as_int:1}}
name:"cluster.rq" sum:{data_points:{attributes:{key:"envoy.cluster_name" value:{string_value:"a"}} start_time_unix_nano:1000000000 time_unix_nano:3000000000 as_int:9} data_points:{attributes:{key:"envoy.cluster_name" value:{string_value:"b"}} start_time_unix_nano:1000000000 time_unix_nano:3000000000 as_int:5} aggregation_temporality:AGGREGATION_TEMPORALITY_CUMULATIVE is_monotonic:true}
name:"cluster.time" histogram:{data_points:{attributes:{key:"envoy.cluster_name" value:{string_value:"a"}} start_time_unix_nano:1000000000 time_unix_nano:3000000000 count:4 sum:12 bucket_counts:1 bucket_counts:2 bucket_counts:1 explicit_bounds:1 explicit_bounds:5} aggregation_temporality:AGGREGATION_TEMPORALITY_CUMULATIVE}
`
	if text := metrics(t, got()[0]); text != want {
		t.Errorf("got\n%swant\n%s", text, want)
	}
}

func TestDeltasUnderFullNames(t *testing.T) {
	s, got := collector(t, `report_counters_as_deltas: true report_histograms_as_deltas: true prefix: "p"
		emit_tags_as_attributes { } use_tag_extracted_name { } max_data_points_per_request: 2`, okBody, ok, grpcOK)
	if err := s.Flush(t.Context(), snapshot()); err != nil {
		t.Fatal(err)
	}
	if n := len(got()); n != 2 {
		t.Fatalf("%d requests", n)
	}
	text := metrics(t, got()[0]) + metrics(t, got()[1])
	for _, want := range []string{
		`name:"p.cluster.a.rq" sum:{data_points:{start_time_unix_nano:2000000000 time_unix_nano:3000000000 as_int:3} aggregation_temporality:AGGREGATION_TEMPORALITY_DELTA`,
		`name:"p.cluster.b.rq" sum:{data_points:{start_time_unix_nano:2000000000 time_unix_nano:3000000000 as_int:1}`,
		`count:2 sum:6 bucket_counts:0 bucket_counts:2 bucket_counts:0 explicit_bounds:1 explicit_bounds:5`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %s in\n%s", want, text)
		}
	}
	if strings.Contains(text, "attributes") {
		t.Error("attributes")
	}
}

func TestFailures(t *testing.T) {
	partial := protowire.AppendTag(nil, 1, protowire.VarintType)
	partial = protowire.AppendVarint(partial, 7)
	partial = protowire.AppendString(protowire.AppendTag(partial, 2, protowire.BytesType), "no room")
	message := protowire.AppendBytes(protowire.AppendTag(nil, 1, protowire.BytesType), partial)
	for _, c := range []struct {
		body, want string
		lines      []string
	}{
		{"", "gRPC status 14: go away", []string{ok, "grpc-status: 14", "grpc-message: go away"}},
		{"\x00\x00\x00\x00" + string(rune(len(message))) + string(message), "7 data points were rejected: no room", []string{ok, grpcOK}},
	} {
		s, _ := collector(t, "", c.body, c.lines...)
		if err := s.Flush(t.Context(), snapshot()); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v, want %s", err, c.want)
		}
	}
	s, _ := collector(t, "", okBody, ok, grpcOK)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if s.Flush(ctx, snapshot()) == nil {
		t.Error("flushed after the end")
	}
}

func TestRefused(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{``, "grpc_service: is missing"},
		{`grpc_service { envoy_grpc { cluster_name: "none" } }`, "grpc_service.envoy_grpc.cluster_name: unknown gRPC client cluster 'none'"},
		{`grpc_service { google_grpc { target_uri: "x" } }`, "google_grpc: is not supported"},
	} {
		if _, err := Sink().Compile(sdktest.NewCompiler(t), sdktest.Text[sinkv3.SinkConfig](t, c.text)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: %v, want %s", c.text, err, c.want)
		}
	}
}

// TestAnswersAreHostile: nothing that a collector says can do harm.
func TestAnswersAreHostile(t *testing.T) {
	for _, b := range []string{"\x0a", "\x0a\xff", "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", "\x0a\x02\x08"} {
		if n, _ := rejected([]byte(b)); n != 0 {
			t.Errorf("%q: %d", b, n)
		}
	}
}
