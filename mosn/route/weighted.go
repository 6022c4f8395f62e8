package route

import (
	"math"
	"strconv"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"

	"sofamesh.io/sofamesh/mosn/match"
	"sofamesh.io/sofamesh/mosn/runtime"
	"sofamesh.io/sofamesh/sdk"
)

// weighted is a compiled envoy.config.route.v3.WeightedCluster: a variant of its
// route for each cluster.
type weighted struct {
	choices []choice
	total   uint64
	keyed   bool   // runtime_key_prefix is set
	header  string // the request header with the number to choose by, "" for Random
}

// choice is chosen by numbers below end that are not below the one before.
type choice struct {
	end    uint64
	weight uint64
	key    string // of the runtime, "" when there is none
	route  *Route
}

// variant is what a cluster of a weighted route adds to the route: it comes before
// the route's own edits.
type variant struct {
	request, response *edits
	host              string // host_rewrite_literal
}

func (cc *compiler) weighted(c sdk.Compiler, r *Route, pb *routev3.WeightedCluster) (*weighted, error) {
	if pb == nil {
		return nil, nil
	}
	if pb.GetUseHashPolicy() != nil {
		return nil, c.At("use_hash_policy").Errorf("is not supported")
	}
	w := &weighted{header: match.HeaderName(pb.GetHeaderName()), keyed: pb.GetRuntimeKeyPrefix() != ""}
	for i, cl := range pb.GetClusters() {
		c := c.At(element("clusters", i))
		v, err := cc.variant(c, r, cl)
		if err != nil {
			return nil, err
		}
		if cl.GetWeight() == nil {
			return nil, c.At("weight").Errorf("is missing")
		}
		if w.total += uint64(cl.GetWeight().GetValue()); w.total > math.MaxUint32 {
			return nil, c.Errorf("the sum of the weights exceeds %d", uint32(math.MaxUint32))
		}
		one := choice{end: w.total, weight: uint64(cl.GetWeight().GetValue()), route: v}
		if w.keyed {
			one.key = pb.GetRuntimeKeyPrefix() + "." + cl.GetName()
		}
		w.choices = append(w.choices, one)
	}
	if w.total == 0 {
		return nil, c.Errorf("the sum of the weights is 0")
	}
	return w, nil
}

// variant makes the route for one cluster.
func (cc *compiler) variant(c sdk.Compiler, r *Route, pb *routev3.WeightedCluster_ClusterWeight) (*Route, error) {
	v, f := *r, *r.Forward
	v.Forward = &f
	switch name, header := pb.GetName(), pb.GetClusterHeader(); {
	case name != "" && header != "":
		return nil, c.Errorf("only one of name and cluster_header may be set")
	case name == "" && header == "":
		return nil, c.Errorf("one of name and cluster_header must be set")
	case name != "":
		f.cluster = name
		if err := cc.checkCluster(c.At("name"), name); err != nil {
			return nil, err
		}
	default:
		f.ClusterHeader = match.HeaderName(header)
	}
	v.variant = &variant{host: pb.GetHostRewriteLiteral()}
	var err error
	if v.variant.request, v.variant.response, err = compileLevel(c, pb); err != nil {
		return nil, err
	}
	v.filters, err = compileFilters(c, pb.GetTypedPerFilterConfig(), r.filters)
	return &v, err
}

// pick chooses by the stream's random number, or by the number in the configured
// header when there is exactly one such header and it is a number.
func (w *weighted) pick(h *sdk.Headers, in *MatchInput) *Route {
	random := in.Random
	if w.header != "" {
		if n, ok := headerNumber(h, w.header); ok {
			random = n
		}
	}
	if w.keyed && in.Runtime.Keys() > 0 {
		return w.pickByRuntime(in.Runtime, random)
	}
	at := random % w.total
	for i := range w.choices {
		if at < w.choices[i].end {
			return w.choices[i].route
		}
	}
	return nil // not reached: the last end is the total
}

// pickByRuntime looks the weights up first.
func (w *weighted) pickByRuntime(rt *runtime.Values, random uint64) *Route {
	total := uint64(0)
	for i := range w.choices {
		total += w.choices[i].current(rt)
	}
	if total == 0 {
		return nil
	}
	at := random % total
	for i := range w.choices {
		weight := w.choices[i].current(rt)
		if at < weight {
			return w.choices[i].route
		}
		at -= weight
	}
	return nil
}

func (c *choice) current(rt *runtime.Values) uint64 { return rt.Uint(c.key, c.weight) }

// headerNumber reads an unsigned decimal number without allocating.
func headerNumber(h *sdk.Headers, name string) (uint64, bool) {
	i := h.Find(name, 0)
	if i < 0 || h.Find(name, i+1) >= 0 {
		return 0, false
	}
	s, n := h.ValueAt(i), uint64(0)
	for j := range len(s) {
		d := uint64(s[j] - '0')
		if d > 9 || n > (math.MaxUint64-d)/10 {
			return 0, false
		}
		n = n*10 + d
	}
	return n, s != ""
}

// element names an element of a repeated field for error messages.
func element(field string, i int) string { return field + "[" + strconv.Itoa(i) + "]" }
