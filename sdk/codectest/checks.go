package codectest

import (
	"math/rand/v2"
	"strings"

	"sofamesh.io/sofamesh/sdk"
)

// others are openings of other protocols that may come to the same port.
func others() []string {
	return []string{
		"GET / HTTP/1.1\r\nHost: a\r\n\r\n", "POST /a HTTP/1.1\r\n", "OPTIONS * HTTP/1.1\r\n", "\r\nGET / HTTP/1.0\r\n",
		"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
		"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\x1f\x8b\x01\x02\x03", "\x16\x03\x03\x00\xc8\x01\x00\x00\xc4\x03\x03\x00\x00\x00\x00\x00",
		"PROXY TCP4 10.0.0.1 10.0.0.2 1 2\r\n", "\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c",
	}
}

func (k *conformance) recognition() {
	for what, frame := range map[string][]byte{"request": k.Request, "one-way request": k.OneWay, "heartbeat": k.Heartbeat} {
		if frame == nil {
			continue
		}
		seen := sdk.NeedMore
		for n := range min(len(frame), sdk.MatchBytes) + 1 {
			was := seen
			seen = k.Codec.Match(frame[:n:n])
			if seen == sdk.NoMatch || n == 0 && seen == sdk.Matched || was == sdk.Matched && seen != was {
				k.fatalf("%s: after %d bytes the verdict is %d", what, n, seen)
			}
		}
		if seen != sdk.Matched {
			k.fatalf("%s: %d bytes do not decide", what, min(len(frame), sdk.MatchBytes))
		}
	}
	for _, s := range others() {
		for n := range sdk.MatchBytes + 1 {
			if k.Codec.Match([]byte(s[:n])) == sdk.Matched {
				k.fatalf("%q is taken for it", s[:n])
			}
		}
		if k.Codec.Match([]byte(s[:sdk.MatchBytes])) != sdk.NoMatch {
			k.fatalf("%q: 16 bytes do not decide", s)
		}
	}
	rnd := rand.New(rand.NewPCG(1, uint64(len(k.Request))))
	for i := range 2000 {
		p := make([]byte, sdk.MatchBytes)
		copy(p, k.Request)
		for j := i % sdk.MatchBytes; j < sdk.MatchBytes; j++ {
			p[j] = byte(rnd.Uint32())
		}
		if k.Codec.Match(p) == sdk.NeedMore {
			k.fatalf("% x: 16 bytes do not decide", p)
		}
	}
}

func (k *conformance) view() {
	down, up := k.end(k.down), k.end(k.up)
	all, _ := down.read(k.with(k.Request, 7))
	m := &down.message(all, 1)[0].msg
	if m.Protocol != sdk.RPC || m.Codec != k.Codec || m.OneWay {
		k.fatalf("request: Protocol is %v, OneWay %v, or Codec is another one", m.Protocol, m.OneWay)
	}
	switch {
	case m.Method() != "POST", m.Authority() == "", !strings.HasPrefix(m.Path(), "/"),
		k.Codec.Level == sdk.Light && (m.Authority() != k.Codec.Name || m.Path() != "/"):
		k.fatalf("request: it is shown as %s %q %q", m.Method(), m.Authority(), m.Path())
	}
	k.fields(m, ":method", ":authority", ":path")
	stream, wire := k.ask(up, k.Request)
	all, _ = up.read(k.answer(wire))
	m = &up.message(all, 1)[0].msg
	if all[0].stream != stream || m.Protocol != sdk.RPC || m.Codec != k.Codec || m.Status() < 200 {
		k.fatalf("response: Protocol is %v, status %d, or Codec or stream is another one", m.Protocol, m.Status())
	}
	k.fields(m, ":status")
}

// fields looks for what no peer may put into the view.
func (k *conformance) fields(m *sdk.Message, pseudo ...string) {
	k.tb.Helper()
	for name, value := range m.All() {
		if strings.HasPrefix(name, ":") {
			known := false
			for _, p := range pseudo {
				known = known || p == name
			}
			if !known {
				k.fatalf("the view has %s", name)
			}
		}
		if strings.ContainsAny(name, " \r\n\x00") || strings.ToLower(name) != name || strings.ContainsAny(value, "\r\n\x00") {
			k.fatalf("the view has %q: %q", name, value)
		}
	}
}

// answer returns the response to a request as written.
func (k *conformance) answer(request []byte) []byte {
	if k.ID == nil {
		return k.Response
	}
	return k.with(k.Response, k.ID(request))
}

func (k *conformance) forwarding() {
	down, up := k.end(k.down), k.end(k.up)
	if k.Codec.Mode == sdk.Serial {
		for range 3 {
			all, _ := down.read(k.Request)
			stream := up.conn.NewStream()
			k.same("request", up.write(stream, down.message(all, 1)), k.Request)
			answers, _ := up.read(k.Response)
			k.same("response", down.write(all[0].stream, up.message(answers, 1)), k.Response)
			if !down.conn.Reusable() || !up.conn.Reusable() {
				k.fatalf("after an exchange there cannot be another one")
			}
		}
		return
	}
	asked := [2]uint64{17, 34}
	all, _ := down.read(append(k.with(k.Request, asked[0]), k.with(k.Request, asked[1])...))
	var streams, ids [2]uint64
	for i := range asked {
		m := down.message(all, i+1)
		streams[i] = m[0].stream
		ids[i] = k.same("request", up.write(up.conn.NewStream(), m), k.Request)
	}
	if ids[0] == ids[1] || streams[0] == streams[1] {
		k.fatalf("two requests have the same id or stream")
	}
	all, _ = up.read(append(k.with(k.Response, ids[1]), k.with(k.Response, ids[0])...))
	for i := range asked {
		got := down.write(streams[1-i], up.message(all, i+1))
		if id := k.same("response", got, k.Response); id != asked[1-i] {
			k.fatalf("the answer to request %d has the id %d", asked[1-i], id)
		}
	}
	if all, _ = down.read(k.with(k.Request, asked[0])); len(all) == 0 || all[0].err != nil {
		k.fatalf("an id cannot be used again: %s", kinds(all))
	}
}

func (k *conformance) oneWay() {
	if k.OneWay == nil {
		return
	}
	down, up := k.end(k.down), k.end(k.up)
	for range 2 { // the same id again: nothing is open
		all, said := down.read(k.with(k.OneWay, 9))
		m := down.message(all, 1)
		if !m[0].msg.OneWay || len(said) > 0 {
			k.fatalf("Message.OneWay is not set, or it is answered (%x)", said)
		}
		k.same("one-way request", up.write(up.conn.NewStream(), m), k.OneWay)
		if !up.conn.Reusable() {
			k.fatalf("the connection cannot be used again")
		}
	}
}

func (k *conformance) heartbeats() {
	down, up := k.end(k.down), k.end(k.up)
	if k.HeartbeatReply != nil {
		for _, e := range []*end{down, up} {
			if all, said := e.read(k.HeartbeatReply); len(said) > 0 || len(all) != 1 || all[0].kind != sdk.EventDropped {
				k.fatalf("an answer to no heartbeat makes %s, said %x", kinds(all), said)
			}
		}
	}
	if k.Heartbeat != nil && k.HeartbeatReply != nil {
		for _, e := range []*end{down, up} {
			all, said := e.read(k.with(k.Heartbeat, 42))
			if len(all) > 0 || len(said) > len(k.Heartbeat) {
				k.fatalf("a heartbeat makes %s, and %d bytes are said", kinds(all), len(said))
			}
			if id := k.same("heartbeat reply", said, k.HeartbeatReply); k.ID != nil && id != 42 {
				k.fatalf("the heartbeat with the id 42 is answered with %d", id)
			}
		}
	}
	h, ok := up.conn.(sdk.Heartbeater)
	if !ok {
		return
	}
	var answers [2][]byte
	for i := range answers {
		h.WriteHeartbeat(&up.out)
		if _, answers[i] = down.read(up.taken()); len(answers[i]) == 0 {
			k.fatalf("its own heartbeat is not answered")
		}
	}
	for i, want := range []sdk.EventKind{sdk.EventDropped, sdk.EventHeartbeat, sdk.EventDropped} {
		if all, _ := up.read(answers[min(i, 1)]); len(all) != 1 || all[0].kind != want {
			k.fatalf("after two heartbeats, answer %d of the first, second and again second: %s", i, kinds(all))
		}
	}
}

// goAway: a codec that understands the frame need not write it.
func (k *conformance) goAway() {
	if k.GoAway == nil {
		return
	}
	down := k.end(k.down)
	down.conn.WriteGoAway(&down.out)
	down.conn.WriteGoAway(&down.out)
	own := down.taken()
	if down.conn.Reusable() {
		k.fatalf("the connection is still reusable after WriteGoAway")
	}
	for what, frame := range map[string][]byte{"the frame": k.GoAway, "what WriteGoAway writes": own} {
		if len(frame) == 0 {
			continue
		}
		up := k.end(k.up)
		stream, _ := k.ask(up, k.Request)
		all, _ := up.read(frame)
		if len(all) != 1 || all[0].kind != sdk.EventGoAway || up.conn.Reusable() {
			k.fatalf("%s makes %s, Reusable %v", what, kinds(all), up.conn.Reusable())
		}
		if all[0].stream < stream {
			k.fatalf("%s refuses the stream %#x, which may have been processed: the last one is %#x", what, stream, all[0].stream)
		}
	}
}
