package route

import (
	"os"
	"strconv"
	"strings"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"

	"sofamesh.io/sofamesh/mosn/match"
	"sofamesh.io/sofamesh/sdk"
)

// Redirect is a compiled envoy.config.route.v3.RedirectAction.
type Redirect struct {
	Code int // of the response

	scheme     string // "" keeps it
	host       string // "" keeps it
	port       string // ":port", "" keeps it
	path       string // path_redirect, "" keeps the path
	hasQuery   bool   // path has a query of its own
	stripQuery bool
	tls        bool // of require_tls: the host stays as it is, port included
	rewrite    *pathRewrite
}

func compileRedirect(c sdk.Compiler, pb *routev3.RedirectAction) (*Redirect, error) {
	r := &Redirect{
		Code:       redirectCode(pb.GetResponseCode()),
		host:       pb.GetHostRedirect(),
		path:       pb.GetPathRedirect(),
		hasQuery:   strings.Contains(pb.GetPathRedirect(), "?"),
		stripQuery: pb.GetStripQuery(),
		scheme:     pb.GetSchemeRedirect(),
	}
	if pb.GetHttpsRedirect() {
		r.scheme = "https"
	}
	if port := pb.GetPortRedirect(); port != 0 {
		r.port = ":" + strconv.FormatUint(uint64(port), 10)
	}
	switch p := pb.GetPathRewriteSpecifier().(type) {
	case nil, *routev3.RedirectAction_PathRedirect:
	case *routev3.RedirectAction_PrefixRewrite:
		if p.PrefixRewrite != "" {
			r.rewrite = &pathRewrite{prefix: p.PrefixRewrite, redirect: true}
		}
	case *routev3.RedirectAction_RegexRewrite:
		sub, err := match.CompileSubstitute(c.At("regex_rewrite"), p.RegexRewrite)
		if err != nil {
			return nil, err
		}
		r.rewrite = &pathRewrite{regex: sub, redirect: true}
	default:
		return nil, c.At("path_rewrite").Errorf("is not supported")
	}
	return r, nil
}

func redirectCode(code routev3.RedirectAction_RedirectResponseCode) int {
	switch code {
	case routev3.RedirectAction_FOUND:
		return 302
	case routev3.RedirectAction_SEE_OTHER:
		return 303
	case routev3.RedirectAction_TEMPORARY_REDIRECT:
		return 307
	case routev3.RedirectAction_PERMANENT_REDIRECT:
		return 308
	}
	return 301
}

// HasLocation reports whether the answer to the request carries a location header:
// redirects, and, as in Envoy, direct responses of status 201.
func (r *Route) HasLocation() bool {
	return r.Redirect != nil || r.Direct != nil && r.Direct.Status == 201
}

// Location appends the value of the location header to dst, for a route that has
// one. Like Envoy it first rewrites the :path of the request, so that the access
// log shows the new one; keepOriginal leaves the old one in x-envoy-original-path.
func (r *Route) Location(dst []byte, h *sdk.Headers, s *Scratch, keepOriginal bool) []byte {
	redirect := r.Redirect
	if redirect == nil {
		redirect = &Redirect{} // the request's own URL
	}
	redirect.rewrite.apply(h, &r.match, s, keepOriginal)
	return redirect.location(dst, h)
}

func (r *Redirect) location(dst []byte, h *sdk.Headers) []byte {
	scheme := r.scheme
	if scheme == "" {
		scheme = h.Scheme()
	}
	host := r.host
	switch {
	case r.tls:
		host = h.Authority()
	case host == "":
		host = r.keptHost(h, scheme)
	}
	dst = append(append(dst, scheme...), "://"...)
	dst = append(append(dst, host...), r.port...)
	return r.appendPath(dst, h.Path())
}

// keptHost returns the request's host, without its port when that is replaced, or
// when it is the default port of the scheme that is left.
func (r *Redirect) keptHost(h *sdk.Headers, scheme string) string {
	host := h.Authority()
	at := portStart(host)
	port, was := host[at:], h.ID(sdk.HeaderForwardedProto)
	if r.port != "" || scheme != was && (was == "http" && port == ":80" || was == "https" && port == ":443") {
		return host[:at]
	}
	return host
}

func (r *Redirect) appendPath(dst []byte, path string) []byte {
	query := strings.IndexByte(path, '?')
	switch {
	case r.path == "" && r.stripQuery && query >= 0:
		return append(dst, path[:query]...)
	case r.path == "":
		return append(dst, path...)
	}
	dst = append(dst, r.path...)
	if query >= 0 && !r.hasQuery && !r.stripQuery {
		dst = append(dst, path[query:]...)
	}
	return dst
}

// Direct is a compiled envoy.config.route.v3.DirectResponseAction.
type Direct struct {
	Status int
	Body   string
}

func (cc *compiler) direct(c sdk.Compiler, pb *routev3.DirectResponseAction) (*Direct, error) {
	if pb.GetBodyFormat() != nil {
		return nil, c.At("body_format").Errorf("is not supported")
	}
	body, err := readSource(c.At("body"), pb.GetBody())
	if err != nil {
		return nil, err
	}
	if len(body) > cc.maxDirectBody {
		return nil, c.At("body").Errorf("is %d bytes; max_direct_response_body_size_bytes is %d", len(body), cc.maxDirectBody)
	}
	return &Direct{Status: int(pb.GetStatus()), Body: body}, nil
}

// readSource reads a data source now; a file is not watched.
func readSource(c sdk.Compiler, pb *corev3.DataSource) (string, error) {
	if pb.GetWatchedDirectory() != nil {
		return "", c.At("watched_directory").Errorf("is not supported")
	}
	switch p := pb.GetSpecifier().(type) {
	case nil:
		return "", nil
	case *corev3.DataSource_InlineString:
		return p.InlineString, nil
	case *corev3.DataSource_InlineBytes:
		return string(p.InlineBytes), nil
	case *corev3.DataSource_Filename:
		b, err := os.ReadFile(p.Filename)
		if err != nil {
			return "", c.At("filename").Errorf("%w", err)
		}
		return string(b), nil
	case *corev3.DataSource_EnvironmentVariable:
		v, ok := os.LookupEnv(p.EnvironmentVariable)
		if !ok {
			return "", c.At("environment_variable").Errorf("%s is not set", p.EnvironmentVariable)
		}
		return v, nil
	default:
		return "", c.Errorf("%T is not supported", p)
	}
}
