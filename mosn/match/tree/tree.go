package tree

import (
	"fmt"
	"maps"
	"slices"

	xdsmatcherv3 "github.com/cncf/xds/go/xds/type/matcher/v3"
	commonmatcherv3 "github.com/envoyproxy/go-control-plane/envoy/config/common/matcher/v3"
	"google.golang.org/protobuf/proto"

	"sofamesh.io/sofamesh/mosn/match"
	"sofamesh.io/sofamesh/sdk"
)

// Outcome is what came of matching.
type Outcome uint8

// The outcomes. Unknown means that a part of the message was asked for which has not
// come yet.
const (
	NoMatch Outcome = iota
	Matched
	Unknown
)

func outcome(matched bool) Outcome {
	if matched {
		return Matched
	}
	return NoMatch
}

// Options say what a place makes of trees.
type Options[A any] struct {
	// Action makes an action of its configuration; c stands at typed_config.
	Action func(c sdk.Compiler, config proto.Message) (A, error)
	// Inputs are the messages of the inputs that make sense there, by full name; nil allows
	// all. Environment variables always do.
	Inputs []string
	// Skip is told of each action that keep_matching passes over. Without it keep_matching
	// is an error, as in most places in Envoy.
	Skip func(d *match.Data, action A)
}

// Tree is a compiled matcher with actions of type A.
type Tree[A any] struct{ root node[A] }

// node is what matches: a list, or a tree over one input.
type node[A any] interface {
	match(d *match.Data) (A, Outcome)
}

// Match finds the action for a stream.
func (t *Tree[A]) Match(d *match.Data) (A, Outcome) { return t.root.match(d) }

// Compile compiles a matcher; c stands at it.
func Compile[A any](c sdk.Compiler, pb *xdsmatcherv3.Matcher, o Options[A]) (*Tree[A], error) {
	root, err := (&builder[A]{o}).matcher(c, pb)
	return &Tree[A]{root}, err
}

// CompileCommon is Compile for Envoy's older name of the message.
func CompileCommon[A any](c sdk.Compiler, pb *commonmatcherv3.Matcher, o Options[A]) (*Tree[A], error) {
	m := &xdsmatcherv3.Matcher{}
	if err := convert(pb, m); err != nil {
		return nil, c.Errorf("%w", err)
	}
	return Compile(c, m, o)
}

// convert makes to of a message that is the same but for its name.
func convert(from, to proto.Message) error {
	b, err := proto.Marshal(from)
	if err != nil {
		return err
	}
	return proto.Unmarshal(b, to)
}

// then is what happens on a match: an action, or a matcher of its own. A nil one is no
// match.
type then[A any] struct {
	action A
	next   node[A]              // instead of action
	skip   func(*match.Data, A) // keep_matching
}

func (t *then[A]) match(d *match.Data) (a A, r Outcome) {
	if t == nil {
		return a, NoMatch
	}
	a, r = t.action, Matched
	if t.next != nil {
		a, r = t.next.match(d)
	}
	if r == Matched && t.skip != nil {
		t.skip(d, a)
		return *new(A), NoMatch
	}
	return a, r
}

// list takes the first row that matches.
type list[A any] struct {
	rows      []row[A]
	otherwise *then[A]
}

type row[A any] struct {
	when predicate
	then *then[A]
}

func (l *list[A]) match(d *match.Data) (A, Outcome) {
	for i := range l.rows {
		switch l.rows[i].when.match(d) {
		case Unknown:
			return *new(A), Unknown
		case Matched:
			if a, r := l.rows[i].then.match(d); r != NoMatch {
				return a, r
			}
		}
	}
	return l.otherwise.match(d)
}

type builder[A any] struct{ Options[A] }

func (b *builder[A]) matcher(c sdk.Compiler, pb *xdsmatcherv3.Matcher) (node[A], error) {
	otherwise, err := b.then(c.At("on_no_match"), pb.GetOnNoMatch())
	if err != nil {
		return nil, err
	}
	switch m := pb.GetMatcherType().(type) {
	case *xdsmatcherv3.Matcher_MatcherTree_:
		return b.tree(c.At("matcher_tree"), m.MatcherTree, otherwise)
	case *xdsmatcherv3.Matcher_MatcherList_:
		l := &list[A]{otherwise: otherwise}
		for i, pb := range m.MatcherList.GetMatchers() {
			c := c.At(fmt.Sprintf("matcher_list.matchers[%d]", i))
			var r row[A]
			if r.when, err = compilePredicate(c.At("predicate"), pb.GetPredicate(), b.Inputs); err != nil {
				return nil, err
			}
			if r.then, err = b.then(c.At("on_match"), pb.GetOnMatch()); err != nil {
				return nil, err
			}
			l.rows = append(l.rows, r)
		}
		return l, nil
	}
	return &list[A]{otherwise: otherwise}, nil
}

// then returns nil for an on_match that is not there.
func (b *builder[A]) then(c sdk.Compiler, pb *xdsmatcherv3.Matcher_OnMatch) (*then[A], error) {
	if pb == nil {
		return nil, nil
	}
	t := &then[A]{}
	if pb.GetKeepMatching() {
		if b.Skip == nil {
			return nil, c.At("keep_matching").Errorf("is not supported in this context")
		}
		t.skip = b.Skip
	}
	var err error
	switch on := pb.GetOnMatch().(type) {
	case *xdsmatcherv3.Matcher_OnMatch_Matcher:
		t.next, err = b.matcher(c.At("matcher"), on.Matcher)
	case *xdsmatcherv3.Matcher_OnMatch_Action:
		c = c.At("action.typed_config")
		var config proto.Message
		if config, err = c.Unpack(on.Action.GetTypedConfig()); err == nil {
			t.action, err = b.Action(c, config)
		}
	default:
		err = c.Errorf("neither a matcher nor an action is given")
	}
	return t, err
}

// tree compiles a choice by one value.
func (b *builder[A]) tree(c sdk.Compiler, pb *xdsmatcherv3.Matcher_MatcherTree, otherwise *then[A]) (node[A], error) {
	in, err := compileInput(c.At("input"), pb.GetInput(), b.Inputs)
	if err != nil {
		return nil, err
	}
	if in.text == nil {
		return nil, c.At("input").Errorf("gives no text")
	}
	base := choice[A]{in, otherwise}
	switch t := pb.GetTreeType().(type) {
	case *xdsmatcherv3.Matcher_MatcherTree_ExactMatchMap:
		m := &exactMap[A]{choice: base}
		m.entries, err = b.entries(c.At("exact_match_map"), t.ExactMatchMap)
		return m, err
	case *xdsmatcherv3.Matcher_MatcherTree_PrefixMatchMap:
		entries, err := b.entries(c.At("prefix_match_map"), t.PrefixMatchMap)
		return newPrefixMap(base, entries), err
	case *xdsmatcherv3.Matcher_MatcherTree_CustomMatch:
		return b.custom(c.At("custom_match"), t.CustomMatch, base)
	}
	return nil, c.Errorf("no tree is given")
}

func (b *builder[A]) entries(c sdk.Compiler, pb *xdsmatcherv3.Matcher_MatcherTree_MatchMap) (map[string]*then[A], error) {
	entries := map[string]*then[A]{}
	for _, key := range slices.Sorted(maps.Keys(pb.GetMap())) {
		t, err := b.then(c.At(fmt.Sprintf("map[%q]", key)), pb.GetMap()[key])
		if err != nil {
			return nil, err
		}
		entries[key] = t
	}
	return entries, nil
}
