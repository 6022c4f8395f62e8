package config

import (
	"cmp"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	tracev3 "github.com/envoyproxy/go-control-plane/envoy/config/trace/v3"
	"google.golang.org/protobuf/proto"

	"sofamesh.io/sofamesh/mosn/callout"
	"sofamesh.io/sofamesh/mosn/cluster"
	"sofamesh.io/sofamesh/mosn/listener"
	"sofamesh.io/sofamesh/mosn/route"
	"sofamesh.io/sofamesh/mosn/runtime"
	"sofamesh.io/sofamesh/mosn/stats"
	"sofamesh.io/sofamesh/sdk"
)

// The types of resources, by URL.
const (
	ClusterType   = "type.googleapis.com/envoy.config.cluster.v3.Cluster"
	ListenerType  = "type.googleapis.com/envoy.config.listener.v3.Listener"
	RouteType     = "type.googleapis.com/envoy.config.route.v3.RouteConfiguration"
	EndpointType  = "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment"
	ExtensionType = "type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig"
	SecretType    = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret"
)

// Options are what a Store works with. Without managers it compiles and keeps, but
// puts nothing into force: that is how a configuration is validated.
type Options struct {
	Registry   *Registry
	Stats      *stats.Store
	Loops      int
	Node       *corev3.Node
	Runtime    *runtime.Values    // in force; nil: none
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
	// Unknown is what becomes of fields of dynamic resources that nobody knows.
	Unknown UnknownFields
	// Log hears what happens by itself, when nobody waits for a Result; nil: nobody.
	Log Logger
}

// UnknownFields is what becomes of fields that nobody knows.
type UnknownFields uint8

// The ways to take them.
const (
	WarnUnknown   UnknownFields = iota // skipped, named in the log and counted
	IgnoreUnknown                      // skipped
	RejectUnknown                      // the resource is refused
)

// Logger is the part of *slog.Logger that the store needs.
type Logger interface {
	Info(msg string, args ...any)
	Warn(msg string, args ...any)
}

type silent struct{}

func (silent) Info(string, ...any) {}
func (silent) Warn(string, ...any) {}

// Key names a resource.
type Key struct{ Type, Name string }

// Resource is a resource on its way in: as a message, or as the bytes of one, which
// are not decoded when they have not changed.
type Resource struct {
	Type  string
	Proto proto.Message
	Raw   []byte
	Name  string // of Raw
	// Version is what its source calls this content.
	Version string
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
	Applied   []Key // compiled; in force as soon as what they need is there
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

// Entry is a resource in the store.
type Entry struct {
	Key    Key
	Static bool
	// Active is in force; nil while none ever was. Warming takes its place when what it
	// needs is there.
	Active, Warming *Version
	// Refused is the last attempt that failed after these.
	Refused        error
	Attempt        proto.Message
	AttemptVersion string
	RefusedAt      time.Time
}

// Version is one content of a resource. It is immutable.
type Version struct {
	Info     string // what its source calls it (version_info)
	Updated  time.Time
	Clusters []string // that it names, sorted

	typ   string
	proto proto.Message // nil: raw
	raw   []byte
	hash  [sha256.Size]byte
	value any   // *cluster.Config, *listener.Config, *route.Table ...
	uses  []use // what it needs
}

// Proto returns the message, which must not be changed.
func (v *Version) Proto() proto.Message {
	if v.proto != nil {
		return v.proto
	}
	m, err := unmarshal(v.typ, v.raw)
	if err != nil { // it was decoded before
		return nil
	}
	return m
}

// Store holds the resources of a proxy. Its methods may be called from any
// goroutine that is not a loop; they wait for each other.
type Store struct {
	o       Options
	ext     *Registry
	log     Logger
	names   *stats.Names // of listeners
	kind    *cluster.Kind
	routed  *route.StatNames  // of virtual clusters and routes
	rpc     []sdk.CodecConfig // set with the first cluster
	files   *files
	changes changeStats

	mu      sync.Mutex
	entries map[Key]*Entry
	subs    map[subKey]*subscription
	feeds   []*feed
	batch   map[string]bool // clusters of the batch under way
	warming int             // entries with a version that waits
	posted  bool            // clusters have changed since the loops were waited for
	closed  bool
	follows bool          // Follow was called
	warm    chan struct{} // closed when all that was asked for at first is there
}

// NewStore returns an empty store.
func NewStore(o Options) *Store {
	if o.Node == nil {
		o.Node = &corev3.Node{}
	}
	s := &Store{
		o: o, ext: o.Registry, log: o.Log, names: listener.StatNames(o.Loops), kind: cluster.NewKind(), routed: route.NewStatNames(),
		files: newFiles(o.Registry, o.Unknown == RejectUnknown), entries: map[Key]*Entry{}, subs: map[subKey]*subscription{}, warm: make(chan struct{}),
		changes: newChangeStats(o.Stats),
	}
	if s.log == nil {
		s.log = silent{}
	}
	return s
}

// Close ends all subscriptions. What is in force stays.
func (s *Store) Close() {
	s.mu.Lock()
	s.closed = true
	for _, sub := range s.subs {
		sub.end()
	}
	for _, f := range s.feeds {
		f.end()
	}
	s.mu.Unlock()
	s.files.close()
}

// Apply compiles what has changed and puts it into force.
func (s *Store) Apply(b Batch) *Result {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.apply(b)
}

// ApplyStatic makes b the static resources: those that it does not name are removed.
func (s *Store) ApplyStatic(b Batch) *Result {
	s.mu.Lock()
	defer s.mu.Unlock()
	b.Remove = append(b.Remove, s.absent(b.Set, func(e *Entry) bool { return e.Static })...)
	return s.apply(b)
}

// Reload reads all files that resources come from again and puts what they say into
// force. The error joins what was refused.
func (s *Store) Reload() error { return s.files.refresh() }

// absent returns the entries of a kind that are not in set.
func (s *Store) absent(set []Resource, kind func(*Entry) bool) []Key {
	named := make(map[Key]bool, len(set))
	for i := range set {
		named[set[i].key()] = true
	}
	var out []Key
	for k, e := range s.entries {
		if kind(e) && !named[k] {
			out = append(out, k)
		}
	}
	slices.SortFunc(out, func(a, b Key) int { return cmp.Or(cmp.Compare(a.Type, b.Type), cmp.Compare(a.Name, b.Name)) })
	return out
}

// Len returns the number of resources of a type that are in force.
func (s *Store) Len(typ string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for k, e := range s.entries {
		if k.Type == typ && e.Active != nil {
			n++
		}
	}
	return n
}

// Warming returns how many resources of a type wait for what they need.
func (s *Store) Warming(typ string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for k, e := range s.entries {
		if k.Type == typ && e.Warming != nil {
			n++
		}
	}
	return n
}

// Entries returns copies of the entries of a type, sorted by name. For types that are
// subscribed to by name these are what the subscriptions have. Their messages must not
// be changed.
func (s *Store) Entries(typ string) []Entry {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []Entry
	for k, e := range s.entries {
		if k.Type == typ {
			out = append(out, *e)
		}
	}
	for k, sub := range s.subs {
		if k.typ == typ {
			out = append(out, sub.entry)
		}
	}
	slices.SortFunc(out, func(a, b Entry) int { return cmp.Compare(a.Key.Name, b.Key.Name) })
	return out
}

// hasCluster reports whether a cluster may be named: it is there, or about to be.
func (s *Store) hasCluster(name string) bool {
	e := s.entries[Key{ClusterType, name}]
	return s.batch[name] || e != nil && (e.Active != nil || e.Warming != nil)
}

// label names a resource in messages: `listener "http"`.
func label(k Key) string {
	short, ok := map[string]string{
		ClusterType: "cluster", ListenerType: "listener", RouteType: "route configuration",
		EndpointType: "cluster load assignment", ExtensionType: "extension configuration", SecretType: "secret",
	}[k.Type]
	if !ok {
		short = typeName(k.Type)
	}
	return fmt.Sprintf("%s %q", short, k.Name)
}

// Current returns the version in force, or else the one that waits; nil when there is
// neither.
func (e *Entry) Current() *Version {
	if e.Active != nil {
		return e.Active
	}
	return e.Warming
}

// Refused joins the errors of all resources whose last attempt failed, and of the
// updates that could not be had at all.
func (s *Store) Refused() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var errs []error
	for _, f := range s.feeds {
		errs = append(errs, f.failed)
	}
	for _, e := range s.entries {
		errs = append(errs, e.Refused)
	}
	for _, sub := range s.subs {
		errs = append(errs, sub.entry.Refused, sub.failed)
	}
	errs = slices.DeleteFunc(errs, func(err error) bool { return err == nil })
	slices.SortFunc(errs, func(a, b error) int { return cmp.Compare(a.Error(), b.Error()) })
	return errors.Join(errs...)
}
