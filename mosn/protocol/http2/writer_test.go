package http2

import (
	"strings"
	"testing"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"sofamesh.io/sofamesh/sdk"
)

// TestWrittenRequests: what other protocols and filters leave in a head, and what
// becomes of it.
func TestWrittenRequests(t *testing.T) {
	const line = "HEADERS 1 :method=GET :scheme=http :path=/ :authority=h"
	for _, c := range []struct {
		name   string
		fields []string
		want   string
	}{
		{"order", []string{"x-a", "1", ":path", "/", ":authority", "h", "x-b", "2", ":method", "GET", ":scheme", "http"}, line + " x-a=1 x-b=2"},
		{"no scheme", []string{":method", "GET", ":path", "/", ":authority", "h"}, line},
		{"https", []string{":method", "GET", ":path", "/", ":authority", "h", ":scheme", "https"}, strings.Replace(line, "http ", "https ", 1)},
		{"no authority", []string{":method", "GET", ":path", "/"}, strings.TrimSuffix(line, " :authority=h")},
		{"host instead", []string{":method", "GET", ":path", "/", "host", "h"}, line},
		{"host as well", get("host", "x"), line},
		{"of a connection", get("connection", "keep-alive", "keep-alive", "5", "proxy-connection", "x", "transfer-encoding", "chunked", "upgrade", "h2c", "http2-settings", "AA", "a", "b"), line + " a=b"},
		{"nominated", get("connection", "X-A, te", "x-a", "1", "x-b", "2", "te", "trailers"), line + " x-b=2 te=trailers"},
		{"te", get("te", "gzip, trailers"), line + " te=trailers"},
		{"te without trailers", get("te", "gzip"), line},
		{"blanks", get("x", "\t a b "), line + " x=a b"},
		{"two content-lengths", get("content-length", "0", "content-length", "7"), line + " content-length=0"},
		{"cookie", get("cookie", "a=b; c=d"), line + " cookie=a=b; c=d"},
		{"a removed field", get("x", "y"), line + " x=y"},
	} {
		d := call(t, nil)
		m := message(c.fields...)
		m.Add("gone", "x")
		m.Remove("gone")
		if err := d.conn.WriteHeaders(&d.out, d.conn.NewStream(), m, true); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		want(t, c.name, d.wrote(), c.want+" end")
	}
}

func TestUnwritableRequests(t *testing.T) {
	for _, c := range []struct {
		name   string
		fields []string
		want   error
	}{
		{"no method", without(":method"), errWriteLine},
		{"method", with(":method", "G T"), errWriteLine},
		{"no path", without(":path"), errWriteLine},
		{"path", with(":path", "/a b"), errWriteLine},
		{"path with LF", with(":path", "/a\n"), errWriteLine},
		{"authority", with(":authority", "a b"), errWriteLine},
		{"scheme", with(":scheme", "a b"), errWriteLine},
		{"CONNECT to nowhere", []string{":method", "CONNECT"}, errWriteLine},
		{"name", get("x y", "1"), errWriteField},
		{"upper case", get("X", "1"), errWriteField},
		{"empty name", get("", "1"), errWriteField},
		{"pseudo-header", get(":x", "1"), errWriteField},
		{"LF", get("x", "a\nb"), errWriteField},
		{"NUL", get("x", "\x00"), errWriteField},
		{"content-length", get("content-length", "x"), errWriteLength},
		{"a megabyte", get("x", strings.Repeat("x", maxWritten)), errWriteLarge},
	} {
		d := call(t, nil)
		id := d.conn.NewStream()
		if err := d.conn.WriteHeaders(&d.out, id, message(c.fields...), true); err != c.want {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
		want(t, c.name, d.wrote(), "")
		d.conn.WriteReset(&d.out, id, sdk.ResetLocal)
		d.request(true, get("x", "y")...)
		want(t, c.name+", and then", d.wrote(), "HEADERS 3 :method=GET :scheme=http :path=/ :authority=h x=y end")
	}
	d := call(t, nil)
	first, second := d.conn.NewStream(), d.conn.NewStream()
	for i, c := range []struct {
		id   uint64
		want error
	}{{second, nil}, {first, errWriteOrder}, {second, nil}, {99, errWriteOrder}} {
		if err := d.conn.WriteHeaders(&d.out, c.id, message(get()...), true); err != c.want {
			t.Errorf("head %d: %v, want %v", i, err, c.want)
		}
	}
}

func TestWrittenResponses(t *testing.T) {
	d := serve(t, nil)
	for id := uint32(1); id < 20; id += 2 {
		d.feed(headers(id, end, get()...))
	}
	write := func(id uint64, end bool, fields ...string) error {
		return d.conn.WriteHeaders(&d.out, id, message(fields...), end)
	}
	for i, err := range []error{
		write(1, false, ":status", "100"),
		write(1, false, "link", "x", ":status", "103"),
		write(1, false, "connection", "close", ":status", "200", "host", "x", "x-a", "1"),
		write(3, true, ":status", "204"),
	} {
		if err != nil {
			t.Errorf("head %d: %v", i, err)
		}
	}
	want(t, "heads", d.wrote(), "HEADERS 1 :status=100\nHEADERS 1 :status=103 link=x\nHEADERS 1 :status=200 host=x x-a=1\nHEADERS 3 :status=204 end")
	for i, c := range []struct{ got, want error }{
		{write(1, true, ":status", "200"), errWriteOrder},
		{write(5, true, ":status", "20"), errWriteOrder},
		{write(5, true), errWriteOrder},
		{write(5, false, ":status", "101"), errWriteLine},
		{write(5, true, ":status", "100"), errWriteLine},
		{write(5, true, ":status", "200", "x\r", "y"), errWriteField},
		{write(21, true, ":status", "200"), errWriteOrder},
		{write(3, true, ":status", "200"), nil}, // it is over
	} {
		if c.got != c.want {
			t.Errorf("head %d: %v, want %v", i, c.got, c.want)
		}
	}
	want(t, "nothing of those", d.wrote(), "")

	d.conn.WriteTrailers(&d.out, 1, message("grpc-status", "0", "content-length", "5", ":status", "200", "host", "x", "connection", "x"))
	d.respond(7, false)
	d.conn.WriteTrailers(&d.out, 7, message("x", "a\nb"))
	d.respond(9, false)
	d.conn.WriteTrailers(&d.out, 9, message())
	d.conn.WriteTrailers(&d.out, 9, message("x", "y"))
	want(t, "trailers", d.wrote(), "HEADERS 1 grpc-status=0 end\nHEADERS 7 :status=200\nDATA 7 \"\" end\nHEADERS 9 :status=200\nDATA 9 \"\" end")

	for _, r := range []sdk.ResetReason{sdk.ResetLocal, sdk.ResetProtocol, sdk.ResetLocalRefused, sdk.ResetConnectError, sdk.ResetNone} {
		d.conn.WriteReset(&d.out, uint64(11+2*r), r)
		d.conn.WriteReset(&d.out, uint64(11+2*r), r)
	}
	d.conn.WriteReset(&d.out, 99, sdk.ResetLocal)
	want(t, "resets", d.wrote(), "RST_STREAM 13 2\nRST_STREAM 15 7\nRST_STREAM 11 0")
	if n := d.conn.WriteData(&d.out, 99, []byte("x"), true); n != 1 || d.wrote() != "" {
		t.Error("data for no stream")
	}
}

// TestLargeHeads: over several frames.
func TestLargeHeads(t *testing.T) {
	up := call(t, nil)
	down := drive(t, newConfigOf(t, sdk.Downstream, sdk.CodecOptions{MaxHeaderBytes: 200 << 10}))
	down.feed(clientHello())
	for _, size := range []int{10, 15000, 16384, 17000, 60000, 150_000} {
		value := strings.Repeat("v", size)
		up.request(true, get("x-large", value)...)
		got := down.feed(string(up.out.Bytes(nil)))
		up.out.Release()
		if !strings.HasSuffix(got, " x-large="+value+" end") {
			t.Errorf("%d bytes: %.200s", size, got)
		}
	}
}

// TestSensitive: what a client did not want to be remembered is sent on so.
func TestSensitive(t *testing.T) {
	d := serve(t, nil)
	block := fieldsOf(get()...) + "\x10\x03key\x06secret" + "\x00\x01a\x01b"
	up := call(t, nil)
	for i := range 4 {
		d.feed(raw(frameHeaders, end|flagEndHeaders, id(i), block))
		if err := up.conn.WriteHeaders(&up.out, up.conn.NewStream(), &d.msg, true); err != nil {
			t.Fatal(err)
		}
	}
	if p := string(up.out.Bytes(nil)); strings.Count(p, "\x10\x03key\x06secret") != 4 {
		t.Errorf("%q", p)
	}
}

func TestOptions(t *testing.T) {
	custom := func(pairs ...uint32) *corev3.Http2ProtocolOptions {
		o := &corev3.Http2ProtocolOptions{MaxConcurrentStreams: u32(50)}
		for i := 0; i < len(pairs); i += 2 {
			o.CustomSettingsParameters = append(o.CustomSettingsParameters, &corev3.Http2ProtocolOptions_SettingsParameter{Identifier: u32(pairs[i]), Value: u32(pairs[i+1])})
		}
		return o
	}
	for _, c := range []struct {
		name string
		pb   *corev3.Http2ProtocolOptions
		want string // an error, or what a server says first
	}{
		{"defaults", &corev3.Http2ProtocolOptions{}, "SETTINGS 0 1=4096 3=1024 4=16777216\nWINDOW_UPDATE 0 25100289"},
		{"all", &corev3.Http2ProtocolOptions{
			HpackTableSize: u32(0), MaxConcurrentStreams: u32(7), InitialStreamWindowSize: u32(70000), InitialConnectionWindowSize: u32(initialRoom), AllowConnect: true,
		}, "SETTINGS 0 8=1 1=0 3=7 4=70000"},
		{"custom", custom(6, 1000, 99, 5, 6, 1000), "SETTINGS 0 6=1000 99=5 1=4096 3=50 4=16777216\nWINDOW_UPDATE 0 25100289"},
		{"custom, of fields", custom(1, 100, 4, 100_000), "SETTINGS 0 1=100 3=50 4=100000\nWINDOW_UPDATE 0 25100289"},
		{"custom twice", custom(99, 1, 99, 2), "custom_settings_parameters[1].identifier"},
		{"custom and named", custom(3, 5), "custom_settings_parameters[0].identifier"},
		{"push", custom(2, 1), "custom_settings_parameters[0].identifier"},
		{"connect", custom(8, 1), "custom_settings_parameters[0].identifier"},
		{"no setting", custom(1<<16, 1), "custom_settings_parameters[0].identifier"},
		{"custom window", custom(4, 1), "custom_settings_parameters[0].value"},
		{"window", &corev3.Http2ProtocolOptions{InitialStreamWindowSize: u32(65534)}, "initial_stream_window_size"},
		{"large window", &corev3.Http2ProtocolOptions{InitialConnectionWindowSize: u32(1 << 31)}, "initial_connection_window_size"},
		{"no streams", &corev3.Http2ProtocolOptions{MaxConcurrentStreams: u32(0)}, "max_concurrent_streams"},
		{"a huge table", &corev3.Http2ProtocolOptions{HpackTableSize: u32(1 << 30)}, "hpack_table_size"},
		{"metadata", &corev3.Http2ProtocolOptions{AllowMetadata: true}, "allow_metadata"},
	} {
		d, err := tryDrive(t, c.pb)
		if err != nil {
			if !strings.Contains(err.Error(), c.want) {
				t.Errorf("%s: %v, want one at %s", c.name, err, c.want)
			}
			continue
		}
		d.conn.Flush(&d.out)
		want(t, c.name, d.wrote(), c.want)
	}
	if _, err := Codec().Compile(testCompiler(t), sdk.Downstream, sdk.CodecOptions{Proto: &corev3.Http1ProtocolOptions{}}); err == nil {
		t.Error("the options of http1 are fine")
	}
	for i, c := range []struct {
		o    sdk.CodecOptions
		want bool
	}{
		{sdk.CodecOptions{}, false},
		{sdk.CodecOptions{StreamErrorOnInvalid: true}, true},
		{sdk.CodecOptions{Proto: &corev3.Http2ProtocolOptions{StreamErrorOnInvalidHttpMessaging: true}}, true}, //nolint:staticcheck // deprecated, and in configurations all the same
		{sdk.CodecOptions{StreamErrorOnInvalid: true, Proto: &corev3.Http2ProtocolOptions{OverrideStreamErrorOnInvalidHttpMessage: wrapperspb.Bool(false)}}, false},
	} {
		if cfg := newConfigOf(t, sdk.Downstream, c.o); cfg.streamErrors != c.want {
			t.Errorf("options %d: stream errors %v", i, cfg.streamErrors)
		}
	}
	if cfg := newConfig(t, sdk.Downstream, nil); cfg.ReadLimit() != 9+16384 || cfg.Codec().Name != "http2" || cfg.Codec().Mode != sdk.Multiplexed {
		t.Error(cfg.ReadLimit(), cfg.Codec())
	}
}

// TestTableSizes: no table at all, both ways, and one that the peer makes smaller.
func TestTableSizes(t *testing.T) {
	none := &corev3.Http2ProtocolOptions{HpackTableSize: u32(0)}
	d := serve(t, none)
	want(t, "with the update", d.feed(raw(frameSettings, flagAck, 0, "")+raw(frameHeaders, end|flagEndHeaders, 1, "\x20"+fieldsOf(get()...))), "headers 1 :method=GET :scheme=http :path=/ :authority=h end")
	d = serve(t, none)
	d.feed(raw(frameHeaders, end|flagEndHeaders, 1, fieldsOf(get()...)+"\x40\x01a\x01b"))
	want(t, "a table that is too large now", d.feed(raw(frameSettings, flagAck, 0, "")+headers(3, end, get()...)), "error "+errCompression.fatal.Text)

	d = call(t, nil)
	d.dec.SetAllowedMaxDynamicTableSize(100)
	for range 3 {
		d.request(true, get("x-a", "some value", "x-b", "another")...)
	}
	d.feed(settings(settingTableSize, 100))
	for range 3 {
		d.request(true, get("x-a", "some value", "x-b", "another")...)
	}
	if got := d.wrote(); strings.Count(got, "x-a=some value x-b=another") != 6 {
		t.Error(got)
	}
}
