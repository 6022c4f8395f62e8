//go:build linux || darwin

package eventloop

import (
	"errors"
	"net/netip"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// What follows is common to both systems and off the path of a request.

func (s *sockets) Connect(to Addr, cfg *DialConfig) (int, syscall.Errno) {
	fd, errno := newSocket(to.domain())
	if errno != 0 {
		return -1, errno
	}
	if err := cfg.prepare(fd, to); err != nil {
		s.Close(fd, false)
		return -1, errnoOf(err)
	}
	errno = s.connectTo(fd, to)
	if errno != 0 && errno != syscall.EINPROGRESS {
		s.Close(fd, false)
		return -1, errno
	}
	return fd, errno
}

func (*sockets) SocketError(fd int) syscall.Errno {
	v, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ERROR)
	if err != nil {
		return errnoOf(err)
	}
	return syscall.Errno(v)
}

func (*sockets) LocalAddr(fd int) Addr {
	sa, err := unix.Getsockname(fd)
	if err != nil {
		return Addr{}
	}
	return addrOf(sa)
}

func (*sockets) Shutdown(fd int) syscall.Errno {
	return errnoOf(unix.Shutdown(fd, unix.SHUT_WR))
}

// errnoOf returns the number in an error of package unix, 0 for nil.
func errnoOf(err error) syscall.Errno {
	if err == nil {
		return 0
	}
	var errno syscall.Errno
	if errors.As(err, &errno) {
		return errno
	}
	return syscall.EINVAL
}

func addrPort6(ip [16]byte, scope uint32, port uint16) netip.AddrPort {
	a := netip.AddrFrom16(ip).Unmap()
	if scope != 0 && a.Is6() {
		a = a.WithZone(strconv.Itoa(int(scope)))
	}
	return netip.AddrPortFrom(a, port)
}

// scopeID returns the number of a zone given by number, else 0: names of
// interfaces are resolved when configuration is compiled.
func scopeID(a netip.Addr) uint32 {
	n, _ := strconv.ParseUint(a.Zone(), 10, 32)
	return uint32(n)
}

func addrOf(sa unix.Sockaddr) Addr {
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		return TCPAddr(netip.AddrPortFrom(netip.AddrFrom4(sa.Addr), uint16(sa.Port)))
	case *unix.SockaddrInet6:
		return TCPAddr(addrPort6(sa.Addr, sa.ZoneId, uint16(sa.Port)))
	case *unix.SockaddrUnix:
		return UnixAddr(sa.Name)
	}
	return Addr{}
}

func (a Addr) sockaddr() unix.Sockaddr {
	switch {
	case a.IsUnix():
		return &unix.SockaddrUnix{Name: a.Path}
	case a.Addr().Is4():
		return &unix.SockaddrInet4{Port: int(a.Port()), Addr: a.Addr().As4()}
	}
	return &unix.SockaddrInet6{Port: int(a.Port()), Addr: a.Addr().As16(), ZoneId: scopeID(a.Addr())}
}

func (a Addr) domain() int {
	switch {
	case a.IsUnix():
		return unix.AF_UNIX
	case a.Addr().Is4() || a.Addr().Is4In6():
		return unix.AF_INET
	}
	return unix.AF_INET6
}

type option struct{ name, value int }

// setAll sets the options whose value is not zero.
func setAll(fd, level int, opts []option) error {
	for _, o := range opts {
		if o.value == 0 {
			continue
		}
		if err := unix.SetsockoptInt(fd, level, o.name, o.value); err != nil {
			return err
		}
	}
	return nil
}

func setSockOpts(fd int, opts []SockOpt) error {
	for _, o := range opts {
		var err error
		if o.Bytes != nil {
			err = unix.SetsockoptString(fd, o.Level, o.Name, string(o.Bytes))
		} else {
			err = unix.SetsockoptInt(fd, o.Level, o.Name, o.Value)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// seconds rounds up, since 0 means unset.
func seconds(d time.Duration) int { return int((d + time.Second - 1) / time.Second) }

// prepare sets what has to be set before connecting.
func (cfg *DialConfig) prepare(fd int, to Addr) error {
	if cfg == nil {
		cfg = new(DialConfig)
	}
	if err := setSockOpts(fd, cfg.Options); err != nil {
		return err
	}
	if to.IsUnix() {
		return nil
	}
	if !cfg.Nagle {
		if err := unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1); err != nil {
			return err
		}
	}
	if cfg.KeepAlive != nil {
		if err := setKeepAlive(fd, cfg.KeepAlive); err != nil {
			return err
		}
	}
	if cfg.Local.IsValid() {
		if cfg.Local.Port() == 0 {
			setBindNoPort(fd)
		}
		return unix.Bind(fd, TCPAddr(cfg.Local).sockaddr())
	}
	return nil
}
