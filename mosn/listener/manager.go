package listener

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	adminv3 "github.com/envoyproxy/go-control-plane/envoy/admin/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"

	"sofamesh.io/sofamesh/mosn/eventloop"
	"sofamesh.io/sofamesh/mosn/stream"
)

// Manager owns the listeners of a proxy. Its methods may be called from any
// goroutine that is not a loop; they wait for each other and for the loops.
type Manager struct {
	workers []*stream.Worker
	drain   Drain

	mu        sync.Mutex
	listeners []*listener // in the order in which they came
	serving   bool
}

// listener is one resource in force.
type listener struct {
	cfg       *Config
	acceptors []*acceptor // by loop
	bound     []eventloop.Addr
	waiting   [][]*eventloop.Socket // by loop: bound, not served yet
}

// NewManager returns a manager without listeners. There is one worker for each
// loop, in their order; their group must have been started before Update.
func NewManager(workers []*stream.Worker, d Drain) *Manager {
	return &Manager{workers: workers, drain: d}
}

// Drain says how the connections of listeners end that are replaced or removed.
type Drain struct {
	Time      time.Duration // after which those that are left are closed
	Immediate bool          // the next response is the last one, else it is so by and by
}

func (d *Drain) gradual() time.Duration {
	if d.Immediate {
		return 0
	}
	return d.Time
}

// Update adds listeners or replaces those of the same names, and binds their
// addresses; those of which that fails are left as they were, and named in the
// error. It takes over the configs that it does not report.
func (m *Manager) Update(set []*Config) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	var errs []error
	for _, cfg := range set {
		if err := m.set(cfg); err != nil {
			errs = append(errs, fmt.Errorf("listener %q: %w", cfg.name, err))
		}
	}
	return errors.Join(errs...)
}

func (m *Manager) set(cfg *Config) error {
	l := m.find(cfg.name)
	fresh := l == nil
	if fresh {
		l = &listener{}
		for _, w := range m.workers {
			l.acceptors = append(l.acceptors, &acceptor{worker: w, drain: &m.drain})
		}
	}
	if fresh || !slices.EqualFunc(l.cfg.sockets, cfg.sockets, sameSocket) || l.cfg.noBind != cfg.noBind {
		if err := l.bind(cfg, len(m.workers)); err != nil {
			return err
		}
	}
	cfg.live.Store(int32(len(m.workers)))
	cfg.taken.Store(true)
	l.cfg = cfg
	if err := l.each(func(a *acceptor) error { a.replace(cfg); return nil }); err != nil {
		return err
	}
	if fresh {
		m.listeners = append(m.listeners, l)
	}
	if m.serving {
		return l.serve()
	}
	return nil
}

// Remove closes listeners. Their connections go on until they end, or are drained.
func (m *Manager) Remove(names ...string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	var errs []error
	m.listeners = slices.DeleteFunc(m.listeners, func(l *listener) bool {
		if !slices.Contains(names, l.cfg.name) {
			return false
		}
		errs = append(errs, l.stop(true))
		return true
	})
	return errors.Join(errs...)
}

// Serve begins to accept connections, on all listeners there are and will be.
// Before, they wait in the system's queue.
func (m *Manager) Serve() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.serving = true
	var errs []error
	for _, l := range m.listeners {
		if err := l.serve(); err != nil {
			errs = append(errs, fmt.Errorf("listener %q: %w", l.cfg.name, err))
		}
	}
	return errors.Join(errs...)
}

// Stop closes the sockets of those listeners that only says, nil meaning all.
// Connections go on.
func (m *Manager) Stop(only func(*Config) bool) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	var errs []error
	for _, l := range m.listeners {
		if only == nil || only(l.cfg) {
			errs = append(errs, l.stop(false))
		}
	}
	return errors.Join(errs...)
}

// Close closes everything; chains are closed when their last connection ends.
func (m *Manager) Close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	var errs []error
	for _, l := range m.listeners {
		errs = append(errs, l.stop(true))
	}
	m.listeners = nil
	return errors.Join(errs...)
}

// Status returns the listeners with the addresses that they are bound to, as admin
// shows them.
func (m *Manager) Status() []*adminv3.ListenerStatus {
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []*adminv3.ListenerStatus
	for _, l := range m.listeners {
		s := &adminv3.ListenerStatus{Name: l.cfg.name}
		var addrs []*corev3.Address
		for _, a := range l.bound {
			addrs = append(addrs, addressProto(a))
		}
		if len(addrs) > 0 {
			s.LocalAddress, s.AdditionalLocalAddresses = addrs[0], addrs[1:]
		}
		out = append(out, s)
	}
	return out
}

// Addresses returns what the listener of that name is bound to.
func (m *Manager) Addresses(name string) []eventloop.Addr {
	m.mu.Lock()
	defer m.mu.Unlock()
	if l := m.find(name); l != nil {
		return slices.Clone(l.bound)
	}
	return nil
}

// Len returns the number of listeners.
func (m *Manager) Len() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.listeners)
}

func (m *Manager) find(name string) *listener {
	for _, l := range m.listeners {
		if l.cfg.name == name {
			return l
		}
	}
	return nil
}

func sameSocket(a, b eventloop.ListenConfig) bool {
	sameOptions := slices.EqualFunc(a.Options, b.Options, func(x, y eventloop.SockOpt) bool {
		return x.Level == y.Level && x.Name == y.Name && x.Value == y.Value && slices.Equal(x.Bytes, y.Bytes)
	})
	sameKeepAlive := a.KeepAlive == b.KeepAlive || a.KeepAlive != nil && b.KeepAlive != nil && *a.KeepAlive == *b.KeepAlive
	return sameOptions && sameKeepAlive && a.Addr == b.Addr && a.Backlog == b.Backlog && a.V6Only == b.V6Only &&
		a.NoReusePort == b.NoReusePort && a.Mode == b.Mode && a.FreeBind == b.FreeBind && a.Transparent == b.Transparent
}

// bind opens the sockets of cfg for the loops; serve takes them into use.
func (l *listener) bind(cfg *Config, loops int) error {
	waiting := make([][]*eventloop.Socket, loops)
	var bound []eventloop.Addr
	for i := range cfg.sockets {
		if cfg.noBind {
			bound = append(bound, cfg.sockets[i].Addr)
			continue
		}
		sockets, err := eventloop.Bind(cfg.sockets[i], loops)
		if err != nil {
			closeAll(waiting)
			return err
		}
		bound = append(bound, sockets[0].Addr())
		for j, s := range sockets {
			waiting[j] = append(waiting[j], s)
		}
	}
	closeAll(l.waiting)
	l.waiting, l.bound = waiting, bound
	return nil
}

func closeAll(sockets [][]*eventloop.Socket) {
	for _, list := range sockets {
		for _, s := range list {
			_ = s.Close() // nothing was accepted on it
		}
	}
}

// each runs f for the acceptor of every loop, on its loop.
func (l *listener) each(f func(*acceptor) error) error {
	var errs []error
	for _, a := range l.acceptors {
		var err error
		callErr := a.worker.Loop().Call(func(*eventloop.Loop) { err = f(a) })
		errs = append(errs, callErr, err)
	}
	return errors.Join(errs...)
}

// serve takes the waiting sockets into use.
func (l *listener) serve() error {
	waiting := l.waiting
	if waiting == nil {
		return nil
	}
	l.waiting = nil
	return l.each(func(a *acceptor) error { return a.serve(waiting[a.worker.Loop().Index()]) })
}

// stop closes the sockets, and for good also lets go of the chain.
func (l *listener) stop(forGood bool) error {
	closeAll(l.waiting)
	l.waiting = nil
	return l.each(func(a *acceptor) error {
		a.closeSockets()
		if forGood {
			a.replace(nil)
		}
		return nil
	})
}
