package http1

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"

	"sofamesh.io/sofamesh/sdk"
	"sofamesh.io/sofamesh/sdk/httpfield"
)

// hostile is one case of testdata/hostile.txt.
type hostile struct {
	name     string
	with     string
	in       []byte
	accept   string
	refuse   string
	manager  string
	stricter string
	ours     string
}

// readHostile reads the cases.
func readHostile(tb testing.TB) []hostile {
	tb.Helper()
	return readCases(tb, "testdata/hostile.txt")
}

func readCases(tb testing.TB, file string) []hostile {
	tb.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		tb.Fatal(err)
	}
	var cases []hostile
	for line := range strings.Lines(string(text)) {
		key, value, ok := strings.Cut(strings.TrimSuffix(line, "\n"), ": ")
		if !ok || line[0] == '#' {
			continue
		}
		if key == "name" {
			name, with, _ := strings.Cut(value, " with ")
			cases = append(cases, hostile{name: name, with: with})
			continue
		}
		h := &cases[len(cases)-1]
		switch key {
		case "in":
			h.in = unquote(tb, value)
		case "accept":
			h.accept = value
		case "refuse":
			h.refuse = value
		case "manager":
			h.manager = value
		case "stricter":
			h.stricter = value
		case "ours":
			h.ours = value
		default:
			tb.Fatalf("%s: unknown line %q", h.name, line)
		}
	}
	return cases
}

// unquote reads quoted pieces, "a" "b" * 3.
func unquote(tb testing.TB, s string) []byte {
	tb.Helper()
	var out []byte
	for s != "" {
		quoted, err := strconv.QuotedPrefix(s)
		if err != nil {
			tb.Fatalf("%q: %v", s, err)
		}
		piece, _ := strconv.Unquote(quoted)
		s = strings.TrimPrefix(s[len(quoted):], " ")
		times := 1
		if rest, ok := strings.CutPrefix(s, "* "); ok {
			n, tail, _ := strings.Cut(rest, " ")
			if times, err = strconv.Atoi(n); err != nil {
				tb.Fatal(err)
			}
			s = tail
		}
		out = append(out, strings.Repeat(piece, times)...)
	}
	return out
}

// options is what a case asks for by "with".
func (h *hostile) options(tb testing.TB) *corev3.Http1ProtocolOptions {
	tb.Helper()
	switch h.with {
	case "":
		return &corev3.Http1ProtocolOptions{}
	case "trailers":
		return &corev3.Http1ProtocolOptions{EnableTrailers: true}
	case "chunked-length":
		return &corev3.Http1ProtocolOptions{AllowChunkedLength: true}
	case "http10":
		return &corev3.Http1ProtocolOptions{AcceptHttp_10: true, DefaultHostForHttp_10: "default.test"}
	}
	tb.Fatalf("%s: unknown option %q", h.name, h.with)
	return nil
}

// relay carries requests from a downstream codec to upstream ones, as the
// connection manager does, and keeps what would be sent.
type relay struct {
	tb      testing.TB
	server  sdk.CodecConn
	client  sdk.CodecConn
	up      *config
	reply   *sdk.Buffer
	out     *sdk.Buffer
	sent    [][]byte // what each request became
	partial bool     // the last one is not complete
	upgrade bool
	refused bool // a path that the connection manager refuses
	err     error
}

func (r *relay) run(in []byte) {
	var msg sdk.Message
	ev := sdk.Event{Msg: &msg}
	for {
		n, err := r.server.Decode(in, &ev)
		if err != nil {
			r.err = err
			return
		}
		in = in[n:]
		switch ev.Kind {
		case sdk.EventNone:
			if n == 0 {
				return
			}
			continue
		case sdk.EventHeaders:
			r.head(&msg, ev.End)
		case sdk.EventData:
			if !r.upgrade {
				r.client.WriteData(r.out, ev.Stream, ev.Data, ev.End)
			}
		case sdk.EventTrailers:
			r.client.WriteTrailers(r.out, ev.Stream, &msg)
		}
		r.sent[len(r.sent)-1] = r.out.Bytes(nil)
		if ev.End || ev.Kind == sdk.EventTrailers {
			r.partial = false
			if err := r.server.WriteHeaders(r.reply, ev.Stream, message(":status", "200"), true); err != nil {
				r.tb.Fatal(err)
			}
		}
	}
}

// head sends a head on, after what Envoy's connection manager takes out.
func (r *relay) head(m *sdk.Message, end bool) {
	m.Close = false
	r.partial = !end
	r.refused = r.refused || !m.Upgrade && m.Path()[0] != '/' && m.Path() != "*" || !m.Has(":authority")
	r.upgrade = m.Upgrade
	if !m.Upgrade {
		m.Remove("connection")
		m.Remove("upgrade")
	}
	for _, name := range []string{"keep-alive", "proxy-connection"} {
		m.Remove(name)
	}
	if httpfield.EqualFold(m.Value("expect"), "100-continue") {
		m.Remove("expect")
	}
	r.client, r.out = r.up.New(), buffer()
	r.sent = append(r.sent, nil)
	if err := r.client.WriteHeaders(r.out, r.client.NewStream(), m, end); err != nil {
		r.tb.Fatalf("written on: %v", err)
	}
}

// form prints what was sent in the form of testdata/hostile.txt. It has its own
// small reader, so that a mistake of the codec is not read by the same mistake.
func (r *relay) form() string {
	var all []string
	for i, p := range r.sent {
		head, body, _ := bytes.Cut(p, []byte("\r\n\r\n"))
		lines := strings.Split(string(head), "\r\n")
		slices.Sort(lines[1:])
		if slices.Contains(lines, "transfer-encoding: chunked") {
			var trailers []string
			body, trailers = dechunk(r.tb, body)
			lines = append(lines, quoteBody(body)...)
			lines = append(lines, trailers...)
		} else {
			lines = append(lines, quoteBody(body)...)
		}
		if i == len(r.sent)-1 && r.partial && !r.upgrade {
			lines = append(lines[:len(lines)-min(1, len(body))], "cut off")
		}
		for i, line := range lines {
			if name, value, ok := strings.Cut(line, ": "); ok {
				if strconv.Quote(value) != `"`+value+`"` && !strings.Contains(name, " ") && (strings.Contains(value, "\t") || strings.Contains(value, "\xff")) {
					line = name + ": " + strconv.Quote(value)
				}
				lines[i] = strings.TrimSuffix(line, " ")
			}
		}
		all = append(all, strings.Join(lines, "; "))
	}
	return strings.Join(all, " ++ ")
}

func quoteBody(p []byte) []string {
	if len(p) == 0 {
		return nil
	}
	return []string{fmt.Sprintf("body %q", p)}
}

// dechunk undoes the chunks that we wrote ourselves.
func dechunk(tb testing.TB, p []byte) (body []byte, trailers []string) {
	for {
		line, rest, ok := bytes.Cut(p, []byte("\r\n"))
		if !ok {
			return body, nil
		}
		n, err := strconv.ParseUint(string(line), 16, 32)
		if err != nil {
			tb.Fatalf("chunk size %q", line)
		}
		if n == 0 {
			for line := range strings.SplitSeq(string(rest), "\r\n") {
				if line != "" {
					trailers = append(trailers, "trailer "+line)
				}
			}
			return body, trailers
		}
		body = append(body, rest[:n]...)
		p = rest[n+2:]
	}
}

// TestHostile holds every request of testdata/hostile.txt against what Envoy made
// of it.
func TestHostile(t *testing.T) {
	cases := readHostile(t)
	if len(cases) < 160 {
		t.Fatalf("only %d cases", len(cases))
	}
	for _, h := range cases {
		t.Run(h.name, func(t *testing.T) {
			r := &relay{
				tb: t, server: newConfig(t, sdk.Downstream, h.options(t)).New(),
				up: newConfig(t, sdk.Upstream, h.options(t)), reply: buffer(),
			}
			r.run(h.in)
			refused := ""
			if e, ok := r.err.(*sdk.CodecError); ok {
				refused = fmt.Sprintf("%d %s", e.Status, e.Details)
			}
			want := h.refuse
			if h.stricter != "" {
				want = h.stricter
			}
			if refused != want {
				t.Fatalf("refused with %q (%v), want %q", refused, r.err, want)
			}
			if h.ours != "" {
				h.accept = h.ours
			}
			if got := r.form(); h.accept != "" && h.stricter == "" && got != h.accept {
				t.Errorf("sent on\n  %s\nEnvoy\n  %s", got, h.accept)
			}
		})
	}
}

// TestHostileSplits reads the same requests in pieces.
func TestHostileSplits(t *testing.T) {
	for _, h := range readHostile(t) {
		s := downstream(newConfig(t, sdk.Downstream, h.options(t)))
		if len(h.in) > 2000 {
			s.Shuffled(t, h.in, 7)
			continue
		}
		s.Splits(t, h.in)
	}
}
