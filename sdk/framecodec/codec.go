package framecodec

import (
	"cmp"
	"math/rand/v2"

	"sofamesh.io/sofamesh/sdk"
)

// New makes the codec of a protocol. Every call makes a new one, so a program calls
// it once, for its list of extensions. It panics if p does not fit together, which
// is a mistake of its author's and shows at the first start.
func New(p Protocol) *sdk.Codec {
	p.check()
	codec := &sdk.Codec{Name: p.Name, Level: p.Level, Mode: p.Mode, RPC: true, Match: p.Match}
	errs, seed := makeErrors(p.Name), rand.Uint64()|1
	codec.Compile = func(c sdk.Compiler, side sdk.Side, o sdk.CodecOptions) (sdk.CodecConfig, error) {
		if o.Proto != nil {
			return nil, c.Errorf("%s has no options of the type %s", p.Name, o.Proto.ProtoReflect().Descriptor().FullName())
		}
		cfg := &config{Protocol: p, codec: codec, side: side, errs: errs, seed: seed}
		cfg.complete(o)
		return cfg, nil
	}
	return codec
}

// check panics if the protocol does not fit together.
func (p *Protocol) check() {
	for _, wrong := range []struct {
		is   bool
		what string
	}{
		{p.Name == "", "no Name"},
		{p.Level > sdk.Medium, "a Level above sdk.Medium"},
		{p.Match == nil || p.Cut == nil || p.Read == nil, "no Match, Cut or Read"},
		{p.Mode == sdk.Multiplexed && p.SetID == nil, "no SetID, but the Mode is sdk.Multiplexed"},
		{p.Mode == sdk.Serial && (p.SetID != nil || p.Heartbeat != nil), "SetID or Heartbeat, but the Mode is sdk.Serial"},
		{p.IDBits != 0 && (p.IDBits < 8 || p.IDBits > 64), "IDBits is neither 0 nor 8 to 64"},
		{p.Limits.Streams > 1<<slotBits, "more Streams than 1 << 20"},
		{p.Limits.Frame > 1<<31-1, "frames over 2 GB"},
	} {
		if wrong.is {
			panic("framecodec: protocol " + p.Name + ": " + wrong.what)
		}
	}
}

// config is the compiled configuration of one side. It is immutable.
type config struct {
	Protocol
	codec *sdk.Codec
	side  sdk.Side
	errs  *errorSet
	seed  uint64 // of the tables of open requests
	ids   uint64 // the highest id
	most  int    // of the open requests
}

func (c *config) complete(o sdk.CodecOptions) {
	l := &c.Limits
	*l = Limits{
		Frame:   cmp.Or(l.Frame, 16<<20),
		Head:    cmp.Or(o.MaxHeaderBytes, l.Head, 60<<10),
		Headers: cmp.Or(o.MaxHeaderCount, l.Headers, 1000),
		Streams: cmp.Or(l.Streams, 8<<10),
		Queue:   cmp.Or(l.Queue, 1<<20),
	}
	bits := cmp.Or(c.IDBits, 32)
	c.ids = ^uint64(0) >> (64 - bits)
	c.most = l.Streams
	if c.side == sdk.Upstream {
		c.most = int(min(uint64(c.most), c.ids/2)) // so that a free id is found soon
	}
	if c.Mode == sdk.Serial {
		c.ids, c.most = 0, 1
	}
}

// quarantines reports whether ids are so short that one could come round while the
// response to a request that was given up is still on its way.
func (c *config) quarantines() bool { return c.Mode == sdk.Multiplexed && c.ids < 1<<31-1 }

// key is what the table of open requests knows a frame's request by.
func (c *config) key(f *Frame) uint64 {
	if c.Mode == sdk.Serial {
		return 0
	}
	return f.ID
}

// New makes the codec of one connection.
func (c *config) New() sdk.CodecConn {
	k := conn{cfg: c, table: table{seed: c.seed}}
	if c.Heartbeat != nil {
		return &beatingConn{conn: k}
	}
	return &k
}

// Codec implements sdk.CodecConfig.
func (c *config) Codec() *sdk.Codec { return c.codec }

// ReadLimit implements sdk.CodecConfig: only heads are read whole.
func (c *config) ReadLimit() int { return c.Limits.Head }
