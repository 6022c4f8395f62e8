package rbac

import (
	"fmt"
	"net/netip"
	"strings"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	rbacconfigv3 "github.com/envoyproxy/go-control-plane/envoy/config/rbac/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"

	"sofamesh.io/sofamesh/mosn/match"
	"sofamesh.io/sofamesh/mosn/match/cel"
	"sofamesh.io/sofamesh/sdk"
)

//lint:file-ignore SA1019 Envoy still reads these fields, so we do

// policy is a compiled envoy.config.rbac.v3.Policy, or the name of an action of a matcher.
type policy struct {
	name, details           string
	permissions, principals matcher
	condition               *cel.Program // nil: none
	action                  rbacconfigv3.RBAC_Action
}

type kind uint8

const (
	all  kind = iota // of list
	some             // of list
	not              // list[0]
	constant
	header
	path
	destination // address
	port        // [low, high)
	server      // requested_server_name
	source      // address of the connection's peer
	remote      // address of the client, as headers tell
	upstream    // address and port that a filter has told, low and high included
	state       // filter state
	dynamic     // metadata of the stream
	routed      // metadata of the route
)

// matcher is a compiled permission or principal.
type matcher struct {
	kind      kind
	list      []matcher
	is        bool // constant
	header    match.Header
	text      match.String
	state     match.FilterState
	metadata  match.Metadata
	addresses match.Addresses
	low, high int64
}

func compilePolicy(c sdk.Compiler, name string, pb *rbacconfigv3.Policy) (*policy, error) {
	p := newPolicy(name)
	var err error
	if p.permissions, err = compileList(c, "permissions", some, pb.GetPermissions(), compilePermission); err != nil {
		return nil, err
	}
	if p.principals, err = compileList(c, "principals", some, pb.GetPrincipals(), compilePrincipal); err != nil {
		return nil, err
	}
	switch {
	case pb.GetCondition() != nil:
		p.condition, err = cel.CompileExpr(c.At("condition"), pb.GetCondition(), pb.GetCelConfig())
	case pb.GetCheckedCondition() != nil:
		p.condition, err = cel.CompileExpr(c.At("checked_condition.expr"), pb.GetCheckedCondition().GetExpr(), pb.GetCelConfig())
	}
	return p, err
}

func newPolicy(name string) *policy { return &policy{name: name, details: detailsOf(name)} }

// match reports whether the policy is about the request of s.
func (p *policy) match(s sdk.Stream) bool {
	return p.permissions.match(s) && p.principals.match(s) && (p.condition == nil || p.condition.Match(dataOf(s)))
}

func compileList[T any](c sdk.Compiler, field string, k kind, pbs []T, compile func(sdk.Compiler, T) (matcher, error)) (matcher, error) {
	m := matcher{kind: k}
	for i, pb := range pbs {
		one, err := compile(c.At(fmt.Sprintf("%s[%d]", field, i)), pb)
		if err != nil {
			return m, err
		}
		m.list = append(m.list, one)
	}
	return m, nil
}

func compilePermission(c sdk.Compiler, pb *rbacconfigv3.Permission) (m matcher, err error) {
	switch r := pb.GetRule().(type) {
	case *rbacconfigv3.Permission_AndRules:
		return compileList(c.At("and_rules"), "rules", all, r.AndRules.GetRules(), compilePermission)
	case *rbacconfigv3.Permission_OrRules:
		return compileList(c.At("or_rules"), "rules", some, r.OrRules.GetRules(), compilePermission)
	case *rbacconfigv3.Permission_NotRule:
		m, err = compilePermission(c.At("not_rule"), r.NotRule)
		return matcher{kind: not, list: []matcher{m}}, err
	case *rbacconfigv3.Permission_Any:
		m = matcher{kind: constant, is: true}
	case *rbacconfigv3.Permission_Header:
		m.kind = header
		m.header, err = match.CompileHeader(c.At("header"), r.Header)
	case *rbacconfigv3.Permission_UrlPath:
		m, err = compilePath(c.At("url_path.path"), r.UrlPath)
	case *rbacconfigv3.Permission_DestinationIp:
		m, err = compileAddress(c.At("destination_ip"), destination, r.DestinationIp)
	case *rbacconfigv3.Permission_DestinationPort:
		m = matcher{kind: port, low: int64(r.DestinationPort), high: int64(r.DestinationPort) + 1}
	case *rbacconfigv3.Permission_DestinationPortRange:
		m = matcher{kind: port, low: int64(r.DestinationPortRange.GetStart()), high: int64(r.DestinationPortRange.GetEnd())}
		if m.low < 0 || m.high > 65536 || m.low >= m.high {
			err = c.At("destination_port_range").Errorf("[%d, %d) is no range of ports", m.low, m.high)
		}
	case *rbacconfigv3.Permission_RequestedServerName:
		m.kind = server
		m.text, err = match.CompileString(c.At("requested_server_name"), r.RequestedServerName)
	case *rbacconfigv3.Permission_Metadata:
		m, err = compileMetadata(c.At("metadata"), r.Metadata, rbacconfigv3.MetadataSource_DYNAMIC)
	case *rbacconfigv3.Permission_SourcedMetadata:
		m, err = compileMetadata(c.At("sourced_metadata.metadata_matcher"), r.SourcedMetadata.GetMetadataMatcher(), r.SourcedMetadata.GetMetadataSource())
	case *rbacconfigv3.Permission_Matcher:
		m, err = compileExtension(c.At("matcher"), r.Matcher)
	default:
		err = c.Errorf("no rule is set that is supported")
	}
	return m, err
}

func compilePrincipal(c sdk.Compiler, pb *rbacconfigv3.Principal) (m matcher, err error) {
	switch r := pb.GetIdentifier().(type) {
	case *rbacconfigv3.Principal_AndIds:
		return compileList(c.At("and_ids"), "ids", all, r.AndIds.GetIds(), compilePrincipal)
	case *rbacconfigv3.Principal_OrIds:
		return compileList(c.At("or_ids"), "ids", some, r.OrIds.GetIds(), compilePrincipal)
	case *rbacconfigv3.Principal_NotId:
		m, err = compilePrincipal(c.At("not_id"), r.NotId)
		return matcher{kind: not, list: []matcher{m}}, err
	case *rbacconfigv3.Principal_Any:
		m = matcher{kind: constant, is: true}
	case *rbacconfigv3.Principal_Authenticated_:
		c.At("authenticated").Warnf("matches nobody, as there is no TLS yet")
		m = matcher{kind: constant}
	case *rbacconfigv3.Principal_SourceIp:
		m, err = compileAddress(c.At("source_ip"), source, r.SourceIp)
	case *rbacconfigv3.Principal_DirectRemoteIp:
		m, err = compileAddress(c.At("direct_remote_ip"), source, r.DirectRemoteIp)
	case *rbacconfigv3.Principal_RemoteIp:
		m, err = compileAddress(c.At("remote_ip"), remote, r.RemoteIp)
	case *rbacconfigv3.Principal_Header:
		m.kind = header
		m.header, err = match.CompileHeader(c.At("header"), r.Header)
	case *rbacconfigv3.Principal_UrlPath:
		m, err = compilePath(c.At("url_path.path"), r.UrlPath)
	case *rbacconfigv3.Principal_FilterState:
		m.kind = state
		m.state, err = match.CompileFilterState(c.At("filter_state"), r.FilterState)
	case *rbacconfigv3.Principal_Metadata:
		m, err = compileMetadata(c.At("metadata"), r.Metadata, rbacconfigv3.MetadataSource_DYNAMIC)
	case *rbacconfigv3.Principal_SourcedMetadata:
		m, err = compileMetadata(c.At("sourced_metadata.metadata_matcher"), r.SourcedMetadata.GetMetadataMatcher(), r.SourcedMetadata.GetMetadataSource())
	case *rbacconfigv3.Principal_Custom:
		m, err = compileCustom(c.At("custom"), r.Custom)
	default:
		err = c.Errorf("no identifier is set that is supported")
	}
	return m, err
}

func compilePath(c sdk.Compiler, pb *matcherv3.PathMatcher) (m matcher, err error) {
	m.kind = path
	m.text, err = match.CompileString(c, pb.GetPath())
	return m, err
}

func compileAddress(c sdk.Compiler, k kind, pb *corev3.CidrRange) (matcher, error) {
	p, err := match.CompileAddress(c, pb)
	return matcher{kind: k, addresses: match.Addresses{p}}, err
}

func compileMetadata(c sdk.Compiler, pb *matcherv3.MetadataMatcher, source rbacconfigv3.MetadataSource) (m matcher, err error) {
	m.kind = dynamic
	if source == rbacconfigv3.MetadataSource_ROUTE {
		m.kind = routed
	}
	m.metadata, err = match.CompileMetadata(c, pb)
	return m, err
}

// match reports whether the request of s is meant.
func (m *matcher) match(s sdk.Stream) bool {
	switch m.kind {
	case all:
		for i := range m.list {
			if !m.list[i].match(s) {
				return false
			}
		}
		return true
	case some:
		for i := range m.list {
			if m.list[i].match(s) {
				return true
			}
		}
		return false
	case not:
		return !m.list[0].match(s)
	case constant:
		return m.is
	case header:
		return m.header.Match(s.Request())
	case path:
		p := s.Request().Path()
		if i := strings.IndexAny(p, "?#"); i >= 0 {
			p = p[:i]
		}
		return m.text.Match(p)
	case server:
		return m.text.Match("") // which TLS would tell
	case state:
		return m.state.Match(s.Info())
	case dynamic:
		return m.metadata.Match(&s.Info().Dynamic)
	case routed:
		// Without a route nothing is said of it, not even by an inverted matcher; a route that
		// says nothing is like an empty one.
		return s.Info().VirtualHostName != "" && m.metadata.Match(s.Info().RouteMetadata)
	}
	return m.matchAddress(s.Info())
}

func (m *matcher) matchAddress(i *sdk.StreamInfo) bool {
	switch m.kind {
	case destination:
		return m.addresses.Match(i.DownstreamLocal.Addr())
	case port:
		p := int64(i.DownstreamLocal.Port())
		return i.DownstreamLocal.IsValid() && m.low <= p && p < m.high
	case source:
		return m.addresses.Match(i.DownstreamDirectRemote.Addr())
	case upstream:
		a, ok := i.FilterState(upstreamAddress).(netip.AddrPort)
		p := int64(a.Port())
		return ok && m.low <= p && p <= m.high && (m.addresses == nil || m.addresses.Match(a.Addr()))
	}
	return m.addresses.Match(i.DownstreamRemote.Addr())
}
