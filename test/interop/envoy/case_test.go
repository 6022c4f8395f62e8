package envoy

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"sofamesh.io/sofamesh/test/interop/peers"
)

// testCase is one case as its file tells it.
type testCase struct {
	ID       string // file/name
	Covers   string // the one piece of behaviour that the case is about
	Config   string // YAML fragment, see config_test.go
	Client   []peers.Op
	Backends map[string][]peers.Script
	H2       map[string]bool // who speaks HTTP/2: backends by name, "client"
	Mask     *regexp.Regexp  // taken out of the result: what chance decides in this case
	Hostile  bool            // raw bytes without an expectation of an answer
}

// loadCases reads all case files of testdata.
func loadCases(t *testing.T) []*testCase {
	t.Helper()
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no case files: %v", err)
	}
	var all []*testCase
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		cases, err := parseFile(strings.TrimSuffix(filepath.Base(f), ".txtar"), b)
		if err != nil {
			t.Fatalf("%s: %v", f, err)
		}
		all = append(all, cases...)
	}
	seen := map[string]bool{}
	for _, c := range all {
		if seen[c.ID] {
			t.Fatalf("two cases are named %s", c.ID)
		}
		seen[c.ID] = true
	}
	return all
}

// parseFile reads the sections of a file: `config [name]` is a YAML fragment, `case name` a case, `hostile-requests` and
// `hostile-responses` are one case a line.
func parseFile(topic string, b []byte) ([]*testCase, error) {
	configs := map[string]string{}
	var cases []*testCase
	for _, f := range txtar.Parse(b).Files {
		kind, name, _ := strings.Cut(f.Name, " ")
		body := string(f.Data)
		var err error
		switch kind {
		case "config":
			configs[name] = body
		case "case":
			var c *testCase
			if c, err = parseCase(topic+"/"+name, body, configs); err == nil {
				cases = append(cases, c)
			}
		case "hostile-requests", "hostile-responses":
			var some []*testCase
			some, err = parseHostile(topic, kind, body, configs[name])
			cases = append(cases, some...)
		default:
			err = fmt.Errorf("unknown kind")
		}
		if err != nil {
			return nil, fmt.Errorf("section %q: %w", f.Name, err)
		}
	}
	return cases, nil
}

// parseCase reads the blocks of a case: `covers: text`, `config: name`, `mask: regexp`, `[h2] client:`, `[h2] backend [name] [on head|on connect]:`.
func parseCase(id, body string, configs map[string]string) (*testCase, error) {
	c := &testCase{ID: id, Backends: map[string][]peers.Script{}, H2: map[string]bool{}}
	c.Config = configs[""]
	var block []string
	add, parse := func([]peers.Op) {}, peers.ParseOps
	flush := func() error {
		ops, err := parse(block)
		add(ops)
		block, add = nil, func([]peers.Op) {}
		return err
	}
	for line := range strings.Lines(body) {
		line = strings.TrimRight(line, "\n")
		key, value, isKey := strings.Cut(line, ":")
		key, h2 := strings.CutPrefix(key, "h2 ")
		switch word, _, _ := strings.Cut(key, " "); {
		case !isKey || !slices.Contains([]string{"covers", "config", "mask", "client", "backend"}, word):
			block = append(block, line)
		case word == "covers":
			c.Covers = strings.TrimSpace(value)
		case word == "config":
			var known bool
			if c.Config, known = configs[strings.TrimSpace(value)]; !known {
				return nil, fmt.Errorf("no config %q", value)
			}
		case word == "mask":
			var err error
			if c.Mask, err = regexp.Compile("(?m)" + strings.TrimSpace(value)); err != nil {
				return nil, err
			}
		case word == "client":
			if err := flush(); err != nil {
				return nil, err
			}
			add, parse, c.H2["client"] = func(ops []peers.Op) { c.Client = ops }, syntax(h2), h2
		case word == "backend":
			if err := flush(); err != nil {
				return nil, err
			}
			name, on, err := parseBackend(key)
			if err != nil {
				return nil, err
			}
			add = func(ops []peers.Op) {
				if len(ops) > 0 || !h2 { // an empty one says only what it speaks
					c.Backends[name] = append(c.Backends[name], peers.Script{On: on, Ops: ops})
				}
			}
			parse, c.H2[name] = syntax(h2), h2
		}
	}
	if err := flush(); err != nil {
		return nil, err
	}
	if c.Covers == "" || len(c.Client) == 0 {
		return nil, fmt.Errorf("a case needs covers and client")
	}
	return c, nil
}

// syntax is how the scripts of an HTTP/1 or an HTTP/2 peer are written.
func syntax(h2 bool) func([]string) ([]peers.Op, error) {
	if h2 {
		return peers.ParseH2Ops
	}
	return peers.ParseOps
}

func parseBackend(key string) (name string, on peers.Trigger, err error) {
	key, trigger, _ := strings.Cut(strings.TrimPrefix(key, "backend"), " on ")
	if name = strings.TrimSpace(key); name == "" {
		name = "b1"
	}
	switch trigger {
	case "":
	case "head":
		on = peers.OnHead
	case "connect":
		on = peers.OnConnect
	default:
		err = fmt.Errorf("unknown trigger %q", trigger)
	}
	return name, on, err
}

// parseHostile reads lines `name "quoted bytes"`: a request to send, or the answer of a backend to a plain request. `name N "quoted" "quoted"
// "quoted"` is head, N times the middle, tail.
func parseHostile(topic, kind, body, config string) ([]*testCase, error) {
	var cases []*testCase
	for line := range strings.Lines(body) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		name, rest, _ := strings.Cut(line, " ")
		data, err := hostileBytes(strings.TrimSpace(rest))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		c := &testCase{ID: topic + "/" + name, Covers: name, Config: config, Hostile: true}
		send := []peers.Op{{Kind: peers.OpSend, Data: data}}
		c.Client = send
		if kind == "hostile-responses" {
			c.Client = []peers.Op{{Data: []byte("GET /hostile HTTP/1.1\r\nhost: h\r\n\r\n")}}
			again := peers.Script{Ops: []peers.Op{{Data: []byte("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nagain")}}}
			c.Backends = map[string][]peers.Script{"b1": {{Ops: send}, again}}
		}
		cases = append(cases, c)
	}
	return cases, nil
}

func hostileBytes(s string) ([]byte, error) {
	times := 1
	var parts []string
	for s != "" {
		if s[0] != '"' {
			count, rest, _ := strings.Cut(s, " ")
			n, err := strconv.Atoi(count)
			if err != nil {
				return nil, err
			}
			times, s = n, strings.TrimSpace(rest)
			continue
		}
		q, err := strconv.QuotedPrefix(s)
		if err != nil {
			return nil, err
		}
		u, err := strconv.Unquote(q)
		if err != nil {
			return nil, err
		}
		parts = append(parts, u)
		s = strings.TrimSpace(s[len(q):])
	}
	if len(parts) > 1 {
		parts[1] = strings.Repeat(parts[1], times)
	}
	return []byte(strings.Join(parts, "")), nil
}
