//go:build linux

// Package rawsock is the bench's thin skin over Linux sockets and epoll: raw system calls without the Go scheduler's bookkeeping.
//
// It owns no state besides a Loop. The floor, the backend and the load generator call it, each from the one goroutine of its process.
// A raw call blocks its whole thread, and a blocked thread holds up the garbage collector; the processes that use this package
// therefore run with one goroutine, GOMAXPROCS=1 and the collector off. IPv4 loopback only: the bench needs nothing else.
package rawsock

import (
	"fmt"
	"net/netip"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Recv reads what a non-blocking socket holds into b, which must not be empty. Zero bytes without an error is the peer's end of stream.
func Recv(fd int, b []byte) (int, unix.Errno) {
	n, _, errno := unix.RawSyscall6(unix.SYS_RECVFROM, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)), 0, 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(n), 0
}

// Send writes b, which must not be empty, as far as the socket takes it. A full socket is (0, EAGAIN); SIGPIPE is never raised.
func Send(fd int, b []byte) (int, unix.Errno) {
	n, _, errno := unix.RawSyscall6(unix.SYS_SENDTO, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)), unix.MSG_NOSIGNAL, 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(n), 0
}

// Accept takes one connection from a listener, non-blocking. TCP_NODELAY is inherited from the listener.
func Accept(fd int) (int, unix.Errno) {
	n, _, errno := unix.RawSyscall6(unix.SYS_ACCEPT4, uintptr(fd), 0, 0, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0, 0)
	if errno != 0 {
		return -1, errno
	}
	return int(n), 0
}

// Close closes a descriptor; there is nothing to do about its error.
func Close(fd int) {
	unix.RawSyscall(unix.SYS_CLOSE, uintptr(fd), 0, 0)
}

// Dial starts a non-blocking connect. The socket reports writable (or an error) once the handshake is over; a Send before that gives EAGAIN.
func Dial(addr netip.AddrPort) (int, error) {
	fd, err := stream(addr)
	if err != nil {
		return -1, err
	}
	sa := unix.RawSockaddrInet4{Family: unix.AF_INET, Addr: addr.Addr().As4()}
	port := (*[2]byte)(unsafe.Pointer(&sa.Port))
	port[0], port[1] = byte(addr.Port()>>8), byte(addr.Port())
	_, _, errno := unix.RawSyscall(unix.SYS_CONNECT, uintptr(fd), uintptr(unsafe.Pointer(&sa)), unix.SizeofSockaddrInet4)
	if errno != 0 && errno != unix.EINPROGRESS {
		Close(fd)
		return -1, fmt.Errorf("connect %s: %w", addr, errno)
	}
	return fd, nil
}

// Listen opens a non-blocking listening socket with the deepest backlog the system grants.
func Listen(addr netip.AddrPort) (int, error) {
	fd, err := stream(addr)
	if err != nil {
		return -1, err
	}
	if err := listen(fd, addr); err != nil {
		Close(fd)
		return -1, fmt.Errorf("listen %s: %w", addr, err)
	}
	return fd, nil
}

func listen(fd int, addr netip.AddrPort) error {
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1); err != nil {
		return err
	}
	if err := unix.Bind(fd, &unix.SockaddrInet4{Port: int(addr.Port()), Addr: addr.Addr().As4()}); err != nil {
		return err
	}
	return unix.Listen(fd, 65535)
}

func stream(addr netip.AddrPort) (int, error) {
	if !addr.Addr().Is4() {
		return -1, fmt.Errorf("%s: the bench speaks IPv4 only", addr)
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("socket: %w", err)
	}
	if err := unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1); err != nil {
		Close(fd)
		return -1, fmt.Errorf("TCP_NODELAY: %w", err)
	}
	return fd, nil
}

// Port is the port a listener is bound to, for one that asked for port 0.
func Port(fd int) (uint16, error) {
	sa, err := unix.Getsockname(fd)
	if err != nil {
		return 0, fmt.Errorf("getsockname: %w", err)
	}
	in4, ok := sa.(*unix.SockaddrInet4)
	if !ok {
		return 0, fmt.Errorf("getsockname: not an IPv4 socket")
	}
	return uint16(in4.Port), nil
}
