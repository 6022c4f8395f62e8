package opentelemetry

import (
	"encoding/binary"
	"runtime/debug"
	"strconv"

	commonv1 "go.opentelemetry.io/proto/otlp/common/v1"
	tracev1 "go.opentelemetry.io/proto/otlp/trace/v1"

	"sofamesh.io/sofamesh/sdk"
)

// sdkName is what we call ourselves where OpenTelemetry asks for the name of the SDK.
const sdkName = "mosn"

// version is that of the module that the program was built of.
func version() string {
	if info, ok := debug.ReadBuildInfo(); ok {
		return info.Main.Version
	}
	return ""
}

// message makes an ExportTraceServiceRequest, which has the fields of TracesData.
func (p *provider) message(spans []*sdk.Span) *tracev1.TracesData {
	scoped := &tracev1.ScopeSpans{Spans: make([]*tracev1.Span, len(spans))}
	if p.scoped {
		scoped.Scope = &commonv1.InstrumentationScope{Name: sdkName, Version: version()}
	}
	for i, s := range spans {
		scoped.Spans[i] = spanMessage(s)
	}
	return &tracev1.TracesData{ResourceSpans: []*tracev1.ResourceSpans{{
		Resource: p.resource, ScopeSpans: []*tracev1.ScopeSpans{scoped},
	}}}
}

// spanMessage may keep the strings of s: it is marshalled before s is given back.
func spanMessage(s *sdk.Span) *tracev1.Span {
	id := binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(make([]byte, 0, 32), s.High), s.Low)
	id = binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(id, s.Span), s.Parent)
	m := &tracev1.Span{
		TraceId: id[:16], SpanId: id[16:24], TraceState: s.State(), Name: s.Name(), Kind: tracev1.Span_SPAN_KIND_SERVER,
		StartTimeUnixNano: uint64(s.Start.UnixNano()), EndTimeUnixNano: uint64(s.End.UnixNano()),
		Attributes: make([]*commonv1.KeyValue, s.Tags()),
		Status:     &tracev1.Status{Code: status(s)},
	}
	if s.Parent != 0 {
		m.ParentSpanId = id[24:]
	}
	if s.Kind == sdk.SpanClient {
		m.Kind = tracev1.Span_SPAN_KIND_CLIENT
	}
	for i := range m.Attributes {
		m.Attributes[i] = attribute(s, i)
	}
	for i := range s.Events() {
		at, name := s.EventAt(i)
		m.Events = append(m.Events, &tracev1.Span_Event{TimeUnixNano: uint64(at.UnixNano()), Name: name})
	}
	return m
}

func attribute(s *sdk.Span, i int) *commonv1.KeyValue {
	name, value := s.TagAt(i)
	kv := &commonv1.KeyValue{Key: name, Value: &commonv1.AnyValue{}}
	switch kind, n, f := s.TypedAt(i); kind {
	case sdk.TagInt:
		kv.Value.Value = &commonv1.AnyValue_IntValue{IntValue: n}
	case sdk.TagDouble:
		kv.Value.Value = &commonv1.AnyValue_DoubleValue{DoubleValue: f}
	case sdk.TagBool:
		kv.Value.Value = &commonv1.AnyValue_BoolValue{BoolValue: n != 0}
	default:
		kv.Value.Value = &commonv1.AnyValue_StringValue{StringValue: value}
	}
	return kv
}

// status is the span's status, by OpenTelemetry's conventions: a client blames the server
// for all that it did not get, a server only itself.
func status(s *sdk.Span) tracev1.Status_StatusCode {
	client := s.Kind == sdk.SpanClient
	code, _ := strconv.Atoi(s.Get("http.status_code"))
	failed := code >= 500 || client && code >= 400
	if v := s.Get("grpc.status_code"); v != "" {
		n, err := strconv.Atoi(v)
		switch {
		case client:
			failed = failed || err == nil && n != 0
		case err == nil:
			failed = n == 2 || n == 4 || n == 12 || n == 13 || n == 14 || n == 15
		}
	}
	if failed {
		return tracev1.Status_STATUS_CODE_ERROR
	}
	return tracev1.Status_STATUS_CODE_UNSET
}
