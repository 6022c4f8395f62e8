package listener

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"strings"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"

	"sofamesh.io/sofamesh/mosn/eventloop"
	"sofamesh.io/sofamesh/sdk"
)

// endpoint is an address to bind.
type endpoint struct {
	addr   eventloop.Addr
	v6Only bool
	mode   fs.FileMode // of a Unix socket
}

// CompileAddress reads an address to bind to: an IP with a port, or a Unix socket,
// of which mode is the file's, 0 for the default. Names are refused, as in Envoy,
// which resolves them only by an extension.
func CompileAddress(c sdk.Compiler, pb *corev3.Address) (addr eventloop.Addr, mode fs.FileMode, err error) {
	e, err := compileAddress(c, pb)
	return e.addr, e.mode, err
}

func compileAddress(c sdk.Compiler, pb *corev3.Address) (endpoint, error) {
	e, field, err := parseAddress(pb)
	if err != nil {
		return e, c.At(field).Errorf("%w", err)
	}
	return e, nil
}

var (
	errInternal = errors.New("internal listeners are known but not built yet")
	errUDP      = errors.New("UDP listeners are known but not built yet")
	errMissing  = errors.New("an address to listen on is missing")
	errPort     = errors.New("a listener needs port_value")
	errNetns    = errors.New("network namespaces are known but not built yet")
)

// parseAddress also returns the path of the field that is at fault.
func parseAddress(pb *corev3.Address) (e endpoint, field string, err error) {
	switch a := pb.GetAddress().(type) {
	case *corev3.Address_SocketAddress:
		e, field, err = parseSocketAddress(a.SocketAddress)
		return e, strings.TrimSuffix("socket_address."+field, "."), err
	case *corev3.Address_Pipe:
		return endpoint{addr: eventloop.UnixAddr(a.Pipe.GetPath()), mode: fs.FileMode(a.Pipe.GetMode())}, "", nil
	case *corev3.Address_EnvoyInternalAddress:
		return e, "envoy_internal_address", errInternal
	}
	return e, "", errMissing
}

func parseSocketAddress(a *corev3.SocketAddress) (e endpoint, field string, err error) {
	if a.GetProtocol() != corev3.SocketAddress_TCP {
		return e, "protocol", errUDP
	}
	if a.GetNetworkNamespaceFilepath() != "" {
		return e, "network_namespace_filepath", errNetns
	}
	port, ok := a.GetPortSpecifier().(*corev3.SocketAddress_PortValue)
	if !ok {
		return e, "", errPort
	}
	ip, err := netip.ParseAddr(a.GetAddress())
	if err != nil {
		return e, "address", fmt.Errorf("malformed IP address: %s", a.GetAddress())
	}
	e.addr = eventloop.TCPAddr(netip.AddrPortFrom(ip, uint16(port.PortValue)))
	// As in Envoy, "::" takes IPv4 connections only when asked to.
	e.v6Only = ip.Is6() && !ip.Is4In6() && !a.GetIpv4Compat()
	return e, "", nil
}

// statName is the address as it stands in stat names: colons become underscores.
func statName(a eventloop.Addr) string {
	if a.IsUnix() {
		return strings.ReplaceAll(a.Path, ":", "_")
	}
	s := fmt.Sprintf("%s_%d", a.Addr(), a.Port())
	if a.Addr().Is6() {
		s = fmt.Sprintf("[%s]_%d", a.Addr(), a.Port())
	}
	return strings.ReplaceAll(s, ":", "_")
}

// addressProto is the address in Envoy's form.
func addressProto(a eventloop.Addr) *corev3.Address {
	if a.IsUnix() {
		return &corev3.Address{Address: &corev3.Address_Pipe{Pipe: &corev3.Pipe{Path: a.Path}}}
	}
	return &corev3.Address{Address: &corev3.Address_SocketAddress{SocketAddress: &corev3.SocketAddress{
		Address: a.Addr().String(), PortSpecifier: &corev3.SocketAddress_PortValue{PortValue: uint32(a.Port())},
	}}}
}
