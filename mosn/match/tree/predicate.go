package tree

import (
	"fmt"

	xdscorev3 "github.com/cncf/xds/go/xds/core/v3"
	xdsmatcherv3 "github.com/cncf/xds/go/xds/type/matcher/v3"
	hashingv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/matching/input_matchers/consistent_hashing/v3"
	ipv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/matching/input_matchers/ip/v3"
	metadatamatcherv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/matching/input_matchers/metadata/v3"
	fractionv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/matching/input_matchers/runtime_fraction/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"

	"sofamesh.io/sofamesh/mosn/match"
	"sofamesh.io/sofamesh/mosn/match/cel"
	"sofamesh.io/sofamesh/mosn/match/xxhash"
	"sofamesh.io/sofamesh/mosn/runtime"
	"sofamesh.io/sofamesh/sdk"
)

type kind uint8

const (
	single kind = iota
	all         // of list
	some        // of list
	not         // list[0]
)

// predicate is a compiled condition of a list's row.
type predicate struct {
	kind kind
	list []predicate
	test func(*match.Data) Outcome // single
}

func (p *predicate) match(d *match.Data) Outcome {
	switch p.kind {
	case all:
		for i := range p.list {
			if r := p.list[i].match(d); r != Matched {
				return r
			}
		}
		return Matched
	case some:
		r := NoMatch
		for i := range p.list {
			switch p.list[i].match(d) {
			case Matched:
				return Matched
			case Unknown:
				r = Unknown
			}
		}
		return r
	case not:
		r := p.list[0].match(d)
		if r == Unknown {
			return r
		}
		return outcome(r == NoMatch)
	}
	return p.test(d)
}

func compilePredicate(c sdk.Compiler, pb *xdsmatcherv3.Matcher_MatcherList_Predicate, allowed []string) (p predicate, err error) {
	switch m := pb.GetMatchType().(type) {
	case *xdsmatcherv3.Matcher_MatcherList_Predicate_SinglePredicate_:
		p.test, err = compileSingle(c.At("single_predicate"), m.SinglePredicate, allowed)
	case *xdsmatcherv3.Matcher_MatcherList_Predicate_OrMatcher:
		p.kind = some
		p.list, err = compilePredicates(c.At("or_matcher"), m.OrMatcher, allowed)
	case *xdsmatcherv3.Matcher_MatcherList_Predicate_AndMatcher:
		p.kind = all
		p.list, err = compilePredicates(c.At("and_matcher"), m.AndMatcher, allowed)
	case *xdsmatcherv3.Matcher_MatcherList_Predicate_NotMatcher:
		p.kind, p.list = not, make([]predicate, 1)
		p.list[0], err = compilePredicate(c.At("not_matcher"), m.NotMatcher, allowed)
	default:
		err = c.Errorf("no predicate is given")
	}
	return p, err
}

func compilePredicates(c sdk.Compiler, pb *xdsmatcherv3.Matcher_MatcherList_Predicate_PredicateList, allowed []string) ([]predicate, error) {
	var out []predicate
	for i, pb := range pb.GetPredicate() {
		p, err := compilePredicate(c.At(fmt.Sprintf("predicate[%d]", i)), pb, allowed)
		if err != nil {
			return nil, err
		}
		out = append(out, p)
	}
	return out, nil
}

func compileSingle(c sdk.Compiler, pb *xdsmatcherv3.Matcher_MatcherList_Predicate_SinglePredicate, allowed []string) (func(*match.Data) Outcome, error) {
	in, err := compileInput(c.At("input"), pb.GetInput(), allowed)
	if err != nil {
		return nil, err
	}
	switch m := pb.GetMatcher().(type) {
	case *xdsmatcherv3.Matcher_MatcherList_Predicate_SinglePredicate_ValueMatch:
		c = c.At("value_match")
		common := &matcherv3.StringMatcher{}
		if err := convert(m.ValueMatch, common); err != nil {
			return nil, c.Errorf("%w", err)
		}
		s, err := match.CompileString(c, common)
		if err != nil {
			return nil, err
		}
		return in.test(c, s.Match)
	case *xdsmatcherv3.Matcher_MatcherList_Predicate_SinglePredicate_CustomMatch:
		return compileCustom(c.At("custom_match"), m.CustomMatch, in)
	}
	return nil, c.Errorf("no matcher is given")
}

// test makes a test of the input's text.
func (in *input) test(c sdk.Compiler, is func(string) bool) (func(*match.Data) Outcome, error) {
	text := in.text
	if text == nil {
		return nil, c.Errorf("cannot match on %s, which gives no text", in.name)
	}
	return func(d *match.Data) Outcome {
		switch v, presence := text(d); presence {
		case missing:
			return Unknown
		case found:
			return outcome(is(v))
		}
		return NoMatch
	}, nil
}

// compileCustom compiles the extensions that match a value.
func compileCustom(c sdk.Compiler, pb *xdscorev3.TypedExtensionConfig, in input) (func(*match.Data) Outcome, error) {
	m, err := c.At("typed_config").Unpack(pb.GetTypedConfig())
	if err != nil {
		return nil, err
	}
	c = c.At("typed_config")
	switch m := m.(type) {
	case *xdsmatcherv3.CelMatcher:
		if !in.cel {
			return nil, c.Errorf("cannot match on %s, only on attributes", in.name)
		}
		p, err := cel.CompileExpression(c.At("expr_match"), m.GetExprMatch())
		if err != nil {
			return nil, err
		}
		return func(d *match.Data) Outcome {
			is, final := p.Decide(d)
			if !final {
				return Unknown
			}
			return outcome(is)
		}, nil
	case *metadatamatcherv3.Metadata:
		path, invert := in.metadata, m.GetInvert()
		if path == nil {
			return nil, c.Errorf("cannot match on %s, only on metadata", in.name)
		}
		v, err := match.CompileValue(c.At("value"), m.GetValue())
		if err != nil {
			return nil, err
		}
		return func(d *match.Data) Outcome { return outcome(v.Match(path.Of(&d.Info.Dynamic)) != invert) }, nil
	case *ipv3.Ip:
		list, err := match.CompileAddresses(c, "cidr_ranges", m.GetCidrRanges())
		if err != nil {
			return nil, err
		}
		return in.testAddress(c, list)
	case *hashingv3.ConsistentHashing:
		threshold, modulo, seed := uint64(m.GetThreshold()), uint64(m.GetModulo()), m.GetSeed()
		if modulo == 0 || threshold > modulo {
			return nil, c.At("threshold").Errorf("%d is more than the modulo %d", threshold, modulo)
		}
		return in.test(c, func(v string) bool { return xxhash.String(v, seed)%modulo >= threshold })
	case *fractionv3.RuntimeFraction:
		f, snapshot, seed := runtime.CompileFraction(m.GetRuntimeFraction()), runtime.Of(c), m.GetSeed()
		return in.test(c, func(v string) bool { return f.Enabled(snapshot, xxhash.String(v, seed)) })
	}
	return nil, c.Missing("envoy.matching.input_matchers", pb.GetName(), pb.GetTypedConfig())
}

func (in *input) testAddress(c sdk.Compiler, list match.Addresses) (func(*match.Data) Outcome, error) {
	if in.text == nil {
		return nil, c.Errorf("cannot match on %s, which gives no text", in.name)
	}
	input := *in
	return func(d *match.Data) Outcome {
		switch a, presence := input.address(d); presence {
		case missing:
			return Unknown
		case found:
			return outcome(list.Match(a))
		}
		return NoMatch
	}, nil
}
