// Package buffer is envoy.filters.http.buffer: it holds a request until all of its body
// is there, for servers that are better not kept waiting for slow clients.
//
// A compiled filter is shared by all loops; what it keeps of a stream belongs to that
// stream's loop. A request that turns out to be larger than may be held is answered by
// 413. Of RPC the same is true, but no content-length is added: its frames have lengths
// of their own.
package buffer

import (
	bufferv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/buffer/v3"
	"google.golang.org/protobuf/proto"

	"sofamesh.io/sofamesh/mosn/fields"
	"sofamesh.io/sofamesh/sdk"
)

// Filter returns the extension.
func Filter() *sdk.HTTPFilter {
	const pkg = "envoy.extensions.filters.http.buffer.v3."
	return &sdk.HTTPFilter{
		Name:   "envoy.filters.http.buffer",
		Config: &bufferv3.Buffer{},
		Route:  &bufferv3.BufferPerRoute{},
		Fields: fields.Join(
			fields.Message(pkg+"Buffer", fields.Supported("max_request_bytes")),
			fields.Message(pkg+"BufferPerRoute", fields.Supported("disabled", "buffer")),
		),
		Compile: func(_ sdk.Compiler, m proto.Message) (sdk.HTTPConfig, error) {
			return &filter{limit: limitOf(m.(*bufferv3.Buffer))}, nil
		},
		CompileRoute: func(_ sdk.Compiler, m proto.Message) (sdk.RouteConfig, error) {
			return limitOf(m.(*bufferv3.BufferPerRoute).GetBuffer()), nil // none where it is disabled
		},
	}
}

// limit is the most bytes of a body that are held; 0 is for requests that are not.
type limit uint32

func limitOf(pb *bufferv3.Buffer) limit { return limit(pb.GetMaxRequestBytes().GetValue()) }

// filter is the compiled filter, and the one that all its streams share.
type filter struct {
	sdk.PassThrough
	limit limit
}

// New implements sdk.HTTPConfig.
func (f *filter) New(sdk.Stream) sdk.Filter { return f }

// Close implements sdk.HTTPConfig.
func (f *filter) Close() {}

// OnRequestHeaders implements sdk.Filter. The state of a stream is its limit.
func (f *filter) OnRequestHeaders(s sdk.Stream, end bool) sdk.Action {
	if end {
		return sdk.Continue
	}
	most := f.limit
	if l, ok := s.RouteConfig().(limit); ok {
		most = l
	}
	if *sdk.State[limit](s) = most; most == 0 {
		return sdk.Continue
	}
	s.LimitRequest(int(most))
	return sdk.Collect
}

// OnRequestData implements sdk.Filter. To go on collecting what is too large already has
// it refused.
func (f *filter) OnRequestData(s sdk.Stream, data *sdk.Buffer, end bool) sdk.Action {
	most := int(*sdk.State[limit](s))
	switch {
	case most == 0:
		return sdk.Continue
	case !end || data.Len() > most:
		return sdk.Collect
	}
	setLength(s, data.Len())
	return sdk.Continue
}

// OnRequestTrailers implements sdk.Filter.
func (f *filter) OnRequestTrailers(s sdk.Stream) sdk.Action {
	if *sdk.State[limit](s) > 0 {
		setLength(s, s.RequestBody().Len())
	}
	return sdk.Continue
}

// setLength says how long the body is, if the client could not.
func setLength(s sdk.Stream, n int) {
	if h := s.Request(); s.Info().Protocol != sdk.RPC && !h.HasID(sdk.HeaderContentLength) {
		h.SetInt(sdk.HeaderContentLength, int64(n))
	}
}
