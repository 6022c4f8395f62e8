// Package rbac is envoy.filters.http.rbac: it lets requests through or answers them with
// 403, by policies that say who may do what.
//
// A compiled filter is immutable and shared by all loops. It keeps nothing of a stream
// and, where Envoy leaves its verdict in dynamic metadata, leaves nothing: there is none
// yet. Without TLS nobody is authenticated, so that principal matches no one, as in
// Envoy.
//
// RPC: policies see a call by the headers that its codec shows: :authority is the
// service, and url_path is "/service/method", in the case that it has on the wire. What
// is denied is answered by an error of the call's own protocol; a one-way call is
// dropped.
package rbac

import (
	"strings"
	"sync"

	rbacconfigv3 "github.com/envoyproxy/go-control-plane/envoy/config/rbac/v3"
	rbacv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/rbac/v3"
	"google.golang.org/protobuf/proto"

	"sofamesh.io/sofamesh/sdk"
)

// Filter returns the extension.
func Filter() *sdk.HTTPFilter {
	return &sdk.HTTPFilter{
		Name:   "envoy.filters.http.rbac",
		Config: &rbacv3.RBAC{},
		Route:  &rbacv3.RBACPerRoute{},
		Fields: declared(),
		Compile: func(c sdk.Compiler, m proto.Message) (sdk.HTTPConfig, error) {
			return compile(c, m.(*rbacv3.RBAC))
		},
		CompileRoute: func(c sdk.Compiler, m proto.Message) (sdk.RouteConfig, error) {
			return compileRules(c.At("rbac"), m.(*rbacv3.RBACPerRoute).GetRbac())
		},
	}
}

// rules is what a chain or a route says.
type rules struct {
	enforced, shadow *engine // nil: nothing is decided
	each             bool    // policies are counted one by one
}

func compileRules(c sdk.Compiler, pb *rbacv3.RBAC) (*rules, error) {
	r := &rules{each: pb.GetTrackPerRuleStats()}
	var err error
	if r.enforced, err = compileEngine(c.At("rules"), pb.GetRules()); err != nil {
		return nil, err
	}
	r.shadow, err = compileEngine(c.At("shadow_rules"), pb.GetShadowRules())
	return r, err
}

// filter is the compiled filter, and the one that all its streams share.
type filter struct {
	sdk.PassThrough
	rules            *rules // where the route has none
	enforced, shadow verdicts
}

func compile(c sdk.Compiler, pb *rbacv3.RBAC) (*filter, error) {
	r, err := compileRules(c, pb)
	stats := c.Stats().Scope("rbac")
	return &filter{
		rules:    r,
		enforced: newVerdicts(stats, pb.GetRulesStatPrefix(), ""),
		shadow:   newVerdicts(stats, pb.GetShadowRulesStatPrefix(), "shadow_"),
	}, err
}

// New implements sdk.HTTPConfig.
func (f *filter) New(sdk.Stream) sdk.Filter { return f }

// Close implements sdk.HTTPConfig.
func (f *filter) Close() {}

// OnRequestHeaders implements sdk.Filter.
func (f *filter) OnRequestHeaders(s sdk.Stream, _ bool) sdk.Action {
	r := f.rules
	if route, ok := s.RouteConfig().(*rules); ok {
		r = route
	}
	if e := r.shadow; e != nil {
		allowed, p := e.judge(s)
		f.shadow.count(s, allowed, p, r.each)
	}
	e := r.enforced
	if e == nil {
		return sdk.Continue
	}
	allowed, p := e.judge(s)
	f.enforced.count(s, allowed, p, r.each)
	if allowed {
		return sdk.Continue
	}
	details := noPolicy
	if p != nil {
		details = p.details
	}
	s.Reply(sdk.Reply{Status: 403, Body: "RBAC: access denied", Details: details})
	return sdk.Replied
}

// noPolicy is Envoy's %RESPONSE_CODE_DETAILS% where no policy allows a request.
const noPolicy = "rbac_access_denied_matched_policy[none]"

// detailsOf is that where a policy denies it: one word.
func detailsOf(policy string) string {
	word := strings.Map(func(r rune) rune {
		if strings.ContainsRune(" \t\f\v\n\r", r) {
			return '_'
		}
		return r
	}, policy)
	return "rbac_access_denied_matched_policy[" + word + "]"
}

// verdicts counts those of the enforced rules, or of the shadow rules.
type verdicts struct {
	allowed, denied sdk.Counter
	scope           sdk.Scope
	kind            string
	known           *sync.Map // *policy to its counter, which a route's policy has in each chain
}

func newVerdicts(scope sdk.Scope, prefix, kind string) verdicts {
	if prefix = strings.TrimSuffix(prefix, "."); prefix != "" {
		scope = scope.Scope(prefix)
	}
	return verdicts{
		allowed: scope.Counter(kind + "allowed"), denied: scope.Counter(kind + "denied"),
		scope: scope.Scope("policy"), kind: kind, known: &sync.Map{},
	}
}

func (v *verdicts) count(s sdk.Stream, allowed bool, p *policy, each bool) {
	if allowed {
		s.Inc(v.allowed)
	} else {
		s.Inc(v.denied)
	}
	if !each || p == nil {
		return
	}
	c, ok := v.known.Load(p)
	if !ok { // the first time; afterwards nothing is locked
		name := v.kind + "denied"
		if allowed {
			name = v.kind + "allowed"
		}
		c, _ = v.known.LoadOrStore(p, v.scope.Scope(p.name).Counter(name))
	}
	s.Inc(c.(sdk.Counter))
}

// engine is a compiled envoy.config.rbac.v3.RBAC.
type engine struct {
	action   rbacconfigv3.RBAC_Action
	policies []*policy // by name
}

// judge returns whether the request is allowed, and the policy that matched it.
func (e *engine) judge(s sdk.Stream) (allowed bool, matched *policy) {
	for _, p := range e.policies {
		if p.permissions.match(s) && p.principals.match(s) {
			matched = p
			break
		}
	}
	switch e.action {
	case rbacconfigv3.RBAC_DENY:
		return matched == nil, matched
	case rbacconfigv3.RBAC_LOG:
		return true, matched
	}
	return matched != nil, matched
}
