package eventloop

import (
	"net/netip"
	"syscall"

	"golang.org/x/sys/unix"
)

// sockets is the socket half of a Kernel on darwin, where system calls go
// through libSystem and cannot be raw. It serves laptops, not production.
type sockets struct{}

func (*sockets) Read(fd int, p []byte) (int, syscall.Errno) {
	n, err := unix.Read(fd, p)
	return max(n, 0), errnoOf(err)
}

func (*sockets) Write(fd int, p []byte) (int, syscall.Errno) {
	n, err := unix.Write(fd, p)
	return max(n, 0), errnoOf(err)
}

func (*sockets) Writev(fd int, v [][]byte) (int, syscall.Errno) {
	n, err := unix.Writev(fd, v[:min(len(v), maxVec)])
	return max(n, 0), errnoOf(err)
}

func (*sockets) Accept(fd int) (int, netip.AddrPort, syscall.Errno) {
	nfd, sa, err := unix.Accept(fd)
	if err != nil {
		return -1, netip.AddrPort{}, errnoOf(err)
	}
	if err := prepare(nfd); err != nil {
		_ = unix.Close(nfd)
		return -1, netip.AddrPort{}, errnoOf(err)
	}
	return nfd, addrOf(sa).AddrPort, 0
}

func (*sockets) connectTo(fd int, to Addr) syscall.Errno {
	return errnoOf(unix.Connect(fd, to.sockaddr()))
}

func (*sockets) Close(fd int, abort bool) {
	if abort {
		_ = unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
	}
	_ = unix.Close(fd)
}

func newSocket(domain int) (int, syscall.Errno) {
	fd, err := unix.Socket(domain, unix.SOCK_STREAM, 0)
	if err != nil {
		return -1, errnoOf(err)
	}
	if err := prepare(fd); err != nil {
		_ = unix.Close(fd)
		return -1, errnoOf(err)
	}
	return fd, 0
}

// prepare gives a fresh descriptor what Linux sets in one call.
func prepare(fd int) error {
	unix.CloseOnExec(fd)
	if err := unix.SetNonblock(fd, true); err != nil {
		return err
	}
	return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_NOSIGPIPE, 1)
}

func setKeepAlive(fd int, k *KeepAlive) error {
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1); err != nil {
		return err
	}
	return setAll(fd, unix.IPPROTO_TCP, []option{
		{unix.TCP_KEEPALIVE, seconds(k.Idle)}, {unix.TCP_KEEPINTVL, seconds(k.Interval)}, {unix.TCP_KEEPCNT, k.Probes},
	})
}

const reusePortBalances = false

func setFreeBind(int, bool) error    { return unix.ENOTSUP }
func setTransparent(int, bool) error { return unix.ENOTSUP }

func setBindNoPort(int) {}

// niceThread does nothing: priorities are per process here.
func niceThread(int) error { return nil }
