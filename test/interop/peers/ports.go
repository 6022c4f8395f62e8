package peers

import (
	"fmt"
	"math/rand/v2"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// Ports below the kernel's ephemeral range, so that no outgoing connection takes one between its choice and its use.
const (
	portLow  = 11000
	portHigh = 30000
)

// HoldPort reserves a TCP port on 127.0.0.1 until the test ends. The reservation is a bound SO_REUSEPORT socket that never listens: a proxy
// that itself binds with SO_REUSEPORT can listen on the port, everybody else finds it taken, and while nobody listens a connect is refused.
func HoldPort(t testing.TB) int {
	t.Helper()
	return reserve(t, true)
}

// RefusedPort returns a port on 127.0.0.1 where every connect is refused until the test ends.
func RefusedPort(t testing.TB) int {
	t.Helper()
	return reserve(t, false)
}

// FreePort returns a port that was free a moment ago, for listeners that bind without SO_REUSEPORT (admin).
func FreePort(t testing.TB) int {
	t.Helper()
	fd, port, err := bindFree(false)
	if err != nil {
		t.Fatalf("free port: %v", err)
	}
	_ = unix.Close(fd)
	return port
}

func reserve(t testing.TB, shared bool) int {
	t.Helper()
	fd, port, err := bindFree(shared)
	if err != nil {
		t.Fatalf("reserve port: %v", err)
	}
	t.Cleanup(func() { _ = unix.Close(fd) })
	return port
}

// bindFree binds a socket to a port that nobody holds. The trial without SO_REUSEPORT comes first, because with the option the kernel would
// happily share a port that another test of the same user holds.
func bindFree(shared bool) (fd, port int, err error) {
	for range 200 {
		port = portLow + rand.IntN(portHigh-portLow)
		if fd, err = bind(port, false); err != nil {
			continue
		}
		if !shared {
			return fd, port, nil
		}
		_ = unix.Close(fd)
		if fd, err = bind(port, true); err == nil {
			return fd, port, nil
		}
	}
	return -1, 0, fmt.Errorf("no free port between %d and %d: %w", portLow, portHigh, err)
}

func bind(port int, shared bool) (int, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	if shared {
		if err := unix.SetsockoptInt(fd, syscall.SOL_SOCKET, unix.SO_REUSEPORT, 1); err != nil {
			_ = unix.Close(fd)
			return -1, err
		}
	}
	if err := unix.Bind(fd, &unix.SockaddrInet4{Port: port, Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		_ = unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// BlackHole returns a port on 127.0.0.1 where a connect neither succeeds nor fails: a socket that listens with the shortest backlog, filled
// by connections that nobody accepts, so that the kernel drops every further SYN.
func BlackHole(t testing.TB) int {
	t.Helper()
	fd, port, err := bindFree(false)
	if err != nil {
		t.Fatalf("black hole: %v", err)
	}
	t.Cleanup(func() { _ = unix.Close(fd) })
	if err := unix.Listen(fd, 0); err != nil {
		t.Fatalf("black hole: %v", err)
	}
	for range 4 {
		fillBacklog(t, port)
	}
	return port
}

func fillBacklog(t testing.TB, port int) {
	t.Helper()
	c, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		t.Fatalf("black hole: %v", err)
	}
	t.Cleanup(func() { _ = unix.Close(c) })
	err = unix.Connect(c, &unix.SockaddrInet4{Port: port, Addr: [4]byte{127, 0, 0, 1}})
	if err != nil && err != unix.EINPROGRESS {
		t.Fatalf("black hole: %v", err)
	}
}
