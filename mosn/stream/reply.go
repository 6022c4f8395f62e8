package stream

import (
	"cmp"
	"errors"
	"strings"

	"sofamesh.io/sofamesh/mosn/route"
	"sofamesh.io/sofamesh/sdk"
)

var (
	errAsyncFull = errors.New("stream: too many blocking calls are waiting")
	errDuplicate = &sdk.CodecError{
		Details: "duplicate_stream_id", Text: "a request has the id of one that is under way",
	}
	errHeaderTimeout = &sdk.CodecError{
		Status: 408, Details: "request_header_timeout", Text: "request header timeout",
	}
	errRequestTimeout = &sdk.CodecError{
		Status: 408, Details: "request_overall_timeout", Text: "request timeout",
	}
	errHeadIdle = &sdk.CodecError{
		Status: 408, Details: "stream_idle_timeout", Text: "stream timeout",
	}
)

// replyOrAbort answers the request if that is still possible, else gives the stream
// up.
func (s *Stream) replyOrAbort(r sdk.Reply) {
	switch {
	case !s.phase.live():
	case s.phase.can(reply) && !s.respHeadSent:
		s.reply(r)
	default:
		s.info.Details = r.Details
		s.abort(r.Flag)
	}
}

// reply answers the request ourselves. The reply passes the response filters like
// any other, unless they have been shown the head of another response before: then it
// goes past them, as in Envoy, so that a filter may replace a response without meeting
// its own. Attempts that are under way are given up.
func (s *Stream) reply(r sdk.Reply) {
	s.up.end()
	first := len(s.slots) - 1
	if s.phase == responding {
		s.unfiltered, first = true, -1
	}
	s.phase.move(reply)
	s.local, s.respEnded = true, true
	s.up.clearTimeouts()
	s.deadlines[dlBackoff] = 0
	s.pauseClient(false)
	s.info.Details = r.Details
	s.info.Flags |= r.Flag
	s.resetResponse()

	m := &s.resp
	m.SetStatus(r.Status)
	body := r.Body
	switch {
	case s.rpc:
		m.Text, body = cmp.Or(r.Body, r.Details), "" // its codec makes an exception of it
	case s.grpcRequest():
		body = s.grpcReply(r)
	}
	if body != "" {
		m.SetInt(sdk.HeaderContentLength, int64(len(body)))
		m.SetID(sdk.HeaderContentType, "text/plain")
	}
	if r.Edit != nil {
		r.Edit(&m.Headers)
	}
	s.up.decorate(m) // %RESPONSE_CODE% is still 0 there, as in Envoy
	s.info.ResponseCode = m.Status()
	if s.headRequest {
		body = ""
	}
	s.headersFrom(toClient, first, body == "")
	replaced := s.unfiltered && first >= 0 // by a filter that saw the head
	if body != "" && s.phase.live() && !replaced {
		b := &s.w.replyBody // chunk may hold what a filter was looking at
		defer b.Release()
		b.Release() // a filter that answers anew has seen the answer before in it
		b.AppendString(body)
		s.dataFrom(toClient, first, b, true)
	}
}

// resetResponse forgets a response that filters still held.
func (s *Stream) resetResponse() {
	s.resp.Reset()
	for i := range s.slots {
		r := &s.slots[i].resp
		r.hold.Release()
		r.stop, r.head, r.end, r.trail = passing, false, false, false
	}
}

func (s *Stream) grpcRequest() bool {
	ct := s.req.ID(sdk.HeaderContentType)
	const grpc = "application/grpc"
	return strings.HasPrefix(ct, grpc) && (len(ct) == len(grpc) || ct[len(grpc)] == '+')
}

// grpcReply makes the reply one of gRPC: 200, with the status in headers that are
// trailers too (PROTOCOL-HTTP2.md "Trailers-Only").
func (s *Stream) grpcReply(r sdk.Reply) (body string) {
	code := r.GRPCStatus
	if code == 0 {
		code = grpcStatus(r.Status)
	}
	m := &s.resp
	m.SetStatus(200)
	m.SetID(sdk.HeaderContentType, "application/grpc")
	m.SetInt(sdk.HeaderGRPCStatus, int64(code))
	if r.Body != "" {
		m.SetID(sdk.HeaderGRPCMessage, percentEncode(r.Body))
	}
	return ""
}

// grpcStatus maps an HTTP status as Envoy's Grpc::Utility::httpToGrpcStatus does
// (gRPC's http-grpc-status-mapping.md).
func grpcStatus(code int) int {
	switch code {
	case 400:
		return 13 // internal
	case 401:
		return 16 // unauthenticated
	case 403:
		return 7 // permission denied
	case 404:
		return 12 // unimplemented
	case 429, 502, 503, 504:
		return 14 // unavailable
	}
	return 2 // unknown
}

// percentEncode escapes what grpc-message may not hold.
func percentEncode(s string) string {
	const hex = "0123456789ABCDEF"
	var b strings.Builder
	for i := range len(s) {
		if c := s[i]; c >= ' ' && c <= '~' && c != '%' {
			b.WriteByte(c)
		} else {
			b.WriteByte('%')
			b.WriteByte(hex[c>>4])
			b.WriteByte(hex[c&15])
		}
	}
	return b.String()
}

// redirect answers with the location that the route names.
func (s *Stream) redirect(r *route.Redirect) {
	s.w.stats.Inc(s.cfg.Stats.RqRedirect)
	s.reply(sdk.Reply{Status: r.Code, Details: "direct_response", Edit: s.setLocation})
}

// direct answers with the body that the route holds.
func (s *Stream) direct(d *route.Direct) {
	s.w.stats.Inc(s.cfg.Stats.RqDirect)
	r := sdk.Reply{Status: d.Status, Body: d.Body, Details: "direct_response"}
	if s.route.HasLocation() {
		r.Edit = s.setLocation
	}
	s.reply(r)
}

// setLocation makes the location header of the route's own answer.
func (s *Stream) setLocation(h *sdk.Headers) {
	w := s.w
	w.location = s.route.Location(w.location[:0], &s.req.Headers, &w.routeScratch, !s.cfg.SuppressEnvoyHeaders)
	h.SetID(sdk.HeaderLocation, bytesString(w.location))
}
