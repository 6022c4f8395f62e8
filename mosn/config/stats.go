package config

import (
	"fmt"
	"net/netip"

	"sofamesh.io/sofamesh/mosn/stats"
	"sofamesh.io/sofamesh/sdk"
)

// Stats compiles how the numbers of the proxy are shown, and the sinks that get them. The
// sinks are the caller's to close, also when there is an error.
func (s *Store) Stats(boot *Bootstrap) (conf *stats.Config, sinks []sdk.StatsFlusher, err error) {
	c := s.Compiler("bootstrap", boot.Where).(compiler)
	if conf, err = stats.Compile(c.at("stats_config"), boot.Proto.GetStatsConfig()); err != nil {
		return nil, nil, err
	}
	for i, pb := range boot.Proto.GetStatsSinks() {
		at := c.at(fmt.Sprintf("stats_sinks[%d]", i))
		ext, ok := s.ext.sinks.find(pb.GetName(), extensionType(pb.GetTypedConfig()))
		if !ok {
			return conf, sinks, at.Missing(categorySink, pb.GetName(), pb.GetTypedConfig())
		}
		at = at.at("typed_config")
		m, err := at.extensionConfig(pb.GetTypedConfig(), ext.Config)
		if err != nil {
			return conf, sinks, err
		}
		sink, err := ext.Compile(at, m)
		if err != nil {
			return conf, sinks, err
		}
		sinks = append(sinks, sink)
	}
	return conf, sinks, nil
}

// Hosts returns a function that tells the addresses of a cluster's hosts at the time, for
// sinks that speak no protocol of the proxy's. Any goroutine but a loop's may call it.
func (c compiler) Hosts(cluster string) func() []netip.AddrPort {
	m := c.store.o.Clusters
	if m == nil { // while validating
		return func() []netip.AddrPort { return nil }
	}
	return func() []netip.AddrPort { return m.Addresses(cluster) }
}
