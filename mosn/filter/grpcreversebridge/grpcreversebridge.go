// Package grpcreversebridge is envoy.filters.http.grpc_http1_reverse_bridge: it lets
// clients of gRPC call servers of plain HTTP, which take a message as a body and answer
// with one. Unary calls alone can be bridged so.
//
// A compiled filter is shared by all loops; what it keeps of a stream belongs to that
// stream's loop. A response whose size no header tells is held until it is complete,
// within the buffer limit, if frames are withheld from the server.
package grpcreversebridge

import (
	"fmt"
	"strconv"
	"strings"

	reversev3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/grpc_http1_reverse_bridge/v3"
	"google.golang.org/protobuf/proto"

	"sofamesh.io/sofamesh/mosn/fields"
	"sofamesh.io/sofamesh/sdk"
	"sofamesh.io/sofamesh/sdk/grpc"
)

// Filter returns the extension.
func Filter() *sdk.HTTPFilter {
	const pkg = "envoy.extensions.filters.http.grpc_http1_reverse_bridge.v3."
	return &sdk.HTTPFilter{
		Name:   "envoy.filters.http.grpc_http1_reverse_bridge",
		Config: &reversev3.FilterConfig{},
		Route:  &reversev3.FilterConfigPerRoute{},
		Fields: fields.Join(
			fields.Message(pkg+"FilterConfig", fields.Supported("content_type", "withhold_grpc_frames", "response_size_header")),
			fields.Message(pkg+"FilterConfigPerRoute", fields.Supported("disabled")),
		),
		Compile: func(_ sdk.Compiler, m proto.Message) (sdk.HTTPConfig, error) {
			pb := m.(*reversev3.FilterConfig)
			return &filter{
				contentType: pb.GetContentType(), withhold: pb.GetWithholdGrpcFrames(),
				sizeHeader: strings.ToLower(pb.GetResponseSizeHeader()),
			}, nil
		},
		CompileRoute: func(_ sdk.Compiler, m proto.Message) (sdk.RouteConfig, error) {
			return disabled(m.(*reversev3.FilterConfigPerRoute).GetDisabled()), nil
		},
	}
}

// disabled is the configuration of a route.
type disabled bool

// filter is the compiled filter, and the one that all its streams share.
type filter struct {
	sdk.PassThrough
	contentType string
	withhold    bool   // the server sees no frames
	sizeHeader  string // tells the size of a response; "" when none does
}

// New implements sdk.HTTPConfig.
func (f *filter) New(sdk.Stream) sdk.Filter { return f }

// Close implements sdk.HTTPConfig.
func (f *filter) Close() {}

// call is what is kept of a stream.
type call struct {
	bridged     bool
	stripped    bool   // the frame of the request is taken off
	framed      bool   // that of the response is there
	contentType string // of the client
	status      int    // grpc-status of the answer
	size        uint32 // of the response, as the header tells
	seen        uint64 // bytes of it so far
}

// OnRequestHeaders implements sdk.Filter.
func (f *filter) OnRequestHeaders(s sdk.Stream, end bool) sdk.Action {
	h := s.Request()
	if off, _ := s.RouteConfig().(disabled); end || bool(off) || !grpc.IsRequest(h) {
		return sdk.Continue
	}
	*sdk.State[call](s) = call{bridged: true, stripped: !f.withhold, contentType: h.ID(sdk.HeaderContentType)}
	h.SetID(sdk.HeaderContentType, f.contentType)
	h.SetID(sdk.HeaderAccept, f.contentType)
	if f.withhold {
		adjustLength(h, -grpc.PrefixSize)
	}
	s.ClearRoute()
	return sdk.Continue
}

// adjustLength changes a content-length that is there and not 0. One that cannot be
// changed is left out.
func adjustLength(h *sdk.Headers, by int64) {
	text := h.ID(sdk.HeaderContentLength)
	if text == "" {
		return
	}
	switch n, err := strconv.ParseInt(text, 10, 62); {
	case err != nil || n > 0 && n+by < 0:
		h.RemoveID(sdk.HeaderContentLength)
	case n > 0:
		h.SetInt(sdk.HeaderContentLength, n+by)
	}
}

// OnRequestData implements sdk.Filter.
func (f *filter) OnRequestData(s sdk.Stream, data *sdk.Buffer, end bool) sdk.Action {
	c := sdk.State[call](s)
	if !c.bridged || c.stripped {
		return sdk.Continue
	}
	if data.Len() < grpc.PrefixSize {
		if end {
			return tooSmall(s)
		}
		return sdk.Collect // until the whole frame header is here
	}
	data.Drain(grpc.PrefixSize)
	c.stripped = true
	return sdk.Continue
}

// OnRequestTrailers implements sdk.Filter.
func (f *filter) OnRequestTrailers(s sdk.Stream) sdk.Action {
	if c := sdk.State[call](s); c.bridged && !c.stripped {
		return tooSmall(s)
	}
	return sdk.Continue
}

func tooSmall(s sdk.Stream) sdk.Action {
	return fail(s, grpc.Unknown, "grpc_bridge_data_too_small", "invalid request body")
}

func fail(s sdk.Stream, status int, details, body string) sdk.Action {
	s.Reply(sdk.Reply{Status: 200, GRPCStatus: status, Details: details, Body: body})
	return sdk.Replied
}

// OnResponseHeaders implements sdk.Filter.
func (f *filter) OnResponseHeaders(s sdk.Stream, end bool) sdk.Action {
	c := sdk.State[call](s)
	h := s.Response()
	if !c.bridged || end && grpc.IsResponse(h, end) && grpc.HasContentType(h) {
		c.bridged = false // an answer of gRPC already: the proxy's own, with its reason
		return sdk.Continue
	}
	if h.ID(sdk.HeaderContentType) != f.contentType {
		return fail(s, grpc.Unknown, "grpc_bridge_content_type_wrong", badContentType(h))
	}
	h.SetID(sdk.HeaderContentType, c.contentType)
	if c.status = grpc.OK; h.Status() != 200 {
		c.status = grpc.StatusOfHTTP(h.Status())
	}
	if f.withhold && !f.setLength(c, h) {
		return fail(s, grpc.Internal, "grpc_bridge_content_length_missing", "envoy reverse bridge: upstream did not set content length")
	}
	h.SetStatus(200)
	switch {
	case !end:
	case f.withhold:
		p := grpc.Prefix(0)
		s.ResponseBody().Append(p[:])
		h.SetInt(sdk.HeaderContentLength, grpc.PrefixSize)
		c.end(s)
	default:
		h.SetInt(sdk.HeaderGRPCStatus, int64(c.status)) // a head alone is trailers too
	}
	return sdk.Continue
}

// setLength makes content-length that of the response with a frame; false means that the
// header which should tell it does not.
func (f *filter) setLength(c *call, h *sdk.Headers) bool {
	if f.sizeHeader == "" {
		adjustLength(h, grpc.PrefixSize)
		return true
	}
	text, _, _ := strings.Cut(h.Value(f.sizeHeader), ",")
	n, err := strconv.ParseUint(strings.TrimSpace(text), 10, 32)
	if err != nil {
		return false
	}
	c.size = uint32(n)
	h.SetInt(sdk.HeaderContentLength, int64(n)+grpc.PrefixSize)
	return true
}

func badContentType(h *sdk.Headers) string {
	if !h.HasID(sdk.HeaderContentType) {
		return fmt.Sprintf("envoy reverse bridge: upstream responded with no content-type header, status code %d", h.Status())
	}
	return fmt.Sprintf("envoy reverse bridge: upstream responded with unsupported content-type %s, status code %d",
		h.ID(sdk.HeaderContentType), h.Status())
}

// end adds the status of the call, behind the body.
func (c *call) end(s sdk.Stream) {
	s.AddResponseTrailers().SetInt(sdk.HeaderGRPCStatus, int64(c.status))
}

// OnResponseData implements sdk.Filter.
func (f *filter) OnResponseData(s sdk.Stream, data *sdk.Buffer, end bool) sdk.Action {
	c := sdk.State[call](s)
	switch {
	case !c.bridged:
		return sdk.Continue
	case f.withhold && f.sizeHeader == "":
		if !end {
			return sdk.Collect
		}
		addFrame(data, uint32(data.Len()))
	case f.withhold && !f.stream(c, data, end):
		return wrongLength(s)
	}
	if end {
		c.end(s)
	}
	return sdk.Continue
}

// stream passes on body whose size is known, and reports whether it fits that.
func (f *filter) stream(c *call, data *sdk.Buffer, end bool) bool {
	c.seen += uint64(data.Len())
	if c.seen > uint64(c.size) || end && c.seen < uint64(c.size) {
		return false
	}
	if !c.framed {
		c.framed = true
		addFrame(data, c.size)
	}
	return true
}

func wrongLength(s sdk.Stream) sdk.Action {
	return fail(s, grpc.Internal, "grpc_bridge_content_length_wrong", "envoy reverse bridge: upstream set incorrect content length")
}

func addFrame(body *sdk.Buffer, size uint32) {
	p := grpc.Prefix(size)
	body.Prepend(p[:])
}

// OnResponseTrailers implements sdk.Filter.
func (f *filter) OnResponseTrailers(s sdk.Stream) sdk.Action {
	c := sdk.State[call](s)
	if !c.bridged {
		return sdk.Continue
	}
	if f.withhold {
		body := s.ResponseBody()
		if f.sizeHeader == "" {
			addFrame(body, uint32(body.Len()))
		} else if !f.stream(c, body, true) {
			return wrongLength(s)
		}
	}
	c.end(s)
	return sdk.Continue
}
