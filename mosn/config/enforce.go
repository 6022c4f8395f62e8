package config

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"time"

	"sofamesh.io/sofamesh/mosn/cluster"
	"sofamesh.io/sofamesh/mosn/listener"
)

// apply is Apply under the lock. Listeners that are gone make room for others before
// those come; clusters go when nobody names them any more.
func (s *Store) apply(b Batch) *Result {
	r := &Result{}
	s.batch = map[string]bool{}
	for i := range b.Set {
		switch res := &b.Set[i]; res.Type {
		case ClusterType:
			s.batch[res.key().Name] = true
		case ListenerType, SecretType:
		default:
			key := Key{Type: res.Type}
			r.Failed = append(r.Failed, Failure{key, fmt.Errorf("%s: resources of this type are not built yet", label(key))})
		}
	}
	s.remove(ListenerType, b.Remove, r)
	seen := make(map[Key]bool, len(b.Set))
	for _, typ := range []string{SecretType, ClusterType, ListenerType} {
		var fresh []*Entry
		for i := range b.Set {
			if res := &b.Set[i]; res.Type == typ {
				if e := s.take(res, seen, r); e != nil {
					fresh = append(fresh, e)
				}
			}
		}
		s.activate(fresh, r)
	}
	s.remove(ClusterType, b.Remove, r)
	s.remove(SecretType, b.Remove, r)
	s.batch = nil
	s.checkWarm()
	return r
}

// take compiles a resource that has changed and returns its entry, nil when there is
// nothing to be put into force.
func (s *Store) take(res *Resource, seen map[Key]bool, r *Result) *Entry {
	key := res.key()
	e := s.entries[key]
	if e != nil && e.Static && !res.Static {
		r.Unchanged = append(r.Unchanged, key)
		r.Warnings = append(r.Warnings, fmt.Sprintf("%s: is static and cannot be changed by a dynamic one", label(key)))
		return nil
	}
	hash, err := res.sum()
	if err == nil && seen[key] {
		err = (compiler{unit: &unit{name: label(key), where: res.Where}}).Errorf("this name is there twice")
	}
	seen[key] = true
	if err == nil && e.same(hash) {
		e.Refused, e.Attempt = nil, nil
		r.Unchanged = append(r.Unchanged, key)
		return nil
	}
	var v *Version
	if err == nil {
		var warnings []string
		v, warnings, err = s.compile(res, key, hash, nil)
		r.Warnings = append(r.Warnings, warnings...)
	}
	if e == nil {
		e = &Entry{Key: key, Static: res.Static}
		s.entries[key] = e
	}
	if err != nil {
		s.changes.refused(key.Type)
		e.refuse(res, err)
		r.Failed = append(r.Failed, Failure{key, err})
		return nil
	}
	s.changes.set(key.Type, e.Active != nil || e.Warming != nil)
	e.Refused, e.Attempt = nil, nil
	s.setWarming(e, v)
	r.Applied = append(r.Applied, key)
	return e
}

// same reports whether the content is there already: in force, or on its way. When it
// is in force again while another was on its way, the latter is no longer wanted.
func (e *Entry) same(hash [sha256.Size]byte) bool {
	switch {
	case e == nil:
		return false
	case e.Warming != nil:
		return e.Warming.hash == hash
	}
	return e.Active != nil && e.Active.hash == hash
}

// refuse notes a failed attempt; what is in force stays.
func (e *Entry) refuse(res *Resource, err error) {
	e.Refused, e.RefusedAt, e.AttemptVersion = err, time.Now(), res.Version
	if m, bad := res.message(); bad == nil {
		e.Attempt = m
	}
}

// setWarming makes v what waits in e (nil: nothing).
func (s *Store) setWarming(e *Entry, v *Version) {
	if old := e.Warming; old != nil {
		s.drop(old)
		s.warming--
	}
	e.Warming = v
	if v == nil {
		return
	}
	s.warming++
	for _, u := range v.uses {
		u.users[v] = e
	}
}

// drop lets go of a version that is out of force, or never was in it.
func (s *Store) drop(v *Version) {
	if cfg, ok := v.value.(*listener.Config); ok && !cfg.Taken() {
		cfg.Close()
	}
	s.leave(v)
}

// leave gives back what a version has used.
func (s *Store) leave(v *Version) {
	for i := range v.uses {
		v.uses[i].end(v)
	}
}

func (v *Version) ready() bool {
	return !slices.ContainsFunc(v.uses, func(u use) bool { return !u.settled && !u.early })
}

// activate puts into force what waits in entries of one type and has all it needs.
func (s *Store) activate(list []*Entry, r *Result) {
	var ready []*Entry
	for _, e := range list {
		if e.Warming != nil && e.Warming.ready() {
			ready = append(ready, e)
		}
	}
	if len(ready) == 0 {
		return
	}
	if ready[0].Key.Type == ClusterType {
		s.activateClusters(ready, r)
		return
	}
	for _, e := range ready {
		cfg, ok := e.Warming.value.(*listener.Config)
		if ok && s.o.Listeners != nil {
			s.sync()
			if err := s.o.Listeners.Update([]*listener.Config{cfg}); err != nil {
				s.fail(e, err, r)
				continue
			}
		}
		s.enthrone(e)
	}
}

// activateClusters hands clusters to their manager, all at once.
func (s *Store) activateClusters(ready []*Entry, r *Result) {
	if s.o.Clusters != nil {
		configs := make([]*cluster.Config, len(ready))
		for i, e := range ready {
			configs[i] = e.Warming.value.(*cluster.Config)
			for _, u := range e.Warming.uses {
				if a, ok := u.value().(*cluster.Assignment); ok {
					configs[i].Begin(a)
				}
			}
		}
		s.posted = true
		if err := s.o.Clusters.Update(configs, nil); err != nil {
			for _, e := range ready {
				s.fail(e, fmt.Errorf("%s: %w", label(e.Key), err), r)
			}
			return
		}
	}
	for _, e := range ready {
		s.enthrone(e)
	}
}

// sync waits until the loops know all clusters, before something new can name them.
func (s *Store) sync() {
	if s.posted && s.o.Clusters != nil {
		_ = s.o.Clusters.Sync() // fails only when the loops have ended
	}
	s.posted = false
}

// enthrone makes what waits in e active, its manager having taken it.
func (s *Store) enthrone(e *Entry) {
	v := e.Warming
	e.Warming = nil
	s.warming--
	s.changes.created(e.Key.Type, s.o.Loops)
	if e.Active != nil {
		s.leave(e.Active)
	}
	e.Active = v
}

// fail refuses a version that compiled but cannot be put into force.
func (s *Store) fail(e *Entry, err error, r *Result) {
	v := e.Warming
	s.setWarming(e, nil)
	e.Refused, e.RefusedAt, e.Attempt, e.AttemptVersion = err, time.Now(), v.Proto(), v.Info
	r.Applied = slices.DeleteFunc(r.Applied, func(k Key) bool { return k == e.Key })
	r.Failed = append(r.Failed, Failure{e.Key, err})
}

// remove drops resources of a type.
func (s *Store) remove(typ string, keys []Key, r *Result) {
	var names []string
	for _, k := range keys {
		e := s.entries[k]
		if k.Type != typ || e == nil {
			continue
		}
		known := e.Active != nil || e.Warming != nil
		s.setWarming(e, nil)
		if e.Active != nil {
			s.leave(e.Active)
		}
		delete(s.entries, k)
		if known {
			s.changes.removed(typ)
		}
		r.Removed = append(r.Removed, k)
		names = append(names, k.Name)
	}
	if len(names) == 0 {
		return
	}
	var err error
	if typ == ListenerType && s.o.Listeners != nil {
		err = s.o.Listeners.Remove(names...)
	} else if typ == ClusterType && s.o.Clusters != nil {
		err = s.o.Clusters.Update(nil, names)
	}
	if err != nil {
		r.Warnings = append(r.Warnings, err.Error())
	}
}

// Initialized returns a channel that is closed when the first resources are there:
// Follow was called, the dynamic ones were delivered or cannot be had in time, and all
// wait for nothing.
func (s *Store) Initialized() <-chan struct{} { return s.warm }

func (s *Store) checkWarm() {
	if !s.follows || s.warming > 0 || slices.ContainsFunc(s.feeds, func(f *feed) bool { return !f.settled }) {
		return
	}
	select {
	case <-s.warm:
	default:
		close(s.warm)
	}
}
