package eventloop

import (
	"encoding/binary"
	"net/netip"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// sockets is the socket half of a Kernel on Linux. All descriptors are
// non-blocking, so the calls are raw: none tells the scheduler, none waits.
type sockets struct {
	iov  [maxVec]syscall.Iovec
	name syscall.RawSockaddrAny
}

// Read uses recvfrom(2), which skips the checks that read(2) makes for files.
func (*sockets) Read(fd int, p []byte) (int, syscall.Errno) {
	n, _, errno := syscall.RawSyscall6(syscall.SYS_RECVFROM, uintptr(fd),
		uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)), 0, 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(n), 0
}

// Write uses sendto(2) for MSG_NOSIGNAL: no SIGPIPE from a closed peer.
func (*sockets) Write(fd int, p []byte) (int, syscall.Errno) {
	n, _, errno := syscall.RawSyscall6(syscall.SYS_SENDTO, uintptr(fd),
		uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)), unix.MSG_NOSIGNAL, 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(n), 0
}

// Writev uses sendmsg(2), for the same reason.
func (s *sockets) Writev(fd int, v [][]byte) (int, syscall.Errno) {
	n := min(len(v), maxVec)
	for i, p := range v[:n] {
		s.iov[i].Base = unsafe.SliceData(p)
		s.iov[i].SetLen(len(p))
	}
	msg := syscall.Msghdr{Iov: &s.iov[0], Iovlen: uint64(n)}
	sent, _, errno := syscall.RawSyscall(syscall.SYS_SENDMSG, uintptr(fd),
		uintptr(unsafe.Pointer(&msg)), unix.MSG_NOSIGNAL)
	clear(s.iov[:n]) // keep no chunk alive
	if errno != 0 {
		return 0, errno
	}
	return int(sent), 0
}

func (s *sockets) Accept(fd int) (int, netip.AddrPort, syscall.Errno) {
	size := uint32(unsafe.Sizeof(s.name))
	nfd, _, errno := syscall.RawSyscall6(syscall.SYS_ACCEPT4, uintptr(fd),
		uintptr(unsafe.Pointer(&s.name)), uintptr(unsafe.Pointer(&size)),
		unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0, 0)
	if errno != 0 {
		return -1, netip.AddrPort{}, errno
	}
	return int(nfd), decodeName(&s.name), 0
}

// decodeName returns the zero AddrPort for what is not TCP.
func decodeName(sa *syscall.RawSockaddrAny) netip.AddrPort {
	switch sa.Addr.Family {
	case syscall.AF_INET:
		in := (*syscall.RawSockaddrInet4)(unsafe.Pointer(sa))
		return netip.AddrPortFrom(netip.AddrFrom4(in.Addr), networkOrder(&in.Port))
	case syscall.AF_INET6:
		in := (*syscall.RawSockaddrInet6)(unsafe.Pointer(sa))
		return addrPort6(in.Addr, in.Scope_id, networkOrder(&in.Port))
	}
	return netip.AddrPort{}
}

// networkOrder reads a port, which the structure keeps in network order.
func networkOrder(port *uint16) uint16 {
	return binary.BigEndian.Uint16((*[2]byte)(unsafe.Pointer(port))[:])
}

func (s *sockets) connectTo(fd int, to Addr) syscall.Errno {
	if to.IsUnix() {
		return errnoOf(unix.Connect(fd, &unix.SockaddrUnix{Name: to.Path}))
	}
	ap := to.AddrPort
	var size uintptr
	if ap.Addr().Is4() || ap.Addr().Is4In6() {
		in := (*syscall.RawSockaddrInet4)(unsafe.Pointer(&s.name))
		*in = syscall.RawSockaddrInet4{Family: syscall.AF_INET, Addr: ap.Addr().As4()}
		binary.BigEndian.PutUint16((*[2]byte)(unsafe.Pointer(&in.Port))[:], ap.Port())
		size = syscall.SizeofSockaddrInet4
	} else {
		in := (*syscall.RawSockaddrInet6)(unsafe.Pointer(&s.name))
		*in = syscall.RawSockaddrInet6{Family: syscall.AF_INET6, Addr: ap.Addr().As16(), Scope_id: scopeID(ap.Addr())}
		binary.BigEndian.PutUint16((*[2]byte)(unsafe.Pointer(&in.Port))[:], ap.Port())
		size = syscall.SizeofSockaddrInet6
	}
	_, _, errno := syscall.RawSyscall(syscall.SYS_CONNECT, uintptr(fd), uintptr(unsafe.Pointer(&s.name)), size)
	return errno
}

func (*sockets) Close(fd int, abort bool) {
	if abort {
		_ = unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
	}
	_, _, _ = syscall.RawSyscall(syscall.SYS_CLOSE, uintptr(fd), 0, 0)
}

// newSocket returns a non-blocking stream socket that is closed on exec.
func newSocket(domain int) (int, syscall.Errno) {
	fd, _, errno := syscall.RawSyscall(syscall.SYS_SOCKET, uintptr(domain),
		unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if errno != 0 {
		return -1, errno
	}
	return int(fd), 0
}

func setKeepAlive(fd int, k *KeepAlive) error {
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1); err != nil {
		return err
	}
	return setAll(fd, unix.IPPROTO_TCP, []option{
		{unix.TCP_KEEPIDLE, seconds(k.Idle)}, {unix.TCP_KEEPINTVL, seconds(k.Interval)}, {unix.TCP_KEEPCNT, k.Probes},
	})
}

// reusePortBalances tells whether the kernel spreads connections over the
// sockets that share an address by SO_REUSEPORT.
const reusePortBalances = true

// setFreeBind and setTransparent may need privileges.
func setFreeBind(fd int, v6 bool) error {
	if v6 {
		return unix.SetsockoptInt(fd, unix.SOL_IPV6, unix.IPV6_FREEBIND, 1)
	}
	return unix.SetsockoptInt(fd, unix.SOL_IP, unix.IP_FREEBIND, 1)
}

func setTransparent(fd int, v6 bool) error {
	if v6 {
		return unix.SetsockoptInt(fd, unix.SOL_IPV6, unix.IPV6_TRANSPARENT, 1)
	}
	return unix.SetsockoptInt(fd, unix.SOL_IP, unix.IP_TRANSPARENT, 1)
}

// setBindNoPort leaves the choice of the source port to connect, which may use
// a port again for another destination; bind could not. Old systems lack it.
func setBindNoPort(fd int) {
	_ = unix.SetsockoptInt(fd, unix.SOL_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1)
}

// niceThread lowers the priority of the calling thread by n steps; on Linux
// the priority is the thread's own.
func niceThread(n int) error { return unix.Setpriority(unix.PRIO_PROCESS, unix.Gettid(), n) }
