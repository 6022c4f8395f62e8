package sdk

import (
	"time"

	"google.golang.org/protobuf/proto"
)

// Level says how much a codec understands of its protocol. A rule that needs more
// is refused by name when the configuration of a listener that has this protocol
// alone is compiled. Where the protocol is found out only when a connection comes,
// such a rule does not match, or has no effect on what this codec sends on.
type Level uint8

const (
	// Light cuts frames and finds an id. :authority is the codec's name, :path "/".
	Light Level = iota
	// Medium also shows service, method and headers.
	Medium
	// Heavy can also build messages: with header fields edited, replies with content.
	Heavy
)

// Mode says how exchanges share a connection.
type Mode uint8

const (
	// Serial protocols carry one exchange at a time (HTTP/1.1).
	Serial Mode = iota
	// Multiplexed protocols carry many, told apart by an id (HTTP/2, Bolt).
	Multiplexed
)

// Side is the end of a connection that a codec plays, or whose fault an Error is.
type Side uint8

const (
	// Downstream is the side of the client: its codec reads requests.
	Downstream Side = iota
	// Upstream is the side of the server: its codec reads responses.
	Upstream
	// Local is the proxy itself.
	Local
)

// Verdict is what a codec says of the first bytes of a connection.
type Verdict uint8

const (
	// NoMatch means that the bytes are another protocol's.
	NoMatch Verdict = iota
	// NeedMore means that they fit so far.
	NeedMore
	// Matched means that they are this protocol's.
	Matched
)

// Codec is one protocol, exported by its package as a value and listed in
// builtin. It is constant.
type Codec struct {
	Name  string
	Level Level
	Mode  Mode
	// RPC says that the messages are RPCs: their Protocol is RPC, and clusters carry
	// them to their hosts by this same codec, whatever HTTP's options say.
	RPC bool
	// FlowControl says that each stream has a window: a peer sends no more than that
	// before Consumed is called. So one stream can be stopped, and memory is bounded,
	// without stopping the reading of the connection.
	FlowControl bool
	// Match judges the first bytes of a connection; it must decide on MatchBytes. Nil
	// matches nothing.
	Match func(prefix []byte) Verdict
	// Compile turns a configuration into what makes connections. It runs off the
	// loops.
	Compile func(c Compiler, side Side, o CodecOptions) (CodecConfig, error)
	Fields  FieldStatus
}

// MatchBytes is how many bytes a codec needs at most to tell its protocol.
const MatchBytes = 16

// Detect tells which protocol a connection speaks that begins with prefix: the first
// one that matches. With NeedMore more bytes are needed to tell; NoMatch means that
// the bytes are none of theirs.
func Detect(list []CodecConfig, prefix []byte) (CodecConfig, Verdict) {
	prefix = prefix[:min(len(prefix), MatchBytes)]
	verdict := NoMatch
	for _, c := range list {
		match := c.Codec().Match
		if match == nil {
			continue
		}
		switch match(prefix) {
		case Matched:
			return c, Matched
		case NeedMore:
			if len(prefix) < MatchBytes {
				verdict = NeedMore
			}
		}
	}
	return nil, verdict
}

// CodecOptions is the configuration of a codec on one listener or cluster.
type CodecOptions struct {
	// Proto is the codec's own message (envoy.config.core.v3.Http1ProtocolOptions
	// ...), nil for the defaults.
	Proto proto.Message
	// MaxHeaderBytes and MaxHeaderCount bound one head and one set of trailers;
	// 0 means the codec's default (60 KiB and 100 for HTTP, as Envoy).
	MaxHeaderBytes int
	MaxHeaderCount int
	// UnderscoreAction is Envoy's headers_with_underscores_action: 0 allow,
	// 1 reject the request, 2 drop the header.
	UnderscoreAction int32
	// KeepH2C leaves connection, upgrade and http2-settings in requests of HTTP/1.1 that
	// ask for h2c, for the owner to change over or to remove them. Else they are removed,
	// as by Envoy, and the wish with them.
	KeepH2C bool
	// StreamErrorOnInvalid is Envoy's stream_error_on_invalid_http_message: a
	// malformed message ends its stream instead of the connection where possible.
	StreamErrorOnInvalid bool
}

// CodecConfig makes the codec of one connection. It is immutable and shared by all
// loops.
type CodecConfig interface {
	// Codec is what was compiled.
	Codec() *Codec
	New() CodecConn
	// ReadLimit is the most bytes of input that Decode may have to see at a time:
	// more than that is never left unconsumed.
	ReadLimit() int
}

// CodecConn is one end of one connection as a pure state machine: bytes in, events
// out; messages in, bytes out. It has no socket, no clock and no goroutine; all
// calls come from the connection's loop.
//
// A stream id names one exchange. A downstream codec reports ids it read; an
// upstream one gives them by NewStream.
type CodecConn interface {
	// Decode looks at the unconsumed input, fills *ev with the next event and
	// returns how many bytes it has consumed (which the caller then drops). With
	// ev.Kind == EventNone more input is needed; n may still be positive. ev.Msg
	// must point to a Message, which Decode resets and fills; ev.Data aliases in.
	// A Serial codec must not be asked again between the end of a request and the
	// end of its response. An error is fatal to the connection, unless it is a
	// *CodecError with Stream true: then only the request ev.Stream, of which ev.Msg
	// holds what is known, is to be answered (not if ev.Msg.OneWay), n counts, the
	// rest of the message is the codec's to skip, and Decode goes on.
	Decode(in []byte, ev *Event) (n int, err error)
	// EOF tells that the peer will send no more. It may yield a last event (the end
	// of a body that lasts until close); an error means that a message was cut off.
	EOF(ev *Event) error

	// NewStream opens an exchange on an upstream connection.
	NewStream() uint64
	// WriteHeaders writes a head. end says that neither body nor trailers follow.
	// A status of 1xx (101 aside) is informational: another head follows.
	WriteHeaders(out *Buffer, id uint64, m *Message, end bool) error
	// WriteData writes body bytes, as many as flow control lets it, and returns how
	// many it took; an EventWindow follows when it can take the rest. end counts
	// only if everything was taken.
	WriteData(out *Buffer, id uint64, p []byte, end bool) int
	// WriteTrailers ends the message. A protocol without trailers just ends it.
	WriteTrailers(out *Buffer, id uint64, m *Message)
	// WriteReset gives up a stream. It returns false where the protocol can express
	// that only by closing the connection.
	WriteReset(out *Buffer, id uint64, r ResetReason) bool
	// Consumed tells that n bytes of a stream's body have left our buffers, so that
	// the peer may send more. It comes for every byte of EventData once, also after the
	// stream's end; after a reset it may come and means nothing, because that settles
	// what is left. Only with FlowControl.
	Consumed(out *Buffer, id uint64, n int)
	// WriteGoAway announces that no further streams are welcome. Where the protocol
	// has no such message, the next response carries Close.
	WriteGoAway(out *Buffer)
	// Reusable reports whether a further exchange may begin on this connection: no
	// side has asked for its end, and, for Serial codecs, the last one is complete
	// in both directions. An upstream codec whose messages cannot be interleaved says
	// no while a request is half written.
	Reusable() bool
}

// Talker is a CodecConn of a protocol whose ends also speak between messages:
// they answer heartbeats, acknowledge settings and pings, open windows. Its owner
// asks Pending after a round of Decode and after each Write method. While it is
// true, the owner calls Flush, and then Decode again, even without input, because
// streams that had to wait may have got their EventWindow.
//
// What Flush writes is never much longer than what Decode has consumed for it, so an
// owner that stops reading while its output is above the watermark bounds both. After
// a fatal error of Decode it may hold the codec's last word: Flush, then close.
type Talker interface {
	CodecConn
	Pending() bool
	Flush(out *Buffer)
}

// Clocked is a Talker that limits how often its peer may do something. Its owner
// calls Clock before a round of Decode, with a time that only goes forward.
type Clocked interface {
	Talker
	Clock(now time.Duration)
}

// Switcher is a CodecConn that can take over a connection which began as another
// protocol: a request of HTTP/1 has asked for it, is complete, and is answered by this
// codec. Switched is called before anything else and returns the request's stream, or
// false when the request does not say what it must.
type Switcher interface {
	CodecConn
	Switched(request *Message) (id uint64, ok bool)
}

// Parker is a CodecConn with flow control whose connection, too, has a window. Parked
// tells that n bytes of a stream's body stay in the hands of the owner for what may be
// long: until Consumed they count for the window of their stream, but no more for that
// of the connection, so that other streams are not stopped. The owner bounds how many
// there are. It comes at most once for every byte of EventData.
type Parker interface {
	CodecConn
	Parked(out *Buffer, id uint64, n int)
}

// Heartbeater is a CodecConn that can ask whether its peer is alive. Each
// WriteHeartbeat replaces the last: the answer to it, and to no other, is an
// EventHeartbeat. The owner keeps the time and closes what stays silent.
type Heartbeater interface {
	CodecConn
	WriteHeartbeat(out *Buffer)
}

// Reverser is a CodecConn of a protocol whose servers may call their clients over the
// clients' connections. It has neither flow control nor trailers.
//
// An upstream codec refuses such requests and reports them as EventDropped, until
// Reverse is called, before the first byte. From then on it reports them as
// EventHeaders and EventData under ids of their own, never those of NewStream, and
// takes the answers by its Write methods. A downstream codec needs no call: NewStream
// gives an id for a request to its client, the Write methods take the request, and
// what Decode reports under that id is the answer. One that comes after WriteReset is
// an EventDropped.
type Reverser interface {
	CodecConn
	Reverse()
}

// EventKind tells the events apart.
type EventKind uint8

// The events of Decode.
const (
	EventNone          EventKind = iota
	EventHeaders                 // a request head, or a final response head: Msg, End
	EventInformational           // a 1xx response head: Msg
	EventData                    // Data, End
	EventTrailers                // Msg; always the end
	EventReset                   // the peer gave the stream up: Reset
	EventWindow                  // the stream (Stream 0: the connection) can take more
	EventGoAway                  // the peer wants no new streams; those above Stream were not processed
	EventHeartbeat               // the peer has answered a WriteHeartbeat
	EventDropped                 // a message of no stream was dropped: a late response, a server's request
)

// Event is one thing that a codec read. The caller reuses it.
type Event struct {
	Kind   EventKind
	End    bool
	Reset  ResetReason
	Stream uint64
	Msg    *Message
	Data   []byte
}

// TurnEffort is how much of one connection is handled in a turn of its loop, in units of
// Event.Effort. What has come beyond that waits, so that nobody waits long for a peer
// that makes much work with few bytes.
const TurnEffort = 256

// Effort is about what it costs to handle the event, for which Decode has consumed n
// bytes: to begin a stream, or to refuse one, which is EventNone with an error of the
// stream, is much more than to go on.
func (e *Event) Effort(n int) int {
	effort := 1 + n/512
	switch e.Kind {
	case EventHeaders, EventNone:
		effort += 8
	case EventReset:
		effort += 3
	}
	return effort
}

// ResetReason says why a stream ended early.
type ResetReason uint8

// The reasons; the comment is Envoy's name of the same.
const (
	ResetNone         ResetReason = iota
	ResetLocal                    // LocalReset
	ResetLocalRefused             // LocalRefusedStreamReset
	ResetRemote                   // RemoteReset
	ResetRefused                  // RemoteRefusedStreamReset: certainly not processed
	ResetConnFailure              // ConnectionFailure: never connected
	ResetConnTimeout              // ConnectionTimeout
	ResetConnLost                 // ConnectionTermination: was connected
	ResetOverflow                 // Overflow: a circuit breaker
	ResetProtocol                 // ProtocolError
	ResetConnectError             // ConnectError
)

// String returns Envoy's text for the reason, as it stands in
// %RESPONSE_CODE_DETAILS% and in the bodies of local replies.
func (r ResetReason) String() string {
	return [...]string{
		"", "local reset", "local connection failure", "remote reset", "remote refused stream reset",
		"remote connection failure", "connection timeout", "connection termination", "overflow", "protocol error",
		"remote error with CONNECT request",
	}[r]
}

// CodecError is how a codec reports a malformed message. Its values are made once
// and never changed.
type CodecError struct {
	// Status is the answer that the peer deserves, 0 for none.
	Status int
	// Details is Envoy's %RESPONSE_CODE_DETAILS%.
	Details string
	// Text says what was wrong, for logs and tests.
	Text string
	// Stream is true when only the stream is broken, not the connection.
	Stream bool
}

// Error implements error.
func (e *CodecError) Error() string { return e.Text }
