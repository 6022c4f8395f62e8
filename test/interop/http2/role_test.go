package http2

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strconv"
	"testing"
	"time"

	"sofamesh.io/sofamesh/test/interop/peers"
)

// roleVariable names the environment variable that makes this program something else than a test: attackers and what serves them are processes
// of their own, so that what they take of the processors is for the system to share out.
const roleVariable = "SOFAMESH_HTTP2_ROLE"

// play is the main function of a role.
//
//	origin                                the server of origin_test.go; it prints its port
//	sink BYTES                            takes so many bytes of each connection and ends it; it prints its port
//	attack KIND ADDR CONNECTIONS TIME     floods; it prints how many connections it has lost
func play(role string, args []string) int {
	switch role {
	case "origin":
		return serveRole(func(ln net.Listener) { _ = server(originHandler()).Serve(ln) })
	case "sink":
		limit, err := strconv.ParseInt(args[0], 10, 64)
		if err != nil {
			return 2
		}
		return serveRole(func(ln net.Listener) { sink(ln, limit) })
	case "attack":
		connections, err := strconv.Atoi(args[2])
		if err != nil {
			return 2
		}
		duration, err := time.ParseDuration(args[3])
		if err != nil {
			return 2
		}
		for _, f := range floods() {
			if f.name == args[0] {
				fmt.Println(f.attack(args[1], connections, duration))
				return 0
			}
		}
	}
	return 2
}

func serveRole(f func(net.Listener)) int {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	fmt.Println(ln.Addr().(*net.TCPAddr).Port)
	f(ln)
	return 0
}

func sink(ln net.Listener, limit int64) {
	for {
		conn, err := ln.Accept()
		if err != nil {
			return
		}
		go func() {
			_, _ = io.CopyN(io.Discard, conn, limit)
			_ = conn.Close()
		}()
	}
}

// actor is a process with a role.
type actor struct {
	*peers.Process
	out  *bufio.Reader
	port int // of what serves
}

func (a *actor) addr() string { return fmt.Sprintf("127.0.0.1:%d", a.port) }

// startRole starts a process of a niceness. Of one that serves the port is known then.
func startRole(t *testing.T, nice int, role string, args ...string) *actor {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("nice", append([]string{"-n", strconv.Itoa(nice), self}, args...)...)
	cmd.Env = append(os.Environ(), roleVariable+"="+role)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdout = w
	a := &actor{Process: peers.StartCommand(t, cmd), out: bufio.NewReader(r)}
	_ = w.Close()
	t.Cleanup(func() { _ = r.Close() })
	if role != "attack" {
		if _, err := fmt.Fscan(a.out, &a.port); err != nil {
			t.Fatalf("%s: %v: %s", role, err, a.Output())
		}
	}
	return a
}
