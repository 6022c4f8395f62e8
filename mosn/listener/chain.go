package listener

import (
	"fmt"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	rawv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/raw_buffer/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"

	"sofamesh.io/sofamesh/mosn/stream"
	"sofamesh.io/sofamesh/mosn/transport/tls"
	"sofamesh.io/sofamesh/sdk"
)

// chain is a compiled FilterChain.
type chain struct {
	stream.ConnFactory
	tls     *tls.Server   // nil: plain text
	timeout time.Duration // of its handshake
}

// defaultHandshakeTimeout is transport_socket_connect_timeout when it is not set. Envoy
// has none then, so that whoever begins handshakes and is silent keeps what they take.
const defaultHandshakeTimeout = 15 * time.Second

// compileChain compiles the one chain that takes all connections. A listener with
// one chain that has no criteria never reaches its default chain, which is compiled
// all the same, for its errors.
func compileChain(c sdk.Compiler, pb *listenerv3.Listener, o Options) (*chain, error) {
	chains := pb.GetFilterChains()
	if len(chains) > 1 {
		return nil, c.At("filter_chains[1]").Errorf("choosing among filter chains is known but not built yet")
	}
	var first *chain
	if len(chains) == 1 {
		at := c.At("filter_chains[0]")
		if err := checkMatch(at.At("filter_chain_match"), chains[0].GetFilterChainMatch()); err != nil {
			return nil, err
		}
		var err error
		if first, err = compileFilters(at, pb, chains[0], o); err != nil {
			return nil, err
		}
	}
	if d := pb.GetDefaultFilterChain(); d != nil {
		other, err := compileFilters(c.At("default_filter_chain"), pb, d, o)
		if err != nil {
			if first != nil {
				first.Close()
			}
			return nil, err
		}
		if first != nil {
			other.Close()
			return first, nil
		}
		return other, nil
	}
	if first == nil {
		return nil, c.At("filter_chains").Errorf("no filter chains specified")
	}
	return first, nil
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
func compileFilters(c sdk.Compiler, ln *listenerv3.Listener, pb *listenerv3.FilterChain, o Options) (*chain, error) {
	out := &chain{timeout: defaultHandshakeTimeout}
	var err error
	if out.tls, err = compileTransport(c.At("transport_socket"), ln, pb.GetTransportSocket()); err != nil {
		return nil, err
	}
	if d := pb.GetTransportSocketConnectTimeout(); d != nil {
		out.timeout = d.AsDuration()
	}
	filters := pb.GetFilters()
	switch {
	case len(filters) == 0:
		return nil, c.Errorf("a filter chain without filters closes every connection: name one")
	case len(filters) > 1:
		return nil, c.At(fmt.Sprintf("filters[%d]", 1)).Errorf("more than one network filter in a chain is known but not built yet")
	}
	out.ConnFactory, err = o.Filter(c.At("filters[0]"), filters[0])
	return out, err
}

// compileTransport compiles a transport socket, nil for plain text. As in Envoy the type
// says which it is, not the name.
func compileTransport(c sdk.Compiler, ln *listenerv3.Listener, ts *corev3.TransportSocket) (*tls.Server, error) {
	switch {
	case ts == nil, ts.GetTypedConfig() == nil && ts.GetName() == "envoy.transport_sockets.raw_buffer":
		return nil, nil
	case ts.GetTypedConfig().MessageIs(&rawv3.RawBuffer{}):
		return nil, nil
	case ts.GetTypedConfig().MessageIs(&tlsv3.DownstreamTlsContext{}):
		c = c.At("typed_config")
		m, err := c.Unpack(ts.GetTypedConfig())
		if err != nil {
			return nil, err
		}
		return tls.CompileServer(c, m.(*tlsv3.DownstreamTlsContext), c.Stats().Scope(StatPrefix(ln)))
	}
	return nil, c.Missing("envoy.transport_sockets.downstream", ts.GetName(), ts.GetTypedConfig())
}
