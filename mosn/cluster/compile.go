package cluster

//lint:file-ignore SA1019 Envoy honours these fields though they are deprecated, and most configurations in use have them

import (
	"math"
	"net/netip"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	rawv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/raw_buffer/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"

	"sofamesh.io/sofamesh/mosn/cluster/lb"
	"sofamesh.io/sofamesh/mosn/eventloop"
	"sofamesh.io/sofamesh/mosn/transport/tls"
	"sofamesh.io/sofamesh/sdk"
)

const httpOptionsName = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"

func (c *Config) compileTransport(comp sdk.Compiler, pb *clusterv3.Cluster) error {
	switch ts := pb.GetTransportSocket(); {
	case ts == nil, ts.GetTypedConfig() == nil && ts.GetName() == "envoy.transport_sockets.raw_buffer":
	case ts.GetTypedConfig().MessageIs(&rawv3.RawBuffer{}):
	case ts.GetTypedConfig().MessageIs(&tlsv3.UpstreamTlsContext{}):
		at := comp.At("transport_socket.typed_config")
		m, err := at.Unpack(ts.GetTypedConfig())
		if err != nil {
			return err
		}
		if c.tls, err = tls.CompileClient(at, m.(*tlsv3.UpstreamTlsContext), comp.Stats(), c.protocols()); err != nil {
			return err
		}
	default: // as in Envoy the type says which it is, not the name
		return comp.At("transport_socket").Missing("envoy.transport_sockets.upstream", ts.GetName(), ts.GetTypedConfig())
	}
	if c.auto != nil && c.tls == nil {
		return comp.At("transport_socket").Errorf("ALPN configured for cluster %s which has a non-ALPN transport socket", c.name)
	}
	k := pb.GetUpstreamConnectionOptions().GetTcpKeepalive()
	if k == nil {
		return nil
	}
	c.dial.KeepAlive = &eventloop.KeepAlive{
		Idle:     time.Duration(k.GetKeepaliveTime().GetValue()) * time.Second,
		Interval: time.Duration(k.GetKeepaliveInterval().GetValue()) * time.Second,
		Probes:   int(k.GetKeepaliveProbes().GetValue()),
	}
	return nil
}

// compileBind takes the address to connect from and socket options.
func (c *Config) compileBind(comp sdk.Compiler, b *corev3.BindConfig) error {
	if b == nil {
		return nil
	}
	if src := b.GetSourceAddress(); src != nil {
		ip, err := netip.ParseAddr(src.GetAddress())
		if err != nil {
			return comp.At("source_address.address").Errorf("malformed IP address: %s", src.GetAddress())
		}
		if !ip.IsUnspecified() || src.GetPortValue() != 0 {
			c.dial.Local = netip.AddrPortFrom(ip.Unmap(), uint16(src.GetPortValue()))
		}
	}
	for _, o := range b.GetSocketOptions() {
		if o.GetState() != corev3.SocketOption_STATE_PREBIND {
			return comp.At("socket_options.state").Errorf("only STATE_PREBIND is supported yet")
		}
		c.dial.Options = append(c.dial.Options, eventloop.SockOpt{
			Level: int(o.GetLevel()), Name: int(o.GetName()), Value: int(o.GetIntValue()), Bytes: o.GetBufValue(),
		})
	}
	return nil
}

func (c *Config) compileBalancing(comp sdk.Compiler, pb *clusterv3.Cluster) error {
	common := pb.GetCommonLbConfig()
	c.lb = lbOptions{
		panicThreshold: defaultPanicThreshold,
		hashHostname:   common.GetConsistentHashingLbConfig().GetUseHostnameForHashing(),
	}
	if p := common.GetHealthyPanicThreshold(); p != nil {
		c.lb.panicThreshold = uint32(math.Round(p.GetValue()))
	}
	var err error
	c.lb.policy, err = policyOf(comp, pb)
	return err
}

func policyOf(comp sdk.Compiler, pb *clusterv3.Cluster) (sdk.LBPolicy, error) {
	switch pb.GetLbPolicy() {
	case clusterv3.Cluster_ROUND_ROBIN:
		return lb.RoundRobin(), nil
	case clusterv3.Cluster_LEAST_REQUEST:
		return leastRequestOf(comp, pb.GetLeastRequestLbConfig()), nil
	case clusterv3.Cluster_RANDOM:
		return lb.Random(), nil
	case clusterv3.Cluster_RING_HASH:
		return ringOf(comp.At("ring_hash_lb_config"), pb.GetRingHashLbConfig())
	case clusterv3.Cluster_MAGLEV:
		size := pb.GetMaglevLbConfig().GetTableSize().GetValue()
		if size > lb.MaxMaglevSize || size != 0 && !prime(size) {
			return nil, comp.At("maglev_lb_config.table_size").Errorf("%d is not a prime up to %d", size, lb.MaxMaglevSize)
		}
		return lb.Maglev(size), nil
	default:
		return nil, comp.At("lb_policy").Errorf("%s is not supported yet", pb.GetLbPolicy())
	}
}

func leastRequestOf(comp sdk.Compiler, pb *clusterv3.Cluster_LeastRequestLbConfig) sdk.LBPolicy {
	bias := 1.
	if b := pb.GetActiveRequestBias(); b != nil {
		bias = b.GetDefaultValue()
	}
	if bias < 0 || math.IsNaN(bias) {
		comp.At("least_request_lb_config.active_request_bias").Warnf("%v is not valid, 1 is used", bias)
		bias = 1
	}
	return lb.LeastRequest(int(pb.GetChoiceCount().GetValue()), bias)
}

func ringOf(comp sdk.Compiler, pb *clusterv3.Cluster_RingHashLbConfig) (sdk.LBPolicy, error) {
	o := lb.RingOptions{
		MinSize: lb.DefaultMinRing,
		MaxSize: lb.DefaultMaxRing,
		Murmur2: pb.GetHashFunction() == clusterv3.Cluster_RingHashLbConfig_MURMUR_HASH_2,
	}
	if n := pb.GetMinimumRingSize(); n != nil {
		o.MinSize = max(n.GetValue(), 1)
	}
	if n := pb.GetMaximumRingSize(); n != nil {
		o.MaxSize = n.GetValue()
	}
	if o.MinSize > o.MaxSize {
		return nil, comp.Errorf("ring hash: minimum_ring_size (%d) > maximum_ring_size (%d)", o.MinSize, o.MaxSize)
	}
	return lb.RingHash(o), nil
}

// prime reports whether n > 0 is a prime number; n is at most MaxMaglevSize.
func prime(n uint64) bool {
	if n < 2 {
		return false
	}
	for d := uint64(2); d*d <= n; d++ {
		if n%d == 0 {
			return false
		}
	}
	return true
}
