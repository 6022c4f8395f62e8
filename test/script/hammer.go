package script

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/rogpeppe/go-internal/testscript"
)

// hammer N WEB ADMIN: reloads the one background command N times while clients send
// requests to the port WEB without a pause. For each turn every file x.tmpl becomes x,
// by a rename, with %TURN% replaced; then ADMIN's /reload is called. Not one request may
// fail, and afterwards the process has the descriptors and about the memory that it had.
func hammer(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg || len(args) != 3, "hammer N WEB ADMIN")
	n, err := strconv.Atoi(args[0])
	ts.Check(err)
	web, admin := "127.0.0.1:"+args[1], "http://127.0.0.1:"+args[2]
	pid := ts.BackgroundCmds()[0].Process.Pid
	templates, err := filepath.Glob(ts.MkAbs("*.tmpl"))
	ts.Check(err)
	turn := func(i int) {
		for _, path := range templates {
			text, err := os.ReadFile(path)
			ts.Check(err)
			next := ts.MkAbs("next")
			ts.Check(os.WriteFile(next, []byte(strings.ReplaceAll(string(text), "%TURN%", fmt.Sprint(i))), 0o644))
			ts.Check(os.Rename(next, strings.TrimSuffix(path, ".tmpl")))
		}
		req, err := http.NewRequest("POST", admin+"/reload", nil)
		ts.Check(err)
		var out strings.Builder
		if status, err := roundTrip(req, &out); err != nil || status != http.StatusOK {
			ts.Fatalf("turn %d: %d, %v: %s", i, status, err, out.String())
		}
	}
	const warmup = 20
	clients := startClients(web)
	for i := range warmup {
		turn(i)
	}
	clients.stop()
	before := use(ts, pid, admin)
	clients = startClients(web)
	for i := range n {
		turn(warmup + i)
	}
	sent, failures := clients.stop()
	if len(failures) > 0 || sent < n {
		ts.Fatalf("%d of %d requests failed: %s", len(failures), sent, strings.Join(failures[:min(5, len(failures))], "; "))
	}
	ts.Logf("%d reloads, %d requests", n, sent)
	const idle = 16 // connections to the backends, which are kept for the next requests
	var after holdings
	await(ts, fmt.Sprintf("descriptors and memory return to %+v", before), func() bool {
		after = use(ts, pid, admin)
		return after.files <= before.files+idle && after.heap < before.heap+2<<20
	})
	ts.Logf("before %+v, after %+v", before, after)
}

// holdings is what a process holds.
type holdings struct {
	files int
	heap  uint64
}

func use(ts *testscript.TestScript, pid int, admin string) holdings {
	get := func(path string) string {
		req, err := http.NewRequest("GET", admin+path, nil)
		ts.Check(err)
		var out strings.Builder
		_, err = roundTrip(req, &out)
		ts.Check(err)
		_, body, _ := strings.Cut(out.String(), "\n\n")
		return body
	}
	get("/debug/pprof/heap?gc=1") // what is garbage does not count
	var memory struct{ Allocated string }
	ts.Check(json.Unmarshal([]byte(get("/memory")), &memory))
	heap, err := strconv.ParseUint(memory.Allocated, 10, 64)
	ts.Check(err)
	fds, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	ts.Check(err)
	return holdings{len(fds), heap}
}

// clients send requests over connections that they keep as long as the server does.
type clients struct {
	over     atomic.Bool
	sent     atomic.Int64
	done     sync.WaitGroup
	mu       sync.Mutex
	failures []string
}

func startClients(addr string) *clients {
	c := &clients{}
	for range 4 {
		c.done.Go(func() {
			for !c.over.Load() {
				if err := c.connection(addr); err != nil {
					c.mu.Lock()
					c.failures = append(c.failures, err.Error())
					c.mu.Unlock()
				}
			}
		})
	}
	return c
}

// connection makes requests until one of both sides has enough.
func (c *clients) connection(addr string) error {
	conn, err := net.DialTimeout("tcp", addr, patience)
	if err != nil {
		return err
	}
	defer conn.Close()
	r := bufio.NewReader(conn)
	for !c.over.Load() {
		if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nhost: a\r\n\r\n"); err != nil {
			return err
		}
		resp, err := http.ReadResponse(r, nil)
		if err != nil {
			return err
		}
		_, err = io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()
		c.sent.Add(1)
		if err != nil || resp.StatusCode != http.StatusOK {
			return fmt.Errorf("%s, %w", resp.Status, err)
		}
		if resp.Close {
			return nil
		}
	}
	return nil
}

func (c *clients) stop() (sent int, failures []string) {
	c.over.Store(true)
	c.done.Wait()
	return int(c.sent.Load()), c.failures
}
