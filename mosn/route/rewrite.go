package route

import (
	"strings"
	"unsafe"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"

	"sofamesh.io/sofamesh/mosn/match"
	"sofamesh.io/sofamesh/sdk"
)

// Scratch is memory that the methods of a Route reuse from call to call. The zero
// value is ready; a loop needs one.
type Scratch struct {
	buf    []byte
	values []editValue
}

// FinalizeRequest does to the headers of a request what the configuration says,
// before it is sent: header edits from the cluster of a weighted route outwards,
// then the host, then the path. info is for the operators in header values and may
// be nil. keepOriginal leaves the old host and path in x-envoy-original-host and
// x-envoy-original-path.
func (r *Route) FinalizeRequest(h *sdk.Headers, info *sdk.StreamInfo, s *Scratch, keepOriginal bool) {
	if v := r.variant; v != nil {
		v.request.apply(h, h, nil, info, s)
		if v.host != "" {
			h.SetID(sdk.HeaderAuthority, v.host)
		}
	}
	for _, e := range r.levels(r.request, r.VirtualHost.request, r.VirtualHost.table.request) {
		e.apply(h, h, nil, info, s)
	}
	if f := r.Forward; f != nil {
		f.rewriteHost.apply(h, f.AppendForwardedHost, keepOriginal)
		f.rewritePath.apply(h, &r.match, s, keepOriginal)
	}
}

// FinalizeResponse edits the headers of a response, also of one that the proxy made
// itself. Envoy leaves the redirect of require_tls alone.
func (r *Route) FinalizeResponse(resp, req *sdk.Headers, info *sdk.StreamInfo, s *Scratch) {
	if r.Redirect != nil && r.Redirect.tls {
		return
	}
	if r.variant != nil {
		r.variant.response.apply(resp, req, resp, info, s)
	}
	for _, e := range r.levels(r.response, r.VirtualHost.response, r.VirtualHost.table.response) {
		e.apply(resp, req, resp, info, s)
	}
}

// levels returns the edits in the order in which they are applied.
func (r *Route) levels(own, vhost, table *edits) [3]*edits {
	if r.VirtualHost.table.ascend {
		return [3]*edits{table, vhost, own}
	}
	return [3]*edits{own, vhost, table}
}

// hostRewrite is one of host_rewrite_literal, host_rewrite_header and
// host_rewrite_path_regex.
type hostRewrite struct {
	literal string
	header  string
	path    *match.Substitute
}

func compileHostRewrite(c sdk.Compiler, pb *routev3.RouteAction) (*hostRewrite, error) {
	switch p := pb.GetHostRewriteSpecifier().(type) {
	case nil, *routev3.RouteAction_AutoHostRewrite:
		return nil, nil
	case *routev3.RouteAction_HostRewriteLiteral:
		return &hostRewrite{literal: p.HostRewriteLiteral}, nil
	case *routev3.RouteAction_HostRewriteHeader:
		return &hostRewrite{header: match.HeaderName(p.HostRewriteHeader)}, nil
	case *routev3.RouteAction_HostRewritePathRegex:
		sub, err := match.CompileSubstitute(c.At("host_rewrite_path_regex"), p.HostRewritePathRegex)
		return &hostRewrite{path: sub}, err
	default:
		return nil, c.At("host_rewrite").Errorf("is not supported")
	}
}

func (w *hostRewrite) apply(h *sdk.Headers, appendForwarded, keepOriginal bool) {
	if w == nil {
		return
	}
	host := w.literal
	switch {
	case w.header != "":
		host = h.Value(w.header)
	case w.path != nil:
		host = w.path.Replace(pathOnly(h.Path()))
	}
	if host != "" {
		RewriteHost(h, host, appendForwarded, keepOriginal)
	}
}

// RewriteHost gives a request another :authority. appendForwarded adds the old one
// to x-forwarded-host, unless it is the last there already; keepOriginal leaves it
// in x-envoy-original-host. host may be a string of h.
func RewriteHost(h *sdk.Headers, host string, appendForwarded, keepOriginal bool) {
	old := h.Authority()
	if old != "" && appendForwarded {
		list := h.ID(sdk.HeaderForwardedHost)
		if list[strings.LastIndexByte(list, ',')+1:] != old {
			h.AppendID(sdk.HeaderForwardedHost, ",", old)
		}
	}
	if old != "" && keepOriginal {
		h.SetID(sdk.HeaderEnvoyOriginalHost, old)
	}
	h.SetID(sdk.HeaderAuthority, host)
}

// pathRewrite is one of prefix_rewrite and regex_rewrite.
type pathRewrite struct {
	prefix string
	regex  *match.Substitute
	// redirect is Envoy's rule for redirects: an empty result of regex changes
	// nothing.
	redirect bool
}

func compilePathRewrite(c sdk.Compiler, pb *routev3.RouteAction) (*pathRewrite, error) {
	if pb.GetPathRewritePolicy() != nil {
		return nil, c.At("path_rewrite_policy").Errorf("extension %q is not supported", pb.GetPathRewritePolicy().GetName())
	}
	prefix, regex := pb.GetPrefixRewrite(), pb.GetRegexRewrite()
	switch {
	case prefix != "" && regex != nil:
		return nil, c.Errorf("only one of prefix_rewrite and regex_rewrite may be set")
	case prefix != "":
		return &pathRewrite{prefix: prefix}, nil
	case regex != nil:
		sub, err := match.CompileSubstitute(c.At("regex_rewrite"), regex)
		return &pathRewrite{regex: sub}, err
	}
	return nil, nil
}

// apply rewrites :path. The prefix replaces what the route matched; the regular
// expression works on the whole path. The query stays.
func (w *pathRewrite) apply(h *sdk.Headers, m *matcher, s *Scratch, keepOriginal bool) {
	if w == nil {
		return
	}
	path := h.Path()
	replacement, end := w.prefix, len(pathOnly(path))
	if w.regex != nil {
		if replacement = w.regex.Replace(path[:end]); replacement == "" && w.redirect {
			return
		}
	} else if m.kind != matchRegex && m.kind != matchConnect {
		end = min(len(m.text), len(path)) // a filter may have changed the path since
	}
	if keepOriginal {
		h.SetID(sdk.HeaderEnvoyOriginalPath, path)
	}
	s.buf = append(append(s.buf[:0], replacement...), path[end:]...)
	h.SetID(sdk.HeaderPath, view(s.buf))
}

// view is b as a string for a callee that copies it.
func view(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }
