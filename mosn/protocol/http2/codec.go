package http2

import (
	"cmp"
	"strings"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"

	"sofamesh.io/sofamesh/mosn/protocol/http2/hpack"
	"sofamesh.io/sofamesh/sdk"
	"sofamesh.io/sofamesh/sdk/httpfield"
)

// Codec returns the codec. Every call makes a new one, so a program calls it
// once, for its list of built-in extensions.
func Codec() *sdk.Codec {
	codec := &sdk.Codec{
		Name: "http2", Level: sdk.Heavy, Mode: sdk.Multiplexed, FlowControl: true, Match: sniff, Fields: fieldStatus(),
	}
	codec.Compile = func(c sdk.Compiler, side sdk.Side, o sdk.CodecOptions) (sdk.CodecConfig, error) {
		return compile(codec, c, side, o)
	}
	return codec
}

// sniff tells HTTP/2 by the first line of the client's preface.
func sniff(prefix []byte) sdk.Verdict {
	line := clientPreface[:sdk.MatchBytes]
	switch {
	case len(prefix) >= len(line) && string(prefix[:len(line)]) == line:
		return sdk.Matched
	case len(prefix) < len(line) && strings.HasPrefix(line, string(prefix)):
		return sdk.NeedMore
	}
	return sdk.NoMatch
}

// config is the compiled configuration of one side. It is immutable.
type config struct {
	codec      *sdk.Codec
	side       sdk.Side
	maxBytes   int // of the names and values of a head
	maxCount   int
	maxBlock   int // of a head as it comes, compressed
	underscore int32

	tableSize    int // of hpack, both ways
	huffman      hpack.Huffman
	maxStreams   int
	window       int // of a stream
	firstWindow  int // of a stream when it begins
	connWindow   int
	allowConnect bool
	streamErrors bool      // a malformed message ends its stream only
	settings     []setting // what we tell the peer

	maxOutbound, maxControls    int
	maxEmpty                    int
	maxPriorities, maxUpdates   int
	resetBurst, resetsPerSecond int
}

// setting is an entry of a SETTINGS frame.
type setting struct {
	id    uint16
	value uint32
}

// New makes the codec of one connection.
func (c *config) New() sdk.CodecConn { return newConn(c) }

// Codec implements sdk.CodecConfig.
func (c *config) Codec() *sdk.Codec { return c.codec }

// ReadLimit implements sdk.CodecConfig: a frame is read whole, unless it is DATA.
func (c *config) ReadLimit() int { return headerSize + maxFrame }

func compile(codec *sdk.Codec, c sdk.Compiler, side sdk.Side, o sdk.CodecOptions) (sdk.CodecConfig, error) {
	pb := &corev3.Http2ProtocolOptions{}
	if o.Proto != nil {
		var ok bool
		if pb, ok = o.Proto.(*corev3.Http2ProtocolOptions); !ok {
			return nil, c.Errorf("http2 is configured by Http2ProtocolOptions, not by %s", o.Proto.ProtoReflect().Descriptor().FullName())
		}
	}
	cfg := &config{codec: codec, side: side, maxCount: cmp.Or(o.MaxHeaderCount, httpfield.DefaultHeaderCount)}
	cfg.maxBytes = cmp.Or(o.MaxHeaderBytes, httpfield.DefaultRequestBytes)
	cfg.underscore = o.UnderscoreAction
	if side == sdk.Upstream {
		cfg.maxBytes = cmp.Or(o.MaxHeaderBytes, httpfield.DefaultResponseBytes)
		cfg.underscore = httpfield.UnderscoreAllow
	}
	// A peer that compresses badly, or not at all, sends no more than this for a head
	// within the limit; one that sends more is not worth reading on for.
	cfg.maxBlock = max(64<<10, 2*cfg.maxBytes)
	if err := cfg.options(c, pb, o.StreamErrorOnInvalid); err != nil {
		return nil, err
	}
	return cfg, nil
}
