package codectest

import (
	"testing"

	"sofamesh.io/sofamesh/sdk"
)

func (k *conformance) reply() {
	for _, status := range []int{404, 503, 504} {
		down, up := k.end(k.down), k.end(k.up)
		stream, wire := k.ask(up, k.Request)
		all, _ := down.read(wire)
		asked := down.message(all, 1)[0].stream
		var m sdk.Message
		m.Protocol, m.Text = sdk.RPC, "no \"such\" <route>\r\n"
		m.SetStatus(status)
		if down.conn.WriteHeaders(&down.out, asked, &m, true) != nil {
			return // the protocol has none: the connection is closed
		}
		answers, _ := up.read(down.taken())
		got := up.message(answers, 1)
		if got[0].stream != stream || got[0].msg.Status() < 300 {
			k.fatalf("for status %d the client sees %d, on stream %d of %d", status, got[0].msg.Status(), got[0].stream, stream)
		}
		if down.conn.WriteHeaders(&down.out, asked, &m, true) == nil {
			k.fatalf("a request can be answered twice")
		}
	}
}

func (k *conformance) ids() {
	if k.Codec.Mode == sdk.Serial {
		return
	}
	down := k.end(k.down)
	twice := append(k.with(k.Request, 5), k.with(k.Request, 5)...)
	if all, _ := down.read(twice); len(all) == 0 || !fatal(all[len(all)-1].err) || len(all) == 1 {
		k.fatalf("two open requests with one id do not end the connection: %s", kinds(all))
	}
	up := k.end(k.up)
	seen := map[uint64]bool{}
	for i := range 100 {
		if !up.conn.Reusable() {
			break
		}
		_, wire := k.ask(up, k.Request)
		if id := k.ID(wire); seen[id] {
			k.fatalf("request %d has the id %d, which is still open", i, id)
		} else {
			seen[id] = true
		}
	}
}

func (k *conformance) strays() {
	if k.Codec.Mode == sdk.Serial {
		return
	}
	up := k.end(k.up)
	first, wire := k.ask(up, k.Request)
	_, kept := k.ask(up, k.Request)
	dropped := func(what string, frame []byte) {
		k.tb.Helper()
		if all, _ := up.read(frame); len(all) != 1 || all[0].kind != sdk.EventDropped {
			k.fatalf("%s makes %s", what, kinds(all))
		}
	}
	dropped("a response to no request", k.with(k.Response, 250))
	dropped("a server's request", k.with(k.Request, 251))
	if !up.conn.WriteReset(&up.out, first, sdk.ResetLocal) {
		k.fatalf("a request that is waiting cannot be given up")
	}
	up.taken()
	dropped("a late response", k.answer(wire))
	all, _ := up.read(k.answer(kept))
	up.message(all, 1)
	dropped("a second response", k.answer(kept))
}

func (k *conformance) lengths() {
	if k.SetLength == nil {
		return
	}
	for _, n := range []uint32{1<<31 - 1, 1 << 31, 1<<32 - 16, 1<<32 - 1} {
		p := k.with(k.Request, 3)
		k.SetLength(p, n)
		if all, _ := k.end(k.down).read(p); len(all) != 1 || !fatal(all[0].err) {
			k.fatalf("%#x makes %s, not an error that ends the connection", n, kinds(all))
		}
	}
}

func fatal(err *sdk.CodecError) bool { return err != nil && !err.Stream }

func (k *conformance) truncated() {
	for n := 1; n < len(k.Request); n++ {
		e := k.end(k.down)
		all, _ := e.read(k.Request[:n])
		var msg sdk.Message
		err := e.conn.EOF(&sdk.Event{Msg: &msg})
		if len(all) > 0 && all[len(all)-1].end || err == nil {
			k.fatalf("%d of %d bytes of a request make %s, and EOF says %v", n, len(k.Request), kinds(all), err)
		}
	}
	for n := 1; n < len(k.Response); n++ {
		e := k.end(k.up)
		_, wire := k.ask(e, k.Request)
		all, _ := e.read(k.answer(wire)[:n])
		var msg sdk.Message
		err := e.conn.EOF(&sdk.Event{Msg: &msg})
		if len(all) > 0 && all[len(all)-1].end || err == nil {
			k.fatalf("%d of %d bytes of a response make %s, and EOF says %v", n, len(k.Response), kinds(all), err)
		}
	}
	if err := k.end(k.down).conn.EOF(&sdk.Event{Msg: new(sdk.Message)}); err != nil {
		k.fatalf("a connection that ends between frames: %v", err)
	}
}

func (k *conformance) splits() {
	down := Suite{New: k.down.New}
	requests := k.Request
	if k.Codec.Mode == sdk.Multiplexed {
		requests = join(k.Heartbeat, k.with(k.Request, 1), k.OneWay, k.with(k.Request, 2), k.HeartbeatReply)
	}
	down.Splits(k.tb, requests)
	down.Mutated(k.tb, requests, 100)
	up, ids := k.Servers(k.tb, 2)
	responses := k.Response
	if k.Codec.Mode == sdk.Multiplexed {
		responses = join(k.with(k.Response, ids[1]), k.Heartbeat, k.GoAway, k.with(k.Response, ids[0]), k.with(k.Response, ids[0]))
	}
	up.Splits(k.tb, responses)
	up.Mutated(k.tb, responses, 100)
}

func join(frames ...[]byte) (p []byte) {
	for _, f := range frames {
		p = append(p, f...)
	}
	return p
}

// Clients returns the suite of the side that reads requests, for fuzz targets.
func (f Frames) Clients(tb testing.TB) Suite {
	cfg, err := f.Codec.Compile(nil, sdk.Downstream, sdk.CodecOptions{})
	if err != nil {
		tb.Fatalf("%s: Compile: %v", f.Codec.Name, err)
	}
	return Suite{New: cfg.New}
}

// Servers returns the suite of the side that reads responses, for fuzz targets: each
// connection has asked n times (a Serial one once), and the ids are those it chose.
func (f Frames) Servers(tb testing.TB, n int) (s Suite, ids []uint64) {
	k := &conformance{Frames: f, tb: tb, name: f.Codec.Name}
	var err error
	if k.down, err = f.Codec.Compile(nil, sdk.Downstream, sdk.CodecOptions{}); err != nil {
		tb.Fatalf("%s: Compile: %v", f.Codec.Name, err)
	}
	if k.up, err = f.Codec.Compile(nil, sdk.Upstream, sdk.CodecOptions{}); err != nil {
		tb.Fatalf("%s: Compile: %v", f.Codec.Name, err)
	}
	if f.Codec.Mode == sdk.Serial {
		n = 1
	}
	all, _ := k.end(k.down).read(f.Request)
	request := k.end(k.down).message(all, 1)
	asked := func() (sdk.CodecConn, []uint64) { // inside of a fuzz target tb is not to be used
		e, ids := k.end(k.up), make([]uint64, n)
		for i := range ids {
			stream := e.conn.NewStream()
			for _, h := range request {
				if h.kind != sdk.EventHeaders {
					e.conn.WriteData(&e.out, stream, h.data, h.end)
				} else if err := e.conn.WriteHeaders(&e.out, stream, &h.msg, h.end); err != nil {
					panic(err)
				}
			}
			if wire := e.taken(); f.ID != nil {
				ids[i] = f.ID(wire)
			}
		}
		return e.conn, ids
	}
	_, ids = asked()
	return Suite{New: func() sdk.CodecConn { conn, _ := asked(); return conn }}, ids
}
