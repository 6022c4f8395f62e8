package server_test

import (
	"net"
	"path/filepath"
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
