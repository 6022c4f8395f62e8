package route

import (
	"strings"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"sofamesh.io/sofamesh/mosn/match"
	"sofamesh.io/sofamesh/mosn/runtime"
	"sofamesh.io/sofamesh/sdk"
	"sofamesh.io/sofamesh/sdk/grpc"
)

type matchKind uint8

const (
	matchPrefix matchKind = iota
	matchPath
	matchRegex
	matchSegments // path_separated_prefix
	matchConnect
)

// matcher is a compiled envoy.config.route.v3.RouteMatch.
type matcher struct {
	kind     matchKind
	fold     bool // case_sensitive: false
	grpc     bool
	fraction *runtime.Fraction // nil: always
	// text is the path or prefix as configured: what prefix_rewrite replaces.
	text    string
	path    match.String
	headers match.Headers
	queries match.Queries
	cookies match.Cookies
	dynamic []match.Metadata
	state   []match.FilterState
	// presented and validated ask for a property of the client's certificate.
	presented, validated *bool
}

// target is the path of a request as the routes of a virtual host look at it.
type target struct {
	full    string // with the query
	path    string // what is compared
	missing bool   // there is no :path: only CONNECT routes are asked
	connect bool
}

func newTarget(h *sdk.Headers, ignoreParams bool) target {
	t := target{full: h.Path(), missing: !h.HasID(sdk.HeaderPath), connect: h.Method() == "CONNECT"}
	t.path = pathOnly(t.full)
	if ignoreParams {
		if i := strings.IndexByte(t.path, ';'); i >= 0 {
			t.path = t.path[:i]
		}
	}
	return t
}

// pathOnly cuts off the query and what looks like a fragment.
func pathOnly(path string) string {
	if i := strings.IndexByte(path, '?'); i >= 0 {
		path = path[:i]
	}
	if i := strings.IndexByte(path, '#'); i >= 0 {
		path = path[:i]
	}
	return path
}

// matches reports whether everything that the route asks for is true. The path
// comes first because it is cheap and tells most routes apart.
func (m *matcher) matches(h *sdk.Headers, in *MatchInput, t *target) bool {
	if !m.matchesPath(t) {
		return false
	}
	return (!m.grpc || grpc.IsRequest(h)) &&
		(m.fraction == nil || m.fraction.Enabled(in.Runtime, in.Random)) &&
		m.headers.Match(h) &&
		m.queries.Match(t.full) &&
		m.cookies.Match(h) &&
		m.matchesInfo(in.Info) &&
		(m.presented == nil || *m.presented == in.PeerPresented) &&
		(m.validated == nil || *m.validated == in.PeerValidated)
}

// matchesInfo looks at what filters have said of the stream.
func (m *matcher) matchesInfo(info *sdk.StreamInfo) bool {
	for i := range m.dynamic {
		if !m.dynamic[i].Match(&info.Dynamic) {
			return false
		}
	}
	for i := range m.state {
		if !m.state[i].Match(info) {
			return false
		}
	}
	return true
}

func (m *matcher) matchesPath(t *target) bool {
	switch {
	case m.kind == matchConnect:
		return t.connect
	case t.missing || !m.path.Match(t.path):
		return false
	case m.kind == matchSegments:
		return len(t.path) == len(m.text) || t.path[len(m.text)] == '/'
	}
	return true
}

func compileMatch(c sdk.Compiler, pb *routev3.RouteMatch) (matcher, error) {
	m := matcher{
		fold: pb.GetCaseSensitive() != nil && !pb.GetCaseSensitive().GetValue(),
		grpc: pb.GetGrpc() != nil,
	}
	if pb.GetRuntimeFraction() != nil {
		f := runtime.CompileFraction(pb.GetRuntimeFraction())
		m.fraction = &f
	}
	var err error
	switch p := pb.GetPathSpecifier().(type) {
	case *routev3.RouteMatch_Prefix:
		m.text, m.path = p.Prefix, match.Prefix(p.Prefix, m.fold)
	case *routev3.RouteMatch_Path:
		m.kind, m.text, m.path = matchPath, p.Path, match.Exact(p.Path, m.fold)
	case *routev3.RouteMatch_PathSeparatedPrefix:
		m.kind, m.text, m.path = matchSegments, p.PathSeparatedPrefix, match.Prefix(p.PathSeparatedPrefix, m.fold)
	case *routev3.RouteMatch_SafeRegex:
		var re *match.Regex
		re, err = match.CompileRegex(c.At("safe_regex"), p.SafeRegex)
		m.kind, m.path = matchRegex, match.FromRegex(re)
	case *routev3.RouteMatch_ConnectMatcher_:
		m.kind = matchConnect
	case *routev3.RouteMatch_PathMatchPolicy:
		err = c.At("path_match_policy").Errorf("extension %q is not supported", p.PathMatchPolicy.GetName())
	default:
		err = c.Errorf("no path specifier is set")
	}
	if err != nil {
		return m, err
	}
	if tls := pb.GetTlsContext(); tls != nil {
		m.presented, m.validated = boolOf(tls.GetPresented()), boolOf(tls.GetValidated())
	}
	if m.headers, err = match.CompileHeaders(c, "headers", pb.GetHeaders()); err != nil {
		return m, err
	}
	if m.queries, err = match.CompileQueries(c, "query_parameters", pb.GetQueryParameters()); err != nil {
		return m, err
	}
	if m.cookies, err = match.CompileCookies(c, "cookies", pb.GetCookies()); err != nil {
		return m, err
	}
	return m, m.compileInfo(c, pb)
}

func (m *matcher) compileInfo(c sdk.Compiler, pb *routev3.RouteMatch) error {
	for i, d := range pb.GetDynamicMetadata() {
		one, err := match.CompileMetadata(c.At(element("dynamic_metadata", i)), d)
		if err != nil {
			return err
		}
		m.dynamic = append(m.dynamic, one)
	}
	for i, s := range pb.GetFilterState() {
		one, err := match.CompileFilterState(c.At(element("filter_state", i)), s)
		if err != nil {
			return err
		}
		m.state = append(m.state, one)
	}
	return nil
}

func boolOf(v *wrapperspb.BoolValue) *bool {
	if v == nil {
		return nil
	}
	b := v.GetValue()
	return &b
}
