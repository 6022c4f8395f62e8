package callout

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"sofamesh.io/sofamesh/mosn/cluster"
	"sofamesh.io/sofamesh/mosn/eventloop"
	"sofamesh.io/sofamesh/mosn/stats"
	"sofamesh.io/sofamesh/sdk"
	"sofamesh.io/sofamesh/sdk/grpc"
)

// live runs loops over the system's network, with c being a server of net/http.
func live(t *testing.T, loops int, fields string, h http.HandlerFunc) (*Manager, *eventloop.Group) {
	t.Helper()
	t.Cleanup(func() { goleak.VerifyNone(t, goleak.IgnoreCurrent()) })
	srv := httptest.NewUnstartedServer(h)
	srv.Config.Protocols = new(http.Protocols)
	srv.Config.Protocols.SetHTTP1(true)
	srv.Config.Protocols.SetUnencryptedHTTP2(true)
	srv.Start()
	t.Cleanup(srv.Close)
	g, err := eventloop.NewGroup(eventloop.Config{Loops: loops})
	if err != nil {
		t.Fatal(err)
	}
	store := stats.NewStore(stats.Options{})
	var counts []*stats.Local
	for range loops {
		counts = append(counts, stats.NewLocal())
	}
	m := cluster.NewManager(cluster.Options{Group: g, Stats: counts, Shared: store.Shared()})
	g.Start()
	t.Cleanup(func() {
		m.Close()
		g.Stop()
	})
	if err := m.Update(clusters(t, store, netip.MustParseAddrPort(srv.Listener.Addr().String()), fields), nil); err != nil {
		t.Fatal(err)
	}
	<-m.Initialized()
	var locals []*Local
	for i := range loops {
		locals = append(locals, NewLocal(g.Loop(i), m.Local(i), counts[i]))
	}
	return NewManager(locals), g
}

// TestLive: goroutines call a real server by both protocols, and each gets its own answer.
func TestLive(t *testing.T) {
	for _, fields := range []string{"", "http2_protocol_options {}"} {
		m, _ := live(t, 2, fields, func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			w.Header().Set("x-proto", r.Proto)
			_, _ = w.Write(append(body, '!'))
		})
		var wg sync.WaitGroup
		for i := range 8 {
			c := m.Caller("c")
			wg.Go(func() {
				for n := range 50 {
					body := fmt.Sprintf("%d of %d", n, i)
					r := request("POST", body)
					r.Timeout = time.Minute
					resp, err := c.Call(context.Background(), r)
					if err != nil || string(resp.Body) != body+"!" {
						t.Errorf("%s: %+v, %v", body, resp, err)
						return
					}
				}
			})
		}
		wg.Wait()
	}
}

// TestLiveEnds: calls that are under way end with their contexts and with the loops.
func TestLiveEnds(t *testing.T) {
	come, release := make(chan struct{}, 100), make(chan struct{})
	m, g := live(t, 2, "", func(http.ResponseWriter, *http.Request) {
		come <- struct{}{}
		<-release
	})
	t.Cleanup(func() { close(release) }) // before the server is closed
	ctx, cancel := context.WithCancel(context.Background())
	cancelled, stopped := make(chan error, 4), make(chan error, 4)
	for range 4 {
		c := m.Caller("c")
		call := func(ctx context.Context, end chan<- error) {
			_, err := c.Call(ctx, long())
			end <- err
		}
		go call(ctx, cancelled)
		go call(context.Background(), stopped)
		<-come
		<-come
	}
	cancel()
	for range 4 {
		if err := <-cancelled; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	}
	g.Stop()
	for range 4 {
		var e *sdk.CallError
		if err := <-stopped; !errors.As(err, &e) {
			t.Error(err)
		}
	}
}

func long() *sdk.CallRequest {
	r := request("GET", "")
	r.Timeout = time.Hour
	return r
}

// TestLiveGRPC: the service of a configuration, called over HTTP/2 as a goroutine does.
func TestLiveGRPC(t *testing.T) {
	m, _ := live(t, 1, "http2_protocol_options {}", func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		h := w.Header()
		h.Set("content-type", "application/grpc")
		h.Set("trailer", "grpc-status, grpc-message")
		if r.URL.Path == "/p.S/Echo" && r.Header.Get("te") == "trailers" && r.Header.Get("grpc-timeout") != "" && r.Host == "svc" {
			_, _ = w.Write(body)
			h.Set("grpc-status", "0")
			return
		}
		h.Set("grpc-status", "12")
		h.Set("grpc-message", "no%20such method")
	})
	s := &grpc.Service{Cluster: "c", Authority: "svc", Timeout: time.Minute}
	c := m.Caller(s.Cluster)
	in, out := wrapperspb.String("hello"), &wrapperspb.StringValue{}
	if err := s.Invoke(context.Background(), c, "/p.S/Echo", in, out); err != nil || out.Value != "hello" {
		t.Errorf("%v, %v", out, err)
	}
	var status *grpc.Status
	if err := s.Invoke(context.Background(), c, "/p.S/Other", in, out); !errors.As(err, &status) || *status != (grpc.Status{Code: 12, Message: "no such method"}) {
		t.Errorf("%v", err)
	}
	if err := s.Invoke(context.Background(), m.Caller("empty"), "/p.S/Echo", in, out); !errors.As(err, &status) || status.Code != grpc.Unavailable {
		t.Errorf("%v", err)
	}
}
