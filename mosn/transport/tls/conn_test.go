package tls

import (
	"bytes"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"sofamesh.io/sofamesh/mosn/eventloop"
)

// pair is an authority with a certificate for each end.
type pair struct {
	ca             *authority
	server, client leaf
}

func newPair(tb testing.TB) pair {
	ca := newAuthority(tb, "ca", nil)
	return pair{ca, ca.issue(nil, "server.example", "spiffe://a/ns/s"), ca.issue(nil, "spiffe://a/ns/c")}
}

func (p pair) trusted() *tlsv3.CertificateValidationContext {
	return &tlsv3.CertificateValidationContext{TrustedCa: inline(p.ca.pem)}
}

// mutual is a server that demands a certificate.
func (p pair) mutual() *tlsv3.DownstreamTlsContext {
	return &tlsv3.DownstreamTlsContext{
		CommonTlsContext: common(p.trusted(), p.server), RequireClientCertificate: wrapperspb.Bool(true),
	}
}

func (p pair) clientConfig() *tls.Config {
	return &tls.Config{RootCAs: p.ca.pool(), ServerName: "server.example", Certificates: []tls.Certificate{p.client.pair}}
}

// TestServer has a client in crypto/tls talk to a server on the loop, in pieces of many
// sizes, over both versions.
func TestServer(t *testing.T) {
	p := newPair(t)
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		for _, chunk := range []int{0, 1, 7, 1000} {
			t.Run(fmt.Sprintf("%s in pieces of %d", versionName(version), chunk), func(t *testing.T) {
				r := newRig(t)
				r.h.echo = true
				peer := r.accept(r.server(p.mutual()), time.Second)
				cfg := p.clientConfig()
				cfg.MaxVersion = version
				f := &far{r: r, p: peer, chunk: chunk}
				c := tls.Client(f, cfg)
				if err := c.Handshake(); err != nil {
					t.Fatal(err)
				}
				sent := strings.Repeat("hello ", 50)
				if chunk != 1 {
					sent = strings.Repeat(sent, 200) // 60 kB: several records
				}
				if _, err := io.WriteString(c, sent); err != nil {
					t.Fatal(err)
				}
				got, err := read(c)
				if err != nil || got != sent {
					t.Fatalf("%d bytes of %d came back, %v", len(got), len(sent), err)
				}
				if h := r.h; h.conn.BytesIn() != uint64(len(sent)) || h.conn.BytesOut() != uint64(len(sent)) || h.conn.Queued() != 0 {
					t.Errorf("%d in, %d out, %d queued", h.conn.BytesIn(), h.conn.BytesOut(), h.conn.Queued())
				}
				info := r.h.conn.TLS()
				if info == nil || info.Version != versionName(version) || info.ServerName != "server.example" || !info.Validated || info.Resumed {
					t.Errorf("%+v", info)
				}
				if r.count("handshake") != 1 || r.count("versions."+versionName(version)) != 1 || r.count("connection_error")+r.count("no_certificate") != 0 {
					t.Error("counters are wrong")
				}
				if err := c.CloseWrite(); err != nil {
					t.Fatal(err)
				}
				r.Settle()
				if r.h.eof != 1 || r.h.closed != 0 {
					t.Errorf("after close_notify: %d eof, %d closed", r.h.eof, r.h.closed)
				}
				r.h.conn.CloseFlush(0)
				if _, err := read(c); err != io.EOF {
					t.Errorf("the end is %v, not in order", err)
				}
			})
		}
	}
}

// TestClient has the loop's end be the client.
func TestClient(t *testing.T) {
	p := newPair(t)
	for _, version := range []tlsv3.TlsParameters_TlsProtocol{tlsv3.TlsParameters_TLSv1_2, tlsv3.TlsParameters_TLSv1_3} {
		r := newRig(t)
		ca := p.trusted()
		pb := &tlsv3.UpstreamTlsContext{CommonTlsContext: common(ca, p.client), Sni: "server.example"}
		pb.CommonTlsContext.AlpnProtocols = []string{"h2,http/1.1"}
		pb.CommonTlsContext.TlsParams = &tlsv3.TlsParameters{TlsMaximumProtocolVersion: version}
		peer := r.dial(r.client(pb), "", time.Second)
		r.h.conn.Out().AppendString("first") // before there is a connection
		c := tls.Server(&far{r: r, p: peer, chunk: 33}, &tls.Config{
			Certificates: []tls.Certificate{p.server.pair}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: p.ca.pool(), NextProtos: []string{"http/1.1"},
		})
		if err := c.Handshake(); err != nil {
			t.Fatal(err)
		}
		if got, err := read(c); got != "first" || err != nil {
			t.Errorf("the server got %q, %v", got, err)
		}
		if _, err := io.WriteString(c, "answer"); err != nil {
			t.Fatal(err)
		}
		r.Settle()
		if r.h.connected != 1 || r.h.got.String() != "answer" || r.h.conn.TLS().ALPN != "http/1.1" {
			t.Errorf("%d, %q, %+v", r.h.connected, r.h.got.String(), r.h.conn.TLS())
		}
		if sni := c.ConnectionState().ServerName; sni != "server.example" {
			t.Errorf("server name %q", sni)
		}
		r.h.conn.Close()
		if _, err := read(c); err != io.EOF {
			t.Errorf("the end is %v, not in order", err)
		}
		r.Settle()
		if r.h.closed != 1 || r.h.err != nil {
			t.Errorf("%d, %v", r.h.closed, r.h.err)
		}
	}
}

// TestTruncated: an end without close_notify is no end.
func TestTruncated(t *testing.T) {
	p := newPair(t)
	r := newRig(t)
	peer := r.accept(r.server(p.mutual()), time.Second)
	c := tls.Client(&far{r: r, p: peer}, p.clientConfig())
	if err := c.Handshake(); err != nil {
		t.Fatal(err)
	}
	_, _ = io.WriteString(c, "half an answer")
	peer.CloseWrite()
	r.Settle()
	if r.h.got.String() != "half an answer" || r.h.eof != 0 || eventloop.KindOf(r.h.err) != eventloop.KindTruncated {
		t.Errorf("%q, %d eof, %v", r.h.got.String(), r.h.eof, r.h.err)
	}
}

// TestFirstRequestWithFinished: what comes in one piece with the end of the handshake is
// seen without anything more coming.
func TestFirstRequestWithFinished(t *testing.T) {
	p := newPair(t)
	r := newRig(t)
	peer := r.accept(r.server(p.mutual()), time.Second)
	f := &far{r: r, p: peer}
	held := &holding{far: f, pass: 1}
	c := tls.Client(held, p.clientConfig())
	if err := c.Handshake(); err != nil {
		t.Fatal(err)
	}
	_, _ = io.WriteString(c, "at once")
	peer.SendBytes(held.out) // Finished and the request
	r.Settle()
	if r.h.got.String() != "at once" {
		t.Errorf("got %q", r.h.got.String())
	}
}

// holding keeps what is written once pass writes were let through.
type holding struct {
	*far
	out  []byte
	pass int
}

func (h *holding) Write(p []byte) (int, error) {
	if h.pass--; h.pass >= 0 {
		return h.far.Write(p)
	}
	h.out = append(h.out, p...)
	return len(p), nil
}

// TestGarbage: what is no TLS, or no longer, ends the connection with an alert and an
// error.
func TestGarbage(t *testing.T) {
	p := newPair(t)
	for name, in := range map[string]string{
		"HTTP":           "GET / HTTP/1.1\r\nhost: a\r\n\r\n",
		"another record": "\x17\x03\x03\x00\x05hello",
		"an old hello":   "\x80\x2e\x01\x03\x01\x00\x15\x00\x00\x00\x10",
		"a huge record":  "\x16\x03\x01\xff\xff" + strings.Repeat("x", 100),
		"a huge hello":   "\x16\x03\x01\x00\x04\x01\xff\xff\xff",
		"an empty one":   "\x16\x03\x01\x00\x00",
	} {
		r := newRig(t)
		peer := r.accept(r.server(p.mutual()), time.Second)
		peer.Send(in)
		r.Settle()
		if eventloop.KindOf(r.h.err) != eventloop.KindTransport || r.count("connection_error") != 1 {
			if name == "a huge hello" && r.h.closed == 0 {
				r.Advance(2 * time.Second) // crypto/tls waits for the rest, the deadline does not
				if eventloop.KindOf(r.h.err) == eventloop.KindTimeout {
					continue
				}
			}
			t.Errorf("%s: %v", name, r.h.err)
		}
		if got := peer.Received(); name != "HTTP" && name != "another record" && !strings.HasPrefix(got, "\x15\x03") {
			t.Errorf("%s: the peer got %q, no alert", name, got)
		}
	}
}

// TestForged: a record that was changed on the way ends the connection.
func TestForged(t *testing.T) {
	p := newPair(t)
	r := newRig(t)
	peer := r.accept(r.server(p.mutual()), time.Second)
	held := &holding{far: &far{r: r, p: peer}, pass: 100}
	c := tls.Client(held, p.clientConfig())
	if err := c.Handshake(); err != nil {
		t.Fatal(err)
	}
	held.pass = 0
	_, _ = io.WriteString(c, "hello")
	if len(held.out) == 0 {
		t.Fatal("nothing was held")
	}
	held.out[len(held.out)-1] ^= 1
	peer.SendBytes(held.out)
	r.Settle()
	if r.h.got.Len() != 0 || eventloop.KindOf(r.h.err) != eventloop.KindTransport || r.count("connection_error") != 1 {
		t.Errorf("%q, %v", r.h.got.String(), r.h.err)
	}
}

// TestSlowHandshake: who sends byte by byte wakes no worker before there is a ClientHello,
// and has until the deadline.
func TestSlowHandshake(t *testing.T) {
	p := newPair(t)
	r := newRig(t)
	peer := r.accept(r.server(p.mutual()), 5*time.Second)
	grab := &holding{far: &far{r: r, p: peer}}
	_ = tls.Client(grab, p.clientConfig()).Handshake()
	r.HoldJobs(true)
	for i, b := range grab.out[:len(grab.out)-1] {
		peer.SendBytes([]byte{b})
		r.Settle()
		if r.Jobs() != 0 {
			t.Fatalf("a worker was asked after %d bytes of %d", i+1, len(grab.out))
		}
	}
	r.Advance(4 * time.Second)
	if r.h.closed != 0 {
		t.Fatalf("closed early: %v", r.h.err)
	}
	peer.SendBytes(grab.out[len(grab.out)-1:])
	r.Turn()
	if r.Jobs() != 1 {
		t.Fatalf("%d jobs for a whole ClientHello", r.Jobs())
	}
	r.HoldJobs(false)
	r.Settle()
	if len(peer.Received()) == 0 {
		t.Error("the server has not answered")
	}
	r.Advance(2 * time.Second) // the client is silent in the middle of it
	if e, ok := errors.AsType[*eventloop.Error](r.h.err); !ok || e.Kind != eventloop.KindTimeout || e.Op != "handshake" {
		t.Errorf("%v", r.h.err)
	}
	if n := serverOf(r).active.Used(); n != 0 {
		t.Errorf("%d handshakes are still counted", n)
	}
}

// serverOf returns the side of the rig's connection.
func serverOf(r *rig) *side { return r.last.side }

// TestClosedWhileWorking: connections end while a worker has their handshake, or before
// it gets to it.
func TestClosedWhileWorking(t *testing.T) {
	p := newPair(t)
	for _, end := range []string{"peer", "owner"} {
		r := newRig(t)
		peer := r.accept(r.server(p.mutual()), 5*time.Second)
		grab := &holding{far: &far{r: r, p: peer}}
		_ = tls.Client(grab, p.clientConfig()).Handshake()
		r.HoldJobs(true)
		peer.SendBytes(grab.out)
		for range 3 {
			r.Turn()
		}
		if r.Jobs() != 1 {
			t.Fatal("no job")
		}
		if end == "peer" {
			peer.Reset()
		} else {
			r.h.conn.Close()
		}
		for range 3 {
			r.Turn()
		}
		r.HoldJobs(false)
		r.Settle()
		if r.h.closed != 1 || serverOf(r).active.Used() != 0 {
			t.Errorf("%s: closed %d times, %d under way", end, r.h.closed, serverOf(r).active.Used())
		}
	}
}

// TestTooMany: handshakes beyond the limit are refused and counted.
func TestTooMany(t *testing.T) {
	p := newPair(t)
	r := newRig(t)
	s := r.server(p.mutual())
	for range maxHandshakes {
		s.side.active.Force()
	}
	peer := r.accept(s, time.Second)
	c := tls.Client(&far{r: r, p: peer}, p.clientConfig())
	if err := c.Handshake(); err == nil {
		t.Fatal("a handshake too many")
	}
	r.Advance(time.Millisecond)
	if eventloop.KindOf(r.h.err) != eventloop.KindOverload || r.count("handshake_overflow") != 1 {
		t.Errorf("%v, %d", r.h.err, r.count("handshake_overflow"))
	}
}

// TestBackpressure: a client that does not read holds back the owner; what it then reads
// is whole.
func TestBackpressure(t *testing.T) {
	p := newPair(t)
	r := newRig(t)
	peer := r.accept(r.server(p.mutual()), time.Second)
	f := &far{r: r, p: peer}
	c := tls.Client(f, p.clientConfig())
	if err := c.Handshake(); err != nil {
		t.Fatal(err)
	}
	_, _ = read(c) // tickets
	peer.Window(1000)
	data := make([]byte, 3<<20)
	_, _ = rand.Read(data)
	r.h.conn.Out().Append(data)
	r.Settle()
	if !r.h.conn.AboveHigh() || r.h.conn.Queued() < len(data)-2000 || r.h.conn.BytesOut() == 0 {
		t.Errorf("above high: %v, queued %d, out %d", r.h.conn.AboveHigh(), r.h.conn.Queued(), r.h.conn.BytesOut())
	}
	peer.Window(-1)
	got, err := read(c)
	if err != nil || !bytes.Equal([]byte(got), data) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	if r.h.conn.Queued() != 0 || r.h.conn.BytesOut() != uint64(len(data)) {
		t.Errorf("queued %d, out %d", r.h.conn.Queued(), r.h.conn.BytesOut())
	}
}

// TestSplit cuts a whole conversation at every byte.
func TestSplit(t *testing.T) {
	p := newPair(t)
	step := 13
	if testing.Short() {
		step = 97
	}
	total := func(cut int) (sent int) {
		r := newRig(t)
		r.h.echo = true
		peer := r.accept(r.server(p.mutual()), time.Second)
		f := &cutting{far: far{r: r, p: peer}, cut: cut}
		c := tls.Client(f, p.clientConfig())
		if err := c.Handshake(); err != nil {
			t.Fatalf("cut at %d: %v", cut, err)
		}
		_, _ = io.WriteString(c, "hello")
		if got, err := read(c); got != "hello" || err != nil {
			t.Fatalf("cut at %d: %q, %v", cut, got, err)
		}
		return f.sent
	}
	for cut, n := 0, total(-1); cut < n; cut += step {
		total(cut)
	}
}

// cutting sends in two pieces what the byte of number cut lies in.
type cutting struct {
	far
	cut int
}

func (f *cutting) Write(p []byte) (int, error) {
	if at := f.cut - f.sent; at > 0 && at < len(p) {
		_, _ = f.far.Write(p[:at])
		f.r.Settle()
		_, _ = f.far.Write(p[at:])
		return len(p), nil
	}
	return f.far.Write(p)
}

// TestResumption: a second connection resumes the session of the first one, and the
// server checks the certificate again.
func TestResumption(t *testing.T) {
	p := newPair(t)
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		r := newRig(t)
		s := r.server(p.mutual())
		s.side.base.SetSessionTicketKeys([][32]byte{{1}}) // so that they outlive the settings
		s.side.renew()
		cfg := p.clientConfig()
		cfg.MaxVersion, cfg.ClientSessionCache = version, tls.NewLRUClientSessionCache(4)
		for i := range 2 {
			peer := r.accept(s, time.Second)
			c := tls.Client(&far{r: r, p: peer}, cfg)
			if err := c.Handshake(); err != nil {
				t.Fatal(err)
			}
			_, _ = read(c)
			if info := r.h.conn.TLS(); info.Resumed != (i == 1) || len(info.Peer) != 1 {
				t.Errorf("%s, connection %d: %+v", versionName(version), i, info)
			}
			r.h.conn.Close()
			r.Settle()
		}
		if r.count("session_reused") != 1 || r.count("handshake") != 2 {
			t.Error("counters are wrong")
		}
		// Whoever is no longer trusted is not by an old session either.
		s.side.validator = &validator{roots: newAuthority(t, "other", nil).pool(), depth: maxDepth, now: time.Now}
		s.side.renew()
		peer := r.accept(s, time.Second)
		c := tls.Client(&far{r: r, p: peer}, cfg)
		err := c.Handshake()
		if err == nil {
			_, err = read(c)
		}
		if err == nil {
			t.Errorf("%s: the session still holds", versionName(version))
		}
		if r.count("fail_verify_error") != 1 {
			t.Errorf("%s: %d connections were refused", versionName(version), r.count("fail_verify_error"))
		}
	}
}

// TestClientResumption: so does a client on the loop.
func TestClientResumption(t *testing.T) {
	p := newPair(t)
	for _, version := range []tlsv3.TlsParameters_TlsProtocol{tlsv3.TlsParameters_TLSv1_2, tlsv3.TlsParameters_TLSv1_3} {
		r := newRig(t)
		pb := &tlsv3.UpstreamTlsContext{CommonTlsContext: common(p.trusted(), p.client), Sni: "server.example"}
		pb.CommonTlsContext.TlsParams = &tlsv3.TlsParameters{TlsMaximumProtocolVersion: version}
		cl := r.client(pb)
		cfg := &tls.Config{Certificates: []tls.Certificate{p.server.pair}}
		for i := range 3 {
			peer := r.dial(cl, "", time.Second)
			c := tls.Server(&far{r: r, p: peer}, cfg)
			if err := c.Handshake(); err != nil {
				t.Fatal(err)
			}
			_, _ = io.WriteString(c, "x")
			r.Settle()
			if info := r.h.conn.TLS(); info.Resumed != (i > 0) || !info.Validated {
				t.Errorf("%s, connection %d: %+v", version, i, info)
			}
			r.h.conn.Close()
			r.Settle()
		}
		if r.count("session_reused") != 2 {
			t.Error("counters are wrong")
		}
	}
}

// TestSessions: one of TLS 1.2 serves many connections, one of TLS 1.3 one; others' are
// not found.
func TestSessions(t *testing.T) {
	p := newPair(t)
	for _, version := range []tlsv3.TlsParameters_TlsProtocol{tlsv3.TlsParameters_TLSv1_2, tlsv3.TlsParameters_TLSv1_3} {
		r := newRig(t)
		pb := &tlsv3.UpstreamTlsContext{CommonTlsContext: common(p.trusted()), Sni: "server.example"}
		pb.CommonTlsContext.TlsParams = &tlsv3.TlsParameters{TlsMaximumProtocolVersion: version}
		cl := r.client(pb)
		peer := r.dial(cl, "", time.Second)
		c := tls.Server(&far{r: r, p: peer}, &tls.Config{Certificates: []tls.Certificate{p.server.pair}})
		if err := c.Handshake(); err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(c, "x")
		r.Settle()
		cache := cl.side.now.Load().cfg.ClientSessionCache
		if _, ok := cache.Get("other.example"); ok {
			t.Error("a session of another name")
		}
		if _, ok := cache.Get("server.example"); !ok {
			t.Errorf("%s: no session was kept", version)
		}
		if _, ok := cache.Get("server.example"); ok != (version == tlsv3.TlsParameters_TLSv1_2) {
			t.Errorf("%s: a second use: %v", version, ok)
		}
	}
}
