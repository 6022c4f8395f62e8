package config

import (
	"slices"
	"strings"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	"google.golang.org/protobuf/types/known/anypb"

	"sofamesh.io/sofamesh/mosn/route"
	"sofamesh.io/sofamesh/mosn/stream"
	"sofamesh.io/sofamesh/sdk"
)

// DynamicRoutes asks for a routing table by its name; c stands at the config_source of
// a connection manager's rds. All who ask for the same one have the same slot.
func (c compiler) DynamicRoutes(name string, from *corev3.ConfigSource, check func(sdk.Compiler, *routev3.RouteConfiguration) error) (*route.Slot, error) {
	scope := c.Stats().Scope("rds").Scope(name)
	sub, err := c.subscribe(from, Want{RouteType, name}, scope, updateRoutes)
	if err != nil {
		return nil, err
	}
	if check == nil {
		return sub.routes, nil
	}
	demand := routeDemand(func(at compiler, v *Version) error { return check(at, v.Proto().(*routev3.RouteConfiguration)) })
	if v := sub.entry.Active; v != nil {
		if err := demand(c, v); err != nil {
			return nil, err
		}
	}
	use := &c.uses[len(c.uses)-1]
	use.demand = &demand
	sub.demands[use.demand] = struct{}{}
	return sub.routes, nil
}

// filterPlace is a place in a chain of HTTP filters whose configuration comes by
// itself. Each has its own compiled value, as its stats are its chain's.
type filterPlace struct {
	at    compiler // at config_discovery
	slot  *stream.FilterSlot
	types []string
}

// DynamicFilter asks for the configuration of an HTTP filter; c stands at
// config_discovery.
func (c compiler) DynamicFilter(name string, from *corev3.ExtensionConfigSource) (*stream.FilterSlot, error) {
	// The place outlives the compiling: it keeps nothing of the text, and no edges.
	alone := &unit{store: c.store, name: c.name, scope: c.scope, listener: c.listener, edges: map[string]bool{}}
	p := &filterPlace{at: compiler{unit: alone, path: c.path, stats: c.stats}, slot: &stream.FilterSlot{}}
	for _, url := range from.GetTypeUrls() {
		p.types = append(p.types, typeName(url))
		ext, err := c.at("type_urls").HTTPFilter(name, &anypb.Any{TypeUrl: url})
		if err != nil {
			return nil, err
		}
		if ext.Terminal {
			return nil, c.at("type_urls").Errorf("%s: a terminal filter must have a typed_config", ext.Name)
		}
	}
	early := from.GetApplyDefaultConfigWithoutWarming()
	if def := from.GetDefaultConfig(); def != nil {
		conf, err := p.compile(c.at("default_config"), name, def)
		if err != nil {
			return nil, err
		}
		p.slot.Set(conf)
	} else if early {
		return nil, c.at("apply_default_config_without_warming").Errorf("needs a default_config")
	}
	scope := c.store.o.Stats.Root().Scope("extension_config_discovery").Scope("http_filter").Scope(name)
	sub, err := c.at("config_source").subscribe(from.GetConfigSource(), Want{ExtensionType, name}, scope, updateFilter)
	if err != nil {
		p.slot.Close()
		return nil, err
	}
	c.uses[len(c.uses)-1].early = early
	if m, ok := sub.value().(*corev3.TypedExtensionConfig); ok {
		conf, err := p.compile(p.at, name, m.GetTypedConfig())
		if err != nil {
			p.slot.Close()
			return nil, err
		}
		p.slot.Set(conf)
	}
	c.uses[len(c.uses)-1].place = p
	if sub.places == nil {
		sub.places = map[*filterPlace]struct{}{}
	}
	sub.places[p] = struct{}{}
	return p.slot, nil
}

// compile compiles a configuration for the place; at is for errors.
func (p *filterPlace) compile(at compiler, name string, a *anypb.Any) (sdk.HTTPConfig, error) {
	if typ := extensionType(a); !slices.Contains(p.types, typ) {
		return nil, at.Errorf("the configuration has type %s, but type_urls has %s", typ, strings.Join(p.types, ", "))
	}
	ext, err := at.HTTPFilter(name, a)
	if err != nil {
		return nil, err
	}
	at.stats = p.at.stats
	m, err := at.Unpack(a)
	if err != nil {
		return nil, err
	}
	return ext.Compile(at, m)
}

// prepareFilters compiles a configuration for all places that have it, and returns what
// puts it there. c is for errors.
func (sub *subscription) prepareFilters(c compiler, m *corev3.TypedExtensionConfig) (apply func(), err error) {
	compiled := map[*filterPlace]sdk.HTTPConfig{}
	for p := range sub.places {
		at := c.at("typed_config")
		at.unit = &unit{store: c.store, name: c.name, where: c.where, scope: p.at.scope, listener: p.at.listener, edges: c.edges}
		conf, err := p.compile(at, m.GetName(), m.GetTypedConfig())
		if err != nil {
			for _, conf := range compiled {
				conf.Close()
			}
			return nil, err
		}
		compiled[p] = conf
	}
	return func() {
		for p, conf := range compiled {
			p.slot.Set(conf)
		}
	}, nil
}
