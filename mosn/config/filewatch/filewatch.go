// Package filewatch tells when files are replaced, as Envoy watches them: a file counts
// as new when another one is moved to its name, which is how a whole file comes into
// being at once, or a symbolic link is turned (Kubernetes' config maps). Writing into a
// file in place is no sign unless one asks for it.
//
// A Watcher has one goroutine, on which all callbacks are made, one after the other;
// Close ends it and waits. On Linux it reads inotify; elsewhere it looks once a second.
package filewatch

import (
	"errors"
	"path/filepath"
	"strings"
	"sync"
)

// Watcher watches files. Its methods may be called on any goroutine, from callbacks
// too, but for Close.
type Watcher struct {
	system system

	mu     sync.Mutex
	dirs   map[string]*dir
	closed bool
	done   sync.WaitGroup
}

// dir is a directory with what is watched in it.
type dir struct {
	path    string
	watches map[*watch]struct{}
	id      int // the system's; of two paths to one directory it is the same
}

type watch struct {
	name   string // "" for every name
	modify bool
	fn     func()
}

// New returns a watcher without anything to watch.
func New() (*Watcher, error) {
	w := &Watcher{dirs: map[string]*dir{}}
	if err := w.system.open(); err != nil {
		return nil, err
	}
	w.done.Go(func() { w.system.run(w) })
	return w, nil
}

// Add calls fn whenever something was moved to path, and with modify also when the
// file there was written to. A path that ends in a slash stands for every name in that
// directory. Several events in a row may be one call. remove ends it, but a call that
// is under way goes on.
func (w *Watcher) Add(path string, modify bool, fn func()) (remove func(), err error) {
	at, name := filepath.Split(path)
	at = filepath.Clean(at)
	wt := &watch{name: name, modify: modify, fn: fn}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return nil, errors.New("filewatch: closed")
	}
	d := w.dirs[at]
	if d == nil {
		d = &dir{path: at, watches: map[*watch]struct{}{}}
	}
	d.watches[wt] = struct{}{}
	if err := w.system.watch(d); err != nil {
		delete(d.watches, wt)
		return nil, err
	}
	w.dirs[at] = d
	return func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(d.watches, wt)
		if len(d.watches) == 0 && w.dirs[at] == d {
			delete(w.dirs, at)
			if !w.closed { // its descriptor may be another's by now
				w.system.forget(w, d)
			}
		}
	}, nil
}

// Close ends the watcher. It must not be called from a callback.
func (w *Watcher) Close() {
	w.mu.Lock()
	if !w.closed {
		w.closed = true
		w.system.close()
	}
	w.mu.Unlock()
	w.done.Wait()
}

// modify reports whether anybody wants to know of writing in place.
func (d *dir) modify() bool {
	for wt := range d.watches {
		if wt.modify {
			return true
		}
	}
	return false
}

// event is something that happened to a name in a directory.
type event struct {
	dir      *dir
	name     string
	modified bool // written to, not moved there
}

// tell makes the calls for some events, each function once. all means that nobody
// knows what has happened: everything may have.
func (w *Watcher) tell(events []event, all bool) {
	var calls []func()
	called := map[*watch]bool{}
	add := func(wt *watch) {
		if !called[wt] {
			called[wt] = true
			calls = append(calls, wt.fn)
		}
	}
	w.mu.Lock()
	for _, e := range events {
		for wt := range e.dir.watches {
			if (wt.name == "" || wt.name == e.name) && (!e.modified || wt.modify) {
				add(wt)
			}
		}
	}
	if all {
		for _, d := range w.dirs {
			for wt := range d.watches {
				add(wt)
			}
		}
	}
	w.mu.Unlock()
	for _, fn := range calls {
		fn()
	}
}

// byID returns the directories with a number of the system's.
func (w *Watcher) byID(id int) (list []*dir) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, d := range w.dirs {
		if d.id == id {
			list = append(list, d)
		}
	}
	return list
}

// text cuts a name at its first zero byte.
func text(b []byte) string {
	name, _, _ := strings.Cut(string(b), "\x00")
	return name
}
