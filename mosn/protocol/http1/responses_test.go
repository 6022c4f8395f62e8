package http1

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"sofamesh.io/sofamesh/sdk"
)

// answered is what became of a response on its way to a client.
type answered struct {
	out      *sdk.Buffer
	err      error
	begun    bool
	ended    bool
	reusable bool // the upstream connection, afterwards
}

// answerGET carries a response from an upstream codec to a downstream one, as the
// connection manager does.
func answerGET(tb testing.TB, in []byte, eof bool) answered {
	tb.Helper()
	server, client := newConfig(tb, sdk.Downstream, nil).New(), newConfig(tb, sdk.Upstream, nil).New()
	var m sdk.Message
	ev := sdk.Event{Msg: &m}
	if _, err := server.Decode([]byte("GET /hostile HTTP/1.1\r\nhost: h\r\n\r\n"), &ev); err != nil {
		tb.Fatal(err)
	}
	if err := client.WriteHeaders(buffer(), client.NewStream(), &m, true); err != nil {
		tb.Fatal(err)
	}
	a := answered{out: buffer()}
	for !a.ended && a.err == nil {
		n, err := client.Decode(in, &ev)
		in = in[n:]
		if err == nil && n == 0 && ev.Kind == sdk.EventNone {
			if !eof {
				break
			}
			err = client.EOF(&ev)
		}
		a.err = err
		switch ev.Kind {
		case sdk.EventHeaders:
			a.begun = true
			m.Remove("connection")
			m.Remove("upgrade")
			m.Remove("keep-alive")
			m.Remove("proxy-connection")
			m.Close = false
			if err := server.WriteHeaders(a.out, ev.Stream, &m, ev.End); err != nil {
				tb.Fatal(err)
			}
		case sdk.EventData:
			server.WriteData(a.out, ev.Stream, ev.Data, ev.End)
		}
		a.ended = ev.End
	}
	a.reusable = client.Reusable() && len(in) == 0
	return a
}

// responseForm prints a response in the form of testdata/responses.txt.
func responseForm(tb testing.TB, a answered) string {
	tb.Helper()
	head, body, _ := strings.Cut(string(a.out.Bytes(nil)), "\r\n\r\n")
	lines := strings.Split(head, "\r\n")
	slices.Sort(lines[1:])
	if slices.Contains(lines, "transfer-encoding: chunked") {
		p, _ := dechunk(tb, []byte(body))
		body = string(p)
	}
	lines = slices.DeleteFunc(lines, func(line string) bool {
		return strings.HasPrefix(line, "server: ") || strings.HasPrefix(line, "date: ") ||
			strings.HasPrefix(line, "x-envoy-upstream-service-time: ")
	})
	form := strings.Join(append(lines, quoteBody([]byte(body))...), "; ")
	return strings.Replace(form, strings.Repeat("b", 70_000), "b*70000", 1)
}

// TestResponses holds every response of testdata/responses.txt against what Envoy
// made of it.
func TestResponses(t *testing.T) {
	cases := readCases(t, "testdata/responses.txt")
	if len(cases) < 50 {
		t.Fatalf("only %d cases", len(cases))
	}
	for _, h := range cases {
		t.Run(h.name, func(t *testing.T) {
			a := answerGET(t, h.in, false)
			want := h.refuse
			if h.stricter != "" {
				want = "before"
			}
			got := ""
			if a.err != nil {
				got = map[bool]string{false: "before", true: "after"}[a.begun]
			}
			if got != want {
				t.Fatalf("refused %q (%v), want %q", got, a.err, want)
			}
			if want == "" && responseForm(t, a) != h.accept {
				t.Errorf("sent on\n  %s\nEnvoy\n  %s", responseForm(t, a), h.accept)
			}
		})
	}
}

// TestResponsesSplits reads the same responses in pieces.
func TestResponsesSplits(t *testing.T) {
	s := upstream(newConfig(t, sdk.Upstream, nil), message(":method", "GET", ":path", "/", ":authority", "h"))
	for _, h := range readCases(t, "testdata/responses.txt") {
		if len(h.in) > 2000 {
			s.Shuffled(t, h.in, 7)
			continue
		}
		s.Splits(t, h.in)
	}
}

func TestResponseEnds(t *testing.T) {
	for _, c := range []struct {
		name, in        string
		ended, reusable bool
		form, err       string
	}{
		{"until close", "HTTP/1.1 200 OK\r\n\r\nabc", true, false, `HTTP/1.1 200 OK; transfer-encoding: chunked; body "abc"`, ""},
		{"until close, empty", "HTTP/1.0 200 OK\r\n\r\n", true, false, `HTTP/1.1 200 OK; transfer-encoding: chunked`, ""},
		{"length", "HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nabc", true, true, `HTTP/1.1 200 OK; content-length: 3; body "abc"`, ""},
		{"close", "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n", true, false, "HTTP/1.1 200 OK; content-length: 0", ""},
		{"1.0 keep-alive", "HTTP/1.0 200 OK\r\nconnection: keep-alive\r\ncontent-length: 0\r\n\r\n", true, true, "HTTP/1.1 200 OK; content-length: 0", ""},
		{"extra bytes", "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\nHTTP", true, false, "HTTP/1.1 200 OK; content-length: 0", ""},
		{"cut in body", "HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nab", false, false, "", errBodyCutOff.Text},
		{"cut in chunk", "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nab", false, false, "", errBodyCutOff.Text},
		{"cut before the last chunk", "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n", false, false, "", errBodyCutOff.Text},
		{"cut in head", "HTTP/1.1 200 OK\r\ncontent-le", false, false, "", errHeadCutOff.Text},
		{"nothing", "", false, false, "", errHeadCutOff.Text},
		{"only 100", "HTTP/1.1 100 Continue\r\n\r\n", false, false, "", errHeadCutOff.Text},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := answerGET(t, []byte(c.in), true)
			if a.ended != c.ended || a.reusable != c.reusable {
				t.Errorf("ended %v, reusable %v", a.ended, a.reusable)
			}
			if got := fmt.Sprint(a.err); a.err != nil && got != c.err || a.err == nil && c.err != "" {
				t.Errorf("error %q, want %q", got, c.err)
			}
			if c.form != "" && responseForm(t, a) != c.form {
				t.Errorf("sent on %s", responseForm(t, a))
			}
		})
	}
}
