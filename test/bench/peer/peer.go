//go:build linux

// Package peer knows the proxies that the bench compares: how each is configured, started, found ready, accounted and stopped.
//
// A Process is owned by the runner's goroutine. Every process started here is told to end when the runner's thread does, so that
// nothing is left behind.
package peer

import (
	"embed"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"text/template"
)

//go:embed templates
var templates embed.FS

// Site is where one instance of a peer lives: the values of the configuration templates.
type Site struct {
	Dir      string // its own directory
	Listen   uint16 // proxied traffic
	Admin    uint16 // Envoy's admin interface
	OneShot  uint16 // the floor's listener for a connection per request; the proxies know from the request when a connection ends
	Backend  uint16 // the upstream's port
	Clusters int    // clusters beside the one that is used
	Files    uint64 // descriptors the process may open
}

// ExtraClusters names the unused clusters.
func (s Site) ExtraClusters() []int {
	names := make([]int, s.Clusters)
	for i := range names {
		names[i] = i
	}
	return names
}

// Peer is one kind of proxy.
type Peer struct {
	Name    string
	Path    string                                // its binary; empty when the machine has none
	Version []string                              // arguments that print the version, nil for a part of the bench
	conf    string                                // file name in templates, without .tmpl; empty: no file
	args    func(s Site, conf string) []string    // of the command line
	env     func(environ []string) (env []string) // nil: the runner's own
	// OneShot says that connections for one request each go to Site.OneShot.
	OneShot bool
	// Admin says that the peer has Envoy's admin interface: readiness is its /ready, and it can hold Site.Clusters.
	Admin bool
	// Bolt says that it is configured for Bolt, and found ready by a call instead of an HTTP request.
	Bolt bool
	// HTTP2 says that it is configured for HTTP/2 by prior knowledge, on both sides.
	HTTP2 bool
}

// Binaries are the places of what does not come from PATH.
type Binaries struct {
	Self  string // the bench itself, which is also the floor
	Envoy string
	Mosn  string
}

// All lists the peers from the cheapest to the one under test, those without a binary included.
func All(b Binaries) []Peer {
	envoyArgs := func(_ Site, conf string) []string {
		return []string{"-c", conf, "--concurrency", "1", "-l", "error", "--disable-hot-restart"}
	}
	mosnArgs := func(_ Site, conf string) []string {
		return []string{"-c", conf, "--concurrency", "1", "-l", "error"}
	}
	return []Peer{
		{Name: "floor", Path: b.Self, env: SingleThread, OneShot: true, args: func(s Site, _ string) []string {
			return []string{"floor", fmt.Sprintf("127.0.0.1:%d", s.Listen), fmt.Sprintf("127.0.0.1:%d", s.OneShot), fmt.Sprintf("127.0.0.1:%d", s.Backend)}
		}},
		{Name: "nginx", Path: inPath("nginx"), Version: []string{"-v"}, conf: "nginx.conf", args: func(s Site, conf string) []string {
			return []string{"-p", s.Dir, "-c", conf, "-e", filepath.Join(s.Dir, "nginx.log"), "-g", "daemon off;"}
		}},
		{Name: "haproxy", Path: inPath("haproxy"), Version: []string{"-v"}, conf: "haproxy.cfg", args: func(_ Site, conf string) []string {
			return []string{"-db", "-q", "-f", conf}
		}},
		{Name: "envoy", Path: b.Envoy, Version: []string{"--version"}, conf: "envoy.yaml", args: envoyArgs, Admin: true},
		{Name: "mosn", Path: b.Mosn, Version: []string{"--version"}, conf: "envoy.yaml", args: mosnArgs, env: withoutGo, Admin: true},
	}
}

// Bolt lists the peers that can be asked Bolt: a forwarder that patches ids, in the floor's place, and mosn.
func Bolt(b Binaries) []Peer {
	all := All(b)
	mosn := all[slices.IndexFunc(all, func(p Peer) bool { return p.Name == "mosn" })]
	mosn.conf, mosn.Bolt = "bolt.yaml", true
	return []Peer{
		{Name: "floor", Path: b.Self, env: SingleThread, Bolt: true, args: func(s Site, _ string) []string {
			return []string{"boltfloor", fmt.Sprintf("127.0.0.1:%d", s.Listen), fmt.Sprintf("127.0.0.1:%d", s.Backend)}
		}},
		mosn,
	}
}

// HTTP2 lists the peers that can be asked HTTP/2. There is no floor: what pairs connections would have to give streams other ids, so
// that nothing much cheaper than a proxy can stand there.
func HTTP2(b Binaries) []Peer {
	confs := map[string]string{"nginx": "h2.nginx.conf", "haproxy": "h2.haproxy.cfg", "envoy": "h2.yaml", "mosn": "h2.yaml"}
	var peers []Peer
	for _, p := range All(b) {
		if p.conf = confs[p.Name]; p.conf != "" {
			p.HTTP2 = true
			peers = append(peers, p)
		}
	}
	return peers
}

// inPath looks the name up where Debian puts daemons, too.
func inPath(name string) string {
	for _, dir := range append(filepath.SplitList(os.Getenv("PATH")), "/usr/sbin", "/usr/local/sbin") {
		if path, err := exec.LookPath(filepath.Join(dir, name)); err == nil {
			return path
		}
	}
	return ""
}

// SingleThread is the environment of the bench's own processes: nothing interrupts their one goroutine, nothing collects behind it.
func SingleThread(environ []string) []string {
	return append(withoutGo(environ), "GOMAXPROCS=1", "GOGC=off", "GODEBUG=asyncpreemptoff=1")
}

// withoutGo leaves out what would tune a Go program from outside: mosn is measured as it ships.
func withoutGo(environ []string) []string {
	var env []string
	for _, v := range environ {
		switch name, _, _ := strings.Cut(v, "="); name {
		case "GOMAXPROCS", "GOGC", "GOMEMLIMIT", "GODEBUG", "GOTRACEBACK":
		default:
			env = append(env, v)
		}
	}
	return env
}

// Configure writes the peer's configuration file for s into s.Dir and gives its path, empty for a peer without one.
func (p Peer) Configure(s Site) (string, error) {
	if p.conf == "" {
		return "", nil
	}
	t, err := template.ParseFS(templates, "templates/"+p.conf+".tmpl")
	if err != nil {
		return "", err
	}
	path := filepath.Join(s.Dir, p.conf)
	f, err := os.Create(path)
	if err != nil {
		return "", err
	}
	if err := t.Option("missingkey=error").Execute(f, s); err != nil {
		f.Close()
		return "", fmt.Errorf("%s: %w", path, err)
	}
	return path, f.Close()
}

// Describe is the first line the peer says about its version, or why it says none.
func (p Peer) Describe() string {
	if p.Version == nil {
		return "part of the bench"
	}
	cmd := exec.Command(p.Path, p.Version...)
	out, err := cmd.CombinedOutput()
	for line := range strings.Lines(string(out)) {
		if line = strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(line), p.Path)); line != "" {
			return line
		}
	}
	return fmt.Sprintf("version unknown (%v)", err)
}
