package framecodec

import (
	"time"

	"sofamesh.io/sofamesh/sdk"
)

// Protocol describes a protocol of frames. Name, Match, Cut and Read are needed;
// where no other is said, a function that is nil is a thing that the protocol has
// not got.
type Protocol struct {
	// Name is what listeners and clusters call the protocol. At sdk.Light it is the
	// :authority of every request.
	Name string
	// Level is sdk.Light or sdk.Medium.
	Level sdk.Level
	// Mode is sdk.Multiplexed if frames have ids, so that many requests share a
	// connection, and sdk.Serial if each request waits for the answer to the last.
	Mode sdk.Mode
	// IDBits is the width of the ids, at least 8; 0 means 32.
	IDBits int
	Limits Limits

	// Match tells the protocol by the first bytes that a client sends. It must decide
	// on 16 bytes; on fewer it may return sdk.NeedMore.
	Match func(prefix []byte) sdk.Verdict
	// Cut says how long the frame is that begins in: size in all, of which Read wants
	// to see the first head bytes. 0, 0 means that so many bytes do not tell yet; what
	// they do tell should be judged at once. It is given at most Limits.Head bytes.
	// Lengths that cannot be are found by the caller, so a Cut need not fear overflow
	// of an int; an error ends the connection.
	Cut func(in []byte) (head, size int, err error)
	// Read reads the head of a frame, of the length that Cut said, into *f, which is
	// empty. An error ends the connection, unless it is of Refuse.
	Read func(head []byte, f *Frame) error
	// SetID writes another id into a head. Needed by Multiplexed protocols.
	SetID func(head []byte, id uint64)
	// SetTimeout writes what is left of a request's timeout, which is more than 0,
	// into its head. If it is nil, the next hop is told the timeout as it came.
	SetTimeout func(head []byte, left time.Duration)

	// Reply appends our own answer to a request: HTTP's status, as 404 for no route or
	// 504 for a timeout, and a text for people; with a 2xx, which only a configured
	// direct response has, the text is the result. If it is nil or appends nothing, the
	// client's connection is closed instead.
	Reply func(dst []byte, to Asked, status int, text string) []byte
	// Heartbeat appends a question whether the peer is alive (Multiplexed only).
	Heartbeat func(dst []byte, id uint64) []byte
	// HeartbeatReply appends the answer to the heartbeat with that head; it is no
	// longer than the heartbeat.
	HeartbeatReply func(dst, head []byte) []byte
	// GoAway appends the frame by which a server wants no further requests.
	GoAway func(dst []byte) []byte
}

// Limits bounds what a peer can make a connection hold. A field that is zero stands
// for the default, given at the field.
type Limits struct {
	Frame   int // bytes of a frame: 16 MB
	Head    int // bytes of its head; CodecOptions may say otherwise: 60 KiB
	Headers int // headers that are read; CodecOptions may say otherwise: 1000
	Streams int // open requests of a connection, up to 1 << 20: 8192
	Queue   int // bytes of heads and answers that wait for the frame being written: 1 MB
}

// Kind is what a frame is for.
type Kind uint8

// The kinds of frames. Read must set one.
const (
	Request        Kind = iota + 1
	Response            // to the request with its ID
	OneWay              // a request that gets no response
	Heartbeat           // asks for a HeartbeatReply with its ID
	HeartbeatReply      // answers a Heartbeat
	GoAway              // its sender, a server, wants no further requests
)

// Frame is what Read finds in a head. The slices may be parts of the head.
type Frame struct {
	Kind Kind
	// ID tells the exchanges of a connection apart. In a Serial protocol it is for Reply
	// alone, if there is one.
	ID uint64
	// Keep is what Reply has to know of a request, beside its ID.
	Keep uint64
	// Status of a response is what HTTP would say: 200 to 599, 0 means 200.
	Status int
	// Timeout is how long the sender of a request waits; 0 if that is unknown.
	Timeout time.Duration

	// Service and Method say what a request is for (sdk.Medium). A request is refused
	// without them, and if they have spaces, control characters, or some that mean
	// something in a path. Group and Version tell incompatible providers of a service
	// apart; empty ones are the protocol's default.
	Service, Method, Group, Version []byte

	view  *sdk.Message
	room  int  // headers that may still come
	crowd bool // more came
}

// Asked is what is kept of a request to answer it.
type Asked struct {
	ID   uint64
	Keep uint64 // Frame.Keep
}

// Refuse returns an error of Read that refuses one request, with 400, and leaves the
// connection as it is. Kind, ID and Keep must be set before. A response is taken for
// broken, and only its request fails.
func Refuse(text string) error {
	return &sdk.CodecError{Status: 400, Text: text, Stream: true}
}
