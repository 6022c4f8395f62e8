package envoy

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"

	"sofamesh.io/sofamesh/test/interop/peers"
)

// fragment is the configuration of a case. Everything has a default, so that a case shows only what it is about.
type fragment struct {
	HCM          tree            `yaml:"hcm"`           // merged into the connection manager
	RouteConfig  tree            `yaml:"route_config"`  // merged into the route configuration
	VirtualHosts []any           `yaml:"virtual_hosts"` // default: everything to cluster b1
	Routes       []any           `yaml:"routes"`        // of the one virtual host for *
	Clusters     map[string]tree `yaml:"clusters"`      // merged into the default cluster of that name; default: b1
	Listener     tree            `yaml:"listener"`      // merged into the listener
	Log          tree            `yaml:"log"`           // merged into the entry of the access log
}

type tree = map[string]any

// bench is one case made concrete for one proxy: its ports, its backends, its log.
type bench struct {
	c        *testCase
	port     int
	log      string
	details  bool // a second log tells the response code details
	act      *peers.Activity
	backends []backend
	ports    map[string]string // "127.0.0.1:port" -> the name that replaces it in results
	names    []string          // of the case's clusters
	listener tree
	clusters []any
}

// backend is a scripted origin server, of HTTP/1 or HTTP/2.
type backend interface {
	Port() int
	Requests() int
	Report() string
}

// newBench compiles the case's fragment. Endpoint names are backends, or `refuse` and `blackhole`.
func newBench(t *testing.T, c *testCase, log string, details bool) *bench {
	t.Helper()
	b := &bench{c: c, port: peers.HoldPort(t), log: log, details: details, act: &peers.Activity{}, ports: map[string]string{}}
	b.ports[fmt.Sprintf("127.0.0.1:%d", b.port)] = "LISTENER"
	var f fragment
	if err := yaml.Unmarshal([]byte(strings.ReplaceAll(c.Config, "LOG_OF_CASE", log)), &f); err != nil {
		t.Fatalf("%s: %v", c.ID, err)
	}
	if f.Clusters == nil {
		f.Clusters = map[string]tree{"b1": {}}
	}
	endpoints := map[string]int{}
	b.names = slices.Sorted(maps.Keys(f.Clusters))
	for _, name := range b.names {
		b.clusters = append(b.clusters, b.cluster(t, name, f.Clusters[name], endpoints))
	}
	b.listener = b.listen(f)
	rename(b.listener, "", func(name string) string {
		if _, ours := f.Clusters[name]; ours {
			return c.ID + "/" + name
		}
		return name
	})
	return b
}

// endpoint starts the backend of an endpoint, or finds it when an earlier cluster has it too.
func (b *bench) endpoint(t *testing.T, name string, known map[string]int) int {
	port, ok := known[name]
	if ok {
		return port
	}
	switch name {
	case "refuse":
		port = peers.RefusedPort(t)
	case "blackhole":
		port = peers.BlackHole(t)
	default:
		var be backend
		if b.c.H2[name] {
			be = peers.NewH2Backend(t, name, b.c.Backends[name], b.act)
		} else {
			be = peers.NewBackend(t, name, b.c.Backends[name], b.act)
		}
		b.backends = append(b.backends, be)
		port = be.Port()
	}
	known[name] = port
	b.ports[fmt.Sprintf("127.0.0.1:%d", port)] = strings.ToUpper(name)
	b.ports[fmt.Sprintf("localhost:%d", port)] = "localhost:" + strings.ToUpper(name)
	return port
}

// prefix is the case's stat_prefix.
func (b *bench) prefix() string { return strings.ReplaceAll(b.c.ID, "/", "_") }

// cluster makes a cluster whose endpoints are the backends named in `endpoints` (default: the one of the cluster's own name).
func (b *bench) cluster(t *testing.T, name string, over tree, known map[string]int) tree {
	endpoints := []any{name}
	address := "127.0.0.1"
	if e, ok := over["endpoints"].([]any); ok {
		endpoints = e
	}
	if a, ok := over["address"].(string); ok {
		address = a
	}
	over = maps.Clone(over)
	delete(over, "endpoints")
	delete(over, "address")
	var lb []any
	for _, e := range endpoints {
		port := b.endpoint(t, e.(string), known)
		lb = append(lb, tree{"endpoint": tree{"address": socket(address, port)}})
	}
	full := b.c.ID + "/" + name
	c := tree{
		"name": full, "type": "STATIC", "connect_timeout": "1s",
		"load_assignment": tree{"cluster_name": full, "endpoints": []any{tree{"lb_endpoints": lb}}},
	}
	_, says := over["typed_extension_protocol_options"]
	if !says && slices.ContainsFunc(endpoints, func(e any) bool { return b.c.H2[e.(string)] }) {
		c["typed_extension_protocol_options"] = http2Options()
	}
	merge(c, over)
	return c
}

// http2Options makes a cluster speak HTTP/2.
func http2Options() tree {
	return tree{"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": tree{
		"@type":                "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
		"explicit_http_config": tree{"http2_protocol_options": tree{}},
	}}
}

func (b *bench) listen(f fragment) tree {
	if f.Routes == nil {
		f.Routes = []any{tree{"match": tree{"prefix": "/"}, "route": tree{"cluster": "b1"}}}
	}
	if f.VirtualHosts == nil {
		f.VirtualHosts = []any{tree{"name": "all", "domains": []any{"*"}, "routes": f.Routes}}
	}
	routes := tree{"name": "routes", "virtual_hosts": f.VirtualHosts}
	merge(routes, f.RouteConfig)
	hcm := tree{
		"@type":        "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
		"stat_prefix":  b.prefix(),
		"route_config": routes,
		"http_filters": []any{tree{
			"name":         "envoy.filters.http.router",
			"typed_config": tree{"@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"},
		}},
		"access_log": b.accessLogs(f.Log),
	}
	merge(hcm, f.HCM)
	l := tree{
		"name": b.c.ID, "address": socket("127.0.0.1", b.port),
		"filter_chains": []any{tree{"filters": []any{tree{
			"name": "envoy.filters.network.http_connection_manager", "typed_config": hcm,
		}}}},
	}
	merge(l, f.Listener)
	return l
}

// accessLogs is the file in Envoy's default format and, where asked for, a second one with the response code details.
func (b *bench) accessLogs(over tree) []any {
	const typ = "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog"
	log := tree{"name": "envoy.access_loggers.file", "typed_config": tree{"@type": typ, "path": b.log}}
	merge(log, over)
	logs := []any{log}
	if b.details {
		const format = "%RESPONSE_CODE_DETAILS%\n"
		logs = append(logs, tree{"name": "envoy.access_loggers.file", "typed_config": tree{
			"@type": typ, "path": b.log + ".details",
			"log_format": tree{"text_format_source": tree{"inline_string": format}},
		}})
	}
	return logs
}

// bootstrap puts the cases of a run into one file.
func bootstrap(t *testing.T, benches []*bench, admin int) []byte {
	t.Helper()
	var listeners, clusters []any
	for _, b := range benches {
		listeners = append(listeners, b.listener)
		clusters = append(clusters, b.clusters...)
	}
	out, err := yaml.Marshal(tree{
		"node":             tree{"id": "n", "cluster": "c"},
		"admin":            tree{"address": socket("127.0.0.1", admin)},
		"static_resources": tree{"listeners": listeners, "clusters": clusters},
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func socket(address string, port int) tree {
	return tree{"socket_address": tree{"address": address, "port_value": port}}
}

// merge puts src over dst; maps are merged, everything else is replaced.
func merge(dst, src tree) {
	for k, v := range src {
		d, ok1 := dst[k].(tree)
		s, ok2 := v.(tree)
		if ok1 && ok2 {
			merge(d, s)
			continue
		}
		dst[k] = v
	}
}

// rename replaces the names of clusters wherever a route refers to one, because the cases of a run share one name space.
func rename(node any, under string, f func(string) string) {
	switch n := node.(type) {
	case tree:
		for k, v := range n {
			s, isText := v.(string)
			if isText && (k == "cluster" || k == "name" && under == "clusters") {
				n[k] = f(s)
				continue
			}
			rename(v, k, f)
		}
	case []any:
		for _, v := range n {
			rename(v, under, f)
		}
	}
}
