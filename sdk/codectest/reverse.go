package codectest

import "sofamesh.io/sofamesh/sdk"

// reverse holds a codec whose servers may call their clients against sdk.Reverser.
func (k *conformance) reverse() {
	up, down := k.end(k.up), k.end(k.down)
	r, ok := up.conn.(sdk.Reverser)
	if !ok || k.Codec.Mode == sdk.Serial {
		return
	}
	k.dropped(k.end(k.up), "a server's request", k.Request)
	r.Reverse()

	// All four ids are the same, and none is taken for another.
	ours, wire := k.ask(up, k.Request)
	id := k.ID(wire)
	all, _ := up.read(k.with(k.Request, id))
	request := up.message(all, 1)
	if request[0].stream == ours || request[0].msg.Status() != 0 || request[0].msg.OneWay {
		k.fatalf("a server's request has a stream of ours, or is shown as something else")
	}
	theirs := down.conn.NewStream()
	sent := k.same("request", down.write(theirs, request), k.Request)
	all, _ = down.read(append(k.with(k.Request, sent), k.with(k.Response, sent)...))
	if own := down.message(all, 1); own[0].stream == theirs {
		k.fatalf("a client's request has the stream of a server's")
	}
	answer := down.message(all, 2)
	if answer[0].stream != theirs || answer[0].msg.Status() < 200 {
		k.fatalf("the answer of a client has another stream, or is shown as something else")
	}
	if got := k.same("response", up.write(request[0].stream, answer), k.Response); got != id {
		k.fatalf("the answer to the server's request %d has the id %d", id, got)
	}
	all, _ = up.read(k.with(k.Response, id))
	if own := up.message(all, 1); own[0].stream != ours {
		k.fatalf("the answer of a server has another stream")
	}
	k.dropped(down, "a second answer", k.with(k.Response, sent))

	theirs = down.conn.NewStream()
	sent = k.same("request", down.write(theirs, request), k.Request)
	if !down.conn.WriteReset(&down.out, theirs, sdk.ResetLocal) {
		k.fatalf("a request that is sent cannot be given up")
	}
	_ = down.taken()
	k.dropped(down, "a late answer", k.with(k.Response, sent))

	if k.OneWay != nil {
		all, _ = up.read(k.OneWay)
		if tell := up.message(all, 1); !tell[0].msg.OneWay {
			k.fatalf("OneWay is not set")
		}
	}
}

// dropped reads a frame that must come to nothing.
func (k *conformance) dropped(e *end, what string, frame []byte) {
	k.tb.Helper()
	if all, _ := e.read(frame); len(all) != 1 || all[0].kind != sdk.EventDropped {
		k.fatalf("%s makes %s, want one EventDropped", what, kinds(all))
	}
}
