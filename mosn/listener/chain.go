package listener

import (
	"fmt"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	rawv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/raw_buffer/v3"

	"sofamesh.io/sofamesh/mosn/stream"
	"sofamesh.io/sofamesh/sdk"
)

// compileChain compiles the one chain that takes all connections. A listener with
// one chain that has no criteria never reaches its default chain, which is compiled
// all the same, for its errors.
func compileChain(c sdk.Compiler, pb *listenerv3.Listener, o Options) (stream.ConnFactory, error) {
	chains := pb.GetFilterChains()
	if len(chains) > 1 {
		return nil, c.At("filter_chains[1]").Errorf("choosing among filter chains is known but not built yet")
	}
	var chain stream.ConnFactory
	if len(chains) == 1 {
		at := c.At("filter_chains[0]")
		if err := checkMatch(at.At("filter_chain_match"), chains[0].GetFilterChainMatch()); err != nil {
			return nil, err
		}
		var err error
		if chain, err = compileFilters(at, chains[0], o); err != nil {
			return nil, err
		}
	}
	if d := pb.GetDefaultFilterChain(); d != nil {
		other, err := compileFilters(c.At("default_filter_chain"), d, o)
		if err != nil {
			if chain != nil {
				chain.Close()
			}
			return nil, err
		}
		if chain != nil {
			other.Close()
			return chain, nil
		}
		return other, nil
	}
	if chain == nil {
		return nil, c.At("filter_chains").Errorf("no filter chains specified")
	}
	return chain, nil
}

// checkMatch refuses criteria that not every connection here meets; the others are
// refused by Fields.
func checkMatch(c sdk.Compiler, m *listenerv3.FilterChainMatch) error {
	if t := m.GetTransportProtocol(); t != "" && t != "raw_buffer" {
		return c.At("transport_protocol").Errorf("%q is known but not built yet", t)
	}
	return nil
}

// compileFilters compiles the filters of a chain: one, which ends it.
func compileFilters(c sdk.Compiler, pb *listenerv3.FilterChain, o Options) (stream.ConnFactory, error) {
	if err := checkTransport(c.At("transport_socket"), pb.GetTransportSocket()); err != nil {
		return nil, err
	}
	filters := pb.GetFilters()
	switch {
	case len(filters) == 0:
		return nil, c.Errorf("a filter chain without filters closes every connection: name one")
	case len(filters) > 1:
		return nil, c.At(fmt.Sprintf("filters[%d]", 1)).Errorf("more than one network filter in a chain is known but not built yet")
	}
	return o.Filter(c.At("filters[0]"), filters[0])
}

// checkTransport refuses all transport sockets but the plain one.
func checkTransport(c sdk.Compiler, ts *corev3.TransportSocket) error {
	switch {
	case ts == nil, ts.GetTypedConfig() == nil && ts.GetName() == "envoy.transport_sockets.raw_buffer":
		return nil
	case ts.GetTypedConfig().MessageIs(&rawv3.RawBuffer{}):
		return nil
	}
	return c.Missing("envoy.transport_sockets.downstream", ts.GetName(), ts.GetTypedConfig())
}
