package rbac

import (
	"fmt"
	"maps"
	"slices"

	xdsmatcherv3 "github.com/cncf/xds/go/xds/type/matcher/v3"
	rbacconfigv3 "github.com/envoyproxy/go-control-plane/envoy/config/rbac/v3"
	"google.golang.org/protobuf/proto"

	"sofamesh.io/sofamesh/mosn/match"
	"sofamesh.io/sofamesh/mosn/match/tree"
	"sofamesh.io/sofamesh/sdk"
)

// engine decides: by policies, or by a matcher whose actions are named like policies.
type engine struct {
	action   rbacconfigv3.RBAC_Action // of the policies
	policies []*policy                // by name
	matcher  *tree.Tree[*policy]      // instead of policies
	logs     bool                     // LOG is an action, so all say whether to log
}

// verdict is what an engine says of a request.
type verdict struct {
	allowed bool
	by      *policy // nil: none matched
	// hinted says that access logs get a hint whether to log, which is hint.
	hinted, hint bool
}

// compileEngine returns nil for rules and a matcher that are not there.
func compileEngine(c sdk.Compiler, rules *rbacconfigv3.RBAC, matcher *xdsmatcherv3.Matcher, prefix string) (*engine, error) {
	if matcher == nil {
		return compileRules(c.At(prefix+"rules"), rules)
	}
	if rules != nil {
		c.At(prefix + "rules").Warnf("is ignored, as there is a matcher")
	}
	e := &engine{}
	var err error
	e.matcher, err = tree.Compile(c.At(prefix+"matcher"), matcher, tree.Options[*policy]{Inputs: inputs(),
		Action: func(c sdk.Compiler, config proto.Message) (*policy, error) {
			a, ok := config.(*rbacconfigv3.Action)
			if !ok {
				return nil, c.Errorf("%s is no action of this filter", config.ProtoReflect().Descriptor().FullName())
			}
			p := newPolicy(a.GetName())
			p.action = a.GetAction()
			e.logs = e.logs || p.action == rbacconfigv3.RBAC_LOG
			return p, nil
		}})
	return e, err
}

// inputs are those that Envoy's filter allows.
func inputs() []string {
	const network = "envoy.extensions.matching.common_inputs.network.v3."
	return []string{
		network + "DestinationIPInput", network + "DestinationPortInput", network + "SourceIPInput", network + "SourcePortInput",
		network + "DirectSourceIPInput", network + "ServerNameInput", network + "FilterStateInput", network + "DynamicMetadataInput",
		"envoy.type.matcher.v3.HttpRequestHeaderMatchInput", "xds.type.matcher.v3.HttpAttributesCelMatchInput",
	}
}

func compileRules(c sdk.Compiler, pb *rbacconfigv3.RBAC) (*engine, error) {
	if pb == nil {
		return nil, nil
	}
	e := &engine{action: pb.GetAction()}
	for _, name := range slices.Sorted(maps.Keys(pb.GetPolicies())) {
		p, err := compilePolicy(c.At(fmt.Sprintf("policies[%q]", name)), name, pb.GetPolicies()[name])
		if err != nil {
			return nil, err
		}
		e.policies = append(e.policies, p)
	}
	return e, nil
}

// dataOf is what expressions and matchers see of s. Its memory is the filter's place in
// the stream.
func dataOf(s sdk.Stream) *match.Data {
	d := sdk.State[match.Data](s)
	d.Info, d.Request = s.Info(), s.Request()
	return d
}

func (e *engine) judge(s sdk.Stream) (v verdict) {
	if e.matcher != nil {
		p, outcome := e.matcher.Match(dataOf(s))
		if outcome != tree.Matched {
			return v
		}
		return verdict{allowed: p.action != rbacconfigv3.RBAC_DENY, by: p, hinted: e.logs, hint: p.action == rbacconfigv3.RBAC_LOG}
	}
	for _, p := range e.policies {
		if p.match(s) {
			v.by = p
			break
		}
	}
	switch e.action {
	case rbacconfigv3.RBAC_DENY:
		v.allowed = v.by == nil
	case rbacconfigv3.RBAC_LOG:
		v.allowed, v.hinted, v.hint = true, true, v.by != nil
	default:
		v.allowed = v.by != nil
	}
	return v
}
