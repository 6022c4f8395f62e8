package stream

import (
	"sofamesh.io/sofamesh/mosn/accesslog"
	"sofamesh.io/sofamesh/mosn/edit"
	"sofamesh.io/sofamesh/mosn/format"
	"sofamesh.io/sofamesh/sdk"
)

// LocalReply is what becomes of the answers that the proxy gives itself: Envoy's
// local_reply_config. It is compiled and shared by the loops. Of an RPC it changes nothing:
// there an answer is an exception in the protocol of the caller.
type LocalReply struct {
	Mappers []ReplyMapper // the first that applies counts
	Body    ReplyBody     // for what no mapper has a body format of its own for
}

// ReplyMapper changes the answers that a filter is for.
type ReplyMapper struct {
	For     accesslog.Filter
	Status  int     // 0: as it is
	Text    *string // in place of the body's text; nil: as it is
	Body    ReplyBody
	Headers edit.Options
}

// ReplyBody is how a body is made. The zero ReplyBody is the text itself.
type ReplyBody struct {
	Format      *format.Format
	ContentType string
}

const plainText = "text/plain"

// rewriteReply changes a reply whose head is in s.resp as it is configured, and gives
// the content type that goes with the body.
func (s *Stream) rewriteReply(l *LocalReply, r *sdk.Reply) (contentType string) {
	m := &s.resp
	s.info.ResponseCode = r.Status
	ctx := format.Context{Info: &s.info, Request: &s.req.Headers, Response: &m.Headers, LocalReplyBody: r.Body}
	body := l.Body
	for i := range l.Mappers {
		p := &l.Mappers[i]
		if !p.For.Pass(&s.info, &s.req.Headers, &m.Headers, &s.respTrail.Headers) {
			continue
		}
		if p.Text != nil {
			r.Body = *p.Text
			ctx.LocalReplyBody = r.Body
		}
		p.Headers.Apply(&m.Headers, &ctx)
		if p.Status != 0 {
			r.Status = p.Status
			m.SetStatus(r.Status)
			s.info.ResponseCode = r.Status
		}
		if p.Body.Format != nil {
			body = p.Body
		}
		break
	}
	if body.Format == nil {
		return plainText
	}
	s.w.replyText = body.Format.Append(s.w.replyText[:0], &ctx)
	r.Body = bytesString(s.w.replyText)
	return body.ContentType
}
