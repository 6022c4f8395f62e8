package stream

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"sofamesh.io/sofamesh/mosn/eventloop/looptest"
	"sofamesh.io/sofamesh/sdk"
)

// logAttempts has the attempts of a world logged, as text.
func logAttempts(o setup, seen *[]string, edit func(*UpstreamLog)) setup {
	l := &UpstreamLog{Log: attemptLog{seen}}
	if edit != nil {
		edit(l)
	}
	o.edit = func(cfg *Config) { cfg.UpstreamLog = l }
	return o
}

type attemptLog struct{ lines *[]string }

// Log implements sdk.AccessLogger.
func (a attemptLog) Log(_ int, i *sdk.StreamInfo, request, response, trailers *sdk.Headers) {
	if a.lines != nil {
		*a.lines = append(*a.lines, fmt.Sprintf("%v %s %d %s %s sent %d got %d %s%s%s", i.LogType, i.ProtocolName(), i.ResponseCode, i.Flags.Names(),
			i.UpstreamHost, i.BytesSent, i.BytesReceived, request.Path(), response.Value("x-r"), trailers.Value("x-t")))
	}
}

func TestUpstreamLog(t *testing.T) {
	type test struct {
		name, action string
		hosts        int
		edit         func(*UpstreamLog)
		run          func(*world)
		want         []string
	}
	const post = "POST /p HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n\r\nabc"
	for _, tt := range []test{
		{name: "an answer", run: func(w *world) {
			w.send(w.client(), post)
			w.send(w.backend(1), "HTTP/1.1 200 OK\r\nx-r: r\r\ncontent-length: 2\r\n\r\nhi")
		}, want: []string{"UpstreamEnd HTTP/1.1 200 - 10.0.0.1:80 sent 3 got 2 /pr"}},
		{name: "a retry", action: `retry_policy { retry_on: "5xx" }`, run: func(w *world) {
			w.send(w.client(), post)
			b := w.backend(1)
			w.send(b, "HTTP/1.1 503 No\r\nx-r: no\r\ncontent-length: 0\r\n\r\n")
			w.Advance(time.Second)
			w.send(b, "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
		}, want: []string{
			"UpstreamEnd HTTP/1.1 503 - 10.0.0.1:80 sent 3 got 0 /pno",
			"UpstreamEnd HTTP/1.1 200 - 10.0.0.1:80 sent 3 got 0 /p",
		}},
		{name: "a lost connection", run: func(w *world) {
			w.send(w.client(), post)
			w.backend(1).Close()
			w.Settle()
		}, want: []string{"UpstreamEnd HTTP/1.1 0 UC 10.0.0.1:80 sent 3 got 0 /p"}},
		{name: "a client that leaves", run: func(w *world) {
			c := w.client()
			w.send(c, post)
			w.backend(1)
			c.Close()
			w.Settle()
		}, want: []string{"UpstreamEnd HTTP/1.1 0 - 10.0.0.1:80 sent 3 got 0 /p"}},
		{name: "all the way", edit: func(l *UpstreamLog) { l.Start, l.Interval = true, 2*time.Second }, run: func(w *world) {
			w.send(w.client(), post)
			w.Advance(5 * time.Second)
			w.send(w.backend(1), "HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n1")
			w.Advance(5 * time.Second)
		}, want: []string{
			"UpstreamPoolReady HTTP/1.1 0 - 10.0.0.1:80 sent 0 got 0 /p",
			"UpstreamPeriodic HTTP/1.1 0 - 10.0.0.1:80 sent 3 got 0 /p",
			"UpstreamPeriodic HTTP/1.1 0 - 10.0.0.1:80 sent 3 got 0 /p",
			"UpstreamEnd HTTP/1.1 200 - 10.0.0.1:80 sent 3 got 1 /p",
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var seen []string
			w := newWorld(t, logAttempts(setup{action: tt.action, hosts: tt.hosts}, &seen, tt.edit))
			tt.run(w)
			if got, want := strings.Join(seen, "\n"), strings.Join(tt.want, "\n"); got != want {
				t.Errorf("logged\n%s\nwant\n%s", got, want)
			}
		})
	}
}

// TestUpstreamLogIsOfItsOwn: what filters make of the response is not in the log of the
// attempt, and one stream's attempts are forgotten by the next.
func TestUpstreamLogIsOfItsOwn(t *testing.T) {
	var seen []string
	w := newWorld(t, logAttempts(setup{route: `match { prefix: "/" } route { cluster: "c" } response_headers_to_remove: "x-r"`}, &seen, nil))
	c := w.client()
	var b *looptest.Peer
	for i, answer := range []string{"x-r: r\r\ncontent-length: 2\r\n\r\nhi", "content-length: 0\r\n\r\n"} {
		w.send(c, get)
		if b == nil {
			b = w.backend(1)
		}
		w.send(b, "HTTP/1.1 200 OK\r\n"+answer)
		want := []string{"UpstreamEnd HTTP/1.1 200 - 10.0.0.1:80 sent 0 got 2 /r", "UpstreamEnd HTTP/1.1 200 - 10.0.0.1:80 sent 0 got 0 /"}[i]
		if len(seen) != i+1 || seen[i] != want {
			t.Errorf("%q, want %s", seen, want)
		}
	}
}

func TestStrictHeaders(t *testing.T) {
	w := newWorld(t, setup{edit: func(cfg *Config) {
		cfg.UseRemoteAddress, cfg.Internal = false, nil
		cfg.StrictHeaders = []sdk.HeaderID{
			sdk.HeaderEnvoyUpstreamTimeoutMs, sdk.HeaderEnvoyMaxRetries, sdk.HeaderEnvoyRetryOn, sdk.HeaderEnvoyRetryGRPCOn,
		}
	}})
	for _, tt := range []struct {
		id    sdk.HeaderID
		value string
		ok    bool
	}{
		{sdk.HeaderEnvoyUpstreamTimeoutMs, "100", true},
		{sdk.HeaderEnvoyUpstreamTimeoutMs, "10.0", false},
		{sdk.HeaderEnvoyUpstreamTimeoutMs, "", false},
		{sdk.HeaderEnvoyUpstreamPerTryTimeoutMs, "x", true}, // not among those
		{sdk.HeaderEnvoyMaxRetries, "-1", false},
		{sdk.HeaderEnvoyRetryOn, "5xx, reset,", true},
		{sdk.HeaderEnvoyRetryOn, "5xx,cancelled", false},
		{sdk.HeaderEnvoyRetryGRPCOn, "cancelled , internal", true},
		{sdk.HeaderEnvoyRetryGRPCOn, "cancelled,5xx", false},
	} {
		s := newStream(w.w)
		s.cfg, s.router = w.cfg, &w.cfg.Router
		s.req.SetID(tt.id, tt.value)
		bad := s.up.checkStrictly()
		if (bad == nil) != tt.ok {
			t.Errorf("%s: %q gives %+v", tt.id.Name(), tt.value, bad)
		}
		if bad != nil && (bad.Status != 400 || bad.Body != "invalid header '"+tt.id.Name()+"' with value '"+tt.value+"'" ||
			bad.Details != "request_headers_failed_strict_check{"+tt.id.Name()+"}" || bad.Flag != sdk.FlagInvalidEnvoyRequestHeaders) {
			t.Errorf("%+v", bad)
		}
	}
}
