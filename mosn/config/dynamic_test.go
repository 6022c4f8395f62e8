package config

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"sofamesh.io/sofamesh/mosn/filter/buffer"
	"sofamesh.io/sofamesh/mosn/stats"
	"sofamesh.io/sofamesh/sdk"
)

// dir is a folder of configuration files.
type dir struct {
	t     *testing.T
	path  string
	store *Store
	stats *stats.Store

	unknown UnknownFields
}

func newDir(t *testing.T) *dir { return &dir{t: t, path: t.TempDir()} }

// put replaces a file as Envoy wants it. $DIR in the text is the folder.
func (d *dir) put(name, text string) {
	d.t.Helper()
	next := filepath.Join(d.path, "next")
	if err := os.WriteFile(next, []byte(strings.ReplaceAll(text, "$DIR", d.path)), 0o600); err != nil {
		d.t.Fatal(err)
	}
	if err := os.Rename(next, filepath.Join(d.path, name)); err != nil {
		d.t.Fatal(err)
	}
}

// follow starts a store with a bootstrap; nothing is put into force.
func (d *dir) follow(boot string) error {
	d.t.Helper()
	d.put("boot.yaml", "node: {id: me, cluster: us}\n"+boot)
	registry, err := NewRegistry(extensions().With(Extensions{HTTPFilters: []*sdk.HTTPFilter{buffer.Filter()}}))
	if err != nil {
		d.t.Fatal(err)
	}
	b, err := Load(Source{Path: filepath.Join(d.path, "boot.yaml")}, registry)
	if err != nil {
		return err
	}
	d.stats = stats.NewStore(stats.Options{})
	d.store = NewStore(Options{Registry: registry, Stats: d.stats, Loops: 1, Runtime: b.Runtime.Values(), Unknown: d.unknown, Node: b.Proto.GetNode()})
	d.t.Cleanup(d.store.Close)
	if err := d.store.ApplyStatic(b.Resources()).Err(); err != nil {
		return err
	}
	return d.store.Follow(d.store.Compiler("bootstrap", b.Where), b.Proto.GetDynamicResources())
}

// warm waits until all is there, or fails.
func (d *dir) warm() {
	d.t.Helper()
	select {
	case <-d.store.Initialized():
	case <-time.After(10 * time.Second):
		d.t.Fatal("the resources do not come")
	}
}

// reload reads the files and returns what was refused.
func (d *dir) reload() string {
	if err := d.store.Reload(); err != nil {
		return err.Error()
	}
	return ""
}

// state says of the entries of a type what is in force (name), warming (name~) and
// refused (name!).
func (d *dir) state(typ string) string {
	var out []string
	for _, e := range d.store.Entries(typ) {
		s := ""
		if e.Active != nil {
			s += e.Key.Name
		}
		if e.Warming != nil {
			s += e.Key.Name + "~"
		}
		if e.Refused != nil {
			s += e.Key.Name + "!"
		}
		out = append(out, s)
	}
	return strings.Join(out, " ")
}

func (d *dir) states(typ, want string) {
	d.t.Helper()
	if got := d.state(typ); got != want {
		d.t.Errorf("%s: %q, want %q", typeName(typ), got, want)
	}
}

func (d *dir) count(name string) uint64 {
	d.t.Helper()
	c := stats.NewCollector(d.stats, nil, func(int, func()) error { return nil })
	v, err := c.Scrape(stats.Filter{})
	if err != nil {
		d.t.Fatal(err)
	}
	n, ok := v.Value(name)
	if !ok {
		d.t.Fatalf("there is no stat %s", name)
	}
	return n
}

const cdsOnly = "dynamic_resources: {cds_config: {path_config_source: {path: $DIR/cds.yaml}}}\n"

func clusters(version string, list ...string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "version_info: %q\nresources:\n", version)
	for _, c := range list {
		fmt.Fprintf(&b, "- {\"@type\": type.googleapis.com/envoy.config.cluster.v3.Cluster, %s}\n", c)
	}
	return b.String()
}

// TestStateOfTheWorld: what is not in the file any more is removed, what is wrong keeps
// its last good, what is static cannot be changed.
func TestStateOfTheWorld(t *testing.T) {
	d := newDir(t)
	d.put("cds.yaml", clusters("1", "name: a, connect_timeout: 1s", "name: b, connect_timeout: 1s", "name: fixed, connect_timeout: 9s"))
	if err := d.follow(cdsOnly + "static_resources: {clusters: [{name: fixed, connect_timeout: 1s}]}"); err != nil {
		t.Fatal(err)
	}
	d.warm()
	d.states(ClusterType, "a b fixed")
	d.put("cds.yaml", clusters("2", "name: a, connect_timeout: -1s", "name: c, connect_timeout: 1s", "name: d, lb_policy: NO_SUCH", "name: c"))
	text := d.reload()
	for _, want := range []string{
		`cds.yaml:3: cluster "a": connect_timeout: value must be greater than`, `cds.yaml:5: cluster "d": lb_policy`,
		`cds.yaml:6: cluster "c": this name is there twice`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%s\nlacks %s", text, want)
		}
	}
	d.states(ClusterType, "aa! cc! d! fixed")
	if v := d.store.Entries(ClusterType)[3].Active; v.Info != "" {
		t.Errorf("the static cluster has version %q", v.Info)
	}
	if n := d.count("cluster_manager.cds.update_rejected"); n < 1 { // the watch tells too
		t.Errorf("%d rejected", n)
	}
	d.put("cds.yaml", clusters("3"))
	if text := d.reload(); text != "" {
		t.Error(text)
	}
	d.states(ClusterType, "fixed")
	d.put("cds.yaml", "nonsense: [")
	if text := d.reload(); !strings.Contains(text, "cds.yaml") {
		t.Errorf("a file that is no YAML: %s", text)
	}
	if d.count("cluster_manager.cds.update_failure") == 0 || d.count("cluster_manager.cds.update_success") < 2 {
		t.Error("failure and success are not counted")
	}
}

// TestUnreadableName: of a resource whose name cannot be told nothing may be removed.
func TestUnreadableName(t *testing.T) {
	d := newDir(t)
	d.put("cds.yaml", clusters("1", "name: a, connect_timeout: 1s"))
	if err := d.follow(cdsOnly); err != nil {
		t.Fatal(err)
	}
	d.warm()
	d.put("cds.yaml", "resources: [{\"@type\": type.googleapis.com/acme.Cluster, name: a}]")
	if text := d.reload(); !strings.Contains(text, "the type acme.Cluster is not known") {
		t.Error(text)
	}
	d.states(ClusterType, "a")
}

const edsCluster = `name: e, type: EDS, connect_timeout: 1s, eds_cluster_config: {service_name: s, eds_config: {path_config_source: {path: $DIR/eds.yaml}}}`

func endpoints(name string, port int) string {
	return fmt.Sprintf(`version_info: "%d"
resources:
- "@type": type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment
  cluster_name: %s
  endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: {address: 127.0.0.1, port_value: %d}}}}]}]
`, port, name, port)
}

// TestEndpoints: a cluster waits for its endpoints; what is wrong with those is named.
func TestEndpoints(t *testing.T) {
	d := newDir(t)
	d.put("cds.yaml", clusters("1", edsCluster))
	d.put("eds.yaml", endpoints("s", 80))
	if err := d.follow(cdsOnly); err != nil {
		t.Fatal(err)
	}
	d.warm()
	d.states(ClusterType, "e")
	d.states(EndpointType, "s")
	d.put("eds.yaml", endpoints("other", 80))
	if text := d.reload(); !strings.Contains(text, `cluster load assignment "s": is not there: the source has cluster load assignment "other"`) {
		t.Error(text)
	}
	d.put("eds.yaml", strings.Replace(endpoints("s", 80), "127.0.0.1", "localhost", 1))
	if text := d.reload(); !strings.Contains(text, `eds.yaml:5: cluster load assignment "s": endpoints[0].lb_endpoints[0].endpoint.address.socket_address.address: malformed IP`) {
		t.Error(text)
	}
	d.states(EndpointType, "ss!")
	d.put("cds.yaml", clusters("2"))
	if text := d.reload(); text != "" && !strings.Contains(text, "malformed") {
		t.Error(text)
	}
	d.states(ClusterType, "")
	d.states(EndpointType, "") // with the last user the subscription ends
	if len(d.store.subs) != 0 || len(d.store.files.all) != 1 {
		t.Errorf("%d subscriptions and %d files are kept", len(d.store.subs), len(d.store.files.all))
	}
}

// TestNoAnswer: who gets no answer goes on without after initial_fetch_timeout.
func TestNoAnswer(t *testing.T) {
	d := newDir(t)
	d.put("eds.yaml", endpoints("s", 80))
	d.put("boot.yaml", "")
	if err := d.follow("static_resources: {clusters: [{name: x, connect_timeout: 1s}]}"); err != nil {
		t.Fatal(err)
	}
	s := d.store
	s.mu.Lock()
	sub := &subscription{store: s, entry: Entry{Key: Key{EndpointType, "late"}}, users: map[*Version]*Entry{},
		stats: newUpdateStats(s.o.Stats, s.o.Stats.Root().Scope("late"), updateEmpty), stop: func() {}}
	e := &Entry{Key: Key{ClusterType, "x"}}
	v := &Version{typ: ClusterType, uses: []use{{subscription: sub}}}
	s.setWarming(e, v)
	done := make(chan struct{})
	sub.timer = s.after(time.Millisecond, func() { s.expire(sub); close(done) })
	if v.ready() {
		t.Error("ready before the answer")
	}
	s.mu.Unlock()
	<-done
	s.mu.Lock()
	defer s.mu.Unlock()
	if e.Active != v || e.Warming != nil {
		t.Error("still waiting")
	}
	if n := d.count("late.init_fetch_timeout"); n != 1 {
		t.Errorf("%d timeouts", n)
	}
}

const lds = `version_info: l
resources:
- "@type": type.googleapis.com/envoy.config.listener.v3.Listener
  name: web
  address: {socket_address: {address: 127.0.0.1, port_value: 0}}
  filter_chains:
  - filters:
    - name: hcm
      typed_config:
        "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
        stat_prefix: web
        rds: {route_config_name: rt, config_source: {path_config_source: {path: $DIR/rds.yaml}}}
        http_filters:
        - name: f
          config_discovery: {config_source: {path_config_source: {path: $DIR/ecds.yaml}}, %s}
        - name: router
          typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}
`

const bufferURL = `type_urls: [type.googleapis.com/envoy.extensions.filters.http.buffer.v3.Buffer]`

func routes(more string) string {
	return `resources: [{"@type": type.googleapis.com/envoy.config.route.v3.RouteConfiguration, name: rt, ` + more + `}]`
}

func filter(typed string) string {
	return `resources: [{"@type": type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig, name: f, typed_config: ` + typed + `}]`
}

const goodFilter = `{"@type": type.googleapis.com/envoy.extensions.filters.http.buffer.v3.Buffer, max_request_bytes: 10}`

func TestListenerWithRoutesAndFilter(t *testing.T) {
	d := newDir(t)
	d.put("rds.yaml", routes(`virtual_hosts: [{name: v, domains: ["*"]}]`))
	d.put("ecds.yaml", filter(goodFilter))
	d.put("lds.yaml", fmt.Sprintf(lds, bufferURL))
	if err := d.follow("dynamic_resources: {lds_config: {path: $DIR/lds.yaml}}"); err != nil {
		t.Fatal(err)
	}
	d.warm()
	d.states(ListenerType, "web")
	d.states(RouteType, "rt")
	d.states(ExtensionType, "f")
	sub := d.sub(RouteType, "rt")
	if sub.routes.Load().VirtualHost("x") == nil {
		t.Error("the slot has no table")
	}
	before := d.store.Entries(ListenerType)[0].Active
	d.put("rds.yaml", routes(`virtual_hosts: [{name: v, domains: [other]}]`))
	d.put("ecds.yaml", filter(strings.Replace(goodFilter, "10", "20", 1)))
	if text := d.reload(); text != "" {
		t.Fatal(text)
	}
	if d.store.Entries(ListenerType)[0].Active != before {
		t.Error("the listener was compiled again")
	}
	if sub.routes.Load().VirtualHost("x") != nil || sub.routes.Load().VirtualHost("other") == nil {
		t.Error("the slot has the old table")
	}
	for text, want := range map[string]string{
		routes(`virtual_hosts: [{name: v, domains: ["*", "*"]}]`):      `rds.yaml:1: route configuration "rt": virtual_hosts[0].domains[1]: duplicate domain`,
		routes(`virtual_hosts: [{name: v, domains: ["*"]}], vhds: {}`): `route configuration "rt": vhds`,
		"resources: []": "",
	} {
		d.put("rds.yaml", text)
		if got := d.reload(); !strings.Contains(got, want) || want == "" && got != "" {
			t.Errorf("%s:\n%s\nwant %s", text, got, want)
		}
	}
	if sub.routes.Load().VirtualHost("other") == nil {
		t.Error("a bad table is in force")
	}
	for typed, want := range map[string]string{
		`{"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}`: `extension configuration "f": typed_config: the configuration has type envoy.extensions.filters.http.router.v3.Router, but type_urls has envoy.extensions.filters.http.buffer.v3.Buffer`,
		strings.Replace(goodFilter, "10", "0", 1):                                       `extension configuration "f": typed_config.max_request_bytes`,
	} {
		d.put("ecds.yaml", filter(typed))
		if got := d.reload(); !strings.Contains(got, want) {
			t.Errorf("%s:\n%s\nwant %s", typed, got, want)
		}
	}
	if n := d.count("extension_config_discovery.http_filter.f.config_fail"); n < 2 {
		t.Errorf("config_fail is %d", n)
	}
}

func (d *dir) sub(typ, name string) *subscription {
	d.t.Helper()
	d.store.mu.Lock()
	defer d.store.mu.Unlock()
	for k, sub := range d.store.subs {
		if k.typ == typ && k.name == name {
			return sub
		}
	}
	d.t.Fatalf("there is no subscription to %s", name)
	return nil
}

// TestConfigDiscoveryRefuses: what is wrong with the place of a filter.
func TestConfigDiscoveryRefuses(t *testing.T) {
	for place, want := range map[string]string{
		`type_urls: [type.googleapis.com/acme.Filter]`:                                                                "config_discovery.type_urls: there is no",
		`type_urls: [envoy.extensions.filters.http.router.v3.Router]`:                                                 "config_discovery.type_urls: envoy.filters.http.router: a terminal filter",
		`type_urls: [envoy.extensions.filters.http.ext_authz.v3.ExtAuthz]`:                                            "envoy.filters.http.ext_authz is known but not built yet",
		bufferURL + `, apply_default_config_without_warming: true`:                                                    "apply_default_config_without_warming: needs a default_config",
		bufferURL + `, default_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.buffer.v3.Buffer}`: "config_discovery.default_config.max_request_bytes",
	} {
		d := newDir(t)
		d.put("rds.yaml", routes("virtual_hosts: []"))
		d.put("ecds.yaml", filter(goodFilter))
		d.put("lds.yaml", fmt.Sprintf(lds, place))
		if err := d.follow("dynamic_resources: {lds_config: {path: $DIR/lds.yaml}}"); err != nil {
			t.Fatal(err)
		}
		d.warm()
		e := d.store.Entries(ListenerType)
		if len(e) != 1 || e[0].Refused == nil || !strings.Contains(e[0].Refused.Error(), want) {
			t.Errorf("%s: %+v, want %s", place, e, want)
		}
		if len(d.store.subs) != 0 {
			t.Errorf("%s: a subscription is left", place)
		}
	}
}

// TestDefaultFilter: with a default the listener need not wait for the configuration.
func TestDefaultFilter(t *testing.T) {
	d := newDir(t)
	d.put("rds.yaml", routes("virtual_hosts: []"))
	d.put("ecds.yaml", "resources: []")
	d.put("lds.yaml", fmt.Sprintf(lds, bufferURL+`, default_config: `+goodFilter))
	if err := d.follow("dynamic_resources: {lds_config: {path: $DIR/lds.yaml}}"); err != nil {
		t.Fatal(err)
	}
	d.warm()
	d.states(ListenerType, "web")
	if d.count("extension_config_discovery.http_filter.f.update_rejected") == 0 {
		t.Error("a configuration that is not there is not counted as rejected")
	}
}

// TestUnready: what waits is named, with what it waits for.
func TestUnready(t *testing.T) {
	d := newDir(t)
	if err := d.follow("static_resources: {clusters: [{name: x, connect_timeout: 1s}]}"); err != nil {
		t.Fatal(err)
	}
	s := d.store
	if list := s.Unready(); len(list) != 0 {
		t.Errorf("%v", list)
	}
	s.mu.Lock()
	waits := func(name string) use {
		return use{subscription: &subscription{store: s, entry: Entry{Key: Key{EndpointType, name}}, users: map[*Version]*Entry{}}}
	}
	early, settled := waits("early"), waits("settled")
	early.early, settled.settled = true, true
	e := s.entries[Key{ClusterType, "x"}]
	s.setWarming(e, &Version{typ: ClusterType, uses: []use{waits("b"), early, waits("a"), settled}})
	s.mu.Unlock()
	got := s.Unready()
	if len(got) != 1 || got[0].Name != `cluster "x"` || !got[0].Updating || !slices.Equal(got[0].Missing, []string{`cluster load assignment "a"`, `cluster load assignment "b"`}) {
		t.Errorf("%+v", got)
	}
	s.mu.Lock()
	e.Warming = nil
	s.mu.Unlock()
}
