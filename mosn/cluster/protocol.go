package cluster

import "sofamesh.io/sofamesh/sdk"

// way is what two requests must have in common to share a host's connections.
type way struct {
	codec sdk.CodecConfig
	share uint8 // Message.Share
}

func (w way) multiplexed() bool { return w.codec.Codec().Mode == sdk.Multiplexed }

// wayOf returns how a request travels: an RPC by its own protocol, which is what its
// sender and receiver agree on, all else by the cluster's HTTP. nil stands for HTTP.
// The codec is nil for an RPC of one that this process does not have.
func (c *Config) wayOf(m *sdk.Message) way {
	switch {
	case m == nil:
		return way{codec: c.http}
	case m.Protocol == sdk.HTTP2 && c.http2 != nil:
		return way{codec: c.http2}
	case m.Protocol != sdk.RPC:
		return way{codec: c.http}
	}
	for _, p := range c.rpc {
		if p.Codec() == m.Codec {
			return way{p, m.Share}
		}
	}
	return way{}
}

// multiplex says how connections of a way are used.
func (c *Config) multiplex(w way) *Multiplex {
	if w.codec.Codec().RPC {
		return &c.mux
	}
	return &c.mux2
}

// multiplexes reports whether some protocol of the cluster shares connections.
func (c *Config) multiplexes() bool {
	for _, p := range c.rpc {
		if (way{codec: p}).multiplexed() {
			return true
		}
	}
	return c.http2 != nil || way{codec: c.http}.multiplexed()
}
