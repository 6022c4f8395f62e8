package config

import (
	"fmt"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"

	"sofamesh.io/sofamesh/mosn/cluster"
	"sofamesh.io/sofamesh/mosn/route"
	"sofamesh.io/sofamesh/sdk"
)

// subKey tells subscriptions apart: two places that want the same resource of the same
// origin share one.
type subKey struct{ origin, typ, name string }

// subscription is one resource that comes by its name, with everything that uses it.
// All of it is guarded by Store.mu.
type subscription struct {
	store *Store
	entry Entry // Warming is never set
	stats updateStats
	refs  int // places that have asked for it
	stop  func()
	timer *time.Timer
	// settled: there is an answer, or nobody is going to wait for one any longer.
	settled bool
	over    bool
	failed  error // why nothing could be had, the last time

	users   map[*Version]*Entry // resources that need it, in force or warming
	routes  *route.Slot         // of a RouteConfiguration
	demands map[*routeDemand]struct{}
	places  map[*filterPlace]struct{} // of an extension's configuration
	secrets map[*secretUser]struct{}
	source  ResourceSource
	watches map[place]func() // where files are that a secret is made of, with what ends the watching
}

// routeDemand is what a listener demands of a routing table beyond its being valid.
type routeDemand func(c compiler, v *Version) error

// use is a subscription as one resource uses it.
type use struct {
	*subscription
	early  bool         // the resource does not wait for it
	demand *routeDemand // nil: none
	place  *filterPlace // nil unless the resource has a filter there
	secret *secretUser  // nil unless it is a secret
}

// end gives the use back.
func (u *use) end(v *Version) {
	delete(u.users, v)
	delete(u.demands, u.demand)
	delete(u.places, u.place)
	delete(u.secrets, u.secret)
	u.store.release(u.subscription)
}

// subscribe finds or makes the subscription of a unit; c stands at its ConfigSource.
func (c compiler) subscribe(cs *corev3.ConfigSource, w Want, scope sdk.Scope, kind updateKind) (*subscription, error) {
	o, err := c.originOf(cs)
	if err != nil {
		return nil, err
	}
	s := c.store
	k := subKey{o.key, w.Type, w.Name}
	sub := s.subs[k]
	if sub == nil {
		sub = &subscription{
			store: s, entry: Entry{Key: Key(w)}, users: map[*Version]*Entry{},
			stats: newUpdateStats(s.o.Stats, scope, kind),
		}
		if w.Type == RouteType {
			sub.routes = route.NewSlot(&route.Table{Name: w.Name}) // which knows no host
			sub.demands = map[*routeDemand]struct{}{}
		}
		stop, err := o.source.Subscribe(w, func(u *Update) error { return s.deliver(sub, u) })
		if err != nil {
			return nil, c.Errorf("%w", err)
		}
		sub.source = o.source
		sub.stop = func() { stop(); delete(s.subs, k) }
		sub.timer = s.after(o.timeout, func() { s.expire(sub) })
		s.subs[k] = sub
	}
	sub.refs++
	c.uses = append(c.uses, use{subscription: sub})
	return sub, nil
}

// after calls f under the lock when the time has come; nil when there is no limit.
func (s *Store) after(d time.Duration, f func()) *time.Timer {
	if d <= 0 {
		return nil
	}
	return time.AfterFunc(d, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if !s.closed {
			f()
		}
	})
}

// release gives up a use of a subscription, which ends with the last one.
func (s *Store) release(sub *subscription) {
	if sub.refs--; sub.refs == 0 {
		sub.end()
	}
}

func (sub *subscription) end() {
	if sub.over {
		return
	}
	sub.over = true
	sub.stop()
	sub.watch(nil)
	if sub.timer != nil {
		sub.timer.Stop()
	}
}

// value returns the compiled resource, nil while there is none.
func (sub *subscription) value() any {
	if sub.entry.Active == nil {
		return nil
	}
	return sub.entry.Active.value
}

// expire goes on without an answer.
func (s *Store) expire(sub *subscription) {
	if sub.over || sub.settled {
		return
	}
	sub.stats.inc(sub.stats.timeout)
	s.log.Warn(fmt.Sprintf("%s: there was no answer in time (initial_fetch_timeout)", label(sub.entry.Key)))
	s.settle(sub)
}

// deliver takes what a source says of one resource.
func (s *Store) deliver(sub *subscription, u *Update) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if sub.over || s.closed {
		return nil
	}
	err := s.renew(sub, u)
	if err != nil {
		s.log.Warn(fmt.Sprintf("%s: update refused: %v", label(sub.entry.Key), err))
	}
	s.unknown(u)
	s.settle(sub)
	return err
}

// renew puts into force what is new.
func (s *Store) renew(sub *subscription, u *Update) error {
	st := &sub.stats
	st.inc(st.attempt)
	sub.failed = u.Err
	switch {
	case u.Err != nil:
		st.inc(st.failure)
		st.inc(st.failedConfig)
		return u.Err
	case len(u.Failed) > 0:
		st.inc(st.rejected)
		st.inc(st.failedConfig)
		f := u.Failed[0]
		sub.entry.refuse(&Resource{Type: f.Key.Type, Version: u.Version}, f.Err)
		return f.Err
	case len(u.Resources) == 0 && sub.entry.Key.Type == ExtensionType:
		st.inc(st.rejected)
		st.inc(st.failedConfig)
		return fmt.Errorf("%s: is not there", label(sub.entry.Key))
	case len(u.Resources) == 0:
		st.inc(st.empty)
		st.accepted(u.Version)
		return nil
	}
	res := &u.Resources[0]
	res.Version = u.Version
	hash, err := res.sum()
	if err == nil && res.Type == SecretType {
		var files []place
		hash, files = withFiles(hash, res)
		sub.watch(files)
	}
	if err == nil && sub.entry.same(hash) {
		sub.entry.Refused, sub.entry.Attempt = nil, nil
		st.accepted(u.Version)
		return nil
	}
	var v *Version
	var apply func()
	if err == nil {
		v, _, err = s.compile(res, sub.entry.Key, hash, func(c compiler, v *Version) (err error) {
			apply, err = sub.prepare(c, v)
			return err
		})
	}
	if err != nil {
		st.inc(st.rejected)
		st.inc(st.failedConfig)
		sub.entry.refuse(res, err)
		return err
	}
	sub.entry.Active, sub.entry.Refused, sub.entry.Attempt = v, nil, nil
	apply()
	st.accepted(u.Version)
	st.reloaded()
	return nil
}

// prepare asks all users whether they can do with a new value, and returns what hands
// it to them.
func (sub *subscription) prepare(c compiler, v *Version) (apply func(), err error) {
	s := sub.store
	switch value := v.value.(type) {
	case *route.Table:
		for demand := range sub.demands {
			if err := (*demand)(c, v); err != nil {
				return nil, err
			}
		}
		return func() {
			s.sync()
			sub.routes.Store(value)
		}, nil
	case *cluster.Assignment:
		return func() {
			for user, e := range sub.users {
				if e.Active == user && s.o.Clusters != nil {
					_ = s.o.Clusters.Assign(e.Key.Name, value) // fails only when the loops have ended
				}
			}
		}, nil
	case *corev3.TypedExtensionConfig:
		return sub.prepareFilters(c, value)
	case *tlsv3.Secret:
		return sub.prepareSecret(c, value)
	}
	return func() {}, nil
}

// settle lets go on what has waited for the answer.
func (s *Store) settle(sub *subscription) {
	if sub.settled {
		return
	}
	sub.settled = true
	if sub.timer != nil {
		sub.timer.Stop()
	}
	var clusters, listeners []*Entry
	for v, e := range sub.users {
		switch {
		case e.Warming != v:
		case e.Key.Type == ClusterType:
			clusters = append(clusters, e)
		default:
			listeners = append(listeners, e)
		}
	}
	r := &Result{}
	s.activate(clusters, r)
	s.activate(listeners, r)
	for _, f := range r.Failed {
		s.log.Warn(f.Err.Error())
	}
	s.checkWarm()
}
