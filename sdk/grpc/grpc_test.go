package grpc

import (
	"bytes"
	"math/rand/v2"
	"net/url"
	"strings"
	"testing"
	"time"

	"sofamesh.io/sofamesh/sdk"
)

func head(lines ...string) *sdk.Headers {
	h := &sdk.Headers{}
	for _, l := range lines {
		i := strings.Index(l[1:], ":") + 1
		h.Add(l[:i], strings.TrimSpace(l[i+1:]))
	}
	return h
}

func TestContentType(t *testing.T) {
	for ct, want := range map[string]bool{
		"application/grpc": true, "application/grpc+proto": true, "application/grpc+": true,
		"": false, "application/grp": false, "application/grpc-web": false, "application/grpc;x": false, "Application/grpc": false,
	} {
		if got := IsRequest(head(":path: /a/b", "content-type: "+ct)); got != want {
			t.Errorf("request %q: %v", ct, got)
		}
		if got := IsResponse(head(":status: 200", "content-type: "+ct), false); got != want {
			t.Errorf("response %q: %v", ct, got)
		}
	}
	if IsRequest(head("content-type: application/grpc")) {
		t.Error("a call without a path")
	}
	if IsResponse(head(":status: 503", "content-type: application/grpc"), false) {
		t.Error("an answer with 503")
	}
	if !IsResponse(head(":status: 503", "grpc-status: 0"), true) || IsResponse(head(":status: 200"), true) {
		t.Error("trailers-only is told by its status alone")
	}
}

func TestMethod(t *testing.T) {
	for path, want := range map[string]string{
		"/a.B/C": "a.B C", "/a.B/C?x=/": "a.B C", "a/b": "a b", "//a//b//": "a b", "/a/b/": "a b",
	} {
		if service, method, ok := Method(path); !ok || service+" "+method != want {
			t.Errorf("%s: %q %q %v", path, service, method, ok)
		}
	}
	for _, path := range []string{"", "/", "/a", "/a/", "/a/b/c", "/a?/b"} {
		if service, method, ok := Method(path); ok {
			t.Errorf("%q: %q %q", path, service, method)
		}
	}
}

func TestEndOf(t *testing.T) {
	with := func(status string) *sdk.Headers {
		h := &sdk.Headers{}
		if status != "" {
			h.Add("grpc-status", status)
		}
		return h
	}
	for _, c := range []struct {
		response, trailers *sdk.Headers
		status             int
		code               int64
		ok                 bool
	}{
		{with("1"), with("2"), 200, 2, true},
		{with("1"), with(""), 200, 1, true},
		{with("1"), nil, 0, 1, true},
		{nil, with("99"), 200, 99, true},
		{nil, with("x"), 200, -1, true},
		{with(""), with(""), 503, Unavailable, true},
		{nil, nil, 0, 0, false},
	} {
		if code, ok := EndOf(c.response, c.trailers, c.status); code != c.code || ok != c.ok {
			t.Errorf("%+v: %d, %v", c, code, ok)
		}
	}
}

// TestStatusOfHTTP is the table of gRPC's http-grpc-status-mapping.md.
func TestStatusOfHTTP(t *testing.T) {
	for code, want := range map[int]int{
		400: Internal, 401: Unauthenticated, 403: PermissionDenied, 404: Unimplemented, 429: Unavailable,
		502: Unavailable, 503: Unavailable, 504: Unavailable, 200: Unknown, 204: Unknown, 408: Unknown, 500: Unknown, 0: Unknown,
	} {
		if got := StatusOfHTTP(code); got != want {
			t.Errorf("%d: %d, want %d", code, got, want)
		}
	}
}

// TestServerFailed is Envoy's Grpc::Utility::grpcToHttpStatus, where it gives 5xx.
func TestServerFailed(t *testing.T) {
	failed := map[string]bool{
		"2": true, "4": true, "12": true, "13": true, "14": true, "15": true, "17": true, "x": true, "": true, "00": true, "100": true,
		"0": false, "1": false, "3": false, "5": false, "6": false, "7": false, "8": false, "9": false, "10": false, "11": false, "16": false,
	}
	for status, want := range failed {
		if got := ServerFailed(head("grpc-status: " + status)); got != want {
			t.Errorf("%q: %v", status, got)
		}
	}
	if !ServerFailed(head()) {
		t.Error("no status")
	}
}

func TestEncodeMessage(t *testing.T) {
	for in, want := range map[string]string{
		"": "", "plain ~text": "plain ~text", "100%": "100%25", "a\r\nb": "a%0D%0Ab", "ü\x7f": "%C3%BC%7F", "\x00x": "%00x",
	} {
		got := EncodeMessage(in)
		if got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
		if back, err := url.PathUnescape(got); err != nil || back != in {
			t.Errorf("%q comes back as %q, %v", in, back, err)
		}
	}
}

func TestTimeout(t *testing.T) {
	for v, want := range map[string]time.Duration{
		"1H": time.Hour, "2M": 2 * time.Minute, "3S": 3 * time.Second, "4m": 4 * time.Millisecond,
		"1u": time.Millisecond, "1001u": 2 * time.Millisecond, "1n": time.Millisecond, "0n": 0,
		"99999999H": maxTimeout, "99999999M": maxTimeout, "99999999S": 99999999 * time.Second,
	} {
		if got, ok := Timeout(head("grpc-timeout: " + v)); !ok || got != want {
			t.Errorf("%s: %v %v, want %v", v, got, ok, want)
		}
	}
	for _, v := range []string{"", "1", "H", "1h", "1s", "-1S", "1 S", "123456789S", "1.5S"} {
		if got, ok := Timeout(head("grpc-timeout: " + v)); ok || got != 0 {
			t.Errorf("%q: %v", v, got)
		}
	}
}

func TestSetTimeout(t *testing.T) {
	for _, c := range []struct {
		before string
		d      time.Duration
		want   string
	}{
		{"", 1500 * time.Millisecond, "1500m"},
		{"", 0, "0m"},
		{"", 99_999_999 * time.Millisecond, "99999999m"},
		{"", 100_000_000 * time.Millisecond, "100000S"},
		{"", 99_999_999 * time.Second, "99999999S"},
		{"", 100_000_000 * time.Second, "1666666M"},
		{"", 190 * 365 * 24 * time.Hour, "99864000M"},
		{"", 292 * 365 * 24 * time.Hour, "2557920H"},
		{"5S", 5 * time.Second, "5S"},
		{"5S", 5*time.Second + 999*time.Microsecond, "5S"},
		{"5S", 5*time.Second - time.Millisecond, "4999m"},
		{"bad", 5 * time.Second, "5000m"},
		{"1u", time.Millisecond, "1u"},
	} {
		h := head()
		if c.before != "" {
			h.Add("grpc-timeout", c.before)
		}
		SetTimeout(h, c.d)
		if got := h.Value("grpc-timeout"); got != c.want {
			t.Errorf("%q set to %v: %s, want %s", c.before, c.d, got, c.want)
		}
	}
}

// body makes messages of the given lengths.
func body(lengths ...int) []byte {
	var out []byte
	for i, n := range lengths {
		p := Prefix(uint32(n))
		p[0] = byte(i & 1) // compressed, or not
		out = append(append(out, p[:]...), bytes.Repeat([]byte{0xff}, n)...)
	}
	return out
}

// TestFrames cuts bodies anywhere, and finds all ends of messages and nothing else.
func TestFrames(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		var lengths []int
		var ends []int
		at := 0
		for range rnd.IntN(8) {
			n := rnd.IntN(4) * rnd.IntN(300)
			lengths, at = append(lengths, n), at+PrefixSize+n
			ends = append(ends, at)
		}
		all := body(lengths...)
		var f Frames
		var got []int
		for at, rest := 0, all; len(rest) > 0; {
			piece := rest[:1+rnd.IntN(min(len(rest), 40))]
			n, end := f.Next(piece)
			if n == 0 || n > len(piece) || n < len(piece) && !end {
				t.Fatalf("took %d of %d, end %v", n, len(piece), end)
			}
			at, rest = at+n, rest[n:]
			if end {
				got = append(got, at)
			}
		}
		if len(got) != len(ends) || f.Begun != uint64(len(ends)) {
			t.Fatalf("%d ends, %d begun, want %d", len(got), f.Begun, len(ends))
		}
		for i := range ends {
			if got[i] != ends[i] {
				t.Fatalf("ends at %v, want %v", got, ends)
			}
		}
	}
}

func TestCount(t *testing.T) {
	var b sdk.Buffer
	b.Init(sdk.NewBufferPool(8))
	var f Frames
	// A message counts from its first byte on, so the last one does; its length is hostile.
	all := append(body(3, 0, 2*sdk.ChunkSize, 1), 0, 0xff, 0xff, 0xff, 0xff, 'x')
	b.Append(all)
	if n := f.Count(&b); n != 5 {
		t.Errorf("%d messages, want 5", n)
	}
	if n := f.Count(&b); n != 0 || f.Begun != 5 {
		t.Errorf("%d further messages within one of 4 GB", n)
	}
	if n := testing.AllocsPerRun(100, func() { f.Count(&b) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkCount(b *testing.B) {
	var buf sdk.Buffer
	buf.Init(sdk.NewBufferPool(8))
	buf.Append(body(100, 100, 100, 100))
	b.ReportAllocs()
	var f Frames
	for b.Loop() {
		f.Count(&buf)
	}
}
