package hcm

import (
	"cmp"
	"fmt"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"

	"sofamesh.io/sofamesh/mosn/accesslog"
	"sofamesh.io/sofamesh/mosn/edit"
	"sofamesh.io/sofamesh/mosn/format"
	"sofamesh.io/sofamesh/mosn/stream"
	"sofamesh.io/sofamesh/sdk"
)

func compileLocalReply(c sdk.Compiler, pb *hcmv3.HttpConnectionManager, cfg *stream.Config) error {
	config := pb.GetLocalReplyConfig()
	if config == nil {
		return nil
	}
	c = c.At("local_reply_config")
	var filters accesslog.CompileOptions
	if h, ok := c.(host); ok {
		filters.Runtime = h.Runtime()
	}
	l := &stream.LocalReply{}
	var err error
	if l.Body, err = compileReplyBody(c.At("body_format"), config.GetBodyFormat()); err != nil {
		return err
	}
	for i, m := range config.GetMappers() {
		mapper, err := compileReplyMapper(c.At(fmt.Sprintf("mappers[%d]", i)), m, filters)
		if err != nil {
			return err
		}
		l.Mappers = append(l.Mappers, mapper)
	}
	cfg.LocalReply = l
	return nil
}

func compileReplyMapper(c sdk.Compiler, pb *hcmv3.ResponseMapper, o accesslog.CompileOptions) (m stream.ReplyMapper, err error) {
	if m.For, err = accesslog.CompileFilter(c.At("filter"), pb.GetFilter(), o); err != nil {
		return m, err
	}
	if m.Headers, err = edit.CompileOptions(c, "headers_to_add", pb.GetHeadersToAdd()); err != nil {
		return m, err
	}
	if pb.GetBody() != nil {
		text, err := format.Source(c.At("body"), pb.GetBody())
		if err != nil {
			return m, err
		}
		m.Text = &text
	}
	m.Status = int(pb.GetStatusCode().GetValue())
	m.Body, err = compileReplyBody(c.At("body_format_override"), pb.GetBodyFormatOverride())
	return m, err
}

func compileReplyBody(c sdk.Compiler, pb *corev3.SubstitutionFormatString) (b stream.ReplyBody, err error) {
	if pb == nil {
		return b, nil
	}
	b.ContentType = "text/plain"
	if pb.GetJsonFormat() != nil {
		b.ContentType = "application/json"
	}
	b.ContentType = cmp.Or(pb.GetContentType(), b.ContentType)
	b.Format, err = format.Compile(c, pb)
	return b, err
}
