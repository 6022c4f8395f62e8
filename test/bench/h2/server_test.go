//go:build linux

package h2

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"testing"

	"sofamesh.io/sofamesh/test/bench/rawsock"
)

// serve runs a server and gives its address.
func serve(t *testing.T) string {
	t.Helper()
	loop, err := rawsock.NewLoop()
	if err != nil {
		t.Fatal(err)
	}
	s, err := NewServer(loop, netip.MustParseAddrPort("127.0.0.1:0"))
	if err != nil {
		t.Fatal(err)
	}
	port, err := s.Port()
	if err != nil {
		t.Fatal(err)
	}
	stop, done := make(chan struct{}), make(chan error, 1)
	go func() {
		for {
			select {
			case <-stop:
				done <- nil
				return
			default:
			}
			if err := loop.Turn(1); err != nil {
				done <- err
				return
			}
		}
	}()
	t.Cleanup(func() {
		close(stop)
		if err := <-done; err != nil {
			t.Error(err)
		}
		rawsock.Close(s.listener)
		loop.Close()
	})
	return fmt.Sprintf("http://127.0.0.1:%d", port)
}

// goClient is Go's client, over HTTP/2 without TLS.
func goClient() *http.Client {
	var p http.Protocols
	p.SetUnencryptedHTTP2(true)
	return &http.Client{Transport: &http.Transport{Protocols: &p}}
}

func ask(t *testing.T, c *http.Client, method, url string, body io.Reader) *http.Response {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, body)
	if err != nil {
		t.Fatal(err)
	}
	if method == "POST" {
		req.Header.Set("Content-Type", "application/grpc")
		req.Header.Set("TE", "trailers")
	}
	res, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { res.Body.Close() })
	return res
}

func TestServerAgainstGo(t *testing.T) {
	base, c := serve(t), goClient()
	request, mark := NewRequest(), NewMark(0xabc)
	good := string(request.Append(nil, mark))
	for name, x := range map[string]struct {
		path, body, status string
		code               int
		want               []byte
	}{
		"unary":        {unaryPath, good, "0", 200, NewAnswer(Unary).Append(nil, mark)},
		"stream":       {streamPath, good + good, "0", 200, NewAnswer(Stream).Append(NewAnswer(Stream).Append(nil, mark), mark)},
		"twice":        {unaryPath, good + good, "", 400, nil},
		"cut":          {streamPath, good + good[:50], "13", 200, NewAnswer(Stream).Append(nil, mark)},
		"changed":      {unaryPath, good[:50] + "x" + good[51:], "", 400, nil},
		"empty":        {unaryPath, "", "", 400, nil},
		"no such call": {"/bench.Echo/Nothing", good, "", 400, nil},
	} {
		res := ask(t, c, "POST", base+x.path, io.MultiReader(bytes.NewReader([]byte(x.body)[:min(len(x.body), 30)]), bytes.NewReader([]byte(x.body)[min(len(x.body), 30):])))
		got, err := io.ReadAll(res.Body)
		if err != nil || res.StatusCode != x.code || !bytes.Equal(got, x.want) || res.Trailer.Get("grpc-status") != x.status {
			t.Errorf("%s: %s, %q, %v, %v", name, res.Status, got, res.Trailer, err)
		}
	}
	res := ask(t, c, "GET", base+getPath+string(mark[:]), http.NoBody)
	page, err := io.ReadAll(res.Body)
	if got, ok := NewAnswer(Get).Match(page); err != nil || res.StatusCode != 200 || !ok || got != mark {
		t.Errorf("%s, %q, %v", res.Status, page, err)
	}
}

// Each message of a call that goes on is answered before the next is sent.
func TestServerStreamsAgainstGo(t *testing.T) {
	base, c := serve(t), goClient()
	in, out := io.Pipe()
	first := make(chan *http.Response)
	go func() { first <- ask(t, c, "POST", base+streamPath, in) }()
	var res *http.Response
	request, answer := NewRequest(), NewAnswer(Stream)
	got := make([]byte, answer.Size())
	for i := range uint64(1000) {
		if _, err := out.Write(request.Append(nil, NewMark(i))); err != nil {
			t.Fatal(err)
		}
		if res == nil {
			res = <-first
		}
		if _, err := io.ReadFull(res.Body, got); err != nil {
			t.Fatal(err)
		}
		if mark, ok := answer.Match(got); !ok || mark != NewMark(i) {
			t.Fatalf("%q", got)
		}
	}
	out.Close()
	if rest, err := io.ReadAll(res.Body); err != nil || len(rest) != 0 || res.Trailer.Get("grpc-status") != "0" {
		t.Errorf("%q, %v, %v", rest, err, res.Trailer)
	}
}
