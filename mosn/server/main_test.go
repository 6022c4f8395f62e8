package server_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"sofamesh.io/sofamesh/mosn/builtin"
	"sofamesh.io/sofamesh/mosn/server"
)

// TestMain: one goroutine is not ours; the logger of what holmes imports starts it when
// the program is linked with it.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("mosn.io/pkg/log.(*Logger).handler"))
}

func run(args ...string) (code int, stdout, stderr string) {
	var out, errs bytes.Buffer
	code = server.Run(builtin.Default(), append([]string{"mosn"}, args...), &out, &errs)
	return code, out.String(), errs.String()
}

func TestExitCodes(t *testing.T) {
	bad := filepath.Join(t.TempDir(), "bad.yaml")
	if err := os.WriteFile(bad, []byte("node: {}\nstatic_resources:\n  clusters:\n  - {name: a, connect_timeout: -1s}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args   string
		code   int
		stdout string
		stderr string
	}{
		{"--version", 0, "version: ", ""},
		{"--help", 0, "usage", ""},
		{"--nonsense", 1, "", "mosn: flag provided but not defined"},
		{"", 1, "", "at least one of --config-path and --config-yaml"},
		{"-c /no/such.yaml", 1, "", "/no/such.yaml"},
		{"--mode validate -c " + bad, 1, "", bad + `:4: cluster "a": connect_timeout: value must be greater than`},
		{"-c " + bad, 1, "", bad + `:4: cluster "a": connect_timeout: value must be greater than`},
		{"--mode validate --config-yaml {}", 0, "configuration '' OK\n", ""},
		{"--mode init_only --config-yaml {} --concurrency 1", 0, "", "all clusters initialized"},
		{"--mode validate --config-yaml {} --stats-tag a:b", 0, "OK", "--stats-tag has no effect"},
		{"--mode validate --config-yaml {aa} --allow-unknown-static-fields", 0, "OK", "unknown field"},
		{"--mode validate --config-yaml {aa}", 1, "", "unknown field"},
		{"--log-path /no/such/dir/x --config-yaml {}", 1, "", "--log-path"},
	} {
		code, stdout, stderr := run(strings.Fields(c.args)...)
		if code != c.code || !strings.Contains(stdout, c.stdout) || !strings.Contains(stderr, c.stderr) {
			t.Errorf("%s: code %d, stdout %q, stderr %q", c.args, code, stdout, stderr)
		}
	}
}

func TestAddressInUse(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	_, port, _ := net.SplitHostPort(ln.Addr().String())
	code, _, stderr := run("--concurrency", "1", "--config-yaml",
		fmt.Sprintf("admin: {address: {socket_address: {address: 127.0.0.1, port_value: %s}}}", port))
	if code != 1 || !strings.Contains(stderr, "address already in use") {
		t.Errorf("code %d, stderr %q", code, stderr)
	}
}

// TestTwoProxiesInOneProcess runs them on Unix admin sockets and ends both, one by
// its admin, the other by the same.
func TestTwoProxiesInOneProcess(t *testing.T) {
	dir := t.TempDir()
	done := make(chan int, 2)
	clients := map[string]*http.Client{}
	for _, name := range []string{"a", "b"} {
		sock := filepath.Join(dir, name)
		yaml := fmt.Sprintf("node: {id: %s}\nadmin: {address: {pipe: {path: %s, mode: 0600}}}", name, sock)
		go func() {
			code, _, _ := run("--concurrency", "1", "-l", "off", "--config-yaml", yaml)
			done <- code
		}()
		clients[name] = unixClient(sock)
	}
	for name, c := range clients {
		await(t, func() bool { return get(c, "/ready") == "LIVE\n" })
		if info := get(c, "/server_info"); !strings.Contains(info, `"id": "`+name+`"`) {
			t.Errorf("%s says %s", name, info)
		}
		if st, err := os.Stat(filepath.Join(dir, name)); err != nil || st.Mode().Perm() != 0o600 {
			t.Errorf("%v, %v", st, err)
		}
	}
	for _, c := range clients {
		resp, err := c.Post("http://x/quitquitquit", "", nil)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
	}
	for range clients {
		select {
		case code := <-done:
			if code != 0 {
				t.Errorf("exit code %d", code)
			}
		case <-time.After(20 * time.Second):
			t.Fatal("a proxy does not end")
		}
	}
}

// TestSignals: SIGHUP changes nothing, SIGUSR1 reopens, SIGTERM ends.
func TestSignals(t *testing.T) {
	dir := t.TempDir()
	sock, log := filepath.Join(dir, "s"), filepath.Join(dir, "x.log")
	done := make(chan int, 1)
	go func() {
		code, _, _ := run("--concurrency", "1", "--log-path", log, "--drain-time-s", "1", "--config-yaml",
			fmt.Sprintf("admin: {address: {pipe: {path: %s}}}", sock))
		done <- code
	}()
	c := unixClient(sock)
	await(t, func() bool { return get(c, "/ready") == "LIVE\n" })
	if err := os.Rename(log, log+".1"); err != nil {
		t.Fatal(err)
	}
	for _, s := range []syscall.Signal{syscall.SIGHUP, syscall.SIGUSR1} {
		if err := syscall.Kill(os.Getpid(), s); err != nil {
			t.Fatal(err)
		}
	}
	await(t, func() bool { _, err := os.Stat(log); return err == nil })
	if get(c, "/ready") != "LIVE\n" {
		t.Error("no longer ready")
	}
	if err := syscall.Kill(os.Getpid(), syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	select {
	case code := <-done:
		if code != 0 {
			t.Errorf("exit code %d", code)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("SIGTERM does not end the proxy")
	}
	if text, err := os.ReadFile(log); err != nil || !strings.Contains(string(text), "exiting") {
		t.Errorf("the log says %q, %v", text, err)
	}
}

func unixClient(sock string) *http.Client {
	var d net.Dialer
	return &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext:       func(ctx context.Context, _, _ string) (net.Conn, error) { return d.DialContext(ctx, "unix", sock) },
	}}
}

func get(c *http.Client, path string) string {
	resp, err := c.Get("http://x" + path)
	if err != nil {
		return err.Error()
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return err.Error()
	}
	return string(body)
}

func await(t *testing.T, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("it does not come true")
		}
	}
}
