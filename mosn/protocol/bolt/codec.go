package bolt

import (
	"cmp"
	"hash/maphash"
	"math/rand/v2"

	"sofamesh.io/sofamesh/sdk"
)

// Limits bounds what a peer can make a connection hold. A field that is zero
// stands for the default, given at the field.
type Limits struct {
	Frame     int // bytes of a frame without its CRC: 16 MB
	Headers   int // bytes of a header map; CodecOptions may say otherwise: 60 KiB
	Count     int // fields of a header map; CodecOptions may say otherwise: 1000
	Class     int // bytes of a class name: 1024
	LookAhead int // bytes of content that are waited for: 16 KiB
	Streams   int // open requests of a connection: 8192
	Queue     int // bytes of heads that wait for the frame being written: 1 MB
}

func (l Limits) orDefault() Limits {
	return Limits{
		Frame:     cmp.Or(l.Frame, 16<<20),
		Headers:   cmp.Or(l.Headers, 60<<10),
		Count:     cmp.Or(l.Count, 1000),
		Class:     cmp.Or(l.Class, 1024),
		LookAhead: cmp.Or(l.LookAhead, 16<<10),
		Streams:   cmp.Or(l.Streams, 8<<10),
		Queue:     cmp.Or(l.Queue, 1<<20),
	}
}

// Codec returns the codec. Every call makes a new one, so a program calls it
// once, for its list of built-in extensions.
func Codec(l Limits) *sdk.Codec {
	seed, salt := maphash.MakeSeed(), rand.Uint32() // both sides compare the first
	codec := &sdk.Codec{Name: "bolt", Level: sdk.Heavy, Mode: sdk.Multiplexed, RPC: true, Match: sniff}
	codec.Compile = func(c sdk.Compiler, side sdk.Side, o sdk.CodecOptions) (sdk.CodecConfig, error) {
		if o.Proto != nil {
			return nil, c.Errorf("bolt has no options of the type %s", o.Proto.ProtoReflect().Descriptor().FullName())
		}
		cfg := &config{codec: codec, side: side, Limits: l.orDefault(), seed: seed, salt: salt}
		cfg.Headers = cmp.Or(o.MaxHeaderBytes, cfg.Headers)
		cfg.Count = cmp.Or(o.MaxHeaderCount, cfg.Count)
		return cfg, nil
	}
	return codec
}

// config is the compiled configuration of one side. It is immutable.
type config struct {
	Limits
	codec *sdk.Codec
	side  sdk.Side
	seed  maphash.Seed // see writerKind
	salt  uint32       // of the tables
}

// New makes the codec of one connection.
func (c *config) New() sdk.CodecConn { return &conn{cfg: c, table: table{seed: c.salt}} }

// Codec implements sdk.CodecConfig.
func (c *config) Codec() *sdk.Codec { return c.codec }

// ReadLimit implements sdk.CodecConfig: a head and the look-ahead are read whole.
func (c *config) ReadLimit() int { return 24 + c.Class + c.Headers + c.LookAhead + 4 }

// sniff tells Bolt by the bytes that are constant in its frames: protocol,
// version, type, command and command version.
func sniff(prefix []byte) sdk.Verdict {
	if len(prefix) == 0 {
		return sdk.NeedMore
	}
	p := prefix[1:]
	switch prefix[0] {
	case 1:
	case 2:
		if len(p) == 0 {
			return sdk.NeedMore
		}
		if p[0] != 1 && p[0] != 2 {
			return sdk.NoMatch
		}
		p = p[1:]
	default:
		return sdk.NoMatch
	}
	switch {
	case len(p) > 0 && p[0] != typeRequest && p[0] != typeOneWay,
		len(p) > 1 && p[1] != 0,
		len(p) > 2 && p[2] != cmdHeartbeat && p[2] != cmdRequest && p[2] != cmdGoAway,
		len(p) > 3 && p[3] != 1:
		return sdk.NoMatch
	case len(p) < 4:
		return sdk.NeedMore
	}
	return sdk.Matched
}
