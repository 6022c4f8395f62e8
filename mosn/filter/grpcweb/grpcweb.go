// Package grpcweb is envoy.filters.http.grpc_web: it lets gRPC-Web clients (browsers,
// which see no trailers and may see no binary bodies; PROTOCOL-WEB.md of gRPC) call
// servers of gRPC. CORS is another filter's.
//
// A compiled filter is shared by all loops; what it keeps of a stream belongs to that
// stream's loop. Messages are translated as they pass, a few bytes are held.
package grpcweb

import (
	"strings"

	webv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/grpc_web/v3"
	"google.golang.org/protobuf/proto"

	"sofamesh.io/sofamesh/sdk"
	"sofamesh.io/sofamesh/sdk/grpc"
)

// The content types.
const (
	binaryType  = "application/grpc-web"
	binaryProto = "application/grpc-web+proto"
	textType    = "application/grpc-web-text"
	textProto   = "application/grpc-web-text+proto"
)

// trailersFlag marks the frame that holds the trailers.
const trailersFlag = 0x80

// maxMessage is the most of a response that is not gRPC which becomes grpc-message.
const maxMessage = 16 << 10

// maxMethods is the most methods that have stats of their own, which in Envoy are as
// many as clients make up.
const maxMethods = 4096

const badBase64 = "Bad gRPC-web request, invalid base64 data."

// Filter returns the extension. Its configuration has no fields.
func Filter() *sdk.HTTPFilter {
	return &sdk.HTTPFilter{
		Name:   "envoy.filters.http.grpc_web",
		Config: &webv3.GrpcWeb{},
		Fields: sdk.FieldStatus{},
		Compile: func(sdk.Compiler, proto.Message) (sdk.HTTPConfig, error) {
			return &filter{stats: grpc.NewStats(grpc.StatsOptions{Protocol: "grpc-web", Limit: maxMethods})}, nil
		},
	}
}

// filter is the compiled filter, and the one that all its streams share.
type filter struct {
	sdk.PassThrough
	stats *grpc.Stats
}

// New implements sdk.HTTPConfig.
func (f *filter) New(sdk.Stream) sdk.Filter { return f }

// Close implements sdk.HTTPConfig.
func (f *filter) Close() {}

// exchange is what is kept of a stream.
type exchange struct {
	web     bool        // the client speaks gRPC-Web
	textIn  bool        // and sends text
	textOut bool        // and wants text
	foreign bool        // the response is none of gRPC: its body becomes grpc-message
	calls   *grpc.Calls // nil when the call is not counted
	in      decoder
	out     encoder
	message []byte // of a foreign response
}

// OnRequestHeaders implements sdk.Filter.
func (f *filter) OnRequestHeaders(s sdk.Stream, _ bool) sdk.Action {
	h := s.Request()
	text, ok := kind(h.ID(sdk.HeaderContentType))
	if !ok || !h.HasID(sdk.HeaderPath) {
		return sdk.Continue
	}
	x := sdk.State[exchange](s)
	x.web, x.textIn = true, text
	x.textOut, _ = kind(h.ID(sdk.HeaderAccept))
	if service, method, ok := grpc.Method(h.Path()); ok {
		if cluster, scope := s.Cluster(); scope != nil {
			x.calls = f.stats.Method(cluster, scope, service, method)
		}
	}
	h.RemoveID(sdk.HeaderContentLength) // of the text, and gRPC's bodies have none
	h.SetID(sdk.HeaderContentType, grpc.ContentType)
	h.SetID(sdk.HeaderTE, "trailers")
	if !h.Has("grpc-accept-encoding") {
		h.Add("grpc-accept-encoding", "identity")
	}
	return sdk.Continue
}

// kind tells the content types of gRPC-Web, which have no parameters in requests.
func kind(contentType string) (text, ok bool) {
	switch contentType {
	case textType, textProto:
		return true, true
	case binaryType, binaryProto:
		return false, true
	}
	return false, false
}

// OnRequestData implements sdk.Filter.
func (f *filter) OnRequestData(s sdk.Stream, data *sdk.Buffer, end bool) sdk.Action {
	x := sdk.State[exchange](s)
	if !x.textIn {
		return sdk.Continue
	}
	if !x.in.decode(data) {
		return refuse(s, "grpc_base_64_decode_failed")
	}
	if end {
		return x.requestEnds(s)
	}
	return sdk.Continue
}

// OnRequestTrailers implements sdk.Filter.
func (f *filter) OnRequestTrailers(s sdk.Stream) sdk.Action {
	return sdk.State[exchange](s).requestEnds(s)
}

func (x *exchange) requestEnds(s sdk.Stream) sdk.Action {
	if !x.in.whole() {
		return refuse(s, "grpc_base_64_decode_failed_bad_size")
	}
	return sdk.Continue
}

func refuse(s sdk.Stream, details string) sdk.Action {
	s.Reply(sdk.Reply{Status: 400, Body: badBase64, Details: details})
	return sdk.Replied
}

// OnResponseHeaders implements sdk.Filter.
func (f *filter) OnResponseHeaders(s sdk.Stream, end bool) sdk.Action {
	x := sdk.State[exchange](s)
	if !x.web {
		return sdk.Continue
	}
	h := s.Response()
	x.count(s, h)
	foreign := !grpc.IsResponse(h, end) && !isWebResponse(h)
	h.RemoveID(sdk.HeaderContentLength)
	if x.textOut {
		h.SetID(sdk.HeaderContentType, textProto)
	} else {
		h.SetID(sdk.HeaderContentType, binaryProto)
	}
	if end || !foreign {
		return sdk.Continue
	}
	x.foreign = true
	return sdk.Collect
}

// isWebResponse reports whether a response is of gRPC-Web already.
func isWebResponse(h *sdk.Headers) bool {
	ct, _, _ := strings.Cut(h.ID(sdk.HeaderContentType), ";")
	ct = strings.TrimRight(ct, " \t")
	return h.ID(sdk.HeaderStatus) == "200" && (strings.EqualFold(ct, binaryType) || strings.EqualFold(ct, binaryProto))
}

func (x *exchange) count(s sdk.Stream, h *sdk.Headers) {
	if x.calls != nil && h.HasID(sdk.HeaderGRPCStatus) {
		x.calls.Ended(s, h.ID(sdk.HeaderGRPCStatus))
	}
}

// OnResponseData implements sdk.Filter.
func (f *filter) OnResponseData(s sdk.Stream, data *sdk.Buffer, end bool) sdk.Action {
	x := sdk.State[exchange](s)
	switch {
	case x.foreign:
		x.keep(data)
		if !end {
			return sdk.Collect
		}
		x.explain(s.Response())
	case x.textOut:
		x.out.encodeMessages(data)
		if end {
			x.out.flush(data)
		}
	}
	return sdk.Continue
}

// keep takes body for grpc-message, and drops what is too much.
func (x *exchange) keep(data *sdk.Buffer) {
	for !data.Empty() {
		p := data.First()
		n := min(len(p), maxMessage-len(x.message))
		x.message = append(x.message, p[:n]...)
		data.Drain(len(p))
	}
}

// explain makes the head of a response that is none of gRPC say what its body said.
func (x *exchange) explain(h *sdk.Headers) {
	x.foreign = false
	h.SetID(sdk.HeaderGRPCMessage, grpc.EncodeMessage(string(x.message)))
	h.SetInt(sdk.HeaderGRPCStatus, int64(grpc.StatusOfHTTP(h.Status())))
	h.SetInt(sdk.HeaderContentLength, 0)
	x.message = nil
}

// OnResponseTrailers implements sdk.Filter.
func (f *filter) OnResponseTrailers(s sdk.Stream) sdk.Action {
	x := sdk.State[exchange](s)
	if !x.web {
		return sdk.Continue
	}
	trailers := s.ResponseTrailers()
	x.count(s, trailers)
	if x.foreign {
		x.explain(s.Response())
		return sdk.Continue
	}
	x.appendTrailers(s.ResponseBody(), trailers)
	for i := range trailers.Slots() {
		if name, _, ok := trailers.At(i); ok {
			trailers.Remove(name)
		}
	}
	return sdk.Continue
}

// appendTrailers appends trailers to the body as a frame: lines of "name:value".
func (x *exchange) appendTrailers(body *sdk.Buffer, h *sdk.Headers) {
	x.out.flush(body) // what there is of a message that was cut off
	prefix := grpc.Prefix(uint32(h.ByteSize() + h.Len()*len(":\r\n")))
	prefix[0] = trailersFlag
	x.emit(body, string(prefix[:]))
	for i := range h.Slots() {
		if name, value, ok := h.At(i); ok {
			x.emit(body, name)
			x.emit(body, ":")
			x.emit(body, value)
			x.emit(body, "\r\n")
		}
	}
	x.out.flush(body)
}

// emit appends p to the body in the form that the client wants.
func (x *exchange) emit(body *sdk.Buffer, p string) {
	if x.textOut {
		write(&x.out, body, p)
	} else {
		body.AppendString(p)
	}
}
