package server_test

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestNotify: a service manager hears when the proxy serves, and when it ends.
func TestNotify(t *testing.T) {
	path := filepath.Join(t.TempDir(), "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	t.Setenv("NOTIFY_SOCKET", path)
	heard := func() string {
		p := make([]byte, 100)
		_ = conn.SetReadDeadline(time.Now().Add(20 * time.Second))
		n, err := conn.Read(p)
		if err != nil {
			t.Fatal(err)
		}
		return string(p[:n])
	}
	done := make(chan int)
	go func() {
		code, _, _ := run("-l", "off", "--config-yaml", "static_resources: {}")
		done <- code
	}()
	if got := heard(); got != "READY=1" {
		t.Errorf("heard %q", got)
	}
	terminate(t)
	if got := heard(); got != "STOPPING=1" {
		t.Errorf("heard %q", got)
	}
	if code := <-done; code != 0 {
		t.Errorf("exit code %d", code)
	}
}

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
