package framecodec

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"sofamesh.io/sofamesh/sdk"
	"sofamesh.io/sofamesh/sdk/codectest"
)

// read returns the transcript of one side.
func read(tb testing.TB, p Protocol, side sdk.Side, in []byte) string {
	tb.Helper()
	if side == sdk.Downstream {
		s := frames(p).Clients(tb)
		s.Splits(tb, in[:min(len(in), 4000)])
		return s.Read(tb, in)
	}
	s, _ := frames(p).Servers(tb, 2) // the ids are 1 and 2
	s.Splits(tb, in[:min(len(in), 4000)])
	return s.Read(tb, in)
}

// TestReading: what comes of frames, on either side.
func TestReading(t *testing.T) {
	grouped := call(1, "x")
	grouped.texts = []string{"com.acme.Hello", "sayHi", "Blue", "2.0"}
	oneWay := call(8, "x", "refuse", "")
	oneWay.kind = OneWay
	failed := answer(2, "text")
	failed.mark = 50
	odd := answer(2, "text")
	odd.mark = 1
	for _, c := range []struct {
		name string
		side sdk.Side
		in   []byte
		want []string // parts of the transcript
	}{
		{"request", sdk.Downstream, join(call(8, "x")), []string{
			`headers 1048576 RPC timeout=3s :method="POST" :authority="com.acme.hello" :path="/com.acme.Hello/sayHi" content-length="1"`, "data 1048576 \"x\"\nend"}},
		{"group and version", sdk.Downstream, join(grouped), []string{
			`:authority="g-blue.v-2-0.com.acme.hello" :path="/com.acme.Hello/sayHi" x-rpc-version="2.0" x-rpc-group="Blue"`}},
		{"headers", sdk.Downstream, join(call(8, "", "App", "x", ":path", "/evil", "X-Envoy-Internal", "true", "a b", "", "crlf", "a\r\nb", "Host", "h")), []string{
			`:path="/com.acme.Hello/sayHi" app="x" crlf="a??b" content-length="0" frame`}},
		{"refused by Read", sdk.Downstream, join(call(8, "body", "refuse", "it"), call(9, "x")), []string{
			"refused 1048576 400 tp.malformed: tp: as it wants", "headers 2097153", "\"x\""}},
		{"one-way, refused", sdk.Downstream, join(oneWay), []string{"refused 2097151 400 tp.malformed"}},
		{"response from a client", sdk.Downstream, join(answer(1, "x"), call(2, "y")), []string{"dropped 0\nheaders", "\"y\""}},
		{"go away of a client", sdk.Downstream, join(frame{kind: GoAway}), []string{""}},
		{"responses out of order", sdk.Upstream, join(answer(2, "x"), answer(1, "y")), []string{"data 2097153 \"x\"", "data 1048576 \"y\""}},
		{"response", sdk.Upstream, join(answer(1, "x", "k", "v")), []string{`headers 1048576 RPC :status="200" k="v" content-length="1"`}},
		{"error", sdk.Upstream, join(failed), []string{`:status="500"`}},
		{"status that is none", sdk.Upstream, join(odd), []string{`:status="500"`}},
		{"response that Read refuses", sdk.Upstream, join(answer(1, "x", "refuse", ""), answer(2, "y")), []string{"reset 1048576\nend 1048576\nheaders", "\"y\""}},
		{"reverse request", sdk.Upstream, join(call(5, "x"), answer(1, "y")), []string{"dropped 0\nheaders", "\"y\"", fmt.Sprintf("said %x", "tp\x02\x28")}},
		{"kind 9", sdk.Downstream, join(frame{kind: 9}), []string{"error 0 tp.kind"}},
		{"no kind", sdk.Upstream, join(frame{}), []string{"error 0 tp.kind"}},
		{"another protocol", sdk.Downstream, []byte("GET / HTTP/1.1\r\n"), []string{"error 0 tp.malformed: tp: no magic"}},
		{"cut off", sdk.Downstream, join(call(1, "xyz"))[:30], []string{"error 0 tp.cut_off"}},
		{"cut off in the content", sdk.Downstream, join(call(1, "xyz"))[:fixedPart+24], []string{"headers", "error 0 tp.cut_off"}},
	} {
		got := read(t, tp(), c.side, c.in)
		for _, want := range c.want {
			if !strings.Contains(got, want) {
				t.Errorf("%s:\n%s\nhas no %q", c.name, got, want)
			}
		}
	}
}

// TestIdentity: what cannot stand in a path is no service, and no answer but ours is
// made for it.
func TestIdentity(t *testing.T) {
	for _, texts := range [][]string{
		{"", "m", "", ""}, {"s", "", "", ""}, {"a/b", "m", "", ""}, {"s", "m?x", "", ""}, {"s", "%2e", "", ""}, {"s s", "m", "", ""},
		{"s", "m", "g\n", ""}, {"s", "m", "", "1 0"}, {"s\r\nx: y", "m", "", ""},
	} {
		if got := read(t, tp(), sdk.Downstream, join(frame{kind: Request, id: 1, texts: texts})); !strings.HasPrefix(got, "refused 1048576 400 tp.invalid_target") {
			t.Errorf("%q: %s", texts, got)
		}
	}
	light := tp()
	light.Level = sdk.Light
	got := read(t, light, sdk.Downstream, join(frame{kind: Request, id: 1, texts: []string{"a/b", "", "", "", ":path", "x", "k", "v"}}))
	if !strings.HasPrefix(got, `headers 1048576 RPC :method="POST" :authority="tp" :path="/" content-length="0" frame`) {
		t.Errorf("light: %s", got)
	}
}

// TestLimits: each is told from the fixed part, before anything is waited for.
func TestLimits(t *testing.T) {
	p := tp()
	p.Limits = Limits{Frame: 1000, Head: 100, Headers: 3, Streams: 2}
	with := func(at int, v ...byte) []byte {
		q := call(1, "").bytes()[:fixedPart]
		copy(q[at:], v)
		return q
	}
	for name, c := range map[string]struct {
		in  []byte
		err string
	}{
		"frame":         {with(18, 0, 0, 4, 0), "error 0 tp.frame_too_large"},
		"4 GB":          {with(18, 0xff, 0xff, 0xff, 0xf0), "error 0 tp.lengths"}, // a negative number to this protocol
		"head":          {with(16, 0, 200), "error 0 tp.head_too_large"},
		"headers":       {join(call(1, "", "a", "", "b", "", "c", "", "d", "")), "refused 1048576 400 tp.too_many_headers"},
		"open requests": {join(call(1, ""), call(2, ""), call(3, "")), "error 0 tp.too_many_requests"},
	} {
		if got := read(t, p, sdk.Downstream, c.in); !strings.Contains(got, c.err) {
			t.Errorf("%s: no %q in\n%s", name, c.err, got)
		}
	}
	for name, c := range map[string]struct {
		cut func([]byte) (int, int, error)
		err string
	}{
		"negative":   {func([]byte) (int, int, error) { return -1, 5, nil }, "tp.lengths"},
		"no head":    {func([]byte) (int, int, error) { return 0, 5, nil }, "tp.lengths"},
		"long head":  {func([]byte) (int, int, error) { return 6, 5, nil }, "tp.lengths"},
		"never":      {func([]byte) (int, int, error) { return 0, 0, nil }, "tp.head_too_large"},
		"overflowed": {func([]byte) (int, int, error) { return 5, -1 << 63, nil }, "tp.lengths"},
		"refusing":   {func([]byte) (int, int, error) { return 0, 0, Refuse("no") }, "error 400 tp.malformed"},
	} {
		q := p
		q.Cut = c.cut
		s := codectest.Suite{New: func() sdk.CodecConn { down, _ := ends(t, q); return down.New() }}
		if got := s.Read(t, make([]byte, 101)); !strings.Contains(got, c.err) {
			t.Errorf("%s: no %q in\n%s", name, c.err, got)
		}
	}
}

// TestBigFramesPass: content is handed on as it arrives.
func TestBigFramesPass(t *testing.T) {
	down, up := ends(t, tp())
	d, u, out := down.New(), up.New(), buffer()
	in := call(3, strings.Repeat("0123456789", 100000)).bytes()
	ev, n := next(t, d, in[:1000])
	stream := u.NewStream()
	if err := u.WriteHeaders(out, stream, ev.Msg, ev.End); err != nil {
		t.Fatal(err)
	}
	for n < len(in) {
		ev, k := next(t, d, in[n:min(len(in), n+1000)])
		if n += k; ev.Kind != sdk.EventData || u.WriteData(out, stream, ev.Data, ev.End) != k || out.Len() != n {
			t.Fatalf("of %d bytes %d are handed on", n, out.Len())
		}
	}
	want := bytes.Clone(in)
	tp().SetID(want, 1)
	if got := take(out); !bytes.Equal(got, want) {
		t.Error("another frame came out")
	}
}

// TestRefusedIsWhole: a refused request leaves nothing behind, even as the last one.
func TestRefusedIsWhole(t *testing.T) {
	down, _ := ends(t, tp())
	c := down.New()
	in := call(1, "", "refuse", "").bytes()
	ev := sdk.Event{Msg: new(sdk.Message)}
	if n, err := c.Decode(in[:30], &ev); n != 0 || err != nil {
		t.Fatal(n, err)
	}
	if n, err := c.Decode(in, &ev); n != len(in) || err == nil || ev.Stream == 0 {
		t.Fatal(n, err)
	}
	if err := c.EOF(&ev); err != nil {
		t.Error(err)
	}
}

// TestTable holds the table against a map.
func TestTable(t *testing.T) {
	tab := table{seed: 0x9e3779b97f4a7c15}
	model := map[uint64]uint64{}
	rnd := rand.New(rand.NewPCG(1, 2))
	for i := range 200000 {
		id := rnd.Uint64N(300) * (1 + rnd.Uint64N(2)<<40)
		if stream, ok := model[id]; ok {
			o := tab.find(stream)
			if o == nil || o.ID != id {
				t.Fatalf("step %d: stream %d of %d is not found", i, stream, id)
			}
			tab.remove(o)
			if tab.find(stream) != nil {
				t.Fatalf("step %d: stream %d is found after its end", i, stream)
			}
			delete(model, id)
		} else if len(model) < 200 {
			model[id] = tab.add(id, Asked{ID: id})
		}
		probe := rnd.Uint64N(300)
		if o := tab.get(probe); (o != nil) != (model[probe] != 0) || o != nil && o.stream != model[probe] {
			t.Fatalf("step %d: %d is %v, want stream %d", i, probe, o, model[probe])
		}
	}
	for _, stream := range model {
		tab.remove(tab.find(stream))
	}
	if tab.used != 0 || tab.slots != nil {
		t.Errorf("%d are left, %d slots are kept", tab.used, len(tab.slots))
	}
}
