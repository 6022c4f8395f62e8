package cluster

//lint:file-ignore SA1019 Envoy honours these fields though they are deprecated, and most configurations in use have them

import (
	"fmt"
	"math"
	"net/netip"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"

	"sofamesh.io/sofamesh/mosn/eventloop"
	"sofamesh.io/sofamesh/sdk"
)

// compileHosts takes the type of discovery and the endpoints.
func (c *Config) compileHosts(comp sdk.Compiler, pb *clusterv3.Cluster) error {
	if pb.GetClusterType() != nil {
		return comp.At("cluster_type").Errorf("%q is not supported yet", pb.GetClusterType().GetName())
	}
	switch pb.GetType() {
	case clusterv3.Cluster_STATIC:
	case clusterv3.Cluster_STRICT_DNS:
		var err error
		if c.dns, err = dnsOptionsOf(comp, pb); err != nil {
			return err
		}
	case clusterv3.Cluster_EDS:
		if pb.GetEdsClusterConfig() == nil {
			return comp.At("eds_cluster_config").Errorf("cannot create an EDS cluster without an EDS config")
		}
		c.eds, c.edsName = true, pb.GetEdsClusterConfig().GetServiceName()
		if c.edsName == "" {
			c.edsName = pb.GetName()
		}
		return nil // its hosts come by Assign
	default:
		return comp.At("type").Errorf("%s is not supported yet", pb.GetType())
	}
	a, err := compileAssignment(comp.At("load_assignment"), pb.GetLoadAssignment(), c.dns != nil)
	c.hosts = a
	return err
}

// Assignment is a compiled ClusterLoadAssignment: the hosts of a cluster. It is
// immutable, and several clusters may have the same.
type Assignment struct {
	endpoints        []*endpoint
	overprovisioning uint32 // percent
	resolve          bool   // addresses may be names
}

// Len returns the number of endpoints.
func (a *Assignment) Len() int { return len(a.endpoints) }

// CompileAssignment compiles what EDS says of a cluster. c stands at the message,
// which has passed its own validation and the check against Fields.
func CompileAssignment(c sdk.Compiler, pb *endpointv3.ClusterLoadAssignment) (*Assignment, error) {
	return compileAssignment(c, pb, false)
}

func compileAssignment(comp sdk.Compiler, pb *endpointv3.ClusterLoadAssignment, resolve bool) (*Assignment, error) {
	a := &Assignment{overprovisioning: uint32Or(pb.GetPolicy().GetOverprovisioningFactor(), defaultOverprovisioning), resolve: resolve}
	for i, l := range pb.GetEndpoints() {
		if err := a.compileLocality(comp.At(fmt.Sprintf("endpoints[%d]", i)), l); err != nil {
			return nil, err
		}
	}
	return a, nil
}

func (a *Assignment) compileLocality(comp sdk.Compiler, l *endpointv3.LocalityLbEndpoints) error {
	var weights uint64
	for i, le := range l.GetLbEndpoints() {
		at := comp.At(fmt.Sprintf("lb_endpoints[%d]", i))
		e, err := a.compileEndpoint(at, le)
		if err != nil {
			return err
		}
		e.priority, e.locality = l.GetPriority(), l.GetLocality()
		weights += uint64(e.weight)
		a.endpoints = append(a.endpoints, e)
	}
	if weights > math.MaxUint32 {
		return comp.Errorf("the sum of weights of all upstream hosts in a locality exceeds %d", uint32(math.MaxUint32))
	}
	return nil
}

func (a *Assignment) compileEndpoint(comp sdk.Compiler, le *endpointv3.LbEndpoint) (*endpoint, error) {
	e := &endpoint{
		hostname: le.GetEndpoint().GetHostname(),
		weight:   max(uint32Or(le.GetLoadBalancingWeight(), 1), 1),
		metadata: sdk.NewMetadata(le.GetMetadata().GetFilterMetadata()),
	}
	if le.GetEndpoint() == nil {
		return nil, comp.Errorf("has no endpoint")
	}
	switch le.GetHealthStatus() {
	case corev3.HealthStatus_UNHEALTHY, corev3.HealthStatus_DRAINING, corev3.HealthStatus_TIMEOUT:
		e.health = Unhealthy
	case corev3.HealthStatus_DEGRADED:
		e.health = Degraded
	default:
		e.health = Healthy
	}
	e.canary = e.metadata.Get("envoy.lb", "canary").Bool()
	e.hashKey = e.metadata.Get("envoy.lb", "hash_key").Text()
	return e, a.compileAddress(comp.At("endpoint.address"), le.GetEndpoint().GetAddress(), e)
}

// compileAddress takes the address; a name only where it can be resolved.
func (a *Assignment) compileAddress(comp sdk.Compiler, pb *corev3.Address, e *endpoint) error {
	if p := pb.GetPipe(); p != nil {
		if a.resolve {
			return comp.Errorf("a pipe has no name to resolve: only socket_address can be used with STRICT_DNS")
		}
		e.addr = eventloop.UnixAddr(p.GetPath())
		return nil
	}
	sa := pb.GetSocketAddress()
	if sa == nil {
		return comp.Errorf("only socket_address and pipe are supported yet")
	}
	if sa.GetProtocol() != corev3.SocketAddress_TCP {
		return comp.At("socket_address.protocol").Errorf("%s is not supported for a cluster", sa.GetProtocol())
	}
	e.port = uint16(sa.GetPortValue())
	if ip, err := netip.ParseAddr(sa.GetAddress()); err == nil {
		e.addr = eventloop.TCPAddr(netip.AddrPortFrom(ip.Unmap(), e.port))
		if a.resolve && e.hostname == "" {
			e.hostname = sa.GetAddress()
		}
		return nil
	}
	if !a.resolve {
		return comp.At("socket_address.address").Errorf(
			"malformed IP address: %s. Consider setting the cluster type to 'STRICT_DNS'", sa.GetAddress())
	}
	e.name = sa.GetAddress()
	if e.hostname == "" {
		e.hostname = e.name
	}
	return nil
}

// dnsOptions say how names are resolved.
type dnsOptions struct {
	refresh, jitter   time.Duration
	failBase, failMax time.Duration // 0: as refresh
	family            clusterv3.Cluster_DnsLookupFamily
	warm              bool // wait_for_warm_on_init
}

func dnsOptionsOf(comp sdk.Compiler, pb *clusterv3.Cluster) (*dnsOptions, error) {
	o := &dnsOptions{
		refresh: duration(pb.GetDnsRefreshRate(), defaultDNSRefresh),
		jitter:  duration(pb.GetDnsJitter(), 0),
		family:  pb.GetDnsLookupFamily(),
		warm:    pb.GetWaitForWarmOnInit() == nil || pb.GetWaitForWarmOnInit().GetValue(),
	}
	if f := pb.GetDnsFailureRefreshRate(); f != nil {
		o.failBase = f.GetBaseInterval().AsDuration()
		o.failMax = duration(f.GetMaxInterval(), 10*o.failBase)
		if o.failMax < o.failBase {
			return nil, comp.At("dns_failure_refresh_rate.max_interval").Errorf("is less than base_interval")
		}
	}
	if pb.GetRespectDnsTtl() {
		comp.At("respect_dns_ttl").Warnf("the resolver does not tell the TTL: names are resolved every dns_refresh_rate (%v)", o.refresh)
	}
	return o, nil
}
