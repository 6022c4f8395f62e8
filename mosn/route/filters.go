package route

import (
	"fmt"
	"maps"
	"slices"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	"sofamesh.io/sofamesh/sdk"
)

// filterMap is what typed_per_filter_config says of each filter, by the name of the
// filter in its chain. The map of an inner level holds what it inherits, merged;
// a level that says nothing shares the map of the outer one.
type filterMap map[string]filterEntry

type filterEntry struct {
	filter   *sdk.HTTPFilter // nil when it is only turned off or on
	config   sdk.RouteConfig
	disabled bool
}

// FilterConfig returns the configuration of a filter for a route, nil when there is
// none. r may be nil, and vh too: then that of the outer level counts.
func (t *Table) FilterConfig(name string, vh *VirtualHost, r *Route) sdk.RouteConfig {
	return t.filterMap(vh, r)[name].config
}

// FilterDisabled reports whether a route turns a filter off or on, and whether it
// says so at all; else the chain's own setting holds.
func (t *Table) FilterDisabled(name string, vh *VirtualHost, r *Route) (disabled, set bool) {
	e, set := t.filterMap(vh, r)[name]
	return e.disabled, set
}

func (t *Table) filterMap(vh *VirtualHost, r *Route) filterMap {
	switch {
	case r != nil:
		return r.filters
	case vh != nil:
		return vh.filters
	}
	return t.filters
}

// compileFilters compiles one level; c is at its parent.
func compileFilters(c sdk.Compiler, pbs map[string]*anypb.Any, outer filterMap) (filterMap, error) {
	if len(pbs) == 0 {
		return outer, nil
	}
	m := maps.Clone(outer)
	if m == nil {
		m = filterMap{}
	}
	for _, name := range slices.Sorted(maps.Keys(pbs)) {
		c := c.At(fmt.Sprintf("typed_per_filter_config[%q]", name))
		e, err := compileFilter(c, name, pbs[name])
		if err != nil {
			return nil, err
		}
		m[name] = e.over(m[name])
	}
	return m, nil
}

// over merges e over the entry of the outer level.
func (e filterEntry) over(outer filterEntry) filterEntry {
	switch {
	case e.filter == nil: // turned off or on, without a configuration
		e.filter, e.config = outer.filter, outer.config
	case outer.filter == e.filter && e.filter.Merge != nil:
		e.config = e.filter.Merge(outer.config, e.config)
	}
	return e
}

// compileFilter compiles one entry. What is there at all, be it optional and not known,
// turns the filter on.
func compileFilter(c sdk.Compiler, name string, a *anypb.Any) (e filterEntry, err error) {
	optional := false
	if a.MessageIs(&routev3.FilterConfig{}) {
		m, err := c.Unpack(a)
		if err != nil {
			return e, err
		}
		wrapper := m.(*routev3.FilterConfig)
		if wrapper.GetDisabled() {
			return filterEntry{disabled: true}, nil
		}
		a = wrapper.GetConfig()
		switch {
		case a == nil:
			return e, c.At("config").Errorf("is empty")
		case a.GetTypeUrl() == "": // {}: turned on, without a configuration
			return filterEntry{}, nil
		}
		optional, c = wrapper.GetIsOptional(), c.At("config")
	}
	if e.filter, err = c.HTTPFilter(name, a); err != nil {
		if optional {
			return filterEntry{}, nil
		}
		return e, err
	}
	e.config, err = compileRouteConfig(c, e.filter, a)
	return e, err
}

func compileRouteConfig(c sdk.Compiler, f *sdk.HTTPFilter, a *anypb.Any) (sdk.RouteConfig, error) {
	if f.CompileRoute == nil || f.Route == nil {
		return nil, c.Errorf("filter %q has no configuration by route", f.Name)
	}
	m, err := c.Unpack(a)
	if err != nil {
		return nil, err
	}
	if got, want := fullName(m), fullName(f.Route); got != want {
		return nil, c.Errorf("filter %q takes %s here, not %s", f.Name, want, got)
	}
	return f.CompileRoute(c, m)
}

func fullName(m proto.Message) string { return string(m.ProtoReflect().Descriptor().FullName()) }
