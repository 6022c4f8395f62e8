package bolt

import (
	"bytes"
	"slices"
	"testing"

	"sofamesh.io/sofamesh/sdk"
)

// TestCapturesPass relays every captured request and response, whole and byte by
// byte: what leaves differs in the id, and in the CRC that covers it.
func TestCapturesPass(t *testing.T) {
	requests, responses := 0, 0
	for _, frame := range captured(t) {
		var f fixed
		if err := f.parse(frame); err != nil || f.cmd == cmdHeartbeat {
			continue
		}
		for _, step := range []int{len(frame), 1} {
			down, up := ends(t, Limits{})
			r := newRelay(t, down.New(), up.New())
			want := uint32(1)
			if f.kind == typeResponse {
				responses++
				r.conn, r.to = up.New(), down.New()
				for uint32(r.conn.NewStream()) != f.id {
				}
				r.conn.(*conn).ours.get(f.id).begun = true
				r.ids[r.conn.(*conn).ours.get(f.id).stream] = asks(t, r.to, 77)
				want = 77
			} else {
				requests++
			}
			var rest []byte
			for part := range slices.Chunk(frame, step) {
				rest = r.run(append(bytes.Clone(rest), part...))
			}
			if got := take(r.out); len(rest) > 0 || len(r.seen) > 0 || !bytes.Equal(got, withID(frame, want)) {
				t.Errorf("%x\nbecame\n%x\n%q is left, %q", frame, got, rest, r.seen)
			}
		}
	}
	if requests < 10 || responses < 8 {
		t.Fatalf("%d requests and %d responses: the captures are not all read", requests, responses)
	}
}

// asks lets a client open a request with the id.
func asks(t *testing.T, c sdk.CodecConn, id uint32) uint64 {
	t.Helper()
	var m sdk.Message
	ev := sdk.Event{Msg: &m}
	if _, err := c.Decode(call(id, "").bytes(), &ev); err != nil || ev.Kind != sdk.EventHeaders {
		t.Fatal(err, ev.Kind)
	}
	return ev.Stream
}

func TestCapturesSplit(t *testing.T) {
	for _, frame := range captured(t) {
		suite(t, sdk.Downstream, Limits{}, 0).Splits(t, frame)
		suite(t, sdk.Upstream, Limits{}, 64).Splits(t, frame)
		suite(t, sdk.Downstream, Limits{LookAhead: 8}, 0).Splits(t, frame)
		suite(t, sdk.Upstream, Limits{LookAhead: 8}, 64).Splits(t, frame)
	}
}

// TestCapturedViews: what routes see of the Java client and of the Node client,
// which names its method in the body only, and that the two are kept apart.
func TestCapturedViews(t *testing.T) {
	paths, shares := map[string]int{}, map[string]int{}
	for _, frame := range captured(t) {
		down, _ := ends(t, Limits{})
		var m sdk.Message
		ev := sdk.Event{Msg: &m}
		if _, err := down.New().Decode(frame, &ev); err != nil || ev.Kind != sdk.EventHeaders {
			continue
		}
		paths[m.Authority()+m.Path()]++
		shares[m.Path()] |= 1 << m.Share
	}
	for _, want := range []string{"main-echo/Main$Echo/hello", "main-echo/Main$Echo/tell", "pb-echo/Pb$Echo/hello", "java.lang.string/java.lang.String"} {
		if paths[want] == 0 {
			t.Errorf("no %q in %v", want, paths)
		}
	}
	if paths["main-echo/Main$Echo/hello"] != 2 {
		t.Errorf("Java and Node differ: %v", paths)
	}
	if shares["/Main$Echo/hello"] != 1<<shareJava|1<<shareNode || shares["/Main$Echo/tell"] != 1<<shareJava || shares["/Pb$Echo/hello"] != 1<<shareJava {
		t.Errorf("connections are shared by %v", shares)
	}
}
