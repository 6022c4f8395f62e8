package eventloop

import (
	"net"
	"net/netip"
	"time"
)

// Addr is the address of a TCP endpoint or, with a Path, of a Unix socket. A
// Path that begins with @ is in Linux's abstract namespace. The zero value is
// no address.
type Addr struct {
	netip.AddrPort
	Path string
}

// TCPAddr returns the address of a TCP endpoint.
func TCPAddr(ap netip.AddrPort) Addr { return Addr{AddrPort: ap} }

// UnixAddr returns the address of a Unix socket.
func UnixAddr(path string) Addr { return Addr{Path: path} }

// IsUnix reports whether a names a Unix socket.
func (a Addr) IsUnix() bool { return a.Path != "" }

// String returns ip:port or the path.
func (a Addr) String() string {
	if a.IsUnix() {
		return a.Path
	}
	return a.AddrPort.String()
}

// KeepAlive are TCP's keep-alive parameters. Zero leaves the system's default.
// Durations are rounded up to seconds.
type KeepAlive struct {
	Idle, Interval time.Duration
	Probes         int
}

// SockOpt is a socket option given by number, as Envoy's
// config.core.v3.SocketOption. Bytes, when not nil, wins over Value.
type SockOpt struct {
	Level, Name, Value int
	Bytes              []byte
}

// DialConfig is how a connection is made. It is read only and may be shared by
// loops; nil means all defaults.
type DialConfig struct {
	Timeout   time.Duration  // to connect; 0 is no limit
	Local     netip.AddrPort // source address; the zero value lets the system choose
	KeepAlive *KeepAlive     // nil: off
	Nagle     bool           // leaves TCP_NODELAY off
	Options   []SockOpt
	// Watermarks of the write queue in bytes; 0 takes Conn's default.
	HighWatermark, LowWatermark int
}

// MachineAddress is the machine's first IPv4 address that is not loopback, "" when it
// has none: what Envoy writes to x-forwarded-for for the machine itself. It asks the
// kernel, so it is not for loops.
func MachineAddress() string {
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return ""
	}
	for _, a := range addrs {
		if n, ok := a.(*net.IPNet); ok && !n.IP.IsLoopback() && n.IP.To4() != nil {
			return n.IP.String()
		}
	}
	return ""
}
