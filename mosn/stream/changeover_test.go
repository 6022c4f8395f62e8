package stream

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"sofamesh.io/sofamesh/mosn/eventloop/looptest"
	http1codec "sofamesh.io/sofamesh/mosn/protocol/http1"
	http2codec "sofamesh.io/sofamesh/mosn/protocol/http2"
	"sofamesh.io/sofamesh/sdk"
)

// withHTTP2 has connections speak HTTP/1, which may change over, or HTTP/2.
func withHTTP2(o setup) setup {
	edit := o.edit
	o.edit = func(cfg *Config) {
		cfg.Codecs = nil
		for _, codec := range []*sdk.Codec{http1codec.Codec(), http2codec.Codec()} {
			cc, err := codec.Compile(nil, sdk.Downstream, sdk.CodecOptions{KeepH2C: true})
			if err != nil {
				panic(err)
			}
			cfg.Codecs = append(cfg.Codecs, cc)
		}
		if edit != nil {
			edit(cfg)
		}
	}
	return o
}

// h2peer is a client of HTTP/2.
type h2peer struct {
	*looptest.Peer
	w   *world
	enc bytes.Buffer
	dec *hpack.Decoder
}

func (w *world) h2(p *looptest.Peer) *h2peer {
	return &h2peer{Peer: p, w: w, dec: hpack.NewDecoder(4096, nil)}
}

// write sends what f writes, and settles.
func (p *h2peer) write(f func(*http2.Framer)) {
	var b bytes.Buffer
	f(http2.NewFramer(&b, nil))
	p.SendBytes(b.Bytes())
	p.w.Settle()
}

// block compresses fields, given as name, value ...
func (p *h2peer) block(fields ...string) []byte {
	p.enc.Reset()
	e := hpack.NewEncoder(&p.enc)
	for i := 0; i < len(fields); i += 2 {
		_ = e.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]})
	}
	return p.enc.Bytes()
}

// ask opens a stream with a GET, or with a POST whose body follows.
func (p *h2peer) ask(id uint32, method, path string) {
	p.write(func(f *http2.Framer) {
		_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: id, EndHeaders: true, EndStream: method == "GET",
			BlockFragment: p.block(":method", method, ":scheme", "http", ":authority", "a", ":path", path)})
	})
}

// frames shows the frames that have come: "1 head 200 end; 1 data \"ok\"; goaway 1".
func (p *h2peer) frames(t *testing.T) string { return p.shown(t, p.Received()) }

func (p *h2peer) shown(t *testing.T, received string) string {
	t.Helper()
	var out []string
	f := http2.NewFramer(nil, strings.NewReader(received))
	for {
		fr, err := f.ReadFrame()
		if err != nil {
			return strings.Join(out, "; ")
		}
		end := ""
		if fr.Header().Flags.Has(http2.FlagDataEndStream) {
			end = " end"
		}
		switch fr := fr.(type) {
		case *http2.HeadersFrame:
			list, err := p.dec.DecodeFull(fr.HeaderBlockFragment())
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, fmt.Sprintf("%d head %s%s", fr.StreamID, list[0].Value, end))
		case *http2.DataFrame:
			out = append(out, fmt.Sprintf("%d data %q%s", fr.StreamID, fr.Data(), end))
		case *http2.GoAwayFrame:
			out = append(out, fmt.Sprintf("goaway %d %s", fr.LastStreamID, fr.ErrCode))
		case *http2.RSTStreamFrame:
			out = append(out, fmt.Sprintf("%d reset %s", fr.StreamID, fr.ErrCode))
		case *http2.WindowUpdateFrame:
			if fr.StreamID != 0 {
				out = append(out, fmt.Sprintf("%d window %d", fr.StreamID, fr.Increment))
			}
		case *http2.PingFrame:
			out = append(out, "ping")
		}
	}
}

const (
	askH2C = "GET / HTTP/1.1\r\nhost: a\r\nconnection: Upgrade, HTTP2-Settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABkAAQAAP__\r\n\r\n"
	ok101  = "HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: h2c\r\n\r\n"
)

// TestChangeOver: a client of HTTP/1.1 that asks for h2c gets its answer as HTTP/2, and
// goes on in it.
func TestChangeOver(t *testing.T) {
	w := newWorld(t, withHTTP2(setup{}))
	c := w.client()
	w.send(c, askH2C)
	b := w.backend(1)
	if got := b.Received(); strings.Contains(got, "h2c") || strings.Contains(strings.ToLower(got), "settings") {
		t.Errorf("the host got %q", got)
	}
	w.send(b, ok2)
	first, rest, _ := strings.Cut(c.Received(), "\r\n\r\n")
	if first+"\r\n\r\n" != ok101 {
		t.Fatalf("got %q", first)
	}
	w.stats("downstream_cx_http1_total", 1, "downstream_cx_http1_active", 0, "downstream_cx_http2_total", 1, "downstream_cx_http2_active", 1)
	p := w.h2(c)
	if got := p.shown(t, rest); got != `1 head 200; 1 data "ok" end` {
		t.Errorf("got %s", got)
	}
	c.Send(http2.ClientPreface)
	p.write(func(f *http2.Framer) { _ = f.WriteSettings() })
	p.ask(3, "GET", "/more")
	w.send(b, ok2)
	if got := p.frames(t); got != `3 head 200; 3 data "ok" end` {
		t.Errorf("got %s", got)
	}
	w.idle()
}

// TestNoChangeOver: who does not ask as the RFC has it is answered in HTTP/1.1, and
// nothing of the wish goes on; malformed settings are refused.
func TestNoChangeOver(t *testing.T) {
	for name, tt := range map[string]struct{ request, status string }{
		"body under way":    {strings.Replace(strings.Replace(askH2C, "GET", "POST", 1), "\r\n\r\n", "\r\ncontent-length: 5\r\n\r\n", 1), "200"},
		"another nominated": {strings.Replace(askH2C, "HTTP2-Settings\r\n", "HTTP2-Settings, x-a\r\nx-a: b\r\n", 1), "200"},
		"not nominated":     {strings.Replace(askH2C, ", HTTP2-Settings", "", 1), "200"},
		"no settings":       {strings.Replace(askH2C, "http2-settings: AAMAAABkAAQAAP__\r\n", "", 1), "200"},
		"malformed":         {strings.Replace(askH2C, "AAMAAABk", "AAMAAABk!", 1), "400"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, withHTTP2(setup{}))
			c := w.client()
			w.send(c, tt.request)
			if tt.status == "200" {
				b := w.backend(1)
				got := strings.ToLower(b.Received())
				for _, bad := range []string{"h2c", "settings", "x-a", "connection"} {
					if strings.Contains(got, bad) {
						t.Errorf("the host got %q", got)
					}
				}
				w.send(b, ok2)
			}
			if got := c.Received(); !strings.HasPrefix(got, "HTTP/1.1 "+tt.status) {
				t.Errorf("got %q", got)
			}
		})
	}
}
