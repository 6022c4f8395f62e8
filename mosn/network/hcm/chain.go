package hcm

import (
	"fmt"
	"strings"

	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	"google.golang.org/protobuf/proto"

	"sofamesh.io/sofamesh/mosn/stream"
	"sofamesh.io/sofamesh/sdk"
)

// compileFilters compiles the chain of the connection manager.
func compileFilters(c sdk.Compiler, pb *hcmv3.HttpConnectionManager, cfg *stream.Config) (err error) {
	if len(pb.GetHttpFilters()) == 0 {
		return c.At("http_filters").Errorf("the chain is empty: it must end in a terminal filter (envoy.filters.http.router)")
	}
	cfg.Filters, cfg.Router, err = compileChain(c, "http_filters", pb.GetHttpFilters())
	return err
}

func compileUpgrades(c sdk.Compiler, pb *hcmv3.HttpConnectionManager, cfg *stream.Config) (err error) {
	for i, u := range pb.GetUpgradeConfigs() {
		at := c.At(fmt.Sprintf("upgrade_configs[%d]", i))
		for _, other := range pb.GetUpgradeConfigs()[:i] {
			if strings.EqualFold(other.GetUpgradeType(), u.GetUpgradeType()) {
				return at.At("upgrade_type").Errorf("duplicate upgrade %q", u.GetUpgradeType())
			}
		}
		own := stream.Upgrade{Type: u.GetUpgradeType(), Enabled: u.GetEnabled() == nil || u.GetEnabled().GetValue()}
		if len(u.GetFilters()) > 0 {
			own.Own = true
			own.Filters, own.Router, err = compileChain(at, "filters", u.GetFilters())
		}
		if cfg.Upgrades = append(cfg.Upgrades, own); err != nil {
			return err
		}
	}
	return nil
}

// compileChain compiles the filters in a field, c standing at its parent. The last one
// must be the router, which is taken off and read here. What there is of the chain at an
// error is the caller's to close.
func compileChain(c sdk.Compiler, field string, list []*hcmv3.HttpFilter) (chain []stream.FilterConfig, router stream.Router, err error) {
	for i, f := range list {
		at := c.At(fmt.Sprintf("%s[%d]", field, i))
		last := i == len(list)-1
		if f.GetConfigDiscovery() != nil && !last {
			slot, err := dynamicFilter(at.At("config_discovery"), f)
			if err != nil {
				return chain, router, err
			}
			chain = append(chain, stream.FilterConfig{Name: f.GetName(), Slot: slot, Disabled: f.GetDisabled()})
			continue
		}
		ext, conf, err := compileFilter(at, f)
		if err != nil {
			return chain, router, err
		}
		if ext == nil && !last {
			continue
		}
		if err := checkTerminal(at, f.GetName(), ext, last); err != nil {
			if conf != nil {
				conf.Close()
			}
			return chain, router, err
		}
		if r, ok := conf.(*routerConfig); ok {
			router = r.Router
			continue
		}
		chain = append(chain, stream.FilterConfig{Name: f.GetName(), Config: conf, Disabled: f.GetDisabled()})
	}
	return chain, router, nil
}

// checkTerminal checks that the last filter, and no other, ends the chain. ext is nil for
// an optional one that is not known.
func checkTerminal(c sdk.Compiler, name string, ext *sdk.HTTPFilter, last bool) error {
	switch {
	case ext == nil:
		return c.Errorf("the optional filter named %s is not known, and is the last filter in a http filter chain", name)
	case last && !ext.Terminal:
		return c.Errorf("non-terminal filter named %s of type %s is the last filter in a http filter chain", name, ext.Name)
	case ext.Terminal && !last:
		return c.Errorf("terminal filter named %s of type %s must be the last filter in a http filter chain", name, ext.Name)
	}
	return nil
}

// dynamicFilter asks for a filter whose configuration comes by ECDS. The terminal one
// cannot: it is part of what is compiled here.
func dynamicFilter(c sdk.Compiler, f *hcmv3.HttpFilter) (*stream.FilterSlot, error) {
	h, ok := c.(dynamic)
	if !ok {
		return nil, c.Errorf("is not possible here")
	}
	return h.DynamicFilter(f.GetName(), f.GetConfigDiscovery())
}

// compileFilter compiles one filter of the chain; nothing is returned for an optional one
// that is not known.
func compileFilter(c sdk.Compiler, f *hcmv3.HttpFilter) (*sdk.HTTPFilter, sdk.HTTPConfig, error) {
	any := f.GetTypedConfig()
	if f.GetConfigDiscovery() != nil {
		return nil, nil, c.At("config_discovery").Errorf("the terminal filter must have a typed_config")
	}
	ext, err := c.HTTPFilter(f.GetName(), any)
	switch {
	case err != nil && f.GetIsOptional():
		c.Warnf("the filter is left out: %v", err)
		return nil, nil, nil
	case err != nil:
		return nil, nil, err
	case ext.Terminal && f.GetDisabled():
		return nil, nil, c.At("disabled").Errorf("the terminal filter cannot be disabled")
	}
	if any == nil {
		return nil, nil, c.Errorf("has no typed_config")
	}
	at := c.At("typed_config")
	m, err := at.Unpack(any)
	if err != nil {
		return nil, nil, err
	}
	// The type of a route's settings finds the filter as well.
	if got, want := proto.MessageName(m), proto.MessageName(ext.Config); got != want {
		return nil, nil, at.Errorf("filter %q takes %s here, not %s", ext.Name, want, got)
	}
	conf, err := ext.Compile(at, m)
	return ext, conf, err
}
