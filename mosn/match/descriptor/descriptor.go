// Package descriptor makes of requests the descriptors that rate limits go by:
// envoy.config.route.v3.RateLimit, compiled.
//
// It owns no state. What it compiles is immutable and shared by all loops; a List is the
// scratch of one call. Nothing is allocated once a List has grown.
package descriptor

import (
	"fmt"
	"math"
	"strconv"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"

	"sofamesh.io/sofamesh/mosn/edit"
	"sofamesh.io/sofamesh/mosn/format"
	"sofamesh.io/sofamesh/sdk"
)

// maxHits is the most that a descriptor counts for.
const maxHits = 1_000_000_000

// Entry is a part of a descriptor.
type Entry struct{ Key, Value string }

// Headers says whether a descriptor wants x-ratelimit headers.
type Headers uint8

// What the configuration says of them.
const (
	HeadersInherited Headers = iota // what the filter says
	HeadersOff
	HeadersOn
)

// Descriptor is one of a request.
type Descriptor struct {
	Entries []Entry
	Hits    uint64 // what it counts for
	Refill  bool   // it gives back instead of taking
	Headers Headers
}

// List is the descriptors of one request. Its strings are those of the request, or its
// own until it is used again.
type List struct {
	Descriptors []Descriptor

	entries []Entry
	buf     []byte
}

// Reset empties the list and keeps its memory.
func (l *List) Reset() { l.Descriptors, l.entries, l.buf = l.Descriptors[:0], l.entries[:0], l.buf[:0] }

// Policies is a compiled list of rate_limits.
type Policies []policy

type policy struct {
	stage    uint32
	disabled bool // disable_key: for the local filter there is no such policy
	onDone   bool // apply_on_stream_done
	actions  []action
	headers  Headers
	hits     uint64
	hitsFrom *edit.Value // instead of hits
	refill   bool
}

// Levels is what a route and its virtual host say: sdk.Stream's RouteValue of
// "rate_limits".
type Levels struct {
	Route, VirtualHost Policies
	Include            bool // include_vh_rate_limits
}

// Compile compiles the rate_limits of a route or a virtual host; c stands at that.
func Compile(c sdk.Compiler, pbs []*routev3.RateLimit) (Policies, error) {
	return compileAll(c, pbs, func(_ sdk.Compiler, pb *routev3.RateLimit, p *policy) error {
		p.stage, p.disabled = pb.GetStage().GetValue(), pb.GetDisableKey() != ""
		return nil // hits_addend and limit mean nothing here
	})
}

// CompileOwn compiles the rate_limits of a filter's own configuration, which know no
// stages but a count of hits.
func CompileOwn(c sdk.Compiler, pbs []*routev3.RateLimit) (Policies, error) {
	return compileAll(c, pbs, func(c sdk.Compiler, pb *routev3.RateLimit, p *policy) error {
		switch {
		case pb.GetStage() != nil:
			return c.At("stage").Errorf("is not supported in the filter's own rate_limits")
		case pb.GetDisableKey() != "":
			return c.At("disable_key").Errorf("is not supported in the filter's own rate_limits")
		case pb.GetLimit() != nil:
			return c.At("limit").Errorf("is not supported by local rate limits")
		}
		p.onDone = pb.GetApplyOnStreamDone()
		return p.compileHits(c.At("hits_addend"), pb.GetHitsAddend())
	})
}

func compileAll(c sdk.Compiler, pbs []*routev3.RateLimit, more func(sdk.Compiler, *routev3.RateLimit, *policy) error) (Policies, error) {
	var list Policies
	for i, pb := range pbs {
		c := c.At(fmt.Sprintf("rate_limits[%d]", i))
		p := policy{hits: 1}
		switch pb.GetXRatelimitOption() {
		case routev3.RateLimit_OFF:
			p.headers = HeadersOff
		case routev3.RateLimit_DRAFT_VERSION_03:
			p.headers = HeadersOn
		}
		for j, a := range pb.GetActions() {
			one, err := compileAction(c.At(fmt.Sprintf("actions[%d]", j)), a)
			if err != nil {
				return nil, err
			}
			p.actions = append(p.actions, one)
		}
		if err := more(c, pb, &p); err != nil {
			return nil, err
		}
		list = append(list, p)
	}
	return list, nil
}

func (p *policy) compileHits(c sdk.Compiler, pb *routev3.RateLimit_HitsAddend) error {
	if pb == nil {
		return nil
	}
	p.refill = pb.GetIsNegativeHits()
	switch number, text := pb.GetNumber(), pb.GetFormat(); {
	case (number != nil) == (text != ""):
		return c.Errorf("takes either a format or a number")
	case number != nil:
		p.hits = number.GetValue()
		return nil
	default:
		v, err := edit.CompileValue(c.At("format"), text)
		if f, _ := format.Parse(text); err == nil && !f.Single() {
			err = c.At("format").Errorf("must be one operator and nothing else")
		}
		p.hitsFrom = &v
		return err
	}
}

// Append appends the descriptors that the policies of a stage make of the request of s.
func (ps Policies) Append(l *List, s sdk.Stream, stage uint32) {
	for i := range ps {
		if p := &ps[i]; p.stage == stage && !p.disabled && !p.onDone {
			p.append(l, s)
		}
	}
}

func (p *policy) append(l *List, s sdk.Stream) {
	first := len(l.entries)
	for i := range p.actions {
		e, ok := p.actions[i].entry(l, s)
		if !ok {
			l.entries = l.entries[:first]
			return
		}
		if e.Key != "" {
			l.entries = append(l.entries, e)
		}
	}
	d := Descriptor{Entries: l.entries[first:len(l.entries):len(l.entries)], Hits: p.hits, Refill: p.refill, Headers: p.headers}
	if p.hitsFrom != nil {
		var ok bool
		if d.Hits, ok = l.number(p.hitsFrom, s); !ok {
			return
		}
	}
	l.Descriptors = append(l.Descriptors, d)
}

// value makes a text of v, which is valid as long as the list.
func (l *List) value(v *edit.Value, s sdk.Stream) string {
	start := len(l.buf)
	l.buf = v.Append(l.buf, &format.Context{Info: s.Info(), Request: s.Request()})
	return view(l.buf[start:])
}

// number makes a whole number of v.
func (l *List) number(v *edit.Value, s sdk.Stream) (uint64, bool) {
	f, err := strconv.ParseFloat(l.value(v, s), 64)
	if err != nil || math.IsNaN(f) || f < 0 || f > maxHits {
		return 0, false
	}
	return uint64(f), true
}
