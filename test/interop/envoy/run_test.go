package envoy

import (
	"bytes"
	"cmp"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"sofamesh.io/sofamesh/test/interop/peers"
)

// parallel bounds the cases that run at the same time.
const parallel = 64

// runner runs cases through one proxy.
type runner struct {
	name    string
	binary  string
	details bool                // a second access log tells the response code details
	stats   bool                // counters belong to the result
	view    func(string) string // of a result, nil: as it is
}

// run sends all cases through one process and returns the result of each. The quiet time is how long nothing must happen before a case counts
// as over.
func (r *runner) run(t *testing.T, cases []*testCase, quiet time.Duration) (map[string]string, error) {
	t.Helper()
	var stats map[string]string
	benches, results, err := r.serve(t, cases, quiet, func(admin string) (err error) {
		if r.stats {
			stats, err = readStats(admin)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	for _, b := range benches { // the proxy has written its logs out by now
		results[b.c.ID] += b.logLines()
		if !b.c.Hostile {
			results[b.c.ID] += b.normalise(b.statLines(stats))
		}
		if r.view != nil {
			results[b.c.ID] = r.view(results[b.c.ID])
		}
	}
	return results, nil
}

// serve starts the proxy, sends all cases through it, calls then with the address of its admin listener, and ends it.
func (r *runner) serve(t *testing.T, cases []*testCase, quiet time.Duration, then func(admin string) error) ([]*bench, map[string]string, error) {
	t.Helper()
	dir := t.TempDir()
	var benches []*bench
	for i, c := range cases {
		benches = append(benches, newBench(t, c, filepath.Join(dir, fmt.Sprintf("%d.log", i)), r.details))
	}
	admin := peers.FreePort(t)
	adminAddr := fmt.Sprintf("127.0.0.1:%d", admin)
	p, err := peers.StartProxy(t, r.binary, dir, "bootstrap", bootstrap(t, benches, admin), adminAddr, 1)
	if err != nil {
		return nil, nil, err
	}
	defer p.Kill()
	for _, b := range benches {
		if err := p.WaitListen(fmt.Sprintf("127.0.0.1:%d", b.port), 10*time.Second); err != nil {
			return nil, nil, err
		}
	}
	results := runAll(benches, quiet)
	select {
	case <-p.Done():
		return nil, nil, fmt.Errorf("the proxy died: %s", p.Output())
	default:
	}
	if err := then(adminAddr); err != nil {
		return nil, nil, fmt.Errorf("admin: %w", err)
	}
	if !p.Stop(15 * time.Second) {
		return nil, nil, fmt.Errorf("the proxy did not end within 15 s of SIGTERM: %s", p.Output())
	}
	return benches, results, nil
}

// runAll runs many cases side by side; they mostly wait.
func runAll(benches []*bench, quiet time.Duration) map[string]string {
	results := map[string]string{}
	var mu sync.Mutex
	var wg sync.WaitGroup
	slots := make(chan struct{}, parallel)
	for _, b := range benches {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			r := b.run(quiet)
			mu.Lock()
			defer mu.Unlock()
			results[b.c.ID] = r
		})
	}
	wg.Wait()
	return results
}

// run does one case and renders what both ends saw.
func (b *bench) run(quiet time.Duration) string {
	c := b.client()
	defer c.Close()
	if err := c.Run(b.withPort(b.c.Client)); err != nil {
		return err.Error() + "\n"
	}
	if !b.c.Hostile {
		c.AwaitAll()
	}
	b.act.Settle(quiet)
	c.AwaitClose()
	var out strings.Builder
	out.WriteString(c.Report())
	for _, be := range b.backends {
		out.WriteString(be.Report())
	}
	return b.normalise(out.String())
}

// client is a scripted client, of HTTP/1 or HTTP/2.
type client interface {
	Run([]peers.Op) error
	AwaitAll()
	AwaitClose()
	Report() string
	Close()
}

func (b *bench) client() client {
	addr := fmt.Sprintf("127.0.0.1:%d", b.port)
	requests := func() (n int) {
		for _, be := range b.backends {
			n += be.Requests()
		}
		return n
	}
	if b.c.H2["client"] {
		return peers.NewH2Client(addr, requests, b.act)
	}
	return peers.NewClient(addr, requests, b.act)
}

// withPort replaces $PORT in what the client sends by the listener's port.
func (b *bench) withPort(ops []peers.Op) []peers.Op {
	ops = slices.Clone(ops)
	for i := range ops {
		ops[i].Data = bytes.ReplaceAll(ops[i].Data, []byte("$PORT"), strconv.AppendInt(nil, int64(b.port), 10))
	}
	return ops
}

// logLines renders the access log of the case.
func (b *bench) logLines() string {
	text, err := os.ReadFile(b.log)
	if err != nil {
		return "log: " + err.Error() + "\n"
	}
	var out strings.Builder
	for line := range strings.Lines(string(text)) {
		out.WriteString("log " + maskLog(line))
	}
	if b.details {
		text, _ := os.ReadFile(b.log + ".details")
		for line := range strings.Lines(string(text)) {
			out.WriteString("details " + line)
		}
	}
	return b.normalise(out.String())
}

var (
	dateHeader  = regexp.MustCompile(`(?mi)^(\s*date:) [A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d GMT$`)
	serviceTime = regexp.MustCompile(`(?mi)^(\s*x-envoy-upstream-service-time:) \d+$`)
	budget      = regexp.MustCompile(`(?mi)^(\s*x-envoy-expected-rq-timeout-ms:) (14|4)\d{3}$`)
	grpcTimeout = regexp.MustCompile(`(?m)^(\s*grpc-timeout:) (\d+)([Sm])$`)
	uuid        = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}`)
	address     = regexp.MustCompile(`(127\.0\.0\.1|localhost):\d+`)
	detailsLine = regexp.MustCompile(`(?m)^details .*\n`)
	statLine    = regexp.MustCompile(`(?m)^stat .*\n`)
	logLine     = regexp.MustCompile(`^\[[^\]]*\] (".*" \d+ \S+ \d+ \d+) (\d+|-) (\d+|-) (".*)\n$`)
)

// hostAddress is the machine's first IPv4 address that is not loopback: what x-forwarded-for tells instead of a loopback peer.
func hostAddress() string {
	addrs, _ := net.InterfaceAddrs()
	for _, a := range addrs {
		if ip, ok := a.(*net.IPNet); ok && !ip.IP.IsLoopback() && ip.IP.To4() != nil {
			return ip.IP.String()
		}
	}
	return ""
}

// normalise replaces what is truly variable: dates, times, generated ids, ports, the machine's address.
func (b *bench) normalise(s string) string {
	if host := hostAddress(); host != "" {
		s = strings.ReplaceAll(s, host, "HOSTADDRESS")
	}
	s = dateHeader.ReplaceAllString(s, "$1 DATE")
	s = serviceTime.ReplaceAllString(s, "$1 MS")
	s = budget.ReplaceAllString(s, "$1 less than before")
	s = grpcTimeout.ReplaceAllStringFunc(s, roundTimeout)
	s = uuid.ReplaceAllString(s, "UUID")
	s = address.ReplaceAllStringFunc(s, func(a string) string { return cmp.Or(b.ports[a], a) })
	s = strings.ReplaceAll(s, fmt.Sprintf(":%d", b.port), ":PORT")
	if b.c.Mask != nil {
		s = b.c.Mask.ReplaceAllString(s, "")
	}
	return s
}

var (
	fatalGoAway = regexp.MustCompile(`(?m)^\S+ conn \d+ got GOAWAY (.*), last stream \d+\n`)
	enough      = regexp.MustCompile(`(?m)^  ended\n  reset by NO_ERROR$`)
	givenUp     = regexp.MustCompile(`(?m)^  given up with (INTERNAL_ERROR|CANCEL)$`)
)

// roundTimeout writes a grpc-timeout in milliseconds, rounded up to hundreds: each hop takes something off.
func roundTimeout(line string) string {
	m := grpcTimeout.FindStringSubmatch(line)
	n, _ := strconv.Atoi(m[2])
	if m[3] == "S" {
		n *= 1000
	}
	return fmt.Sprintf("%s about %d ms", m[1], (n+99)/100*100)
}

// compared drops what is only compared when a flag asks for it, and what docs/differences.md says is never compared: the last words before an
// end because of an error, the RST_STREAM behind a whole answer that says that the rest of the request is not wanted, and the code that tells a
// backend that its answer is not wanted.
func compared(s string) string {
	s = fatalGoAway.ReplaceAllStringFunc(s, func(line string) string {
		if strings.Contains(line, " NO_ERROR,") {
			return line
		}
		return ""
	})
	s = enough.ReplaceAllString(s, "  ended")
	s = givenUp.ReplaceAllString(s, "  given up")
	if !*details {
		s = detailsLine.ReplaceAllString(s, "")
	}
	if !*stats {
		s = statLine.ReplaceAllString(s, "")
	}
	return s
}

// maskLog masks the start time, the duration and the upstream's service time of a line in the default format.
func maskLog(line string) string {
	m := logLine.FindStringSubmatch(line)
	if m == nil {
		return line
	}
	served := m[3]
	if served != "-" {
		served = "MS"
	}
	return fmt.Sprintf("[TIME] %s MS %s %s\n", m[1], served, m[4])
}
