package cluster

//lint:file-ignore SA1019 Envoy honours these fields though they are deprecated, and most configurations in use have them

import (
	"math"
	"net/netip"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	httpv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/upstreams/http/v3"

	"sofamesh.io/sofamesh/mosn/cluster/lb"
	"sofamesh.io/sofamesh/mosn/eventloop"
	"sofamesh.io/sofamesh/sdk"
)

const (
	rawBuffer       = "envoy.transport_sockets.raw_buffer"
	rawBufferType   = "type.googleapis.com/envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer"
	httpOptionsName = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
)

func (c *Config) compileTransport(comp sdk.Compiler, pb *clusterv3.Cluster) error {
	if ts := pb.GetTransportSocket(); ts != nil && ts.GetName() != rawBuffer && ts.GetTypedConfig().GetTypeUrl() != rawBufferType {
		return comp.At("transport_socket").Errorf("transport socket %q is not supported yet", ts.GetName())
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

// compileProtocol takes the protocol and the limits of a connection, from the
// extension message or from the deprecated fields.
func (c *Config) compileProtocol(comp sdk.Compiler, pb *clusterv3.Cluster) error {
	common, http1 := pb.GetCommonHttpProtocolOptions(), pb.GetHttpProtocolOptions()
	at := comp
	for name, a := range pb.GetTypedExtensionProtocolOptions() {
		field := comp.At("typed_extension_protocol_options[" + name + "]")
		if name != httpOptionsName {
			return field.Errorf("protocol options %q are not supported yet", name)
		}
		m, err := field.Unpack(a)
		if err != nil {
			return err
		}
		o, ok := m.(*httpv3.HttpProtocolOptions)
		if !ok {
			return field.Errorf("is a %s, not %s", m.ProtoReflect().Descriptor().FullName(), httpOptionsName)
		}
		explicit := o.GetExplicitHttpConfig()
		if explicit == nil {
			return field.Errorf("only explicit_http_config is supported yet")
		}
		if _, ok := explicit.GetProtocolConfig().(*httpv3.HttpProtocolOptions_ExplicitHttpConfig_HttpProtocolOptions); !ok {
			return field.At("explicit_http_config").Errorf("only http_protocol_options (HTTP/1) is supported yet")
		}
		at, common, http1 = field, o.GetCommonHttpProtocolOptions(), explicit.GetHttpProtocolOptions()
	}
	c.maxRequests = pb.GetMaxRequestsPerConnection().GetValue()
	if err := c.compileCommon(at.At("common_http_protocol_options"), common); err != nil {
		return err
	}
	return c.compileCodec(at, common, http1)
}

func (c *Config) compileCommon(comp sdk.Compiler, o *corev3.HttpProtocolOptions) error {
	c.idleTimeout = duration(o.GetIdleTimeout(), defaultIdleTimeout)
	c.maxDuration = duration(o.GetMaxConnectionDuration(), 0)
	if m := o.GetMaxRequestsPerConnection(); m != nil {
		c.maxRequests = m.GetValue()
	}
	if o.GetMaxStreamDuration() != nil {
		return comp.At("max_stream_duration").Errorf("is not supported for a cluster yet")
	}
	if o.GetMaxConnectionDurationJitter() != nil {
		return comp.At("max_connection_duration_jitter").Errorf("is not supported yet")
	}
	return nil
}

func (c *Config) compileCodec(comp sdk.Compiler, common *corev3.HttpProtocolOptions, http1 *corev3.Http1ProtocolOptions) error {
	codec, err := comp.Codec("http1")
	if err != nil {
		return err
	}
	o := sdk.CodecOptions{
		MaxHeaderBytes: int(common.GetMaxResponseHeadersKb().GetValue()) << 10,
		MaxHeaderCount: int(common.GetMaxHeadersCount().GetValue()),
	}
	if http1 != nil {
		o.Proto = http1
	}
	c.http, err = codec.Compile(comp, sdk.Upstream, o)
	return err
}

func (c *Config) compileBalancing(comp sdk.Compiler, pb *clusterv3.Cluster) error {
	common := pb.GetCommonLbConfig()
	c.lb = lbOptions{
		panicThreshold:   defaultPanicThreshold,
		overprovisioning: defaultOverprovisioning,
		hashHostname:     common.GetConsistentHashingLbConfig().GetUseHostnameForHashing(),
	}
	if p := common.GetHealthyPanicThreshold(); p != nil {
		c.lb.panicThreshold = uint32(math.Round(p.GetValue()))
	}
	if f := pb.GetLoadAssignment().GetPolicy().GetOverprovisioningFactor(); f != nil {
		c.lb.overprovisioning = f.GetValue()
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
