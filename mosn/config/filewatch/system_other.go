//go:build !linux

package filewatch

import (
	"io/fs"
	"os"
	"time"
)

// interval is how often directories are looked at.
const interval = time.Second

// system compares what is in the directories now with what was. It is for laptops; it
// does not tell a file that was moved there from one that was written in place.
type system struct {
	stop chan struct{}
	seen map[*dir]map[string]fs.FileInfo // the goroutine's own
}

func (s *system) open() error {
	s.stop, s.seen = make(chan struct{}), map[*dir]map[string]fs.FileInfo{}
	return nil
}

func (s *system) watch(d *dir) error {
	_, err := os.Stat(d.path)
	return err
}

func (s *system) forget(*Watcher, *dir) {}
func (s *system) close()                { close(s.stop) }

func (s *system) run(w *Watcher) {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		select {
		case <-s.stop:
			return
		case <-tick.C:
			w.tell(s.look(w), false)
		}
	}
}

func (s *system) look(w *Watcher) []event {
	w.mu.Lock()
	dirs := make([]*dir, 0, len(w.dirs))
	for _, d := range w.dirs {
		dirs = append(dirs, d)
	}
	w.mu.Unlock()
	var events []event
	now := map[*dir]map[string]fs.FileInfo{}
	for _, d := range dirs {
		files := map[string]fs.FileInfo{}
		entries, _ := os.ReadDir(d.path) // what is gone has nothing new
		for _, e := range entries {
			if info, err := e.Info(); err == nil {
				files[e.Name()] = info
			}
		}
		now[d] = files
		old, known := s.seen[d]
		for name, info := range files {
			before := old[name]
			if known && (before == nil || !os.SameFile(before, info) || before.ModTime() != info.ModTime()) {
				events = append(events, event{d, name, false})
			}
		}
	}
	s.seen = now
	return events
}
