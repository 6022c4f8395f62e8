package envoy

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"sofamesh.io/sofamesh/test/interop/peers"
)

// TestFiles gives both proxies the same files that resources come from, replaces them step by step, and compares what clients are answered,
// the numbers of the subscriptions and the dynamic parts of /config_dump.
func TestFiles(t *testing.T) {
	golden := readGolden(t, "files")
	if envoy, err := peers.EnvoyBinary(); err == nil {
		got := runFiles(t, envoy)
		if *update {
			writeFilesGolden(t, got)
			golden = readGolden(t, "files")
		}
		compareSteps(t, golden, got, "golden file", "Envoy")
	}
	binary, err := mosnBinary()
	if err != nil {
		t.Skipf("no mosn: %v", err)
	}
	compareSteps(t, golden, runFiles(t, binary), "Envoy", "mosn")
}

// step replaces some files and waits for what a client is then answered.
type step struct {
	name   string
	files  map[string]string
	answer string // the body of GET /
	path   string // instead of /
}

const (
	typed   = `"@type": type.googleapis.com/envoy.`
	fileCDS = "version_info: %s\nresources:\n- {" + typed + "config.cluster.v3.Cluster, name: dyn, type: EDS, connect_timeout: %s, eds_cluster_config: {service_name: svc, eds_config: {path_config_source: {path: DIR/eds.yaml}}}}\n"
	more    = "- {" + typed + "config.cluster.v3.Cluster, name: more, connect_timeout: 1s}\n"
	fileEDS = "version_info: %s\nresources: [{" + typed + "config.endpoint.v3.ClusterLoadAssignment, cluster_name: svc, endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: {address: 127.0.0.1, port_value: %s}}}}]}]}]\n"
	fileRDS = "version_info: %s\nresources: [{" + typed + "config.route.v3.RouteConfiguration, name: rt, virtual_hosts: [{name: all, domains: ['*'], routes: [%s{match: {prefix: /}, route: {cluster: dyn}}]}]}]\n"
	fileLDS = `version_info: %s
resources:
- ` + typed + `config.listener.v3.Listener
  name: web
  address: {socket_address: {address: 127.0.0.1, port_value: WEB}}
  filter_chains:
  - filters:
    - name: hcm
      typed_config:
        ` + typed + `extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
        stat_prefix: web%s
        rds: {route_config_name: rt, config_source: {path_config_source: {path: DIR/rds.yaml}}}
        http_filters:
        - name: ext
          config_discovery:
            config_source: {path_config_source: {path: DIR/ecds.yaml}}
            type_urls: [envoy.extensions.filters.http.buffer.v3.Buffer]
        - {name: router, typed_config: {` + typed + `extensions.filters.http.router.v3.Router}}
`
	fileECDS = "version_info: %s\nresources: [{" + typed + "config.core.v3.TypedExtensionConfig, name: ext, typed_config: {" + typed + "extensions.filters.http.buffer.v3.Buffer, max_request_bytes: %s}}]\n"
	fileBoot = `node: {id: me, cluster: us}
admin: {address: {socket_address: {address: 127.0.0.1, port_value: ADMIN}}}
dynamic_resources:
  lds_config: {path_config_source: {path: DIR/lds.yaml}}
  cds_config: {path_config_source: {path: DIR/cds.yaml}}
static_resources:
  clusters: [{name: fixed, connect_timeout: 1s}]
`
	oldRoute = "{match: {path: /old}, direct_response: {status: 200, body: {inline_string: gone}}}, "
)

func fileSteps() []step {
	f := fmt.Sprintf
	return []step{
		{"start", map[string]string{
			"cds.yaml": f(fileCDS, "c1", "1s"), "eds.yaml": f(fileEDS, "e1", "B1"), "rds.yaml": f(fileRDS, "r1", ""),
			"lds.yaml": f(fileLDS, "l1", ""), "ecds.yaml": f(fileECDS, "f1", "100"),
		}, "b1", ""},
		{"endpoints", map[string]string{"eds.yaml": f(fileEDS, "e2", "B2")}, "b2", ""},
		{"routes", map[string]string{"rds.yaml": f(fileRDS, "r2", oldRoute)}, "gone", "/old"},
		{"bad routes", map[string]string{"rds.yaml": f(fileRDS, "r3", "{match: {prefix: /x}, route: {cluster: dyn, timeout: -1s}}, {}, ")}, "gone", "/old"},
		{"wrong name", map[string]string{"eds.yaml": strings.Replace(f(fileEDS, "e3", "B1"), "svc", "other", 1)}, "b2", ""},
		{"no resource", map[string]string{"eds.yaml": "version_info: e4\n", "rds.yaml": "version_info: r4\n"}, "gone", "/old"},
		{"filter", map[string]string{"ecds.yaml": f(fileECDS, "f2", "200")}, "b2", ""},
		{"no filter", map[string]string{"ecds.yaml": "version_info: f3\n"}, "b2", ""},
		{"another cluster", map[string]string{"cds.yaml": f(fileCDS, "c2", "1s") + more}, "b2", ""},
		{"a bad cluster", map[string]string{"cds.yaml": f(fileCDS, "c3", "1s") +
			"- {" + typed + "config.cluster.v3.Cluster, name: bad, connect_timeout: 1s, type: EDS}\n"}, "b2", ""},
		{"twice", map[string]string{"cds.yaml": f(fileCDS, "c4", "1s") + more + more}, "b2", ""},
		{"a static name", map[string]string{"cds.yaml": f(fileCDS, "c5", "1s") + "- {" + typed + "config.cluster.v3.Cluster, name: fixed, connect_timeout: 9s}\n"}, "b2", ""},
		{"no YAML", map[string]string{"cds.yaml": "resources: ["}, "b2", ""},
		{"listener changes", map[string]string{"lds.yaml": f(fileLDS, "l2", "2")}, "b2", ""},
		{"bad listener", map[string]string{"lds.yaml": "version_info: l3\nresources: [{" + typed + "config.listener.v3.Listener, name: web, address: {socket_address: {address: 127.0.0.1, port_value: WEB}}}]\n"}, "b2", ""},
		{"no cluster", map[string]string{"cds.yaml": "version_info: c6\n"}, "", ""},
	}
}

// runFiles takes a proxy through the steps and returns what is seen after each.
func runFiles(t *testing.T, binary string) map[string]string {
	t.Helper()
	dir := t.TempDir()
	names := strings.NewReplacer("DIR", dir, "ADMIN", fmt.Sprint(peers.FreePort(t)), "WEB", fmt.Sprint(peers.FreePort(t)),
		"B1", fmt.Sprint(echo(t, "b1")), "B2", fmt.Sprint(echo(t, "b2")))
	put := func(s step) {
		for _, name := range []string{"eds.yaml", "rds.yaml", "ecds.yaml", "cds.yaml", "lds.yaml"} {
			text, ok := s.files[name]
			if !ok {
				continue
			}
			next := filepath.Join(dir, "next")
			if err := os.WriteFile(next, []byte(names.Replace(text)), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Rename(next, filepath.Join(dir, name)); err != nil {
				t.Fatal(err)
			}
		}
	}
	steps := fileSteps()
	put(steps[0])
	admin, web := "127.0.0.1:"+names.Replace("ADMIN"), "http://127.0.0.1:"+names.Replace("WEB")
	p, err := peers.StartProxy(t, binary, dir, "bootstrap", []byte(names.Replace(fileBoot)), admin, 1)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Kill()
	defer func() {
		if t.Failed() {
			t.Log(p.Output())
		}
	}()
	seen := map[string]string{}
	for i, s := range steps {
		before := attempts(t, admin)
		if i > 0 {
			put(s)
		}
		deadline := time.Now().Add(15 * time.Second)
		for !s.settled(web, before, attempts(t, admin), i == 0) {
			if time.Now().After(deadline) {
				t.Fatalf("%s: %s does not come to be answered: %s", binary, s.name, p.Output())
			}
			time.Sleep(10 * time.Millisecond)
		}
		result := subscriptionStats(t, admin, s.answer == "") + dynamicDump(t, admin)
		for _, name := range []string{"DIR", "ADMIN", "WEB", "B1", "B2"} {
			result = strings.ReplaceAll(result, names.Replace(name), name)
		}
		seen[fmt.Sprintf("%02d %s", i, s.name)] = result
	}
	return seen
}

// settled reports whether the proxy has read the files and answers as it is to.
func (s *step) settled(web string, before, now map[string]string, first bool) bool {
	for name := range s.files {
		if !first && before[name] == now[name] {
			return false
		}
	}
	resp, err := http.Get(web + s.path)
	if err != nil {
		return false
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if s.answer == "" {
		return err == nil && resp.StatusCode == http.StatusServiceUnavailable
	}
	return err == nil && string(body) == s.answer
}

// echo starts a backend that answers with its name, and returns its port.
func echo(t *testing.T, name string) int {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, name) }))
	t.Cleanup(s.Close)
	return s.Listener.Addr().(*net.TCPAddr).Port
}

var subscriptionStat = regexp.MustCompile(`(cds|lds|rds\.rt|cluster\.dyn|http_filter\.ext)\.(update_attempt|update_success|update_rejected|` +
	`update_failure|update_empty|version|version_text|config_reload|config_fail)$|^(cluster|listener)_manager\.(cluster|listener)_(modified|removed)$`)

// attempts is how many updates the proxy has seen, by the file.
func attempts(t *testing.T, admin string) map[string]string {
	t.Helper()
	n := map[string]string{}
	for name, value := range statsOf(t, admin) {
		for file, stat := range map[string]string{
			"cds.yaml": ".cds.update_attempt", "lds.yaml": ".lds.update_attempt", "eds.yaml": "cluster.dyn.update_attempt",
			"rds.yaml": ".rds.rt.update_attempt", "ecds.yaml": ".ext.update_attempt",
		} {
			if strings.HasSuffix(name, stat) {
				n[file] += value + " "
			}
		}
	}
	return n
}

func statsOf(t *testing.T, admin string) map[string]string {
	t.Helper()
	stats, err := readStats(admin)
	if err != nil {
		t.Fatal(err)
	}
	return stats
}

// subscriptionStats leaves out, when the cluster is gone, what it has counted: mosn keeps that.
func subscriptionStats(t *testing.T, admin string, gone bool) string {
	t.Helper()
	var lines []string
	for name, value := range statsOf(t, admin) {
		if subscriptionStat.MatchString(name) && !(gone && strings.HasPrefix(name, "cluster.dyn.")) {
			lines = append(lines, name+": "+value+"\n")
		}
	}
	slices.Sort(lines)
	return strings.Join(lines, "")
}

// dynamicDump is the parts of /config_dump that have to do with dynamic resources, without times and the words of errors.
func dynamicDump(t *testing.T, admin string) string {
	t.Helper()
	resp, err := http.Get("http://" + admin + "/config_dump?include_eds")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var dump struct {
		Configs []map[string]any `json:"configs"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&dump); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	for _, part := range dump.Configs {
		if strings.HasSuffix(fmt.Sprint(part["@type"]), "BootstrapConfigDump") {
			continue
		}
		text, err := json.Marshal(withoutTimes(part))
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&out, "%s\n", text)
	}
	return out.String()
}

// withoutTimes drops what differs from run to run, and what one proxy alone tells: which resource was refused why.
func withoutTimes(v any) any {
	switch v := v.(type) {
	case map[string]any:
		out := map[string]any{}
		for key, inner := range v {
			switch key {
			case "last_updated", "error_state":
			case "active_state": // a listener that only gets other filter chains keeps its old version in Envoy
				state := withoutTimes(inner).(map[string]any)
				delete(state, "version_info")
				out[key] = state
			default:
				if w := withoutTimes(inner); w != nil {
					out[key] = w
				}
			}
		}
		return out
	case []any:
		var out any // nil when nothing is left
		var list []any
		for _, inner := range v {
			if m, ok := withoutTimes(inner).(map[string]any); !ok {
				list = append(list, inner)
			} else if len(m) > 0 {
				list = append(list, m)
			}
		}
		if list != nil {
			out = list
		}
		return out
	}
	return v
}

func compareSteps(t *testing.T, want, got map[string]string, wantName, gotName string) {
	t.Helper()
	for i, s := range fileSteps() {
		id := fmt.Sprintf("%02d %s", i, s.name)
		a, b := strings.Split(want[id], "\n"), strings.Split(strings.TrimSuffix(got[id], "\n"), "\n")
		for _, line := range a {
			if !slices.Contains(b, line) {
				t.Errorf("%s: %s alone: %s", id, wantName, line)
			}
		}
		for _, line := range b {
			if !slices.Contains(a, line) {
				t.Errorf("%s: %s alone: %s", id, gotName, line)
			}
		}
	}
}

func writeFilesGolden(t *testing.T, steps map[string]string) {
	t.Helper()
	var b strings.Builder
	for i, s := range fileSteps() {
		id := fmt.Sprintf("%02d %s", i, s.name)
		fmt.Fprintf(&b, "== %s\n%s", id, steps[id])
	}
	dir := filepath.Join("testdata", "golden", "files")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "steps.txt"), []byte(b.String()), 0o644); err != nil {
		t.Fatal(err)
	}
}
