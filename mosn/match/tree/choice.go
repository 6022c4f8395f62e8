package tree

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	xdscorev3 "github.com/cncf/xds/go/xds/core/v3"
	xdsmatcherv3 "github.com/cncf/xds/go/xds/type/matcher/v3"

	"sofamesh.io/sofamesh/mosn/match"
	"sofamesh.io/sofamesh/sdk"
)

// choice is what all matchers by one value have: the value, and what happens when none of
// theirs matches.
type choice[A any] struct {
	in        input
	otherwise *then[A]
}

// exactMap takes the entry of the very value.
type exactMap[A any] struct {
	choice[A]
	entries map[string]*then[A]
}

func (m *exactMap[A]) match(d *match.Data) (A, Outcome) {
	v, is := m.in.text(d)
	if is == missing {
		return *new(A), Unknown
	}
	if t := m.entries[v]; t != nil && is == found {
		if a, r := t.match(d); r != NoMatch {
			return a, r
		}
	}
	return m.otherwise.match(d)
}

// ranked is an entry, and the one that is tried when it gives no match.
type ranked[A any] struct {
	then *then[A]
	next *ranked[A]
}

func (e *ranked[A]) match(d *match.Data, otherwise *then[A]) (A, Outcome) {
	for ; e != nil; e = e.next {
		if a, r := e.then.match(d); r != NoMatch {
			return a, r
		}
	}
	return otherwise.match(d)
}

// prefixMap takes the entry of the longest prefix, then those of shorter ones.
type prefixMap[A any] struct {
	choice[A]
	entries map[string]*ranked[A]
	lengths []int // of the keys, the longest first
}

func newPrefixMap[A any](base choice[A], entries map[string]*then[A]) *prefixMap[A] {
	m := &prefixMap[A]{choice: base, entries: map[string]*ranked[A]{}}
	for key, t := range entries {
		m.entries[key] = &ranked[A]{then: t}
		if !slices.Contains(m.lengths, len(key)) {
			m.lengths = append(m.lengths, len(key))
		}
	}
	slices.SortFunc(m.lengths, func(a, b int) int { return b - a })
	for key, e := range m.entries {
		e.next = m.longest(key, len(key))
	}
	return m
}

// longest returns the entry of the longest prefix of v that has less than below bytes.
func (m *prefixMap[A]) longest(v string, below int) *ranked[A] {
	for _, n := range m.lengths {
		if n < below && n <= len(v) {
			if e := m.entries[v[:n]]; e != nil {
				return e
			}
		}
	}
	return nil
}

func (m *prefixMap[A]) match(d *match.Data) (A, Outcome) {
	v, is := m.in.text(d)
	if is == missing {
		return *new(A), Unknown
	}
	var e *ranked[A]
	if is == found {
		e = m.longest(v, len(v)+1)
	}
	return e.match(d, m.otherwise)
}

// custom compiles the extensions that choose by a value.
func (b *builder[A]) custom(c sdk.Compiler, pb *xdscorev3.TypedExtensionConfig, base choice[A]) (node[A], error) {
	m, err := c.At("typed_config").Unpack(pb.GetTypedConfig())
	if err != nil {
		return nil, err
	}
	switch m := m.(type) {
	case *xdsmatcherv3.IPMatcher:
		return b.ranges(c.At("typed_config"), m, base)
	case *xdsmatcherv3.ServerNameMatcher:
		return b.domains(c.At("typed_config"), m, base)
	}
	return nil, c.Missing("envoy.matching.http.custom_matchers", pb.GetName(), pb.GetTypedConfig())
}

// ranges takes the entry of the longest range of addresses, then those of wider ones that
// are not exclusive; of equal ranges the first.
type ranges[A any] struct {
	choice[A]
	byBits []level[A] // the longest prefix first
}

// level is the ranges of one length.
type level[A any] struct {
	bits    int
	entries map[netip.Prefix][]place[A]
}

type place[A any] struct {
	then      *then[A]
	exclusive bool
}

func (b *builder[A]) ranges(c sdk.Compiler, pb *xdsmatcherv3.IPMatcher, base choice[A]) (node[A], error) {
	byBits := map[int]level[A]{}
	for i, r := range pb.GetRangeMatchers() {
		c := c.At(fmt.Sprintf("range_matchers[%d]", i))
		t, err := b.then(c.At("on_match"), r.GetOnMatch())
		if err != nil {
			return nil, err
		}
		prefixes, err := match.CompileAddresses(c, "ranges", r.GetRanges())
		if err != nil {
			return nil, err
		}
		for _, p := range prefixes {
			p = p.Masked()
			if _, ok := byBits[p.Bits()]; !ok {
				byBits[p.Bits()] = level[A]{p.Bits(), map[netip.Prefix][]place[A]{}}
			}
			e := byBits[p.Bits()].entries
			e[p] = append(e[p], place[A]{t, r.GetExclusive()})
		}
	}
	m := &ranges[A]{choice: base, byBits: slices.Collect(maps.Values(byBits))}
	slices.SortFunc(m.byBits, func(a, b level[A]) int { return cmp.Compare(b.bits, a.bits) })
	return m, nil
}

func (m *ranges[A]) match(d *match.Data) (A, Outcome) {
	addr, is := m.in.address(d)
	switch is {
	case missing:
		return *new(A), Unknown
	case none:
		return m.otherwise.match(d)
	}
	first := true
	for i := range m.byBits {
		l := &m.byBits[i]
		if l.bits > addr.BitLen() {
			continue
		}
		p, _ := addr.Prefix(l.bits)
		for _, e := range l.entries[p] {
			if !first && e.exclusive {
				continue
			}
			if a, r := e.then.match(d); r != NoMatch {
				return a, r
			}
			first = false
		}
	}
	return m.otherwise.match(d)
}

// domains takes the entry of the very name, then those of wildcards, the longest first,
// then that of "*".
type domains[A any] struct {
	choice[A]
	exact, wildcard map[string]*ranked[A] // wildcards without their "*."
	any             *ranked[A]
}

func (b *builder[A]) domains(c sdk.Compiler, pb *xdsmatcherv3.ServerNameMatcher, base choice[A]) (node[A], error) {
	m := &domains[A]{choice: base, exact: map[string]*ranked[A]{}, wildcard: map[string]*ranked[A]{}}
	seen := map[string]bool{}
	for i, pb := range pb.GetDomainMatchers() {
		c := c.At(fmt.Sprintf("domain_matchers[%d]", i))
		t, err := b.then(c.At("on_match"), pb.GetOnMatch())
		if err != nil {
			return nil, err
		}
		for j, name := range pb.GetDomains() {
			c := c.At(fmt.Sprintf("domains[%d]", j))
			if seen[name] {
				return nil, c.Errorf("%q is there twice", name)
			}
			seen[name] = true
			if !m.add(name, &ranked[A]{then: t}) {
				return nil, c.Errorf("%q is neither a name nor \"*\" nor \"*.\" and a name", name)
			}
		}
	}
	for name, e := range m.wildcard {
		e.next = m.widest(name)
	}
	return m, nil
}

func (m *domains[A]) add(name string, e *ranked[A]) bool {
	rest, wild := strings.CutPrefix(name, "*.")
	switch {
	case name == "*":
		m.any = e
	case rest == "" || strings.Contains(rest, "*"):
		return false
	case wild:
		m.wildcard[rest] = e
	default:
		m.exact[name] = e
	}
	return true
}

// widest returns the first entry among the wildcards above a name.
func (m *domains[A]) widest(name string) *ranked[A] {
	for {
		_, parent, ok := strings.Cut(name, ".")
		if !ok {
			return m.any
		}
		if e := m.wildcard[parent]; e != nil {
			return e
		}
		name = parent
	}
}

func (m *domains[A]) match(d *match.Data) (A, Outcome) {
	name, is := m.in.text(d)
	switch {
	case is == missing:
		return *new(A), Unknown
	case is == none || name == "":
		return m.otherwise.match(d)
	}
	e := m.widest(name)
	if exact := m.exact[name]; exact != nil {
		if a, r := exact.then.match(d); r != NoMatch {
			return a, r
		}
	}
	return e.match(d, m.otherwise)
}
