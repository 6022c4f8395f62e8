package http2

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"sofamesh.io/sofamesh/test/interop/peers"
)

var useEnvoy = flag.Bool("envoy", false, "run the tests against Envoy instead of mosn")

// patience bounds every wait for something that is expected to happen soon.
const patience = 20 * time.Second

var buildDir string

func TestMain(m *testing.M) {
	flag.Parse()
	if role := os.Getenv(roleVariable); role != "" {
		os.Exit(play(role, flag.Args()))
	}
	dir, err := os.MkdirTemp("", "http2")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	buildDir = dir
	code := m.Run()
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

var mosnBinary = sync.OnceValues(func() (string, error) { return peers.MosnBinary(buildDir) })

// proxyBinary is the program under test.
func proxyBinary(t *testing.T) string {
	t.Helper()
	if *useEnvoy {
		path, err := peers.EnvoyBinary()
		if err != nil {
			t.Skipf("no Envoy: %v", err)
		}
		return path
	}
	path, err := mosnBinary()
	if err != nil {
		t.Skipf("no mosn: %v", err)
	}
	return path
}

// long says whether the tests may take their time.
func long() bool { return os.Getenv("SOFAMESH_LONG") != "" }

// cache is where install.sh puts what it fetches and builds.
func cache(t *testing.T) string {
	t.Helper()
	dir, err := os.UserCacheDir()
	if err != nil {
		t.Skipf("no peers: %v", err)
	}
	dir = filepath.Join(dir, "sofamesh", "http2-peers")
	if _, err := os.Stat(filepath.Join(dir, "done")); err != nil {
		t.Skipf("no peers: %v: run test/interop/http2/install.sh", err)
	}
	return dir
}

// built is a Go program that install.sh has built.
func built(t *testing.T, name string) string {
	t.Helper()
	return filepath.Join(cache(t), "bin", name)
}

// tool is a program of the system.
func tool(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Skipf("no %s: %v: run test/interop/http2/install.sh", name, err)
	}
	return path
}

// eventually waits until ok; what says what did not happen.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("after %v still not: %s", patience, what)
		}
	}
}
