package rbac

import (
	"math"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	upstreamv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/rbac/matchers/upstream_ip_port/v3"
	mtlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/rbac/principals/mtls_authenticated/v3"

	"sofamesh.io/sofamesh/mosn/match"
	"sofamesh.io/sofamesh/sdk"
)

// upstreamAddress is the filter state under which a filter tells, as a netip.AddrPort,
// where it is going to send the request.
const upstreamAddress = "envoy.stream.upstream_address"

// compileExtension compiles the permissions that are extensions.
func compileExtension(c sdk.Compiler, pb *corev3.TypedExtensionConfig) (m matcher, err error) {
	config, err := c.At("typed_config").Unpack(pb.GetTypedConfig())
	if err != nil {
		return m, err
	}
	u, ok := config.(*upstreamv3.UpstreamIpPortMatcher)
	if !ok {
		return m, c.Missing("envoy.rbac.matchers", pb.GetName(), pb.GetTypedConfig())
	}
	c = c.At("typed_config")
	m = matcher{kind: upstream, high: math.MaxUint16}
	if u.GetUpstreamIp() == nil && u.GetUpstreamPortRange() == nil {
		return m, c.Errorf("neither upstream_ip nor upstream_port_range is set")
	}
	if r := u.GetUpstreamPortRange(); r != nil {
		m.low, m.high = r.GetStart(), r.GetEnd() // the end is in it, as in Envoy
	}
	if ip := u.GetUpstreamIp(); ip != nil {
		p, err := match.CompileAddress(c.At("upstream_ip"), ip)
		m.addresses = match.Addresses{p}
		return m, err
	}
	return m, nil
}

// compileCustom compiles the principals that are extensions.
func compileCustom(c sdk.Compiler, pb *corev3.TypedExtensionConfig) (m matcher, err error) {
	config, err := c.At("typed_config").Unpack(pb.GetTypedConfig())
	if err != nil {
		return m, err
	}
	t, ok := config.(*mtlsv3.Config)
	if !ok {
		return m, c.Missing("envoy.rbac.principals", pb.GetName(), pb.GetTypedConfig())
	}
	if t.GetSanMatcher() == nil && !t.GetAnyValidatedClientCertificate() {
		return m, c.At("typed_config").Errorf("neither san_matcher nor any_validated_client_certificate is set")
	}
	c.Warnf("matches nobody, as there is no TLS yet")
	return matcher{kind: constant}, nil
}
