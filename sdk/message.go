package sdk

import "time"

// Protocol names how a message travelled, as Envoy's %PROTOCOL% prints it.
type Protocol uint8

// The protocols. RPC messages carry the name of their codec in Message.Codec.
const (
	ProtocolUnknown Protocol = iota
	HTTP10
	HTTP11
	HTTP2
	HTTP3
	RPC
)

// String returns "HTTP/1.1" and the like, "" for an unknown one.
func (p Protocol) String() string {
	return [...]string{"", "HTTP/1.0", "HTTP/1.1", "HTTP/2", "HTTP/3", "RPC"}[p]
}

// Message is the head of a request or response (or its trailers): the view that
// everybody reads, and what its own codec needs to send it on as it came.
//
// A Message is filled by a codec and owned by a stream. Bodies are never part of
// it.
type Message struct {
	Headers

	Protocol Protocol
	// Codec is the codec that filled the message, nil for one that we made. The
	// codec that sends a message uses Frame only when it is that same one.
	Codec *Codec
	// Frame holds the head as it came, when the codec forwards original bytes. It
	// is the message's own copy, valid until Reset.
	Frame []byte
	// Close says that the connection ends after this exchange.
	Close bool
	// Upgrade says that the message asks for, or grants, a switch to opaque bytes
	// in both directions (HTTP Upgrade, CONNECT).
	Upgrade bool
	// OneWay marks a request that gets no response.
	OneWay bool
	// Share keeps apart what must not share an upstream connection, where a server
	// remembers things of a connection's one client: requests of one codec whose Share
	// differs go over different connections. Codecs use a few small numbers.
	Share uint8
	// Text is what a reply of our own says, for codecs of RPC to put into an error (or,
	// if the status is 2xx, a result) of theirs.
	Text string
	// Timeout is how long the request's sender waits for the response, as the protocol
	// itself says it; 0 when it does not. A codec writes it in its own form.
	Timeout time.Duration
}

// Reset empties the message and keeps its storage.
func (m *Message) Reset() {
	m.Headers.Reset()
	m.Protocol, m.Codec = ProtocolUnknown, nil
	m.Frame = m.Frame[:0]
	m.Close, m.Upgrade, m.OneWay, m.Timeout = false, false, false, 0
	m.Share, m.Text = 0, ""
}

// CopyFrom makes m a copy of src.
func (m *Message) CopyFrom(src *Message) {
	m.Headers.CopyFrom(&src.Headers)
	m.Protocol, m.Codec = src.Protocol, src.Codec
	m.Frame = append(m.Frame[:0], src.Frame...)
	m.Close, m.Upgrade, m.OneWay, m.Timeout = src.Close, src.Upgrade, src.OneWay, src.Timeout
	m.Share, m.Text = src.Share, src.Text
}

// Swap exchanges two messages, storage included.
func (m *Message) Swap(o *Message) { *m, *o = *o, *m }
