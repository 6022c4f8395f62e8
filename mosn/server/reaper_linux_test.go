package server_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestReaper runs a proxy as the first process of a PID namespace, with an orphan that
// ends there: it must not stay as a zombie.
func TestReaper(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("a PID namespace needs root")
	}
	program := filepath.Join(t.TempDir(), "mosn")
	build := exec.Command("go", "build", "-o", program, "sofamesh.io/sofamesh/cmd/mosn")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	// The subshell ends at once, so its sleeping child falls to the first process.
	cmd := exec.Command("sh", "-c", fmt.Sprintf(`(sleep 0.5 &); exec %s -l off --config-yaml 'static_resources: {}'`, program))
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID, Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}()
	children := func() string {
		text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", cmd.Process.Pid, cmd.Process.Pid))
		return strings.TrimSpace(string(text))
	}
	await(t, func() bool { return children() != "" })
	await(t, func() bool { return children() == "" })
}
