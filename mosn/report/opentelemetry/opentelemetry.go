// Package opentelemetry is Envoy's stats sink envoy.stat_sinks.open_telemetry: metrics by
// OTLP over gRPC, to a cluster of the proxy.
//
// A sink is compiled off the loops; the server's goroutine that flushes it is the only
// one that uses it. Its calls are the proxy's own (sdk.Caller).
package opentelemetry

import (
	"context"
	"fmt"
	"time"

	sinkv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/stat_sinks/open_telemetry/v3"
	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	metricspb "go.opentelemetry.io/proto/otlp/metrics/v1"
	resourcepb "go.opentelemetry.io/proto/otlp/resource/v1"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/emptypb"

	"sofamesh.io/sofamesh/mosn/fields"
	"sofamesh.io/sofamesh/mosn/service"
	"sofamesh.io/sofamesh/sdk"
	"sofamesh.io/sofamesh/sdk/grpc"
)

const (
	method         = "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export"
	defaultTimeout = 5 * time.Second
)

// Sink returns the extension.
func Sink() sdk.StatsSink {
	return sdk.StatsSink{
		Name:   "envoy.stat_sinks.open_telemetry",
		Config: &sinkv3.SinkConfig{},
		Fields: fields.Message("envoy.extensions.stat_sinks.open_telemetry.v3.SinkConfig",
			fields.Supported("grpc_service", "report_counters_as_deltas", "report_histograms_as_deltas",
				"emit_tags_as_attributes", "use_tag_extracted_name", "prefix", "max_data_points_per_request"),
			fields.Refused("http_service", "resource_detectors", "custom_metric_conversions")),
		Compile: compile,
	}
}

// sink makes requests of snapshots.
type sink struct {
	service *grpc.Service
	caller  sdk.Caller
	prefix  string // with the dot behind it
	fullName,
	noTags bool
	counters, histograms metricspb.AggregationTemporality
	limit                int // data points of a request; 0 for all
}

func compile(c sdk.Compiler, m proto.Message) (sdk.StatsFlusher, error) {
	pb := m.(*sinkv3.SinkConfig)
	at := c.At("grpc_service")
	if pb.GetGrpcService() == nil {
		return nil, at.Errorf("is missing")
	}
	svc, err := service.GRPC(at, pb.GetGrpcService(), defaultTimeout)
	if err != nil {
		return nil, err
	}
	if !c.Cluster(svc.Cluster) {
		return nil, at.At("envoy_grpc.cluster_name").Errorf("unknown gRPC client cluster '%s'", svc.Cluster)
	}
	s := &sink{
		service: svc, caller: c.Caller(svc.Cluster),
		fullName:   pb.GetUseTagExtractedName() != nil && !pb.GetUseTagExtractedName().GetValue(),
		noTags:     pb.GetEmitTagsAsAttributes() != nil && !pb.GetEmitTagsAsAttributes().GetValue(),
		counters:   temporality(pb.GetReportCountersAsDeltas()),
		histograms: temporality(pb.GetReportHistogramsAsDeltas()),
		limit:      int(pb.GetMaxDataPointsPerRequest()),
	}
	if pb.GetPrefix() != "" {
		s.prefix = pb.GetPrefix() + "."
	}
	return s, nil
}

func temporality(deltas bool) metricspb.AggregationTemporality {
	if deltas {
		return metricspb.AggregationTemporality_AGGREGATION_TEMPORALITY_DELTA
	}
	return metricspb.AggregationTemporality_AGGREGATION_TEMPORALITY_CUMULATIVE
}

// Flush implements sdk.StatsFlusher.
func (s *sink) Flush(ctx context.Context, snap *sdk.StatsSnapshot) error {
	for _, metrics := range s.requests(snap) {
		// The same on the wire as the request, whose own package would bring in a gRPC library.
		req := &metricspb.MetricsData{ResourceMetrics: []*metricspb.ResourceMetrics{{
			Resource:     &resourcepb.Resource{},
			ScopeMetrics: []*metricspb.ScopeMetrics{{Metrics: metrics}},
		}}}
		var resp emptypb.Empty
		if err := s.service.Invoke(ctx, s.caller, method, req, &resp); err != nil {
			return fmt.Errorf("OTLP: %w", err)
		}
		if n, why := rejected(resp.ProtoReflect().GetUnknown()); n > 0 {
			return fmt.Errorf("OTLP: %d data points were rejected: %s", n, why)
		}
	}
	return nil
}

// rejected reads partial_success of an answer: how many data points were rejected, and why.
func rejected(answer []byte) (n uint64, why string) {
	eachField(answer, func(num protowire.Number, _ uint64, partial []byte) {
		if num != 1 {
			return
		}
		eachField(partial, func(num protowire.Number, v uint64, text []byte) {
			switch num {
			case 1:
				n = v
			case 2:
				why = string(text)
			}
		})
	})
	return n, why
}

// eachField calls f for the fields of a message that are numbers or bytes.
func eachField(b []byte, f func(num protowire.Number, v uint64, p []byte)) {
	for len(b) > 0 {
		num, typ, n := protowire.ConsumeTag(b)
		if n < 0 {
			return
		}
		size := protowire.ConsumeFieldValue(num, typ, b[n:])
		if size < 0 {
			return
		}
		value := b[n : n+size]
		switch typ {
		case protowire.VarintType:
			v, _ := protowire.ConsumeVarint(value)
			f(num, v, nil)
		case protowire.BytesType:
			p, _ := protowire.ConsumeBytes(value)
			f(num, 0, p)
		}
		b = b[n+size:]
	}
}

// Close implements sdk.StatsFlusher.
func (s *sink) Close() {}

// requests makes the metrics of a snapshot, cut into requests. Those of one name are one
// metric with a data point for each set of attributes.
func (s *sink) requests(snap *sdk.StatsSnapshot) [][]*metricspb.Metric {
	b := batch{sink: s, snap: snap}
	for i := range snap.Gauges {
		b.gauge(&snap.Gauges[i])
	}
	for i := range snap.Counters {
		b.counter(&snap.Counters[i])
	}
	for i := range snap.Histograms {
		b.histogram(&snap.Histograms[i])
	}
	b.cut()
	return b.done
}

// batch gathers metrics.
type batch struct {
	sink   *sink
	snap   *sdk.StatsSnapshot
	done   [][]*metricspb.Metric
	list   []*metricspb.Metric
	byName map[metricKey]*metricspb.Metric
	points int
}

type metricKey struct {
	kind byte
	name string
}

func (b *batch) cut() {
	if len(b.list) > 0 {
		b.done = append(b.done, b.list)
	}
	b.list, b.byName, b.points = nil, map[metricKey]*metricspb.Metric{}, 0
}

// metric returns the metric that a point belongs to, made by fresh if need be.
func (b *batch) metric(kind byte, n *sdk.StatName, fresh func(*metricspb.Metric)) *metricspb.Metric {
	if b.byName == nil || b.sink.limit > 0 && b.points >= b.sink.limit {
		b.cut()
	}
	b.points++
	name := n.Common
	if b.sink.fullName {
		name = n.Full
	}
	key := metricKey{kind, b.sink.prefix + name}
	m := b.byName[key]
	if m == nil {
		m = &metricspb.Metric{Name: key.name}
		fresh(m)
		b.byName[key] = m
		b.list = append(b.list, m)
	}
	return m
}

func (b *batch) attributes(n *sdk.StatName) []*commonpb.KeyValue {
	if b.sink.noTags {
		return nil
	}
	var out []*commonpb.KeyValue
	for _, t := range n.Tags {
		out = append(out, &commonpb.KeyValue{
			Key: t.Name, Value: &commonpb.AnyValue{Value: &commonpb.AnyValue_StringValue{StringValue: t.Value}},
		})
	}
	return out
}

// since is the beginning of what a point tells of.
func (b *batch) since(t metricspb.AggregationTemporality) uint64 {
	if t == metricspb.AggregationTemporality_AGGREGATION_TEMPORALITY_DELTA {
		return uint64(b.snap.Since.UnixNano())
	}
	return uint64(b.snap.Start.UnixNano())
}

func (b *batch) number(n *sdk.StatName, start, v uint64) *metricspb.NumberDataPoint {
	return &metricspb.NumberDataPoint{
		Attributes: b.attributes(n), StartTimeUnixNano: start, TimeUnixNano: uint64(b.snap.Time.UnixNano()),
		Value: &metricspb.NumberDataPoint_AsInt{AsInt: int64(min(v, 1<<63-1))},
	}
}

func (b *batch) gauge(g *sdk.Stat) {
	m := b.metric('g', &g.StatName, func(m *metricspb.Metric) {
		m.Data = &metricspb.Metric_Gauge{Gauge: &metricspb.Gauge{}}
	}).GetGauge()
	m.DataPoints = append(m.DataPoints, b.number(&g.StatName, 0, g.Value))
}

func (b *batch) counter(c *sdk.Stat) {
	t, v := b.sink.counters, c.Value
	if t == metricspb.AggregationTemporality_AGGREGATION_TEMPORALITY_DELTA {
		v = c.Delta
	}
	m := b.metric('c', &c.StatName, func(m *metricspb.Metric) {
		m.Data = &metricspb.Metric_Sum{Sum: &metricspb.Sum{IsMonotonic: true, AggregationTemporality: t}}
	}).GetSum()
	m.DataPoints = append(m.DataPoints, b.number(&c.StatName, b.since(t), v))
}

// histogram has the buckets that the configuration asks for, always the same ones.
func (b *batch) histogram(h *sdk.StatHistogram) {
	t, d := b.sink.histograms, &h.Total
	if t == metricspb.AggregationTemporality_AGGREGATION_TEMPORALITY_DELTA {
		d = &h.Interval
	}
	m := b.metric('h', &h.StatName, func(m *metricspb.Metric) {
		m.Data = &metricspb.Metric_Histogram{Histogram: &metricspb.Histogram{AggregationTemporality: t}}
	}).GetHistogram()
	p := &metricspb.HistogramDataPoint{
		Attributes: b.attributes(&h.StatName), StartTimeUnixNano: b.since(t), TimeUnixNano: uint64(b.snap.Time.UnixNano()),
		Count: d.Count, Sum: &d.Sum, ExplicitBounds: h.Bounds,
	}
	below := uint64(0)
	for _, n := range d.AtMost {
		p.BucketCounts = append(p.BucketCounts, n-below)
		below = n
	}
	p.BucketCounts = append(p.BucketCounts, d.Count-below)
	m.DataPoints = append(m.DataPoints, p)
}
