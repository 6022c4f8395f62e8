package tls

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"time"

	"sofamesh.io/sofamesh/mosn/eventloop"
	"sofamesh.io/sofamesh/mosn/stats"
	"sofamesh.io/sofamesh/sdk"
)

// conn is the transport of one connection. It belongs to the connection's loop, but for
// the time that a worker has its handshake.
type conn struct {
	side *side
	set  *settings
	st   *stats.Local
	tls  *tls.Conn
	wire wire
	hand *handshake // nil when it is over
	info *sdk.TLSInfo
}

var _ eventloop.Transport = (*conn)(nil)

// Start implements eventloop.Transport.
func (t *conn) Start(c *eventloop.Conn) {
	t.wire.conn = c
	if t.set == nil {
		t.hand.failLater(c, errNotReady)
		return
	}
	if !t.side.server {
		t.hand.step(c)
	}
}

// OnWire implements eventloop.Transport.
func (t *conn) OnWire(c *eventloop.Conn, p []byte) (more bool) { return t.hand.arrived(c, p) }

// Read implements eventloop.Transport.
func (t *conn) Read(_ *eventloop.Conn, p []byte) (int, error) {
	n, err := t.tls.Read(p)
	if err != nil && n == 0 {
		err = t.fault("read", err)
	}
	return n, err
}

// Write implements eventloop.Transport.
func (t *conn) Write(_ *eventloop.Conn, p []byte) error {
	if _, err := t.tls.Write(p); err != nil {
		return t.fault("write", err)
	}
	return nil
}

// CloseWrite implements eventloop.Transport.
func (t *conn) CloseWrite(*eventloop.Conn) {
	_ = t.tls.CloseWrite() // fails only after another failure
}

// Closed implements eventloop.Transport.
func (t *conn) Closed(*eventloop.Conn) {
	if t.hand != nil {
		t.hand.close()
	}
}

// Info implements eventloop.Transport.
func (t *conn) Info() *sdk.TLSInfo { return t.info }

// fault makes an error of the connection of one of crypto/tls, and counts it.
func (t *conn) fault(op string, err error) error {
	if _, ok := errors.AsType[*eventloop.Error](err); ok || err == eventloop.ErrAgain || isEnd(err) {
		return err
	}
	t.st.Inc(t.side.stats.connectionError)
	return &eventloop.Error{Op: op, Kind: eventloop.KindTransport, Cause: reasonOf(err)}
}

// wire is the net.Conn that crypto/tls has. While hand is set a worker is at it, else
// the loop.
type wire struct {
	conn   *eventloop.Conn
	hand   *handshake
	local  *x509.Certificate // ours, which a server has chosen
	staple bool              // the client has asked for an OCSP response
}

var _ net.Conn = (*wire)(nil)

// Read implements net.Conn. It never waits.
func (w *wire) Read(p []byte) (int, error) {
	if w.hand != nil {
		return w.hand.read(p)
	}
	return w.conn.ReadWire(p)
}

// Write implements net.Conn.
func (w *wire) Write(p []byte) (int, error) {
	if w.hand != nil {
		return w.hand.write(p)
	}
	return w.conn.Wire().Write(p)
}

// The rest of net.Conn: crypto/tls asks for nothing of it.

func (w *wire) Close() error                     { return nil }
func (w *wire) LocalAddr() net.Addr              { return nowhere{} }
func (w *wire) RemoteAddr() net.Addr             { return nowhere{} }
func (w *wire) SetDeadline(time.Time) error      { return nil }
func (w *wire) SetReadDeadline(time.Time) error  { return nil }
func (w *wire) SetWriteDeadline(time.Time) error { return nil }

// nowhere is the address of a wire. A client keeps sessions under it when it has no
// server name: like Envoy's, they are the cluster's and not the host's.
type nowhere struct{}

func (nowhere) Network() string { return "tls" }
func (nowhere) String() string  { return "tls" }
