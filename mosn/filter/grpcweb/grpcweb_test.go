package grpcweb

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	webv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/grpc_web/v3"

	"sofamesh.io/sofamesh/sdk"
	"sofamesh.io/sofamesh/sdk/grpc"
	"sofamesh.io/sofamesh/sdk/sdktest"
)

func host(t testing.TB) *sdktest.Host {
	t.Helper()
	return sdktest.NewHost(t, Filter(), &webv3.GrpcWeb{})
}

func b64(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }

// frame is one message.
func frame(s string) string {
	p := grpc.Prefix(uint32(len(s)))
	return string(p[:]) + s
}

// request begins a call of gRPC-Web.
func request(h *sdktest.Host, content, accept string) *sdktest.Stream {
	s := h.Stream()
	s.SendRequest(false, ":path: /a.B/C", "content-type: "+content, "accept: "+accept, "content-length: 7")
	return s
}

func TestRequestHead(t *testing.T) {
	for content, web := range map[string]bool{
		binaryType: true, binaryProto: true, textType: true, textProto: true,
		binaryType + "+json": false, binaryType + "; charset=utf-8": false, "application/grpc": false, "Application/grpc-web": false, "": false,
	} {
		s := request(host(t), content, "")
		want := []string{":path: /a.B/C", "content-type: application/grpc", "accept: ", "te: trailers", "grpc-accept-encoding: identity"}
		if !web {
			want = []string{":path: /a.B/C", "content-type: " + content, "accept: ", "content-length: 7"}
		}
		if !slices.Equal(s.ToServer.Head, want) {
			t.Errorf("%q: %q", content, s.ToServer.Head)
		}
	}
	s := host(t).Stream()
	s.SendRequest(true, ":path: /a.B/C", "content-type: "+binaryType, "te: gzip", "grpc-accept-encoding: gzip")
	if s.ToServer.Value("te") != "trailers" || s.ToServer.Value("grpc-accept-encoding") != "gzip" {
		t.Errorf("%q", s.ToServer.Head)
	}
}

// TestTextRequest cuts text anywhere; each message may be padded for itself.
func TestTextRequest(t *testing.T) {
	plain := frame("hello") + frame("") + frame("gRPC-Web!")
	for _, text := range []string{b64(plain), b64(frame("hello")) + b64(frame("")) + b64(frame("gRPC-Web!"))} {
		for size := 1; size <= len(text); size++ {
			s := request(host(t), textType, textType)
			for rest := text; rest != ""; {
				n := min(size, len(rest))
				s.SendRequestData(rest[:n], n == len(rest))
				rest = rest[n:]
			}
			if s.ToServer.Body != plain || !s.ToServer.Ended || len(s.Replies) > 0 {
				t.Fatalf("pieces of %d: %q, %v", size, s.ToServer.Body, s.Replies)
			}
		}
	}
	s := request(host(t), textProto, "")
	s.SendRequestData("", true)
	if s.ToServer.Body != "" || !s.ToServer.Ended {
		t.Errorf("an empty body: %+v", s.ToServer)
	}
	s = request(host(t), binaryProto, textType)
	s.SendRequestData(plain, true)
	if s.ToServer.Body != plain {
		t.Errorf("binary: %q", s.ToServer.Body)
	}
}

func TestBadText(t *testing.T) {
	const size, data = "grpc_base_64_decode_failed_bad_size", "grpc_base_64_decode_failed"
	for _, c := range []struct {
		pieces   []string
		trailers bool
		details  string
	}{
		{[]string{"AAA"}, false, size},
		{[]string{"AAAA", "AA"}, false, size},
		{[]string{"AAAAA"}, true, size},
		{[]string{"AA*A"}, false, data},
		{[]string{"AA\nAA=="}, false, data},
		{[]string{"A===", ""}, false, data},
		{[]string{"====", ""}, false, data},
		{[]string{"AA=A"}, false, data},
		{[]string{"AB==", ""}, false, data}, // bits that say nothing
		{[]string{"AAB=", ""}, false, data},
		{[]string{"A-_A"}, false, data}, // that is base64url
	} {
		s := request(host(t), textType, textType)
		for i, p := range c.pieces {
			s.SendRequestData(p, i == len(c.pieces)-1 && !c.trailers)
		}
		if c.trailers {
			s.SendRequestTrailers("x: y")
		}
		want := sdk.Reply{Status: 400, Body: badBase64, Details: c.details}
		if len(s.Replies) != 1 || s.Replies[0].Status != want.Status || s.Replies[0].Body != want.Body || s.Replies[0].Details != want.Details {
			t.Errorf("%q: %+v", c.pieces, s.Replies)
		}
		if s.ToServer.Ended {
			t.Errorf("%q: the request went on to its end", c.pieces)
		}
	}
}

const trailersFrame = "\x80\x00\x00\x00\x20grpc-status:0\r\ngrpc-message:ok\r\n"

func TestResponses(t *testing.T) {
	body := []string{frame("hello")[:3], frame("hello")[3:] + frame("x")[:2], frame("x")[2:] + frame("")}
	all := strings.Join(body, "")
	for _, c := range []struct {
		name, accept, content, wantType, want string
	}{
		{"binary", "", "application/grpc", binaryProto, all + trailersFrame},
		{"binary of gRPC-Web", "*/*", "application/grpc-web; x=y", binaryProto, all + trailersFrame},
		{"text", textType, "application/grpc+proto", textProto, b64(frame("hello")) + b64(frame("x")) + b64(frame("")) + b64(trailersFrame)},
		{"text of gRPC-Web", textProto, "Application/GRPC-Web+proto", textProto, b64(frame("hello")) + b64(frame("x")) + b64(frame("")) + b64(trailersFrame)},
	} {
		s := request(host(t), binaryType, c.accept)
		s.SendResponse(false, ":status: 200", "content-type: "+c.content, "content-length: 99", "x: y")
		for _, p := range body {
			s.SendResponseData(p, false)
		}
		if s.ToClient.Ended || len(s.ToClient.Body) < len(all) {
			t.Errorf("%s: messages are held: %+v", c.name, s.ToClient)
		}
		s.SendResponseTrailers("grpc-status: 0", "grpc-message: ok")
		o := s.ToClient
		if !slices.Equal(o.Head, []string{":status: 200", "content-type: " + c.wantType, "x: y"}) || o.Body != c.want || o.Trailers != nil || !o.Ended {
			t.Errorf("%s: %+v, want body %q", c.name, o, c.want)
		}
	}
}

// TestCutOff: a response that ends within a message, with trailers or without.
func TestCutOff(t *testing.T) {
	for _, trailers := range []bool{false, true} {
		s := request(host(t), textType, textType)
		s.SendResponse(false, ":status: 200", "content-type: application/grpc")
		part := frame("hello")[:7]
		s.SendResponseData(part, !trailers)
		want := b64(part)
		if trailers {
			s.SendResponseTrailers("grpc-status: 0", "grpc-message: ok")
			want += b64(trailersFrame)
		}
		if s.ToClient.Body != want || !s.ToClient.Ended {
			t.Errorf("%+v, want %q", s.ToClient, want)
		}
	}
}

// TestForeignResponses: what is not gRPC, such as our own replies, becomes a message.
func TestForeignResponses(t *testing.T) {
	long := strings.Repeat("a%", maxMessage)
	for _, c := range []struct {
		name     string
		status   string
		head     string
		body     []string
		trailers bool
		want     []string // after :status and content-type
	}{
		{"local reply", "503", "content-type: text/plain", []string{"no healthy upstream"}, false,
			[]string{"grpc-message: no healthy upstream", "grpc-status: 14", "content-length: 0"}},
		{"gRPC's type with an error", "404", "content-type: application/grpc", []string{"a\n", "b"}, false,
			[]string{"grpc-message: a%0Ab", "grpc-status: 12", "content-length: 0"}},
		{"gRPC-Web's type with an error", "403", "content-type: application/grpc-web", []string{"", "x"}, false,
			[]string{"grpc-message: x", "grpc-status: 7", "content-length: 0"}},
		{"trailers", "200", "content-type: text/html", []string{"page"}, true,
			[]string{"grpc-message: page", "grpc-status: 2", "content-length: 0"}},
		{"too long", "500", "content-type: text/plain", []string{long[:100], long[100:], long}, false,
			[]string{"grpc-message: " + strings.ReplaceAll(long[:maxMessage], "%", "%25"), "grpc-status: 2", "content-length: 0"}},
	} {
		s := request(host(t), textType, textType)
		s.SendResponse(false, ":status: "+c.status, c.head)
		for i, p := range c.body {
			s.SendResponseData(p, i == len(c.body)-1 && !c.trailers)
		}
		if c.trailers {
			s.SendResponseTrailers("x: y")
		}
		want := append([]string{":status: " + c.status, "content-type: " + textProto}, c.want...)
		if !slices.Equal(s.ToClient.Head, want) || s.ToClient.Body != "" || !s.ToClient.Ended || (s.ToClient.Trailer("x") == "y") != c.trailers {
			t.Errorf("%s: %.300s", c.name, fmt.Sprint(s.ToClient))
		}
	}
	for _, head := range []string{"grpc-status: 5", "x: y"} { // a head alone passes as it is
		s := request(host(t), binaryType, "")
		s.SendResponse(true, ":status: 200", "content-type: application/grpc", head)
		if !slices.Equal(s.ToClient.Head, []string{":status: 200", "content-type: " + binaryProto, head}) || !s.ToClient.Ended {
			t.Errorf("%q", s.ToClient.Head)
		}
	}
}

func TestOthersPass(t *testing.T) {
	s := request(host(t), "application/grpc", textType)
	s.SendRequestData("***", true)
	s.SendResponse(false, ":status: 200", "content-type: text/plain")
	s.SendResponseData("body", false)
	s.SendResponseTrailers("grpc-status: 0")
	if s.ToServer.Body != "***" || s.ToClient.Body != "body" || s.ToClient.Trailer("grpc-status") != "0" || s.ToClient.Value("content-type") != "text/plain" {
		t.Errorf("%+v, %+v", s.ToServer, s.ToClient)
	}
}

func TestStats(t *testing.T) {
	h := host(t)
	for _, status := range []string{"0", "13"} {
		s := request(h, binaryType, "")
		s.SendResponse(false, ":status: 200", "content-type: application/grpc")
		s.SendResponseTrailers("grpc-status: " + status)
		s.End()
	}
	s := request(h, binaryType, "")
	s.SendResponse(true, ":status: 200", "grpc-status: 0")
	for name, want := range map[string]uint64{"0": 2, "13": 1, "success": 2, "failure": 1, "total": 3} {
		if got := h.Counted("cluster.c.grpc-web.a.B.C." + name); got != want {
			t.Errorf("%s = %d, want %d", name, got, want)
		}
	}
}

// TestBase64 compares with the standard library, over pieces and chunks of any size.
func TestBase64(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 4))
	pool := sdk.NewBufferPool(16)
	for range 100 {
		var plain []byte
		for range rnd.IntN(5) {
			msg := make([]byte, rnd.IntN(4)*rnd.IntN(3000))
			for i := range msg {
				msg[i] = byte(rnd.Uint32())
			}
			plain = append(plain, frame(string(msg))...)
		}
		var e encoder
		var d decoder
		var b sdk.Buffer
		b.Init(pool)
		var text, back []byte
		for rest := plain; len(rest) > 0; {
			n := 1 + rnd.IntN(len(rest))
			b.Append(rest[:n])
			e.encodeMessages(&b)
			text, rest = b.Bytes(text), rest[n:]
			b.Release()
		}
		for rest := text; len(rest) > 0; {
			n := 1 + rnd.IntN(len(rest))
			b.Append(rest[:n])
			if !d.decode(&b) {
				t.Fatal("our own text is refused")
			}
			back, rest = b.Bytes(back), rest[n:]
			b.Release()
		}
		if e.n != 0 || !d.whole() || !bytes.Equal(back, plain) {
			t.Fatalf("%d bytes come back as %d", len(plain), len(back))
		}
		var f grpc.Frames
		want := ""
		for rest := plain; len(rest) > 0; {
			n, _ := f.Next(rest)
			want, rest = want+b64(string(rest[:n])), rest[n:]
		}
		if string(text) != want {
			t.Fatal("not the text that the standard library makes of each message")
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add("AAAAAAVoZWxsbw==AAAAAAA=", uint8(3))
	f.Add("AB==", uint8(1))
	pool := sdk.NewBufferPool(16)
	f.Fuzz(func(t *testing.T, text string, size uint8) {
		var want []byte
		ok := len(text)%4 == 0 && !strings.ContainsAny(text, "\r\n")
		for i := 0; ok && i < len(text); i += 4 {
			group, err := base64.StdEncoding.Strict().DecodeString(text[i : i+4])
			want, ok = append(want, group...), err == nil
		}
		var d decoder
		var b sdk.Buffer
		b.Init(pool)
		defer b.Release()
		var got []byte
		good := true
		for rest := text; rest != "" && good; {
			n := min(1+int(size), len(rest))
			b.AppendString(rest[:n])
			good = d.decode(&b)
			got, rest = b.Bytes(got), rest[n:]
			b.Release()
		}
		if good = good && d.whole(); good != ok || ok && !bytes.Equal(got, want) {
			t.Fatalf("%q: %v %q, want %v %q", text, good, got, ok, want)
		}
	})
}

func TestAllocs(t *testing.T) {
	h := host(t)
	s := request(h, textType, textType)
	var b sdk.Buffer
	b.Init(sdk.NewBufferPool(8))
	body := frame(strings.Repeat("x", 1000))
	text := b64(body)
	run := func() {
		f := s.Again()
		s.Request().SetID(sdk.HeaderContentType, textType)
		f.OnRequestHeaders(s, false)
		b.AppendString(text)
		f.OnRequestData(s, &b, true)
		b.Release()
		s.Response().Reset()
		s.Response().AddID(sdk.HeaderStatus, "200")
		s.Response().AddID(sdk.HeaderContentType, grpc.ContentType)
		f.OnResponseHeaders(s, false)
		b.AppendString(body)
		f.OnResponseData(s, &b, false)
		b.Release()
	}
	run()
	if n := testing.AllocsPerRun(100, run); n > 0 {
		t.Errorf("%v allocations a call", n)
	}
}

func BenchmarkText(b *testing.B) {
	var buf sdk.Buffer
	buf.Init(sdk.NewBufferPool(8))
	body := frame(strings.Repeat("x", 4096))
	var e encoder
	var d decoder
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		buf.AppendString(body)
		e.encodeMessages(&buf)
		d.decode(&buf)
		buf.Release()
	}
}
