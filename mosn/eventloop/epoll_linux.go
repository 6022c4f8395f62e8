package eventloop

import (
	"fmt"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// epoll is the Kernel of production: edge-triggered epoll(7), one epoll_ctl in
// the life of a descriptor.
type epoll struct {
	sockets
	fd   int
	wake int // eventfd
	raw  [maxEvents]unix.EpollEvent
}

// wakeToken marks the descriptor that Wake writes to; slots never reach it.
const wakeToken = ^uint64(0)

// NewEpoll returns the Kernel for Linux.
func NewEpoll() (Kernel, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("epoll_create1: %w", err)
	}
	wake, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		_ = unix.Close(fd)
		return nil, fmt.Errorf("eventfd: %w", err)
	}
	k := &epoll{fd: fd, wake: wake}
	if err := k.Watch(wake, wakeToken); err != nil {
		k.Release()
		return nil, fmt.Errorf("epoll_ctl: %w", err)
	}
	return k, nil
}

// NewKernel returns the best Kernel of this system.
func NewKernel() (Kernel, error) { return NewEpoll() }

func (k *epoll) Watch(fd int, token uint64) error {
	ev := unix.EpollEvent{
		Events: unix.EPOLLIN | unix.EPOLLOUT | unix.EPOLLRDHUP | unix.EPOLLET,
		Fd:     int32(uint32(token)),
		Pad:    int32(uint32(token >> 32)),
	}
	_, _, errno := syscall.RawSyscall6(syscall.SYS_EPOLL_CTL, uintptr(k.fd), unix.EPOLL_CTL_ADD,
		uintptr(fd), uintptr(unsafe.Pointer(&ev)), 0, 0)
	if errno != 0 {
		return errno
	}
	return nil
}

// Forget has nothing to do: closing a descriptor, which nobody duplicates,
// takes it out of the set.
func (k *epoll) Forget(int) {}

// Wait polls by a raw call, but waits through the scheduler, which may give the
// processor to others meanwhile (rule R2).
func (k *epoll) Wait(events []Event, timeout time.Duration) (int, error) {
	limit := uintptr(min(len(events), len(k.raw)))
	var n uintptr
	var errno syscall.Errno
	if timeout == 0 {
		n, _, errno = syscall.RawSyscall6(syscall.SYS_EPOLL_PWAIT, uintptr(k.fd),
			uintptr(unsafe.Pointer(&k.raw)), limit, 0, 0, 0)
	} else {
		n, _, errno = syscall.Syscall6(syscall.SYS_EPOLL_PWAIT, uintptr(k.fd),
			uintptr(unsafe.Pointer(&k.raw)), limit, uintptr(milliseconds(timeout)), 0, 0)
	}
	if errno != 0 {
		if errno == syscall.EINTR {
			return 0, nil
		}
		return 0, errno
	}
	out := 0
	for i := range int(n) {
		ev := &k.raw[i]
		token := uint64(uint32(ev.Fd)) | uint64(uint32(ev.Pad))<<32
		if token == wakeToken {
			continue // edge-triggered: the counter need not be read
		}
		events[out] = Event{Token: token, Flags: EventFlags(ev.Events)}
		out++
	}
	return out, nil
}

func (k *epoll) Wake() {
	one := uint64(1)
	_, _, _ = syscall.RawSyscall(syscall.SYS_WRITE, uintptr(k.wake), uintptr(unsafe.Pointer(&one)), 8)
}

func (k *epoll) Release() {
	_ = unix.Close(k.wake)
	_ = unix.Close(k.fd)
}
