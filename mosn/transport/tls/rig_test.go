package tls

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"

	"sofamesh.io/sofamesh/mosn/eventloop"
	"sofamesh.io/sofamesh/mosn/eventloop/looptest"
	"sofamesh.io/sofamesh/mosn/stats"
	"sofamesh.io/sofamesh/sdk"
	"sofamesh.io/sofamesh/sdk/sdktest"
)

func inline(s string) *corev3.DataSource {
	return &corev3.DataSource{Specifier: &corev3.DataSource_InlineString{InlineString: s}}
}

func certificate(l leaf) *tlsv3.TlsCertificate {
	return &tlsv3.TlsCertificate{CertificateChain: inline(l.pem), PrivateKey: inline(l.key), WatchedDirectory: &corev3.WatchedDirectory{Path: "/"}}
}

// common returns a CommonTlsContext with certificates and, if ca is not nil, what the
// peer is held against.
func common(ca *tlsv3.CertificateValidationContext, certs ...leaf) *tlsv3.CommonTlsContext {
	var list []*tlsv3.TlsCertificate
	for _, l := range certs {
		list = append(list, certificate(l))
	}
	pb := &tlsv3.CommonTlsContext{TlsCertificates: list}
	if ca != nil {
		pb.ValidationContextType = &tlsv3.CommonTlsContext_ValidationContext{ValidationContext: ca}
	}
	return pb
}

// rig is a loop with one end of TLS on it; the other end is crypto/tls, driven by the
// test.
type rig struct {
	*looptest.Env
	tb    testing.TB
	store *stats.Store
	local *stats.Local
	comp  sdk.Compiler
	h     *recorder
	last  *conn // the transport made last
}

func newRig(tb testing.TB) *rig {
	tb.Helper()
	r := &rig{Env: looptest.New(tb), tb: tb, h: &recorder{}}
	r.store = stats.NewStore(stats.Options{})
	r.local = stats.NewLocal()
	r.comp = sdktest.NewCompiler(tb)
	return r
}

// count returns a counter of ssl stats.
func (r *rig) count(name string) uint64 {
	r.tb.Helper()
	c := stats.NewCollector(r.store, []*stats.Local{r.local}, func(_ int, fn func()) error { fn(); return nil })
	view, err := c.Scrape(stats.Filter{})
	if err != nil {
		r.tb.Fatal(err)
	}
	n, _ := view.Value("x.ssl." + name)
	return n
}

func (r *rig) server(pb *tlsv3.DownstreamTlsContext) *Server {
	r.tb.Helper()
	s, err := CompileServer(r.comp, pb, r.store.Root().Scope("x"))
	if err != nil {
		r.tb.Fatal(err)
	}
	return s
}

func (r *rig) client(pb *tlsv3.UpstreamTlsContext) *Client {
	r.tb.Helper()
	c, err := CompileClient(r.comp, pb, r.store.Root().Scope("x"), nil)
	if err != nil {
		r.tb.Fatal(err)
	}
	return c
}

// recorder is the owner of the loop's end.
type recorder struct {
	conn      *eventloop.Conn
	got       strings.Builder
	echo      bool
	connected int
	eof       int
	closed    int
	err       error
}

func (h *recorder) OnConnect(*eventloop.Conn) { h.connected++ }
func (h *recorder) OnData(c *eventloop.Conn, in []byte) int {
	h.got.Write(in)
	if h.echo {
		c.Out().Append(in)
	}
	return len(in)
}
func (h *recorder) OnEOF(*eventloop.Conn)     { h.eof++ }
func (h *recorder) OnDrained(*eventloop.Conn) {}
func (h *recorder) OnClose(_ *eventloop.Conn, err error) {
	h.closed++
	h.err = err
}

// accepter gives every connection a transport.
type accepter struct {
	r       *rig
	s       *Server
	timeout time.Duration
}

func (a accepter) OnAccept(_ *eventloop.Listener, c *eventloop.Conn) eventloop.Handler {
	a.r.h.conn = c
	a.r.last = a.s.New(a.r.local).(*conn)
	c.SetTransport(a.r.last, a.timeout)
	return a.r.h
}

func address(port uint16) eventloop.Addr {
	return eventloop.TCPAddr(netip.AddrPortFrom(netip.MustParseAddr("10.0.0.1"), port))
}

// accept serves s and has a client connect.
func (r *rig) accept(s *Server, timeout time.Duration) *looptest.Peer {
	r.tb.Helper()
	ln, err := r.Loop.Serve(r.Listen(address(1)), accepter{r, s, timeout})
	if err != nil {
		r.tb.Fatal(err)
	}
	p := r.Client(address(1))
	r.Settle()
	ln.Close()
	return p
}

// dial has the loop connect by c.
func (r *rig) dial(c *Client, hostname string, timeout time.Duration) *looptest.Peer {
	r.tb.Helper()
	r.OnDial(address(2), looptest.Accept)
	r.h.conn = r.Loop.Dial(address(2), &eventloop.DialConfig{Timeout: timeout}, r.h)
	r.h.conn.SetTransport(c.New(r.local, hostname), 0)
	r.Settle()
	p := r.Dialled(address(2))
	if p == nil {
		r.tb.Fatal("nothing was dialled")
	}
	return p
}

// far is the far end's net.Conn: whenever it has nothing to read, the loops turn.
type far struct {
	r     *rig
	p     *looptest.Peer
	in    []byte
	chunk int // bytes sent at a time, 0 for all
	sent  int
}

func (f *far) Read(p []byte) (int, error) {
	if len(f.in) == 0 {
		f.r.Settle()
		f.in = append(f.in, f.p.Take()...)
	}
	if len(f.in) == 0 {
		if f.p.Ended() {
			return 0, io.EOF
		}
		return 0, eventloop.ErrAgain
	}
	n := copy(p, f.in)
	f.in = f.in[n:]
	return n, nil
}

func (f *far) Write(p []byte) (int, error) {
	for rest := p; len(rest) > 0; {
		n := len(rest)
		if f.chunk > 0 {
			n = min(n, f.chunk)
		}
		f.p.SendBytes(rest[:n])
		if f.chunk > 0 {
			f.r.Settle()
		}
		rest = rest[n:]
	}
	f.sent += len(p)
	return len(p), nil
}

func (f *far) Close() error                     { f.p.Close(); return nil }
func (f *far) LocalAddr() net.Addr              { return nowhere{} }
func (f *far) RemoteAddr() net.Addr             { return nowhere{} }
func (f *far) SetDeadline(time.Time) error      { return nil }
func (f *far) SetReadDeadline(time.Time) error  { return nil }
func (f *far) SetWriteDeadline(time.Time) error { return nil }

// read reads all there is.
func read(c *tls.Conn) (string, error) {
	var out []byte
	buf := make([]byte, 32<<10)
	for {
		n, err := c.Read(buf)
		out = append(out, buf[:n]...)
		if err != nil {
			if errors.Is(err, eventloop.ErrAgain) {
				err = nil
			}
			return string(out), err
		}
	}
}
