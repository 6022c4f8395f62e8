package stream

import (
	"bufio"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"sofamesh.io/sofamesh/mosn/eventloop/looptest"
)

// sim is a world in which clients, hosts, filters and the clock do what a string of
// bytes says. Every request has a number, which is its path, and hosts answer with that
// number, so that an answer that goes astray is seen.
type sim struct {
	*world
	choices []byte
	clients []*simClient
	hosts   []*simHost
	dial    looptest.Outcome
	ids     int
	arrived map[int]int  // how often a request was begun at a host
	once    map[int]bool // requests that nobody may send twice
}

// simClient is a client's connection.
type simClient struct {
	p     *looptest.Peer
	asked []simRequest
	rest  string // of the last request, not sent yet
	got   strings.Builder
	gone  bool
	tight bool // its window was small: the loop may give it up within a head
}

type simRequest struct {
	id     int
	method string
}

// simHost is a connection to a host.
type simHost struct {
	p    *looptest.Peer
	in   string
	rest string // of an answer
	slow bool   // not established yet
	deaf bool   // it has answered early, and reads no further
}

// pick returns one of n choices; when there are none left it is 0.
func (m *sim) pick(n int) int {
	if len(m.choices) == 0 {
		return 0
	}
	b := m.choices[0]
	m.choices = m.choices[1:]
	return int(b) % n
}

func newSim(t testing.TB, choices []byte) *sim {
	m := &sim{choices: choices, arrived: map[int]int{}, once: map[int]bool{}}
	o := setup{
		limit:  4000,
		action: `timeout { seconds: 3 }`,
		clusters: map[string]string{
			"c": "per_connection_buffer_limit_bytes { value: 4000 }",
			"m": "per_connection_buffer_limit_bytes { value: 2000 }",
		},
		edit: func(c *Config) {
			c.StreamIdleTimeout, c.IdleTimeout = 5*time.Second, 20*time.Second
			c.RequestHeadersTimeout, c.RequestTimeout = 4*time.Second, 8*time.Second
		},
	}
	mode := m.pick(8)
	if mode&1 != 0 {
		o.filters = []FilterConfig{{Name: "x", Config: moody{m}}, {Name: "y", Config: moody{m}}}
	}
	if mode&2 != 0 {
		o.action += ` retry_policy { retry_on: "5xx" num_retries { value: 2 } per_try_timeout { seconds: 1 } }`
	}
	if mode&4 != 0 {
		o.action += ` request_mirror_policies { cluster: "m" }`
	}
	m.world = newWorld(t, o)
	return m
}

// run makes one step for every few choices.
func (m *sim) run() {
	for len(m.choices) > 0 {
		m.step()
		m.check()
	}
	m.settleDown()
}

func (m *sim) step() {
	switch m.pick(12) {
	case 0:
		if len(m.clients) < 12 {
			m.clients = append(m.clients, &simClient{p: m.client()})
		}
	case 1, 2, 3:
		m.ask()
	case 4, 5, 6, 7:
		m.answer()
	case 8:
		m.breakOff()
	case 9:
		m.Advance(time.Duration(m.pick(256)) * 10 * time.Millisecond)
	case 10:
		m.squeeze()
	case 11:
		m.dial = []looptest.Outcome{looptest.Accept, looptest.Accept, looptest.Hold, looptest.Refuse}[m.pick(4)]
		m.OnDial(addr(1), m.dial)
	}
	if m.pick(4) == 0 {
		m.Turn()
	} else {
		m.Settle()
	}
	m.meet()
}

// meet takes in new connections and what has arrived.
func (m *sim) meet() {
	for _, n := range []int{1, 11} {
		for p := m.next(n); p != nil; p = m.next(n) {
			m.hosts = append(m.hosts, &simHost{p: p, slow: n == 1 && m.dial == looptest.Hold})
		}
	}
	for _, h := range m.hosts {
		h.in += h.p.Received()
	}
	for _, c := range m.clients {
		c.got.WriteString(c.p.Received())
	}
}

// ask has a client send a request, or some of one.
func (m *sim) ask() {
	if len(m.clients) == 0 {
		return
	}
	c := m.clients[m.pick(len(m.clients))]
	if c.gone || c.p.Ended() {
		return
	}
	if c.rest == "" {
		m.ids++
		r := simRequest{m.ids, []string{"GET", "POST", "PUT", "HEAD"}[m.pick(4)]}
		head := fmt.Sprintf("%s /%d HTTP/1.1\r\nhost: a\r\n", r.method, r.id)
		switch m.pick(3) {
		case 0:
			c.rest = head + "\r\n"
		case 1:
			n := m.pick(256) * 40
			c.rest = head + fmt.Sprintf("content-length: %d\r\n\r\n", n) + strings.Repeat("b", n)
		case 2:
			n := m.pick(256) + 1
			c.rest = head + fmt.Sprintf("transfer-encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", n, strings.Repeat("c", n))
		}
		c.asked = append(c.asked, r)
		m.once[r.id] = r.method == "POST"
	}
	n := len(c.rest)
	if m.pick(3) == 0 {
		n = min(n, m.pick(256)*10)
	}
	c.p.Send(c.rest[:n])
	c.rest = c.rest[n:]
}

// answer has a host do something about what it was asked.
func (m *sim) answer() {
	if len(m.hosts) == 0 {
		return
	}
	h := m.hosts[m.pick(len(m.hosts))]
	if h.slow {
		h.slow = false
		if m.pick(4) == 0 {
			h.p.Fail(syscall.ECONNREFUSED)
		} else {
			h.p.Establish()
		}
		return
	}
	if h.rest == "" {
		id, method, ok := m.takeRequest(h)
		if !ok {
			return
		}
		h.rest = m.response(id, method)
	}
	n := len(h.rest)
	if m.pick(3) == 0 {
		n = min(n, m.pick(256)*8)
	}
	h.p.Send(h.rest[:n])
	h.rest = h.rest[n:]
}

// takeRequest takes the first whole request that h has, or the head of one.
func (m *sim) takeRequest(h *simHost) (id int, method string, ok bool) {
	head, body, ok := strings.Cut(h.in, "\r\n\r\n")
	if !ok || h.deaf {
		return 0, "", false
	}
	early := m.pick(8) == 0
	length := 0
	if _, v, has := strings.Cut(head, "content-length: "); has {
		v, _, _ = strings.Cut(v, "\r\n")
		length, _ = strconv.Atoi(v)
	} else if strings.Contains(head, "chunked") {
		end := strings.Index(body, "\r\n0\r\n\r\n")
		if length = end + 7; end < 0 {
			length = len(body) + 1
		}
	}
	if len(body) < length {
		if !early {
			return 0, "", false
		}
		length, h.deaf = len(body), true
	}
	h.in = body[length:]
	line, _, _ := strings.Cut(head, "\r\n")
	method, path, _ := strings.Cut(line, " /")
	path, _, _ = strings.Cut(path, " ")
	id, err := strconv.Atoi(path)
	if err != nil {
		m.t.Fatalf("host got %q", head)
	}
	if !strings.Contains(head, "x-envoy-internal") { // no mirror
		m.arrived[id]++
	}
	return id, method, true
}

func (m *sim) response(id int, method string) string {
	body := strings.Repeat(fmt.Sprintf("<%d>", id), 1+m.pick(256)*m.pick(4))
	if method == "HEAD" {
		return fmt.Sprintf("HTTP/1.1 200 OK\r\nx-id: %d\r\ncontent-length: %d\r\n\r\n", id, len(body))
	}
	switch m.pick(8) {
	case 0:
		return fmt.Sprintf("HTTP/1.1 503 X\r\nx-id: %d\r\ncontent-length: 0\r\n\r\n", id)
	case 1:
		return "garbage\r\n\r\n"
	case 2:
		return fmt.Sprintf("HTTP/1.1 204 X\r\nx-id: %d\r\n\r\n", id)
	case 3, 4:
		return fmt.Sprintf("HTTP/1.1 200 OK\r\nx-id: %d\r\ntransfer-encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", id, len(body), body)
	}
	return fmt.Sprintf("HTTP/1.1 200 OK\r\nx-id: %d\r\ncontent-length: %d\r\n\r\n%s", id, len(body), body)
}

// breakOff ends somebody's connection.
func (m *sim) breakOff() {
	how := leavings()[m.pick(3)].do
	if m.pick(2) == 0 && len(m.clients) > 0 {
		i := m.pick(len(m.clients))
		how(m.clients[i].p)
		m.clients[i].gone = true
	} else if len(m.hosts) > 0 {
		if h := m.hosts[m.pick(len(m.hosts))]; !h.slow {
			how(h.p)
		}
	}
}

// squeeze changes how much somebody takes.
func (m *sim) squeeze() {
	n := []int{-1, -1, 0, 1, 100, 3000}[m.pick(6)]
	if m.pick(2) == 0 && len(m.clients) > 0 {
		c := m.clients[m.pick(len(m.clients))]
		c.p.Window(n)
		c.tight = c.tight || n >= 0
	} else if len(m.hosts) > 0 {
		m.hosts[m.pick(len(m.hosts))].p.Window(n)
	}
}

// check looks at what must hold at any time.
func (m *sim) check() {
	m.t.Helper()
	w := m.w
	if w.depth != 0 || w.dead != nil {
		m.t.Fatalf("depth %d, dead streams %v", w.depth, w.dead != nil)
	}
	m.freeLists()
	active := 0
	w.conns.each(func(d *serverConn) {
		if s := d.cur; s != nil {
			active++
			if !s.phase.live() || s.conn != d {
				m.t.Errorf("a connection has a stream that is %s", s.phase)
			}
			if s.armedFor == 0 && s.deadlines != [numDeadlines]time.Duration{} {
				m.t.Error("a stream has a deadline and no timer")
			}
		}
	})
	if active != w.streams {
		m.t.Errorf("%d streams are counted, connections have %d", w.streams, active)
	}
	if held := m.Loop.Buffers().InUse(); held > 200 {
		m.t.Errorf("%d chunks are held", held)
	}
	if len(m.Logs) > 0 {
		m.t.Fatal(m.Logs[0])
	}
	if m.t.Failed() {
		m.t.FailNow()
	}
}

// settleDown lets everybody go, and checks what the clients have received.
func (m *sim) settleDown() {
	m.t.Helper()
	for _, c := range m.clients {
		c.p.Window(-1)
	}
	for i := 0; i < 10 || i < 500 && m.w.ActiveStreams() > 0; i++ { // every limit there is passes, for each request in a pipe
		m.Advance(5 * time.Second)
		m.meet()
	}
	if n := m.w.ActiveStreams(); n != 0 {
		m.t.Errorf("%d streams are active after all timeouts", n)
	}
	for _, c := range m.clients {
		m.read(c)
	}
	for id, n := range m.arrived {
		if n > 1 && m.once[id] && !strings.Contains(m.o.action, "retry_policy") {
			m.t.Errorf("request %d was sent %d times", id, n)
		}
		if n > 4 {
			m.t.Errorf("request %d was sent %d times", id, n)
		}
	}
	m.finish()
	if m.t.Failed() {
		m.t.FailNow()
	}
}

// read parses all that a client has received: whole responses, each to its request,
// and at most the last one cut off.
func (m *sim) read(c *simClient) {
	m.t.Helper()
	r := bufio.NewReader(strings.NewReader(c.got.String()))
	for i := 0; ; i++ {
		if _, err := r.Peek(1); err != nil {
			return
		}
		if i == len(c.asked) {
			rest, _ := io.ReadAll(r)
			// A HEAD that was not sent to its end is answered as if it were a GET.
			if string(rest) != "request header timeout" {
				m.t.Errorf("a client got %q without having asked", rest)
			}
			return
		}
		ask := c.asked[i]
		resp, err := http.ReadResponse(r, &http.Request{Method: ask.method})
		if err != nil {
			if !c.gone && !c.tight {
				m.t.Errorf("request %d: %v in %q", ask.id, err, c.got.String())
			}
			return
		}
		body, err := io.ReadAll(resp.Body)
		if id := resp.Header.Get("x-id"); id != "" && id != strconv.Itoa(ask.id) {
			m.t.Fatalf("request %d was answered by what is for %s", ask.id, id)
		}
		if rest := strings.TrimLeft(string(body), fmt.Sprintf("<%d>", ask.id)); resp.StatusCode == 200 && rest != "" {
			m.t.Fatalf("request %d got %q", ask.id, body)
		}
		if err != nil {
			if _, more := r.Peek(1); more == nil || !c.gone && !c.p.Ended() {
				m.t.Errorf("request %d: a body is cut off on a connection that goes on: %v", ask.id, err)
			}
			return
		}
	}
}

// TestRandomExchanges: some thousand exchanges that go wrong in every way.
func TestRandomExchanges(t *testing.T) {
	seeds := 150
	if testing.Short() {
		seeds = 20
	}
	total := 0
	for seed := range seeds {
		choices := make([]byte, 1500)
		r := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8)})
		_, _ = r.Read(choices)
		t.Run(strconv.Itoa(seed), func(t *testing.T) {
			m := newSim(t, choices)
			m.run()
			total += m.ids
		})
	}
	t.Logf("%d requests", total)
}

// FuzzExchanges lets the fuzzer choose.
func FuzzExchanges(f *testing.F) {
	for seed := range byte(8) {
		choices := make([]byte, 300)
		r := rand.NewChaCha8([32]byte{seed, 1})
		_, _ = r.Read(choices)
		f.Add(choices)
	}
	f.Fuzz(func(t *testing.T, choices []byte) {
		if len(choices) > 3000 {
			t.Skip("long enough is long enough")
		}
		newSim(t, choices).run()
	})
}
