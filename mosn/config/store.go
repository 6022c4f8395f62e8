package config

import (
	"cmp"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	tracev3 "github.com/envoyproxy/go-control-plane/envoy/config/trace/v3"
	"google.golang.org/protobuf/proto"

	"sofamesh.io/sofamesh/mosn/callout"
	"sofamesh.io/sofamesh/mosn/cluster"
	"sofamesh.io/sofamesh/mosn/listener"
	"sofamesh.io/sofamesh/mosn/runtime"
	"sofamesh.io/sofamesh/mosn/stats"
	"sofamesh.io/sofamesh/mosn/stream"
	"sofamesh.io/sofamesh/sdk"
)

// The types of resources, by URL.
const (
	ClusterType  = "type.googleapis.com/envoy.config.cluster.v3.Cluster"
	ListenerType = "type.googleapis.com/envoy.config.listener.v3.Listener"
)

// Options are what a Store works with. Without managers it compiles and keeps, but
// puts nothing into force: that is how a configuration is validated.
type Options struct {
	Registry   *Registry
	Stats      *stats.Store
	Loops      int
	Node       *corev3.Node
	Runtime    *runtime.Snapshot
	BindConfig *corev3.BindConfig // cluster_manager.upstream_bind_config
	// LogOutput opens an access log; nil opens none.
	LogOutput func(path string) (sdk.LogOutput, error)
	// Calls makes the calls of extensions' goroutines; nil makes none.
	Calls *callout.Manager
	// Spans opens the queue of a tracing provider; nil: no spans are sent.
	Spans func(key string, p sdk.TraceProvider) sdk.SpanQueue
	// Tracing is the provider for those who trace and name none.
	Tracing   *tracev3.Tracing_Http
	Clusters  *cluster.Manager
	Listeners *listener.Manager
}

// Key names a resource.
type Key struct{ Type, Name string }

// Resource is a resource on its way in.
type Resource struct {
	Type  string
	Proto proto.Message
	// Where tells the file and line of a field, "" when it is not known. It may be nil.
	Where  func(path string) string
	Static bool // from the bootstrap
}

// Batch is a change. Its resources are compiled and put into force together:
// clusters before the listeners that may name them.
type Batch struct {
	Set    []Resource
	Remove []Key
}

// Failure is a resource that was refused.
type Failure struct {
	Key Key
	Err error
}

// Result says what became of a batch.
type Result struct {
	Applied   []Key
	Unchanged []Key
	Failed    []Failure
	Removed   []Key
	Warnings  []string
}

// Err joins the failures.
func (r *Result) Err() error {
	var errs []error
	for _, f := range r.Failed {
		errs = append(errs, f.Err)
	}
	return errors.Join(errs...)
}

// Len returns the number of resources of a type that are in force.
func (s *Store) Len(typ string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for k, e := range s.entries {
		if k.Type == typ && e.value != nil {
			n++
		}
	}
	return n
}

// Entry is a resource in the store.
type Entry struct {
	Key      Key
	Proto    proto.Message // in force; nil while none ever compiled
	Static   bool
	Updated  time.Time
	Clusters []string // the clusters that it names, sorted
	// Refused is the last attempt that failed after Updated.
	Refused   error
	Attempt   proto.Message
	RefusedAt time.Time

	hash  [sha256.Size]byte
	value any // *cluster.Config or *listener.Config
}

// Store holds the resources of a proxy. Its methods may be called from any
// goroutine that is not a loop; they wait for each other.
type Store struct {
	o     Options
	ext   *Registry
	names *stats.Names // of listeners
	kind  *cluster.Kind
	rpc   []sdk.CodecConfig // set with the first cluster

	mu      sync.Mutex
	entries map[Key]*Entry
	batch   map[string]bool // clusters of the batch under way
}

// NewStore returns an empty store.
func NewStore(o Options) *Store {
	if o.Node == nil {
		o.Node = &corev3.Node{}
	}
	return &Store{o: o, ext: o.Registry, names: listener.StatNames(o.Loops), kind: cluster.NewKind(), entries: map[Key]*Entry{}}
}

// Apply compiles what has changed and puts it into force.
func (s *Store) Apply(b Batch) *Result {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := &Result{}
	s.batch = map[string]bool{}
	for _, res := range b.Set {
		switch res.Type {
		case ClusterType:
			s.batch[resourceName(res.Proto)] = true
		case ListenerType:
		default:
			key := Key{Type: res.Type}
			r.Failed = append(r.Failed, Failure{key, fmt.Errorf("%s: resources of this type are not built yet", label(key))})
		}
	}
	seen := map[Key]bool{}
	for _, typ := range []string{ClusterType, ListenerType} {
		var fresh []*Entry
		for _, res := range b.Set {
			if res.Type == typ {
				fresh = s.compile(res, seen, fresh, r)
			}
		}
		s.enforce(typ, fresh, r)
	}
	s.remove(b.Remove, r)
	s.batch = nil
	return r
}

// compile adds the entry of a resource that has changed to fresh.
func (s *Store) compile(res Resource, seen map[Key]bool, fresh []*Entry, r *Result) []*Entry {
	key := Key{res.Type, resourceName(res.Proto)}
	u := &unit{store: s, name: label(key), where: res.Where, edges: map[string]bool{}}
	c := compiler{unit: u}
	raw, err := proto.MarshalOptions{Deterministic: true}.Marshal(res.Proto)
	if err == nil && seen[key] {
		err = c.Errorf("this name is there twice")
	}
	seen[key] = true
	hash := sha256.Sum256(raw)
	old := s.entries[key]
	if err == nil && old != nil && old.value != nil && old.hash == hash {
		old.Refused, old.Attempt = nil, nil
		r.Unchanged = append(r.Unchanged, key)
		return fresh
	}
	var value any
	if err == nil {
		value, err = c.resource(res.Proto)
	}
	r.Warnings = append(r.Warnings, u.warnings...)
	if err != nil {
		s.refuse(key, res, err, r)
		return fresh
	}
	return append(fresh, &Entry{
		Key: key, Proto: res.Proto, Static: res.Static, Updated: time.Now(),
		Clusters: slices.Sorted(maps.Keys(u.edges)), hash: hash, value: value,
	})
}

// refuse notes a failed attempt; what is in force stays.
func (s *Store) refuse(key Key, res Resource, err error, r *Result) {
	e := s.entries[key]
	if e == nil {
		e = &Entry{Key: key, Static: res.Static}
		s.entries[key] = e
	}
	e.Refused, e.Attempt, e.RefusedAt = err, res.Proto, time.Now()
	r.Failed = append(r.Failed, Failure{key, err})
}

// resource compiles one resource; c stands at its root.
func (c compiler) resource(m proto.Message) (any, error) {
	root := c.store.o.Stats.Root()
	if err := c.check(m); err != nil {
		return nil, err
	}
	switch m := m.(type) {
	case *clusterv3.Cluster:
		c.scope = root.Scope(cluster.StatPrefix(m))
		rpc, err := c.rpc()
		if err != nil {
			return nil, err
		}
		return cluster.Compile(c, m, cluster.CompileOptions{Kind: c.store.kind, BindConfig: c.store.o.BindConfig, RPC: rpc})
	case *listenerv3.Listener:
		c.scope, c.listener = root, m
		return listener.Compile(c, m, listener.Options{
			Names: c.store.names, Runtime: c.store.o.Runtime,
			Filter: func(at sdk.Compiler, pb *listenerv3.Filter) (stream.ConnFactory, error) {
				return at.(compiler).networkFilter(pb)
			},
		})
	}
	return nil, c.Errorf("a message of type %s is no resource", m.ProtoReflect().Descriptor().FullName())
}

// rpc returns the protocols beside HTTP for the side of the hosts, compiled once for
// all clusters.
func (c compiler) rpc() ([]sdk.CodecConfig, error) {
	s := c.store
	if s.rpc != nil {
		return s.rpc, nil
	}
	list := []sdk.CodecConfig{}
	for _, codec := range s.ext.codecs {
		if !codec.RPC {
			continue
		}
		cc, err := codec.Compile(c, sdk.Upstream, sdk.CodecOptions{})
		if err != nil {
			return nil, err
		}
		list = append(list, cc)
	}
	s.rpc = list
	return list, nil
}

// enforce hands compiled resources of one type to their manager and keeps them.
func (s *Store) enforce(typ string, fresh []*Entry, r *Result) {
	if typ == ClusterType && s.o.Clusters != nil && len(fresh) > 0 {
		configs := make([]*cluster.Config, len(fresh))
		for i, e := range fresh {
			configs[i] = e.value.(*cluster.Config)
		}
		if err := s.o.Clusters.Update(configs, nil); err != nil {
			for _, e := range fresh {
				s.refuse(e.Key, Resource{Proto: e.Proto, Static: e.Static}, fmt.Errorf("%s: %w", label(e.Key), err), r)
			}
			return
		}
	}
	for _, e := range fresh {
		if cfg, ok := e.value.(*listener.Config); ok && s.o.Listeners != nil {
			if err := s.o.Listeners.Update([]*listener.Config{cfg}); err != nil {
				cfg.Close()
				s.refuse(e.Key, Resource{Proto: e.Proto, Static: e.Static}, err, r)
				continue
			}
		}
		s.entries[e.Key] = e
		r.Applied = append(r.Applied, e.Key)
	}
}

// remove drops resources: listeners before the clusters that they name.
func (s *Store) remove(keys []Key, r *Result) {
	for _, typ := range []string{ListenerType, ClusterType} {
		var names []string
		for _, k := range keys {
			if e := s.entries[k]; k.Type == typ && e != nil {
				delete(s.entries, k)
				r.Removed = append(r.Removed, k)
				names = append(names, k.Name)
			}
		}
		if len(names) == 0 {
			continue
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
}

func (s *Store) hasCluster(name string) bool {
	e := s.entries[Key{ClusterType, name}]
	return s.batch[name] || e != nil && e.value != nil
}

// Entries returns copies of the entries of a type, sorted by name. Their messages
// must not be changed.
func (s *Store) Entries(typ string) []Entry {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []Entry
	for k, e := range s.entries {
		if k.Type == typ {
			out = append(out, *e)
		}
	}
	slices.SortFunc(out, func(a, b Entry) int { return cmp.Compare(a.Key.Name, b.Key.Name) })
	return out
}

func resourceName(m proto.Message) string {
	switch m := m.(type) {
	case *clusterv3.Cluster:
		return m.GetName()
	case *listenerv3.Listener:
		return listener.Name(m)
	}
	return ""
}

// label names a resource in messages: `listener "http"`.
func label(k Key) string {
	switch k.Type {
	case ClusterType:
		return fmt.Sprintf("cluster %q", k.Name)
	case ListenerType:
		return fmt.Sprintf("listener %q", k.Name)
	}
	return fmt.Sprintf("%s %q", typeName(k.Type), k.Name)
}
