package cors

import (
	"cmp"
	"fmt"

	corsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/cors/v3"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"sofamesh.io/sofamesh/mosn/match"
	"sofamesh.io/sofamesh/mosn/runtime"
	"sofamesh.io/sofamesh/sdk"
)

// policies is what all levels of a route say together: of each field the innermost level
// that says something. But whether there is a policy at all says the innermost alone.
type policies struct {
	enabled, shadow runtime.Fraction
	runtime         *runtime.Values

	origins []match.String
	any     bool // some origin matcher takes "*", which means every origin
	methods string
	headers string
	expose  string
	maxAge  string

	credentials, private, forward answer
}

// answer is a boolean that may be left to the outer level.
type answer uint8

const (
	unsaid answer = iota
	yes
	no
)

func answerOf(v *wrapperspb.BoolValue) answer {
	switch {
	case v == nil:
		return unsaid
	case v.GetValue():
		return yes
	}
	return no
}

func compile(c sdk.Compiler, pb *corsv3.CorsPolicy) (*policies, error) {
	p := &policies{
		enabled: runtime.CompileFraction(pb.GetFilterEnabled()), runtime: runtime.Of(c),
		methods: pb.GetAllowMethods(), headers: pb.GetAllowHeaders(), expose: pb.GetExposeHeaders(), maxAge: pb.GetMaxAge(),
		credentials: answerOf(pb.GetAllowCredentials()), private: answerOf(pb.GetAllowPrivateNetworkAccess()),
		forward: answerOf(pb.GetForwardNotMatchingPreflights()),
	}
	if pb.GetShadowEnabled() != nil {
		p.shadow = runtime.CompileFraction(pb.GetShadowEnabled())
	}
	for i, m := range pb.GetAllowOriginStringMatch() {
		origin, err := match.CompileString(c.At(fmt.Sprintf("allow_origin_string_match[%d]", i)), m)
		if err != nil {
			return nil, err
		}
		p.origins = append(p.origins, origin)
		p.any = p.any || origin.Match("*")
	}
	return p, nil
}

// inherit takes from the outer levels what p does not say.
func (p *policies) inherit(outer *policies) {
	if len(p.origins) == 0 {
		p.origins, p.any = outer.origins, outer.any
	}
	p.methods = cmp.Or(p.methods, outer.methods)
	p.headers = cmp.Or(p.headers, outer.headers)
	p.expose = cmp.Or(p.expose, outer.expose)
	p.maxAge = cmp.Or(p.maxAge, outer.maxAge)
	p.credentials = cmp.Or(p.credentials, outer.credentials)
	p.private = cmp.Or(p.private, outer.private)
	p.forward = cmp.Or(p.forward, outer.forward)
}

func (p *policies) allows(origin string) bool {
	if p.any {
		return true
	}
	for i := range p.origins {
		if p.origins[i].Match(origin) {
			return true
		}
	}
	return false
}

// forwards reports whether preflight requests of other origins go upstream.
func (p *policies) forwards() bool { return p.forward != no }
