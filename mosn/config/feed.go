package config

import (
	"fmt"
	"time"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"

	"sofamesh.io/sofamesh/sdk"
)

// feed is a subscription to all resources of a type: CDS, LDS. Guarded by Store.mu.
type feed struct {
	store   *Store
	typ     string
	origin  origin
	stats   updateStats
	info    string // version_info of what is in force
	stop    func() // nil before the start
	timer   *time.Timer
	settled bool
	failed  error // why nothing could be had, the last time
	next    *feed // begins when this one has its first answer
}

// Follow begins to take the resources that a bootstrap says come by themselves:
// clusters, and when those are there the listeners. c is what Compiler returned for the
// bootstrap.
func (s *Store) Follow(c sdk.Compiler, pb *bootstrapv3.Bootstrap_DynamicResources) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.follows = true
	at := c.(compiler).at("dynamic_resources")
	root := s.o.Stats.Root()
	listeners, err := s.addFeed(at.at("lds_config"), pb.GetLdsConfig(), ListenerType, root.Scope("listener_manager").Scope("lds"), updatePlain)
	if err != nil {
		return err
	}
	clusters, err := s.addFeed(at.at("cds_config"), pb.GetCdsConfig(), ClusterType, root.Scope("cluster_manager").Scope("cds"), updateReload)
	if err != nil {
		return err
	}
	first := clusters
	if first == nil {
		first = listeners
	} else {
		first.next = listeners
	}
	if first != nil {
		if err := first.start(); err != nil {
			return at.Errorf("%w", err)
		}
	}
	s.checkWarm()
	return nil
}

// addFeed compiles the place that says where the resources of a type come from; nil
// when it says nothing.
func (s *Store) addFeed(c compiler, cs *corev3.ConfigSource, typ string, scope sdk.Scope, kind updateKind) (*feed, error) {
	if cs == nil {
		return nil, nil
	}
	o, err := c.originOf(cs)
	if err != nil {
		return nil, err
	}
	f := &feed{store: s, typ: typ, origin: o, stats: newUpdateStats(s.o.Stats, scope, kind)}
	s.feeds = append(s.feeds, f)
	return f, nil
}

func (f *feed) start() error {
	s := f.store
	stop, err := f.origin.source.Subscribe(Want{Type: f.typ}, func(u *Update) error { return s.deliverAll(f, u) })
	f.stop = stop
	f.timer = s.after(f.origin.timeout, func() {
		if !f.settled {
			f.stats.inc(f.stats.timeout)
			s.log.Warn(fmt.Sprintf("%s: there was no answer in time (initial_fetch_timeout)", typeName(f.typ)))
			f.settle()
		}
	})
	return err
}

func (f *feed) end() {
	if f.stop != nil {
		f.stop()
	}
	if f.timer != nil {
		f.timer.Stop()
	}
}

func (f *feed) settle() {
	if f.settled {
		return
	}
	f.settled = true
	if f.timer != nil {
		f.timer.Stop()
	}
	if f.next != nil {
		if err := f.next.start(); err != nil {
			f.store.log.Warn(err.Error())
			f.next.settle()
		}
	}
	f.store.checkWarm()
}

// deliverAll takes all resources of a type.
func (s *Store) deliverAll(f *feed, u *Update) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil
	}
	defer f.settle()
	st := &f.stats
	st.inc(st.attempt)
	f.failed = u.Err
	if u.Err != nil {
		st.inc(st.failure)
		s.log.Warn(fmt.Sprintf("%s: update failed: %v", typeName(f.typ), u.Err))
		return u.Err
	}
	s.unknown(u)
	r := s.replaceAll(f.typ, u)
	s.report(f.typ, r)
	if f.typ == ClusterType || len(r.Failed) == 0 {
		f.info = u.Version // as Envoy's dump shows it
	}
	if len(r.Failed) > 0 {
		st.inc(st.rejected)
		return r.Err()
	}
	if len(r.Applied) > 0 {
		st.reloaded()
	}
	st.accepted(u.Version)
	return nil
}

// replaceAll makes an update the state of all dynamic resources of a type.
func (s *Store) replaceAll(typ string, u *Update) *Result {
	b := Batch{Set: u.Resources}
	named := u.Resources
	for i := range u.Resources {
		if r := &u.Resources[i]; r.Version == "" {
			r.Version = u.Version
		}
	}
	whole := true // all that is there has a name
	for _, f := range u.Failed {
		whole = whole && f.Key.Name != "" && f.Key.Type == typ
		named = append(named[:len(named):len(named)], Resource{Type: f.Key.Type, Name: f.Key.Name})
	}
	if whole {
		b.Remove = s.absent(named, func(e *Entry) bool { return e.Key.Type == typ && !e.Static })
	}
	r := s.apply(b)
	for _, f := range u.Failed {
		r.Failed = append(r.Failed, f)
		if f.Key.Name == "" || f.Key.Type != typ {
			continue
		}
		e := s.entries[f.Key]
		if e == nil {
			e = &Entry{Key: f.Key}
			s.entries[f.Key] = e
		}
		e.refuse(&Resource{Type: typ, Version: u.Version}, f.Err)
	}
	return r
}

// unknown tells of fields that were skipped.
func (s *Store) unknown(u *Update) {
	if s.o.Unknown == IgnoreUnknown || len(u.Unknown) == 0 {
		return
	}
	s.o.Stats.Shared().Add(s.o.Stats.Root().Counter("server.dynamic_unknown_fields"), uint64(len(u.Unknown)))
	for _, text := range u.Unknown {
		s.log.Warn("unknown field: " + text)
	}
}

// report tells the log what an update has done.
func (s *Store) report(typ string, r *Result) {
	if n := len(r.Applied) + len(r.Removed); n > 0 || len(r.Failed) > 0 {
		s.log.Info(fmt.Sprintf("%s: %d set, %d unchanged, %d removed, %d refused", typeName(typ), len(r.Applied),
			len(r.Unchanged), len(r.Removed), len(r.Failed)))
	}
	for _, w := range r.Warnings {
		s.log.Warn(w)
	}
	for _, f := range r.Failed {
		s.log.Warn(f.Err.Error())
	}
}

// FeedVersion returns the version_info of what is in force of a type that comes as a
// whole; ok is false when it does not.
func (s *Store) FeedVersion(typ string) (info string, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range s.feeds {
		if f.typ == typ {
			return f.info, true
		}
	}
	return "", false
}
