//go:build linux

package rawsock

import (
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Edge is the interest of every connection: edge-triggered, both directions, registered once for the connection's life.
//
// A reader may stop at a short read only while its event lacks Ended: a FIN that came with the data gives no second edge.
const Edge = unix.EPOLLIN | unix.EPOLLOUT | unix.EPOLLRDHUP | unix.EPOLLET

// Ended is the set of event bits after which a reader must read until the end of stream or the error.
const Ended = unix.EPOLLRDHUP | unix.EPOLLHUP | unix.EPOLLERR

// A Handler is told what epoll saw on its descriptor. An event may be stale (meant for a descriptor closed and reopened within
// the same turn), so a handler treats it as a hint and copes with EAGAIN.
type Handler interface {
	Ready(events uint32)
}

// Loop is one epoll instance and the handlers of its descriptors. It belongs to one goroutine.
type Loop struct {
	ep       int
	handlers []Handler // by descriptor
	events   [256]unix.EpollEvent
}

// NewLoop makes a loop.
func NewLoop() (*Loop, error) {
	ep, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("epoll_create1: %w", err)
	}
	return &Loop{ep: ep}, nil
}

// Close gives the epoll descriptor back. The descriptors in it stay open.
func (l *Loop) Close() { Close(l.ep) }

// Add watches fd and routes its events to h.
func (l *Loop) Add(fd int, events uint32, h Handler) error {
	if errno := Watch(l.ep, fd, events); errno != 0 {
		return fmt.Errorf("epoll_ctl: %w", errno)
	}
	for len(l.handlers) <= fd {
		l.handlers = append(l.handlers, nil)
	}
	l.handlers[fd] = h
	return nil
}

// Drop closes fd; its handler hears nothing more of it.
func (l *Loop) Drop(fd int) {
	l.handlers[fd] = nil
	Close(fd)
}

// Turn waits once, up to millis (-1: for ever, 0: not at all), and calls the handlers of what is ready. It must not be called from a handler.
func (l *Loop) Turn(millis int) error {
	n, errno := Wait(l.ep, l.events[:], millis)
	if errno != 0 && errno != unix.EINTR {
		return fmt.Errorf("epoll_wait: %w", errno)
	}
	for i := range l.events[:n] {
		ev := &l.events[i]
		if h := l.handlers[ev.Fd]; h != nil {
			h.Ready(ev.Events)
		}
	}
	return nil
}

// Watch adds fd to the epoll instance ep.
func Watch(ep, fd int, events uint32) unix.Errno {
	ev := unix.EpollEvent{Events: events, Fd: int32(fd)}
	_, _, errno := unix.RawSyscall6(unix.SYS_EPOLL_CTL, uintptr(ep), unix.EPOLL_CTL_ADD, uintptr(fd), uintptr(unsafe.Pointer(&ev)), 0, 0)
	return errno
}

// Wait is epoll_pwait without a signal mask: the one form that both amd64 and arm64 have.
func Wait(ep int, events []unix.EpollEvent, millis int) (int, unix.Errno) {
	n, _, errno := unix.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(ep), uintptr(unsafe.Pointer(unsafe.SliceData(events))), uintptr(len(events)), uintptr(millis), 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(n), 0
}
