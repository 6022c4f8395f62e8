package server_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/emptypb"

	"sofamesh.io/sofamesh/mosn/builtin"
	"sofamesh.io/sofamesh/mosn/server"
	"sofamesh.io/sofamesh/sdk"
)

// asking is a filter that asks the cluster one twice before a request goes on: on the
// loop, and from a goroutine.
type asking struct {
	sdk.PassThrough
	caller sdk.Caller
}

func askingFilter() *sdk.HTTPFilter {
	return &sdk.HTTPFilter{
		Name: "asking", Config: &emptypb.Empty{},
		Compile: func(c sdk.Compiler, _ proto.Message) (sdk.HTTPConfig, error) {
			return &asking{caller: c.Caller("one")}, nil
		},
	}
}

func (a *asking) New(sdk.Stream) sdk.Filter { return a }
func (a *asking) Close()                    {}

func (a *asking) OnRequestHeaders(s sdk.Stream, _ bool) sdk.Action {
	ask := func(path string) *sdk.CallRequest {
		r := &sdk.CallRequest{Timeout: 10 * time.Second}
		r.Headers.AddID(sdk.HeaderMethod, "GET")
		r.Headers.AddID(sdk.HeaderPath, path)
		r.Headers.AddID(sdk.HeaderAuthority, "x")
		return r
	}
	s.Call("one", ask("/loop"), func(r *sdk.CallResponse, e *sdk.CallError) {
		if e != nil {
			s.Reply(sdk.Reply{Status: 500, Body: e.Text})
			return
		}
		s.Request().Add("x-loop", string(r.Body))
		var got string
		s.Async(func(ctx context.Context) error {
			r, err := a.caller.Call(ctx, ask("/goroutine"))
			if err == nil {
				got = string(r.Body)
			}
			return err
		}, func(err error) {
			s.Request().Add("x-goroutine", got)
			s.ResumeRequest()
		})
	})
	return sdk.Pause
}

// TestExtensionsCall through a whole proxy.
func TestExtensionsCall(t *testing.T) {
	backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := r.Header
		fmt.Fprintf(w, "%s %s %s %t;", r.URL.Path, h["X-Loop"], h["X-Goroutine"], h.Get("x-envoy-internal") == "true")
	}))
	defer backend.Close()
	listen, admin := freePorts(t)
	yaml := strings.Replace(proxyYAML(listen, admin, backend.Listener.Addr().String()), "http_filters:\n",
		`http_filters:
          - name: asking
            typed_config: {"@type": type.googleapis.com/google.protobuf.Empty}
`, 1)
	done := make(chan int, 1)
	go func() {
		e := builtin.Default()
		e.HTTPFilters = append(e.HTTPFilters, askingFilter())
		done <- server.Run(e, []string{"mosn", "--concurrency", "2", "-l", "off", "--config-yaml", yaml}, os.Stdout, os.Stderr)
	}()
	c := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	at := func(port int, path string) string {
		resp, err := c.Get(fmt.Sprintf("http://127.0.0.1:%d%s", port, path))
		if err != nil {
			return err.Error()
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			return err.Error()
		}
		return string(body)
	}
	await(t, func() bool { return at(admin, "/ready") == "LIVE\n" })
	const want = "/x [/loop [] [] true;] [/goroutine [] [] true;] false;"
	if got := at(listen, "/x"); got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
	stats := at(admin, "/stats")
	for _, line := range []string{"cluster.one.internal.upstream_rq_200: 2", "cluster.one.upstream_rq_200: 3", "http.async-client.rq_total: 2"} {
		if !strings.Contains(stats, line+"\n") {
			t.Errorf("there is no %s", line)
		}
	}
	if err := syscall.Kill(os.Getpid(), syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if code := <-done; code != 0 {
		t.Errorf("exit code %d", code)
	}
}
