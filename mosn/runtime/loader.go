package runtime

import (
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"sync"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"

	"sofamesh.io/sofamesh/mosn/stats"
	"sofamesh.io/sofamesh/sdk"
)

// ErrNoAdminLayer is the error of setting values where no layer takes them.
var ErrNoAdminLayer = errors.New("no admin layer specified")

// Loader makes Values of layers, and makes them anew when one of them changes. Its
// methods may be called on any goroutine that is not a loop; they wait for each other.
type Loader struct {
	values  Values
	cluster string // for append_service_cluster

	mu     sync.Mutex
	layers []layer
	shown  []layer // those that there were at the last loading
	stats  loaderStats
}

// layer is a layer of the bootstrap with its values. The maps are never changed.
type layer struct {
	name   string
	disk   *bootstrapv3.RuntimeLayer_DiskLayer // nil: another kind
	admin  bool
	values map[string]*value
}

// NewLoader compiles layers; a later one wins. Disk layers have no values before Load.
// cluster is the service cluster (node.cluster).
func NewLoader(pb *bootstrapv3.LayeredRuntime, cluster string) (*Loader, error) {
	l := &Loader{cluster: cluster}
	admin := false
	for i, p := range pb.GetLayers() {
		n := layer{name: p.GetName(), disk: p.GetDiskLayer(), admin: p.GetAdminLayer() != nil, values: map[string]*value{}}
		if slices.ContainsFunc(l.layers, func(o layer) bool { return o.name == n.name }) {
			return nil, fmt.Errorf("duplicate layer name: %s", n.name)
		}
		if n.admin && admin {
			return nil, fmt.Errorf("too many admin layers specified in LayeredRuntime, at most one may be specified")
		}
		admin = admin || n.admin
		if err := flatten(n.values, "", p.GetStaticLayer()); err != nil {
			return nil, fmt.Errorf("runtime layer %d: %w", i, err)
		}
		l.layers = append(l.layers, n)
	}
	l.enforce(l.layers)
	return l, nil
}

// Values returns what is in force, now and later.
func (l *Loader) Values() *Values { return &l.values }

// Roots returns what has to be watched: when something is moved to one of these names,
// Load is to be called.
func (l *Loader) Roots() []string {
	var roots []string
	for i := range l.layers {
		if d := l.layers[i].disk; d != nil && !slices.Contains(roots, d.GetSymlinkRoot()) {
			roots = append(roots, d.GetSymlinkRoot())
		}
	}
	return roots
}

// Load reads the disk layers and puts what they say into force. One that cannot be read
// is left out, and named in the error.
func (l *Loader) Load() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.load()
}

func (l *Loader) load() error {
	var errs []error
	var shown []layer
	for _, n := range l.layers {
		if n.disk != nil {
			values, found, err := readTree(l.path(n.disk))
			switch {
			case err != nil:
				errs = append(errs, fmt.Errorf("error loading runtime values for layer %s from disk: %w", n.name, err))
				continue
			case n.disk.GetAppendServiceCluster():
				l.stats.override(found)
			}
			if !found {
				continue
			}
			n.values = values
		}
		shown = append(shown, n)
	}
	l.enforce(shown)
	l.stats.loaded(l, len(errs))
	return errors.Join(errs...)
}

func (l *Loader) path(d *bootstrapv3.RuntimeLayer_DiskLayer) string {
	path := filepath.Join(d.GetSymlinkRoot(), d.GetSubdirectory())
	if d.GetAppendServiceCluster() {
		path = filepath.Join(path, l.cluster)
	}
	return path
}

// enforce makes layers what is in force.
func (l *Loader) enforce(layers []layer) {
	all := map[string]*value{}
	for _, n := range layers {
		maps.Copy(all, n.values)
	}
	l.shown = layers
	l.values.byKey.Store(&all)
}

// Modify sets values of the admin layer; an empty one removes what was set before.
func (l *Loader) Modify(set map[string]string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	i := slices.IndexFunc(l.layers, func(n layer) bool { return n.admin })
	if i < 0 {
		return ErrNoAdminLayer
	}
	values := maps.Clone(l.layers[i].values)
	for key, text := range set {
		if text == "" {
			delete(values, key)
		} else {
			values[key] = parse(text)
		}
	}
	l.layers[i].values = values
	return l.load()
}

// Adopt takes over the static layers of another loader, of the same bootstrap read
// again, and loads. ok is false, and nothing is done, when the layers differ in more
// than the values of static ones.
func (l *Loader) Adopt(o *Loader) (ok bool, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	same := slices.EqualFunc(l.layers, o.layers, func(a, b layer) bool {
		return a.name == b.name && a.admin == b.admin && (a.disk == nil) == (b.disk == nil) &&
			a.disk.GetSymlinkRoot() == b.disk.GetSymlinkRoot() && a.disk.GetSubdirectory() == b.disk.GetSubdirectory() &&
			a.disk.GetAppendServiceCluster() == b.disk.GetAppendServiceCluster()
	})
	if !same {
		return false, nil
	}
	for i := range l.layers {
		if n := &l.layers[i]; n.disk == nil && !n.admin {
			n.values = o.layers[i].values
		}
	}
	return true, l.load()
}

// Dump is what Envoy's /runtime shows.
type Dump struct {
	Layers  []string             `json:"layers"`
	Entries map[string]DumpEntry `json:"entries"`
}

// DumpEntry is one key: the value of each layer, "" where it has none, and the one in
// force.
type DumpEntry struct {
	LayerValues []string `json:"layer_values"`
	Final       string   `json:"final_value"`
}

// Dump returns all values.
func (l *Loader) Dump() Dump {
	l.mu.Lock()
	defer l.mu.Unlock()
	d := Dump{Layers: []string{}, Entries: map[string]DumpEntry{}}
	for i, n := range l.shown {
		d.Layers = append(d.Layers, n.name)
		for key, v := range n.values {
			e, known := d.Entries[key]
			if !known {
				e.LayerValues = make([]string, len(l.shown))
			}
			e.LayerValues[i] = v.text
			if v.text != "" {
				e.Final = v.text
			}
			d.Entries[key] = e
		}
	}
	return d
}

// loaderStats are the numbers of the runtime, under Envoy's names.
type loaderStats struct {
	shared                           *stats.Shared // nil: nobody counts
	success, failed, exists, missing sdk.Counter
	keys, layers, adminActive        sdk.Gauge
}

// Count has the loader count from now on.
func (l *Loader) Count(store *stats.Store) {
	l.mu.Lock()
	defer l.mu.Unlock()
	scope := store.Root().Scope("runtime")
	l.stats = loaderStats{
		shared: store.Shared(), success: scope.Counter("load_success"), failed: scope.Counter("load_error"),
		exists: scope.Counter("override_dir_exists"), missing: scope.Counter("override_dir_not_exists"),
		keys: scope.Gauge("num_keys"), layers: scope.Gauge("num_layers"), adminActive: scope.Gauge("admin_overrides_active"),
	}
	// Deprecated features are not told apart here.
	scope.Counter("deprecated_feature_use")
	scope.Gauge("deprecated_feature_seen_since_process_start")
}

func (s *loaderStats) override(found bool) {
	switch {
	case s.shared == nil:
	case found:
		s.shared.Inc(s.exists)
	default:
		s.shared.Inc(s.missing)
	}
}

func (s *loaderStats) loaded(l *Loader, errs int) {
	if s.shared == nil {
		return
	}
	if errs == 0 {
		s.shared.Inc(s.success)
	} else {
		s.shared.Inc(s.failed)
	}
	active := uint64(0)
	for _, n := range l.layers {
		if n.admin && len(n.values) > 0 {
			active = 1
		}
	}
	s.shared.SetGauge(s.keys, uint64(l.values.Keys()))
	s.shared.SetGauge(s.layers, uint64(len(l.shown)))
	s.shared.SetGauge(s.adminActive, active)
}
