package tutorial

import (
	"bytes"
	"cmp"
	"io"
	"net"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// OwnPorts replaces the ports of a tutorial by free ones.
func OwnPorts(t testing.TB, ports ...string) *strings.Replacer {
	t.Helper()
	var pairs []string
	for _, port := range ports {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer ln.Close()
		_, free, _ := net.SplitHostPort(ln.Addr().String())
		pairs = append(pairs, port, free)
	}
	return strings.NewReplacer(pairs...)
}

// Process is a program of a tutorial's in the background.
type Process struct {
	cmd *exec.Cmd
	// Out and Errs are what it wrote, complete after Stop.
	Out, Errs bytes.Buffer
	exited    chan struct{}
}

// Start runs a command line in dir, without a shell. The program ends with the test.
func Start(t testing.TB, dir, command string) *Process {
	t.Helper()
	fields := strings.Fields(command)
	p := &Process{cmd: exec.Command(filepath.Join(dir, fields[0]), fields[1:]...), exited: make(chan struct{})}
	p.cmd.Dir, p.cmd.Stdout, p.cmd.Stderr = dir, &p.Out, &p.Errs
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = p.cmd.Wait()
		close(p.exited)
	}()
	t.Cleanup(p.Stop)
	return p
}

// Stop ends the program.
func (p *Process) Stop() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.exited:
	case <-time.After(20 * time.Second):
		_ = p.cmd.Process.Kill()
		<-p.exited
	}
}

// WaitFor waits until ready.
func (p *Process) WaitFor(t testing.TB, ready func() bool) {
	t.Helper()
	for range 400 {
		if ready() {
			return
		}
		select {
		case <-p.exited:
			t.Fatalf("%s has ended: %s", p.cmd, cmp.Or(p.Errs.String(), "without a word"))
		case <-time.After(50 * time.Millisecond):
		}
	}
	t.Fatalf("%s is not ready", p.cmd)
}

// Dials reports whether somebody listens.
func Dials(address string) bool {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return false
	}
	return conn.Close() == nil
}

// Answers reports whether a URL is answered by 200.
func Answers(url string) bool {
	resp, err := http.Get(url)
	if err != nil {
		return false
	}
	resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}

// Get returns the body of a URL, trimmed.
func Get(t testing.TB, url string) string {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(body))
}
