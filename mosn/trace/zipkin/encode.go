package zipkin

import (
	"encoding/binary"
	"encoding/json"
	"net/netip"

	"google.golang.org/protobuf/encoding/protowire"

	"sofamesh.io/sofamesh/sdk"
)

// encoder writes spans for one version of the collector's API.
type encoder interface {
	contentType() string
	append(dst []byte, spans []*sdk.Span) ([]byte, error)
}

// endpoint is Zipkin's Endpoint.
type endpoint struct {
	IPv4        string `json:"ipv4,omitempty"`
	IPv6        string `json:"ipv6,omitempty"`
	Port        uint16 `json:"port"`
	ServiceName string `json:"serviceName,omitempty"`
}

type annotation struct {
	Timestamp int64  `json:"timestamp"`
	Value     string `json:"value"`
}

// span is Zipkin's Span, version 2 of the API.
type span struct {
	TraceID       string            `json:"traceId"`
	ParentID      string            `json:"parentId,omitempty"`
	ID            string            `json:"id"`
	Kind          string            `json:"kind"`
	Name          string            `json:"name,omitempty"`
	Timestamp     int64             `json:"timestamp"`
	Duration      int64             `json:"duration,omitempty"`
	LocalEndpoint *endpoint         `json:"localEndpoint"`
	Annotations   []annotation      `json:"annotations,omitempty"`
	Tags          map[string]string `json:"tags,omitempty"`
	Shared        bool              `json:"shared,omitempty"`
}

// spanOf makes the message of a span. As Envoy does, it notes the end as an event.
func spanOf(s *sdk.Span, local *endpoint, shared bool) span {
	m := span{
		TraceID: string(s.AppendTrace(nil)), ID: string(sdk.AppendHex(nil, s.Span)), Kind: "SERVER", Name: s.Name(),
		Timestamp: s.Start.UnixMicro(), Duration: max(s.End.Sub(s.Start).Microseconds(), 1),
		LocalEndpoint: local, Shared: shared && s.Kind == sdk.SpanServer, Tags: make(map[string]string, s.Tags()),
	}
	if s.Parent != 0 {
		m.ParentID = string(sdk.AppendHex(nil, s.Parent))
	}
	last := annotation{s.End.UnixMicro(), "ss"}
	if s.Kind == sdk.SpanClient {
		m.Kind, last.Value = "CLIENT", "cr"
	}
	for i := range s.Events() {
		at, name := s.EventAt(i)
		m.Annotations = append(m.Annotations, annotation{at.UnixMicro(), name})
	}
	m.Annotations = append(m.Annotations, last)
	for i := range s.Tags() {
		if name, value := s.TagAt(i); value != "" {
			m.Tags[name] = value
		}
	}
	return m
}

// jsonEncoder is HTTP_JSON.
type jsonEncoder struct {
	local  endpoint
	shared bool
}

func (jsonEncoder) contentType() string { return "application/json" }

func (e jsonEncoder) append(dst []byte, spans []*sdk.Span) ([]byte, error) {
	list := make([]span, len(spans))
	for i, s := range spans {
		list[i] = spanOf(s, &e.local, e.shared)
	}
	b, err := json.Marshal(list)
	return append(dst, b...), err
}

// protoEncoder is HTTP_PROTO: zipkin.proto3.ListOfSpans (openzipkin/zipkin-api).
type protoEncoder struct {
	local  endpoint
	shared bool
}

func (protoEncoder) contentType() string { return "application/x-protobuf" }

func (e protoEncoder) append(dst []byte, spans []*sdk.Span) ([]byte, error) {
	for _, s := range spans {
		dst = appendBytes(dst, 1, e.span(s))
	}
	return dst, nil
}

func (e protoEncoder) span(s *sdk.Span) []byte {
	m := spanOf(s, &e.local, e.shared)
	var id []byte
	if s.Wide {
		id = binary.BigEndian.AppendUint64(id, s.High)
	}
	b := appendBytes(nil, 1, binary.BigEndian.AppendUint64(id, s.Low))
	if s.Parent != 0 {
		b = appendBytes(b, 2, binary.BigEndian.AppendUint64(nil, s.Parent))
	}
	b = appendBytes(b, 3, binary.BigEndian.AppendUint64(nil, s.Span))
	kind := uint64(2)
	if s.Kind == sdk.SpanClient {
		kind = 1
	}
	b = appendVarint(b, 4, kind)
	b = appendBytes(b, 5, []byte(m.Name))
	b = appendFixed(b, 6, uint64(m.Timestamp))
	b = appendVarint(b, 7, uint64(m.Duration))
	b = appendBytes(b, 8, e.endpoint())
	for _, a := range m.Annotations {
		b = appendBytes(b, 10, appendBytes(appendFixed(nil, 1, uint64(a.Timestamp)), 2, []byte(a.Value)))
	}
	for name, value := range m.Tags {
		b = appendBytes(b, 11, appendBytes(appendBytes(nil, 1, []byte(name)), 2, []byte(value)))
	}
	if m.Shared {
		b = appendVarint(b, 13, 1)
	}
	return b
}

func (e protoEncoder) endpoint() []byte {
	b := appendBytes(nil, 1, []byte(e.local.ServiceName))
	if a, err := netip.ParseAddr(e.local.IPv4); err == nil {
		b = appendBytes(b, 2, a.AsSlice())
	}
	if a, err := netip.ParseAddr(e.local.IPv6); err == nil {
		b = appendBytes(b, 3, a.AsSlice())
	}
	return b
}

func appendBytes(dst []byte, n protowire.Number, v []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(dst, n, protowire.BytesType), v)
}

func appendVarint(dst []byte, n protowire.Number, v uint64) []byte {
	return protowire.AppendVarint(protowire.AppendTag(dst, n, protowire.VarintType), v)
}

func appendFixed(dst []byte, n protowire.Number, v uint64) []byte {
	return protowire.AppendFixed64(protowire.AppendTag(dst, n, protowire.Fixed64Type), v)
}
