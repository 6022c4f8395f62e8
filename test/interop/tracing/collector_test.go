package tracing

import (
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	commonv1 "go.opentelemetry.io/proto/otlp/common/v1"
	tracev1 "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
)

// span is a span of any provider, as it is compared.
type span struct {
	Trace, ID, Parent string
	Name, Kind        string
	Details           []string // tags and whatever else there is, sorted
	At                int64    // when it began: the order of siblings
}

// collector takes spans over OTLP by HTTP and by gRPC, and as Zipkin's JSON and protobuf. What the cases are told apart by is the path, or for
// gRPC the metadata "case".
type collector struct {
	t    testing.TB
	port int

	mu    sync.Mutex
	spans map[string][]span   // by case
	about map[string][]string // headers of the calls and resources, by case
}

func newCollector(t testing.TB) *collector {
	t.Helper()
	c := &collector{t: t, spans: map[string][]span{}, about: map[string][]string{}}
	c.port = serve(t, http.HandlerFunc(c.collect))
	return c
}

// serve is an HTTP server of both versions, in plain text.
func serve(t testing.TB, h http.Handler) (port int) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: h, Protocols: new(http.Protocols)}
	s.Protocols.SetHTTP1(true)
	s.Protocols.SetUnencryptedHTTP2(true)
	go func() { _ = s.Serve(ln) }()
	t.Cleanup(func() { _ = s.Close() })
	return ln.Addr().(*net.TCPAddr).Port
}

func (c *collector) collect(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	name, kind := strings.TrimPrefix(r.URL.Path, "/"), r.Header.Get("Content-Type")
	about := []string{fmt.Sprintf("call %s host %s type %s", r.Method, strings.Split(r.Host, ":")[0], kind)}
	var spans []span
	switch {
	case kind == "application/grpc":
		name = r.Header.Get("case")
		about[0] += " " + r.URL.Path
		if len(body) < 5 || int(binary.BigEndian.Uint32(body[1:])) != len(body)-5 {
			c.t.Errorf("%s: a malformed gRPC message of %d bytes", name, len(body))
			return
		}
		spans, about = c.otlp(name, body[5:], about)
		w.Header().Set("Content-Type", kind)
		w.Header().Set("Trailer", "grpc-status")
		_, _ = w.Write([]byte{0, 0, 0, 0, 0})
		w.Header().Set("grpc-status", "0")
	case strings.HasPrefix(name, "zipkin"):
		if kind == "application/json" {
			spans = c.zipkinJSON(name, body)
		} else {
			spans = c.zipkinProto(name, body)
		}
		if v := r.Header.Get("x-token"); v != "" {
			about = append(about, "header x-token "+v)
		}
		w.WriteHeader(http.StatusAccepted)
	default:
		if v := r.Header.Get("x-token"); v != "" {
			about = append(about, "header x-token "+v)
		}
		spans, about = c.otlp(name, body, about)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.spans[name] = append(c.spans[name], spans...)
	for _, line := range about {
		if !slices.Contains(c.about[name], line) {
			c.about[name] = append(c.about[name], line)
		}
	}
}

// take returns what came for a case.
func (c *collector) take(name string) ([]span, []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.spans[name]), slices.Clone(c.about[name])
}

func (c *collector) otlp(name string, body []byte, about []string) (spans []span, _ []string) {
	var req tracev1.TracesData // has the fields of ExportTraceServiceRequest
	if err := proto.Unmarshal(body, &req); err != nil {
		c.t.Errorf("%s: not OTLP: %v", name, err)
		return nil, about
	}
	for _, rs := range req.ResourceSpans {
		about = append(about, "schema "+rs.SchemaUrl)
		for _, kv := range rs.Resource.GetAttributes() {
			about = append(about, "resource "+attribute(kv))
		}
		for _, ss := range rs.ScopeSpans {
			about = append(about, fmt.Sprintf("scope %t %t", ss.Scope.GetName() != "", ss.Scope.GetVersion() != ""))
			for _, s := range ss.Spans {
				one := span{
					Trace: hex.EncodeToString(s.TraceId), ID: hex.EncodeToString(s.SpanId), Parent: hex.EncodeToString(s.ParentSpanId),
					Name: s.Name, Kind: s.Kind.String(), At: int64(s.StartTimeUnixNano),
				}
				one.Details = append(one.Details, "status "+s.Status.GetCode().String())
				if s.TraceState != "" {
					one.Details = append(one.Details, "state "+s.TraceState)
				}
				if s.EndTimeUnixNano < s.StartTimeUnixNano {
					c.t.Errorf("%s: %s ends before it begins", name, s.Name)
				}
				for _, kv := range s.Attributes {
					one.Details = append(one.Details, attribute(kv))
				}
				for _, e := range s.Events {
					one.Details = append(one.Details, "event "+e.Name)
				}
				slices.Sort(one.Details)
				spans = append(spans, one)
			}
		}
	}
	return spans, about
}

func attribute(kv *commonv1.KeyValue) string {
	switch v := kv.Value.GetValue().(type) {
	case *commonv1.AnyValue_IntValue:
		return fmt.Sprintf("%s = int %d", kv.Key, v.IntValue)
	case *commonv1.AnyValue_DoubleValue:
		return fmt.Sprintf("%s = double %g", kv.Key, v.DoubleValue)
	case *commonv1.AnyValue_BoolValue:
		return fmt.Sprintf("%s = bool %t", kv.Key, v.BoolValue)
	}
	return kv.Key + " = " + kv.Value.GetStringValue()
}

// zipkinSpan is a span of Zipkin's API v2.
type zipkinSpan struct {
	TraceID, ID, ParentID, Name, Kind string
	Timestamp, Duration               int64
	Shared                            bool
	LocalEndpoint                     map[string]any
	Tags                              map[string]string
	Annotations                       []struct {
		Timestamp int64
		Value     string
	}
}

func (z zipkinSpan) span() span {
	s := span{Trace: z.TraceID, ID: z.ID, Parent: z.ParentID, Name: z.Name, Kind: z.Kind, At: z.Timestamp}
	s.Details = append(s.Details, fmt.Sprintf("shared %t, duration %t", z.Shared, z.Duration > 0))
	for k, v := range z.LocalEndpoint {
		s.Details = append(s.Details, fmt.Sprintf("endpoint %s %v", k, v))
	}
	for k, v := range z.Tags {
		s.Details = append(s.Details, k+" = "+v)
	}
	for _, a := range z.Annotations {
		s.Details = append(s.Details, "event "+a.Value)
	}
	slices.Sort(s.Details)
	return s
}

func (c *collector) zipkinJSON(name string, body []byte) (spans []span) {
	var list []zipkinSpan
	if err := json.Unmarshal(body, &list); err != nil {
		c.t.Errorf("%s: not Zipkin's JSON: %v\n%s", name, err, body)
	}
	for _, z := range list {
		spans = append(spans, z.span())
	}
	return spans
}

// fields reads a protobuf message into its fields by number.
func fields(b []byte) map[protowire.Number][]any {
	out := map[protowire.Number][]any{}
	for len(b) > 0 {
		num, typ, n := protowire.ConsumeTag(b)
		b = b[max(n, 0):]
		var v any
		switch typ {
		case protowire.VarintType:
			v, n = protowire.ConsumeVarint(b)
		case protowire.Fixed64Type:
			v, n = protowire.ConsumeFixed64(b)
		case protowire.BytesType:
			v, n = protowire.ConsumeBytes(b)
		default:
			n = -1
		}
		if n < 0 {
			return nil
		}
		out[num] = append(out[num], v)
		b = b[n:]
	}
	return out
}

// zipkinProto reads zipkin.proto3.ListOfSpans (zipkin.proto of openzipkin/zipkin-api).
func (c *collector) zipkinProto(name string, body []byte) (spans []span) {
	for _, one := range fields(body)[1] {
		f := fields(one.([]byte))
		if f == nil {
			c.t.Errorf("%s: not Zipkin's protobuf", name)
		}
		bytesOf := func(m map[protowire.Number][]any, n protowire.Number) []byte {
			if len(m[n]) == 0 {
				return nil
			}
			return m[n][0].([]byte)
		}
		number := func(m map[protowire.Number][]any, n protowire.Number) uint64 {
			if len(m[n]) == 0 {
				return 0
			}
			return m[n][0].(uint64)
		}
		z := zipkinSpan{
			TraceID: hex.EncodeToString(bytesOf(f, 1)), ParentID: hex.EncodeToString(bytesOf(f, 2)), ID: hex.EncodeToString(bytesOf(f, 3)),
			Kind: [...]string{"", "CLIENT", "SERVER"}[number(f, 4)], Name: string(bytesOf(f, 5)),
			Timestamp: int64(number(f, 6)), Duration: int64(number(f, 7)), Shared: number(f, 13) == 1,
			Tags: map[string]string{}, LocalEndpoint: map[string]any{},
		}
		ep := fields(bytesOf(f, 8))
		z.LocalEndpoint["serviceName"] = string(bytesOf(ep, 1))
		if ip := bytesOf(ep, 2); ip != nil {
			z.LocalEndpoint["ipv4"] = net.IP(ip).String()
		}
		z.LocalEndpoint["port"] = number(ep, 4)
		for _, a := range f[10] {
			z.Annotations = append(z.Annotations, struct {
				Timestamp int64
				Value     string
			}{0, string(bytesOf(fields(a.([]byte)), 2))})
		}
		for _, tag := range f[11] {
			kv := fields(tag.([]byte))
			z.Tags[string(bytesOf(kv, 1))] = string(bytesOf(kv, 2))
		}
		spans = append(spans, z.span())
	}
	return spans
}
