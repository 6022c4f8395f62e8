// Package rbac is envoy.filters.http.rbac: it lets requests through or answers them with
// 403, by policies that say who may do what.
//
// A compiled filter is immutable and shared by all loops. It leaves its verdicts in the
// stream's dynamic metadata, as Envoy does. Without TLS nobody is authenticated, so that
// principal matches no one, as in Envoy.
//
// RPC: policies see a call by the headers that its codec shows: :authority is the
// service, and url_path is "/service/method", in the case that it has on the wire. What
// is denied is answered by an error of the call's own protocol; a one-way call is
// dropped.
package rbac

import (
	"strings"
	"sync"

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
			return compileRoute(c.At("rbac"), m.(*rbacv3.RBACPerRoute).GetRbac())
		},
	}
}

// rules is what a chain or a route says.
type rules struct {
	enforced, shadow         *engine // nil: nothing is decided
	each                     bool    // policies are counted one by one
	enforcedKeys, shadowKeys keys    // of the chain, where a route has none
}

// keys are the names of a verdict in dynamic metadata.
type keys struct{ policy, result string }

func newKeys(prefix, kind string) keys {
	return keys{prefix + kind + "_effective_policy_id", prefix + kind + "_engine_result"}
}

func compileAll(c sdk.Compiler, pb *rbacv3.RBAC) (*rules, error) {
	r := &rules{each: pb.GetTrackPerRuleStats(),
		enforcedKeys: newKeys(pb.GetRulesStatPrefix(), "enforced"), shadowKeys: newKeys(pb.GetShadowRulesStatPrefix(), "shadow")}
	var err error
	if r.enforced, err = compileEngine(c, pb.GetRules(), pb.GetMatcher(), ""); err != nil {
		return nil, err
	}
	r.shadow, err = compileEngine(c, pb.GetShadowRules(), pb.GetShadowMatcher(), "shadow_")
	return r, err
}

// compileRoute is compileAll for a route.
func compileRoute(c sdk.Compiler, pb *rbacv3.RBAC) (*rules, error) {
	r, err := compileAll(c, pb)
	if err != nil {
		return nil, err
	}
	if pb.GetRulesStatPrefix() == "" {
		r.enforcedKeys = keys{}
	}
	if pb.GetShadowRulesStatPrefix() == "" {
		r.shadowKeys = keys{}
	}
	return r, nil
}

// filter is the compiled filter, and the one that all its streams share.
type filter struct {
	sdk.PassThrough
	rules            *rules // where the route has none
	enforced, shadow verdicts
}

func compile(c sdk.Compiler, pb *rbacv3.RBAC) (*filter, error) {
	r, err := compileAll(c, pb)
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
	if r.shadow != nil {
		v := r.shadow.judge(s)
		f.shadow.count(s, v, r.each)
		r.shadowKeys.or(f.rules.shadowKeys).tell(s, v)
	}
	if r.enforced == nil {
		return sdk.Continue
	}
	v := r.enforced.judge(s)
	f.enforced.count(s, v, r.each)
	r.enforcedKeys.or(f.rules.enforcedKeys).tell(s, v)
	if v.hinted {
		s.Info().Dynamic.Set("envoy.common", "access_log_hint", sdk.Bool(v.hint))
	}
	if v.allowed {
		return sdk.Continue
	}
	details := noPolicy
	if v.by != nil {
		details = v.by.details
	}
	s.Reply(sdk.Reply{Status: 403, Body: "RBAC: access denied", Details: details})
	return sdk.Replied
}

func (k keys) or(others keys) keys {
	if k == (keys{}) {
		return others
	}
	return k
}

// tell leaves a verdict to later filters and the access log.
func (k keys) tell(s sdk.Stream, v verdict) {
	const namespace = "envoy.filters.http.rbac"
	md := &s.Info().Dynamic
	if v.by != nil && v.by.name != "" {
		md.Set(namespace, k.policy, sdk.String(v.by.name))
	}
	md.Set(namespace, k.result, sdk.String(word(v.allowed)))
}

func word(allowed bool) string {
	if allowed {
		return "allowed"
	}
	return "denied"
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

func (v *verdicts) count(s sdk.Stream, of verdict, each bool) {
	if of.allowed {
		s.Inc(v.allowed)
	} else {
		s.Inc(v.denied)
	}
	if !each || of.by == nil {
		return
	}
	c, ok := v.known.Load(of.by)
	if !ok { // the first time; afterwards nothing is locked
		c, _ = v.known.LoadOrStore(of.by, v.scope.Scope(of.by.name).Counter(v.kind+word(of.allowed)))
	}
	s.Inc(c.(sdk.Counter))
}
