package service

import (
	"net/url"
	"strings"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"

	"sofamesh.io/sofamesh/mosn/edit"
	"sofamesh.io/sofamesh/mosn/format"
	"sofamesh.io/sofamesh/sdk"
)

// HTTP is where an extension sends requests and how. It is read-only.
type HTTP struct {
	Cluster string
	Scheme  string // "http" unless the URI says
	Host    string // of the URI, with a port if it has one
	Path    string // of the URI, with the query: "/" at least
	Timeout time.Duration
	Headers edit.Options // to be added to each request
}

// URI compiles an HttpUri; c stands at it.
func URI(c sdk.Compiler, pb *corev3.HttpUri) (*HTTP, error) {
	raw := pb.GetUri()
	full := raw
	if !strings.Contains(raw, "://") { // "host/path" will do
		full = "http://" + raw
	}
	u, err := url.Parse(full)
	if err != nil {
		return nil, c.At("uri").Errorf("%q is not a URI", raw)
	}
	if u.Scheme != "http" && u.Scheme != "https" {
		return nil, c.At("uri").Errorf("%q is neither http nor https", raw)
	}
	if u.User != nil || u.Host == "" {
		return nil, c.At("uri").Errorf("%q must have a host, and nobody's name", raw)
	}
	s := &HTTP{
		Cluster: pb.GetCluster(), Scheme: u.Scheme, Host: u.Host, Path: u.RequestURI(),
		Timeout: pb.GetTimeout().AsDuration().Truncate(time.Millisecond),
	}
	if s.Timeout <= 0 {
		return nil, c.At("timeout").Errorf("must be a millisecond at least")
	}
	return s, nil
}

// Service compiles an HttpService; c stands at it.
func Service(c sdk.Compiler, pb *corev3.HttpService) (*HTTP, error) {
	if pb.GetHttpUri() == nil {
		return nil, c.At("http_uri").Errorf("is missing")
	}
	s, err := URI(c.At("http_uri"), pb.GetHttpUri())
	if err != nil {
		return nil, err
	}
	s.Headers, err = edit.CompileOptions(c, "request_headers_to_add", pb.GetRequestHeadersToAdd())
	return s, err
}

// Request begins r: a request with this method and without a body, to which more headers
// may be added. What r holds is used again. Any goroutine.
func (s *HTTP) Request(r *sdk.CallRequest, method string) {
	h := &r.Headers
	h.Reset()
	h.AddID(sdk.HeaderMethod, method)
	h.AddID(sdk.HeaderPath, s.Path)
	h.AddID(sdk.HeaderAuthority, s.Host)
	h.AddID(sdk.HeaderScheme, s.Scheme)
	s.Headers.Apply(h, &format.Context{Request: h})
	r.Body, r.Timeout = r.Body[:0], s.Timeout
}
