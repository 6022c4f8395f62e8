//go:build linux

package peer

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	"gopkg.in/yaml.v3"

	"sofamesh.io/sofamesh/test/bench/bolt"
)

func named(t *testing.T, b Binaries, name string) Peer {
	t.Helper()
	for _, p := range All(b) {
		if p.Name == name {
			return p
		}
	}
	t.Fatalf("no peer %q", name)
	return Peer{}
}

func configure(t *testing.T, name string, s Site) string {
	t.Helper()
	s.Dir = t.TempDir()
	path, err := named(t, Binaries{}, name).Configure(s)
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

var site = Site{Listen: 18001, Admin: 18002, Backend: 18003, Files: 19999}

func TestEnvoyAndMosnReadTheSame(t *testing.T) {
	envoy, mosn := configure(t, "envoy", site), configure(t, "mosn", site)
	if envoy != mosn {
		t.Errorf("the files differ:\n%s\n%s", envoy, mosn)
	}
}

func TestClustersAreGenerated(t *testing.T) {
	s := site
	s.Clusters = 1000
	var doc struct {
		Admin     any
		Resources struct {
			Listeners []any
			Clusters  []struct {
				Name           string
				LoadAssignment struct {
					ClusterName string `yaml:"cluster_name"`
				} `yaml:"load_assignment"`
			}
		} `yaml:"static_resources"`
	}
	if err := yaml.Unmarshal([]byte(configure(t, "envoy", s)), &doc); err != nil {
		t.Fatal(err)
	}
	if n := len(doc.Resources.Clusters); n != 1001 || len(doc.Resources.Listeners) != 1 || doc.Admin == nil {
		t.Fatalf("%d clusters, %d listeners", n, len(doc.Resources.Listeners))
	}
	names := map[string]bool{}
	for _, c := range doc.Resources.Clusters {
		if c.Name != c.LoadAssignment.ClusterName {
			t.Errorf("cluster %q has the endpoints of %q", c.Name, c.LoadAssignment.ClusterName)
		}
		names[c.Name] = true
	}
	if len(names) != 1001 || !names["backend"] {
		t.Errorf("%d different names", len(names))
	}
}

// What the comparison rests on: one worker, no access log, kept upstream connections, the given ports, in every file.
func TestConfigurationsAreComparable(t *testing.T) {
	for name, wants := range map[string][]string{
		"nginx": {
			"worker_processes 1;", "access_log off;", "keepalive 1024;", "proxy_http_version 1.1;", `Connection "";`,
			"listen 127.0.0.1:18001", "server 127.0.0.1:18003", "worker_connections 19999;",
		},
		"haproxy": {"nbthread 1", "http-reuse always", "bind 127.0.0.1:18001", "server one 127.0.0.1:18003"},
		"envoy":   {"port_value: 18001", "port_value: 18002", "port_value: 18003"},
	} {
		text := configure(t, name, site)
		for _, want := range wants {
			if !strings.Contains(text, want) {
				t.Errorf("%s: no %q in\n%s", name, want, text)
			}
		}
		if strings.Contains(text, "<no value>") || strings.Contains(text, "{{") {
			t.Errorf("%s: the template shows:\n%s", name, text)
		}
	}
	for _, log := range []string{"access_log:", "log 127", "log stdout"} {
		for _, name := range []string{"envoy", "haproxy"} {
			if strings.Contains(configure(t, name, site), log) {
				t.Errorf("%s logs its requests", name)
			}
		}
	}
	for _, name := range []string{"envoy", "mosn"} {
		args := named(t, Binaries{}, name).args(site, "f")
		if i := slices.Index(args, "--concurrency"); i < 0 || args[i+1] != "1" {
			t.Errorf("%s runs with %v: want one worker", name, args)
		}
	}
}

// What the comparison over Bolt rests on: mosn may need as many upstream connections as the forwarder has, and not more.
func TestBoltPeers(t *testing.T) {
	peers := Bolt(Binaries{Self: "bench", Mosn: "mosn"})
	if len(peers) != 2 || peers[0].Name != "floor" || peers[1].Name != "mosn" || !peers[0].Bolt || !peers[1].Bolt || peers[1].Path != "mosn" {
		t.Fatalf("%+v", peers)
	}
	if args := peers[0].args(site, ""); !slices.Equal(args, []string{"boltfloor", "127.0.0.1:18001", "127.0.0.1:18003"}) {
		t.Errorf("the forwarder runs with %v", args)
	}
	s := site
	s.Dir = t.TempDir()
	path, err := peers[1].Configure(s)
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"protocol: bolt", fmt.Sprintf("max_streams: %d", 64/bolt.Upstreams), "port_value: 18001", "port_value: 18003", "{ prefix: \"/\" }"} {
		if !strings.Contains(string(data), want) {
			t.Errorf("no %q in\n%s", want, data)
		}
	}
	if strings.Contains(string(data), "access_log") {
		t.Error("mosn logs its requests")
	}
}

// What the comparison over HTTP/2 rests on: no TLS and no HTTP/1.1 on either side, and no end of a call that goes on.
func TestHTTP2Peers(t *testing.T) {
	wants := map[string][]string{
		"nginx":   {"worker_processes 1;", "access_log off;", "listen 127.0.0.1:18001 http2 ", "grpc_pass grpc://backend;", "client_max_body_size 0;", "keepalive 1024;"},
		"haproxy": {"nbthread 1", "http-reuse always", "bind 127.0.0.1:18001 backlog 65535 proto h2", "server one 127.0.0.1:18003 proto h2"},
		"envoy":   {"codec_type: HTTP2", "explicit_http_config: { http2_protocol_options: {} }", "timeout: 0s", "port_value: 18001", "port_value: 18003"},
	}
	wants["mosn"] = wants["envoy"]
	peers := HTTP2(Binaries{Self: "bench", Mosn: "mosn"})
	if len(peers) != len(wants) {
		t.Errorf("%d peers, want %d", len(peers), len(wants))
	}
	for _, p := range peers {
		s := site
		s.Dir = t.TempDir()
		path, err := p.Configure(s)
		if err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range wants[p.Name] {
			if !strings.Contains(string(text), want) {
				t.Errorf("%s: no %q in\n%s", p.Name, want, text)
			}
		}
		if !p.HTTP2 || strings.Contains(string(text), "proxy_pass ") || strings.Contains(string(text), "access_log:") {
			t.Errorf("%s: asked over HTTP/2 %v, with\n%s", p.Name, p.HTTP2, text)
		}
	}
}

func TestEnvironment(t *testing.T) {
	outside := []string{"PATH=/bin", "GOGC=10", "GOMAXPROCS=7", "GOMEMLIMIT=1", "GODEBUG=x", "GOFLAGS=y"}
	if got := withoutGo(outside); !slices.Equal(got, []string{"PATH=/bin", "GOFLAGS=y"}) {
		t.Errorf("mosn would run with %v", got)
	}
	if got := SingleThread(outside); slices.Contains(got, "GOMAXPROCS=7") || !slices.Contains(got, "GOMAXPROCS=1") || !slices.Contains(got, "GOGC=off") {
		t.Errorf("the floor would run with %v", got)
	}
}

func TestInstallScriptLeavesWhatIsThere(t *testing.T) {
	bin := t.TempDir()
	for _, name := range []string{"nginx", "haproxy", "envoy"} {
		if err := os.WriteFile(filepath.Join(bin, name), []byte("#!/bin/sh\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for name, text := range map[string]string{"apt-get": "#!/bin/sh\necho apt-get ran\n", "python3": "#!/bin/sh\nexit 1\n"} {
		if err := os.WriteFile(filepath.Join(bin, name), []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	run := func(args ...string) (string, error) {
		cmd := exec.Command("/bin/sh", append([]string{"../install.sh"}, args...)...)
		cmd.Env = []string{"PATH=" + bin + ":/usr/bin:/bin"}
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	if out, err := run(); err != nil || out != "" {
		t.Errorf("with all peers there it said %q, %v; want silence", out, err)
	}
	if out, err := run("nonesuch", "nginx"); err == nil || !strings.Contains(out, "nonesuch could not be installed") || strings.Contains(out, "nginx could") {
		t.Errorf("%q, %v: want the one that cannot be had named", out, err)
	}
}

// fake is a peer that this test binary plays: see TestMain.
func fake(mode string) Peer {
	return Peer{Name: "fake", Path: os.Args[0], Admin: true, args: func(s Site, _ string) []string {
		return []string{"fake", mode, strconv.Itoa(int(s.Listen)), strconv.Itoa(int(s.Admin))}
	}}
}

func TestMain(m *testing.M) {
	if len(os.Args) == 5 && os.Args[1] == "fake" {
		os.Exit(serveFake(os.Args[2], os.Args[3], os.Args[4]))
	}
	os.Exit(m.Run())
}

// serveFake is a proxy that is ready at the third question ("ok"), or is then and proxies nothing ("deaf"), or says why it cannot run
// and ends ("broken").
func serveFake(mode, listen, admin string) int {
	if mode == "broken" {
		os.Stderr.WriteString("no such listener")
		return 1
	}
	var asked atomic.Int32
	go func() {
		_ = http.ListenAndServe("127.0.0.1:"+admin, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			if asked.Add(1) < 3 {
				w.WriteHeader(http.StatusServiceUnavailable)
			}
		}))
	}()
	_ = http.ListenAndServe("127.0.0.1:"+listen, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if mode == "deaf" || asked.Load() < 3 {
			w.WriteHeader(http.StatusNotFound)
		}
	}))
	return 0
}

func freePort(t *testing.T) uint16 {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return uint16(l.Addr().(*net.TCPAddr).Port)
}

func TestStartAndStop(t *testing.T) {
	s := Site{Dir: t.TempDir(), Listen: freePort(t), Admin: freePort(t)}
	x, err := Start(t.Context(), fake("ok"), s, -1)
	if err != nil {
		t.Fatal(err)
	}
	m, err := x.Memory()
	if x.Ready <= 0 || len(x.PIDs) != 1 || err != nil || m.RSS == 0 {
		t.Errorf("ready after %v, processes %v, memory %+v, %v", x.Ready, x.PIDs, m, err)
	}
	x.Stop()
	if err := unix.Kill(x.PIDs[0], 0); err != unix.ESRCH {
		t.Errorf("after Stop the process gives %v, want that there is none", err)
	}
}

func TestStartSaysWhyAPeerDoesNotRun(t *testing.T) {
	s := Site{Dir: t.TempDir(), Listen: freePort(t), Admin: freePort(t)}
	if _, err := Start(t.Context(), fake("broken"), s, -1); err == nil || !strings.Contains(err.Error(), "no such listener") {
		t.Errorf("%v: want the peer's own words", err)
	}
	// Ready by its own account, yet nothing comes through: the wait ends with its context.
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if _, err := Start(ctx, fake("deaf"), s, -1); err == nil || !strings.Contains(err.Error(), "not ready") {
		t.Errorf("%v: want that it is not ready", err)
	}
}

func TestPinnedChildRunsOnItsProcessor(t *testing.T) {
	var before unix.CPUSet
	if err := unix.SchedGetaffinity(0, &before); err != nil {
		t.Fatal(err)
	}
	cpu := 0
	for !before.IsSet(cpu) {
		cpu++
	}
	cmd := exec.Command("sh", "-c", "grep Cpus_allowed_list /proc/self/status")
	var out strings.Builder
	cmd.Stdout = &out
	if err := Pinned(cmd, cpu); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	if fields := strings.Fields(out.String()); len(fields) != 2 || fields[1] != strconv.Itoa(cpu) {
		t.Errorf("the child was allowed %q, want processor %d alone", out.String(), cpu)
	}
}
