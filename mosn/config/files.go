package config

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"time"

	"sofamesh.io/sofamesh/mosn/config/filewatch"
	"sofamesh.io/sofamesh/mosn/eventloop"
)

// fileSpec is a file and how its changes are noticed.
type fileSpec struct {
	path   string
	dir    string // watched_directory, "" to watch the file itself
	modify bool   // and what is written in place there
	poll   time.Duration
}

func (f fileSpec) key() string {
	return fmt.Sprintf("file %s\x00%s\x00%v\x00%v", f.path, f.dir, f.modify, f.poll)
}

// files are the files that resources come from. One goroutine reads them, one after
// the other, and makes all deliveries; it runs from the first subscription to close.
type files struct {
	ext    *Registry
	strict bool // unknown fields are faults
	quit   chan struct{}
	wake   chan struct{} // holds one token: there is work
	done   sync.WaitGroup

	mu      sync.Mutex
	watcher *filewatch.Watcher // made with the first file
	all     map[fileSpec]*watched
	due     []job
	closed  bool
}

// watched is a file as a ResourceSource. Many subscriptions to one file share a reading of it.
type watched struct {
	set  *files
	spec fileSpec

	// Guarded by set.mu.
	subs    []*fileSub
	unwatch func()
	queued  bool
	changed bool // tell all, not the new ones alone

	seen [sha256.Size]byte // of the text; the reader's own
}

type fileSub struct {
	want    Want
	deliver func(*Update) error
	fresh   bool
	gone    bool
}

// job is a file to be read. report, which may be nil, hears what comes of it.
type job struct {
	file   *watched
	report func(error)
}

func newFiles(ext *Registry, strict bool) *files {
	return &files{ext: ext, strict: strict, quit: make(chan struct{}), wake: make(chan struct{}, 1), all: map[fileSpec]*watched{}}
}

// at returns the source for a file. It is not read before somebody subscribes.
func (s *files) at(spec fileSpec) *watched {
	s.mu.Lock()
	defer s.mu.Unlock()
	if f := s.all[spec]; f != nil {
		return f
	}
	return &watched{set: s, spec: spec}
}

// Subscribe implements ResourceSource.
func (f *watched) Subscribe(w Want, deliver func(*Update) error) (stop func(), err error) {
	s := f.set
	s.mu.Lock()
	defer s.mu.Unlock()
	if known := s.all[f.spec]; known != nil {
		f = known
	} else if err := s.watch(f); err != nil {
		return nil, err
	}
	sub := &fileSub{want: w, deliver: deliver, fresh: true}
	f.subs = append(f.subs, sub)
	s.enqueue(f)
	return func() { s.drop(f, sub) }, nil
}

// watch begins with a file.
func (s *files) watch(f *watched) error {
	if s.closed {
		return errors.New("the proxy is closing")
	}
	if s.watcher == nil {
		w, err := filewatch.New()
		if err != nil {
			return err
		}
		s.watcher = w
		s.done.Go(s.run)
	}
	changed := s.changed(f)
	switch {
	case f.spec.poll > 0:
		f.unwatch = s.poll(f.spec.poll, changed)
	case f.spec.dir != "":
		remove, err := s.watcher.Add(strings.TrimRight(f.spec.dir, "/")+"/", f.spec.modify, changed)
		if err != nil {
			return err
		}
		f.unwatch = remove
	default:
		path, err := filepath.Abs(f.spec.path)
		if err != nil {
			return err
		}
		if f.unwatch, err = s.watcher.Add(path, false, changed); err != nil {
			return err
		}
	}
	s.all[f.spec] = f
	return nil
}

// changed returns what has a file read again, for all who have it.
func (s *files) changed(f *watched) func() {
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		f.changed = true
		s.enqueue(f)
	}
}

// place is a file, or a directory if it ends in a slash, where something may be moved to,
// or with modify be written.
type place struct {
	path   string
	modify bool
}

// also has f, to which somebody has subscribed, read again when something happens there.
func (s *files) also(f *watched, at place) (remove func(), err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	known := s.all[f.spec]
	if known == nil || s.closed {
		return nil, errors.New("nobody reads " + f.spec.path)
	}
	dir := strings.HasSuffix(at.path, "/")
	path, err := filepath.Abs(at.path)
	if err != nil {
		return nil, err
	}
	if dir {
		path += "/"
	}
	return s.watcher.Add(path, at.modify, s.changed(known))
}

// poll calls fn again and again.
func (s *files) poll(every time.Duration, fn func()) (stop func()) {
	over := make(chan struct{})
	s.done.Go(func() {
		tick := time.NewTicker(every)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				fn()
			case <-over:
				return
			case <-s.quit:
				return
			}
		}
	})
	return func() { close(over) }
}

// drop ends a subscription, and with the last one the watching.
func (s *files) drop(f *watched, sub *fileSub) {
	s.mu.Lock()
	defer s.mu.Unlock()
	sub.gone = true
	f.subs = slices.DeleteFunc(f.subs, func(o *fileSub) bool { return o == sub })
	if len(f.subs) == 0 && s.all[f.spec] == f {
		delete(s.all, f.spec)
		f.unwatch()
	}
}

// enqueue has a file read, once for all who ask before its turn comes.
func (s *files) enqueue(f *watched) {
	if !f.queued {
		f.queued = true
		s.push(job{file: f})
	}
}

func (s *files) push(j job) {
	s.due = append(s.due, j)
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// refresh reads all files again, by the order of their paths, and returns when what
// they say is in force, with what was refused.
func (s *files) refresh() error {
	s.mu.Lock()
	var list []*watched
	for _, f := range s.all {
		list = append(list, f)
	}
	slices.SortFunc(list, func(a, b *watched) int { return strings.Compare(a.spec.key(), b.spec.key()) })
	results := make(chan error, len(list))
	for _, f := range list {
		s.push(job{f, func(err error) { results <- err }})
	}
	s.mu.Unlock()
	var errs []error
	for range list {
		select {
		case err := <-results:
			errs = append(errs, err)
		case <-s.quit:
			return errors.Join(errs...)
		}
	}
	return errors.Join(errs...)
}

// close ends the readers and waits for them.
func (s *files) close() {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return
	}
	s.closed = true
	w := s.watcher
	s.mu.Unlock()
	close(s.quit)
	if w != nil {
		w.Close()
	}
	s.done.Wait()
}

func (s *files) run() {
	_ = eventloop.Background() // where that is not to be had, the loops compete with it
	for {
		select {
		case <-s.wake:
			s.work()
		case <-s.quit:
			return
		}
	}
}

// work does what is due.
func (s *files) work() {
	for {
		s.mu.Lock()
		if len(s.due) == 0 || s.closed {
			s.due = nil
			s.mu.Unlock()
			return
		}
		j := s.due[0]
		s.due = s.due[1:]
		f := j.file
		everyone := f.changed || j.report != nil // who asked for it wants to hear it all
		var subs []*fileSub
		for _, sub := range f.subs {
			if everyone || sub.fresh {
				subs = append(subs, sub)
			}
		}
		f.queued, f.changed = false, false
		s.mu.Unlock()
		err := s.read(f, subs)
		if j.report != nil {
			j.report(err)
		}
	}
}

// read reads a file and tells the subscriptions.
func (s *files) read(f *watched, subs []*fileSub) error {
	if len(subs) == 0 {
		return nil
	}
	u, sum := readUpdate(f.spec.path, s.ext, s.strict)
	same := f.spec.poll > 0 && u.Err == nil && sum == f.seen // polled, and nothing new
	if u.Err == nil {
		f.seen = sum
	}
	var errs []error
	for _, sub := range subs {
		s.mu.Lock()
		skip := sub.gone || same && !sub.fresh
		sub.fresh = false
		s.mu.Unlock()
		if !skip {
			errs = append(errs, sub.deliver(u.only(sub.want)))
		}
	}
	if info, err := os.Stat(f.spec.path); err == nil && info.Size() >= largeFile {
		debug.FreeOSMemory() // what reading it has left behind
	}
	return errors.Join(errs...)
}

// largeFile is the size of a file whose reading takes memory worth giving back at once:
// several tens of times as much.
const largeFile = 2 << 20

// only picks what a subscription has asked for.
func (u *Update) only(w Want) *Update {
	if u.Err != nil {
		return u
	}
	out := &Update{Version: u.Version, Unknown: u.Unknown}
	mine := func(k Key) bool { return w.Name == "" || k.Name == w.Name }
	var other string
	for _, r := range u.Resources {
		switch k := (Key{r.Type, r.Name}); {
		case r.Type != w.Type && w.Name == "":
			out.Failed = append(out.Failed, Failure{k, fmt.Errorf("%s: is no %s", label(k), typeName(w.Type))})
		case r.Type == w.Type && mine(k):
			out.Resources = append(out.Resources, r)
		default:
			other = label(k)
		}
	}
	for _, f := range u.Failed {
		if f.Key.Type == w.Type && mine(f.Key) || f.Key.Name == "" {
			out.Failed = append(out.Failed, f)
		} else {
			other = label(f.Key)
		}
	}
	if w.Name != "" && other != "" && len(out.Resources)+len(out.Failed) == 0 {
		k := Key(w)
		out.Failed = append(out.Failed, Failure{k, fmt.Errorf("%s: is not there: the source has %s", label(k), other)})
	}
	return out
}
