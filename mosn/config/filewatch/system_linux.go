package filewatch

import (
	"encoding/binary"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// system is inotify (inotify(7)), read through the runtime's poller, so that waiting
// holds no thread.
type system struct {
	fd   int
	file *os.File
}

func (s *system) open() error {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return fmt.Errorf("inotify: %w", err)
	}
	s.fd, s.file = fd, os.NewFile(uintptr(fd), "inotify")
	return nil
}

// watch begins to watch d, or has more watched for there: the kernel has one watch for a
// directory, whatever the paths to it.
func (s *system) watch(d *dir) error {
	mask := uint32(unix.IN_MOVED_TO | unix.IN_ONLYDIR | unix.IN_MASK_ADD)
	if d.modify() {
		mask |= unix.IN_MODIFY
	}
	id, err := unix.InotifyAddWatch(s.fd, d.path, mask)
	if err != nil {
		return fmt.Errorf("unable to watch %s: %w", d.path, err)
	}
	d.id = id
	return nil
}

// forget ends the watching of d, which is no longer in w, unless it goes on by another path.
func (s *system) forget(w *Watcher, d *dir) {
	for _, other := range w.dirs {
		if other.id == d.id {
			return
		}
	}
	_, _ = unix.InotifyRmWatch(s.fd, uint32(d.id)) // fails when the directory is gone
}

func (s *system) close() { _ = s.file.Close() } // wakes run

func (s *system) run(w *Watcher) {
	buf := make([]byte, 64<<10)
	for {
		n, err := s.file.Read(buf)
		if err != nil {
			return // closed
		}
		events, all := parse(w, buf[:n])
		w.tell(events, all)
	}
}

// parse reads the kernel's events; all is set when some were lost.
func parse(w *Watcher, b []byte) (events []event, all bool) {
	for len(b) >= unix.SizeofInotifyEvent {
		id := int(int32(binary.NativeEndian.Uint32(b)))
		mask := binary.NativeEndian.Uint32(b[4:])
		end := unix.SizeofInotifyEvent + int(binary.NativeEndian.Uint32(b[12:]))
		name := text(b[unix.SizeofInotifyEvent:end])
		b = b[end:]
		switch {
		case mask&unix.IN_Q_OVERFLOW != 0:
			all = true
		case mask&(unix.IN_MOVED_TO|unix.IN_MODIFY) != 0:
			for _, d := range w.byID(id) {
				events = append(events, event{d, name, mask&unix.IN_MOVED_TO == 0})
			}
		}
	}
	return events, all
}
