package stream

import (
	"cmp"
	"errors"
	"strings"

	"sofamesh.io/sofamesh/mosn/route"
	"sofamesh.io/sofamesh/sdk"
	"sofamesh.io/sofamesh/sdk/grpc"
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
	if r.Status == 400 && !s.rpc {
		s.conn.closeAfter() // for Envoy it says that the messages are wrong, whoever says it
	}
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

	body := s.fillReply(r)
	s.info.ResponseCode = s.resp.Status()
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

// errorText is what the exception says that an RPC's caller gets of a reply. Where HTTP
// has no body there are people all the same who have to read it.
func (s *Stream) errorText(r sdk.Reply) string {
	switch r.Details {
	case "route_not_found":
		return "no route for " + s.req.Authority() + s.req.Path()
	case "cluster_not_found":
		return "the route's cluster " + s.info.ClusterName + " is not known"
	}
	return cmp.Or(r.Body, r.Details)
}

// resetResponse forgets a response that filters still held.
func (s *Stream) resetResponse() {
	s.resp.Reset()
	s.respTrail.Reset()
	s.hasRespTrail = false
	for i := range s.slots {
		r := &s.slots[i].resp
		r.hold.Release()
		r.stop, r.head, r.end, r.trail, r.added = passing, false, false, false, false
	}
}

// fillReply makes the head of a reply, in the form of the caller's protocol, and returns
// the body. As in Envoy, edits come before the form, which they cannot break.
func (s *Stream) fillReply(r sdk.Reply) (body string) {
	m := &s.resp
	m.SetStatus(r.Status)
	if r.Edit != nil {
		r.Edit(&m.Headers)
	}
	s.up.decorate(m) // %RESPONSE_CODE% is still 0 there, as in Envoy
	contentType, given := plainText, r.Body
	if l := s.cfg.LocalReply; l != nil && !s.rpc {
		before := m.ID(sdk.HeaderContentType)
		contentType = s.rewriteReply(l, &r)
		if m.ID(sdk.HeaderContentType) == before && (r.Body != given || contentType != plainText) {
			m.RemoveID(sdk.HeaderContentType) // it was of another body
		}
	}
	switch {
	case s.rpc:
		m.Text = s.errorText(r) // its codec makes an exception of it
	case s.grpc:
		if contentType == "application/json" { // its line ends there, which no header may
			r.Body = strings.TrimSuffix(r.Body, "\n")
		}
		s.fillGRPC(r)
	case r.Body != "":
		m.SetInt(sdk.HeaderContentLength, int64(len(r.Body)))
		if !m.HasID(sdk.HeaderContentType) {
			m.AddID(sdk.HeaderContentType, contentType)
		}
		return r.Body
	default:
		m.RemoveID(sdk.HeaderContentLength)
		m.RemoveID(sdk.HeaderContentType)
	}
	return ""
}

// fillGRPC makes the reply one of gRPC: 200, with the status in headers that are
// trailers too (PROTOCOL-HTTP2.md "Trailers-Only").
func (s *Stream) fillGRPC(r sdk.Reply) {
	m := &s.resp
	m.SetStatus(200)
	m.SetID(sdk.HeaderContentType, grpc.ContentType)
	if m.ID(sdk.HeaderGRPCStatus) == "" {
		m.SetInt(sdk.HeaderGRPCStatus, int64(cmp.Or(r.GRPCStatus, grpc.StatusOfHTTP(r.Status))))
	}
	if r.Body != "" && !s.headRequest {
		m.SetID(sdk.HeaderGRPCMessage, grpc.EncodeMessage(r.Body))
	}
	m.RemoveID(sdk.HeaderContentLength)
}

// redirect answers with the location that the route names.
func (s *Stream) redirect(r *route.Redirect) {
	s.w.stats.Inc(s.cfg.Stats.RqDirect) // as in Envoy, whose rq_redirect stays 0
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
	w.location = s.route.Location(w.location[:0], &s.req.Headers, &w.routeScratch, !s.router.SuppressEnvoyHeaders)
	h.SetID(sdk.HeaderLocation, bytesString(w.location))
}
