// Package grpcbridge is envoy.filters.http.grpc_http1_bridge: it lets HTTP/1.1 clients
// call servers of gRPC. They frame their one message themselves, or send it bare as
// application/x-protobuf, and get the status of the call as headers, with 503 for a
// failure, since they see no trailers.
//
// A compiled filter is shared by all loops; what it keeps of a stream belongs to that
// stream's loop. Responses are held until they are complete, within the buffer limit.
package grpcbridge

import (
	"strings"

	bridgev3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/grpc_http1_bridge/v3"
	"google.golang.org/protobuf/proto"

	"sofamesh.io/sofamesh/mosn/fields"
	"sofamesh.io/sofamesh/sdk"
	"sofamesh.io/sofamesh/sdk/grpc"
)

// bareType is the content type of messages without frames.
const bareType = "application/x-protobuf"

// Filter returns the extension.
func Filter() *sdk.HTTPFilter {
	return &sdk.HTTPFilter{
		Name:   "envoy.filters.http.grpc_http1_bridge",
		Config: &bridgev3.Config{},
		Fields: fields.Message("envoy.extensions.filters.http.grpc_http1_bridge.v3.Config",
			fields.Supported("upgrade_protobuf_to_grpc", "ignore_query_parameters")),
		Compile: func(_ sdk.Compiler, m proto.Message) (sdk.HTTPConfig, error) {
			pb := m.(*bridgev3.Config)
			return &filter{upgrade: pb.GetUpgradeProtobufToGrpc(), cutQuery: pb.GetIgnoreQueryParameters()}, nil
		},
	}
}

// filter is the compiled filter, and the one that all its streams share.
type filter struct {
	sdk.PassThrough
	upgrade  bool // messages without frames are taken
	cutQuery bool
}

// New implements sdk.HTTPConfig.
func (f *filter) New(sdk.Stream) sdk.Filter { return f }

// Close implements sdk.HTTPConfig.
func (f *filter) Close() {}

// call is what is kept of a stream.
type call struct {
	bridged bool // the client cannot speak gRPC
	bare    bool // and knows no frames
}

// OnRequestHeaders implements sdk.Filter.
func (f *filter) OnRequestHeaders(s sdk.Stream, end bool) sdk.Action {
	if p := s.Info().Protocol; p != sdk.HTTP10 && p != sdk.HTTP11 {
		return sdk.Continue
	}
	h := s.Request()
	bare := f.upgrade && h.ID(sdk.HeaderContentType) == bareType && h.HasID(sdk.HeaderPath)
	if !bare && !grpc.IsRequest(h) {
		return sdk.Continue
	}
	*sdk.State[call](s) = call{bridged: true, bare: bare}
	if path, _, cut := strings.Cut(h.Path(), "?"); cut && f.cutQuery {
		h.SetID(sdk.HeaderPath, path)
	}
	if bare {
		h.SetID(sdk.HeaderContentType, grpc.ContentType)
		h.RemoveID(sdk.HeaderContentLength) // it grows
		s.ClearRoute()
		if end {
			addFrame(s.RequestBody()) // a message without fields has no bytes
		}
	}
	return sdk.Continue
}

// OnRequestData implements sdk.Filter.
func (f *filter) OnRequestData(s sdk.Stream, data *sdk.Buffer, end bool) sdk.Action {
	if !sdk.State[call](s).bare {
		return sdk.Continue
	}
	if !end {
		return sdk.Collect
	}
	addFrame(data)
	return sdk.Continue
}

// OnRequestTrailers implements sdk.Filter.
func (f *filter) OnRequestTrailers(s sdk.Stream) sdk.Action {
	if sdk.State[call](s).bare {
		addFrame(s.RequestBody())
	}
	return sdk.Continue
}

// addFrame makes a body one message.
func addFrame(body *sdk.Buffer) {
	p := grpc.Prefix(uint32(body.Len()))
	body.Prepend(p[:])
}

// OnResponseHeaders implements sdk.Filter.
func (f *filter) OnResponseHeaders(s sdk.Stream, end bool) sdk.Action {
	if end || !sdk.State[call](s).bridged {
		return sdk.Continue
	}
	return sdk.Collect
}

// OnResponseData implements sdk.Filter. A response that ends without trailers is none of
// gRPC, and passes as it is.
func (f *filter) OnResponseData(s sdk.Stream, _ *sdk.Buffer, end bool) sdk.Action {
	if end || !sdk.State[call](s).bridged {
		return sdk.Continue
	}
	return sdk.Collect
}

// OnResponseTrailers implements sdk.Filter. The trailers go on, for the log: behind a
// content-length no HTTP/1.1 codec writes them.
func (f *filter) OnResponseTrailers(s sdk.Stream) sdk.Action {
	c := sdk.State[call](s)
	if !c.bridged {
		return sdk.Continue
	}
	h, trailers, body := s.Response(), s.ResponseTrailers(), s.ResponseBody()
	if c.bare && grpc.IsResponse(h, false) {
		body.Drain(min(grpc.PrefixSize, body.Len()))
	}
	if trailers.HasID(sdk.HeaderGRPCStatus) {
		status := trailers.ID(sdk.HeaderGRPCStatus)
		if strings.Trim(status, "0") != "" || status == "" {
			h.SetStatus(503)
		}
		h.SetID(sdk.HeaderGRPCStatus, status)
	}
	if trailers.HasID(sdk.HeaderGRPCMessage) {
		h.SetID(sdk.HeaderGRPCMessage, trailers.ID(sdk.HeaderGRPCMessage))
	}
	h.SetInt(sdk.HeaderContentLength, int64(body.Len()))
	return sdk.Continue
}
