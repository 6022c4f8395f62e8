package stream

import (
	"encoding/binary"
	"fmt"
	"strings"

	"sofamesh.io/sofamesh/mosn/protocol/bolt"
	"sofamesh.io/sofamesh/sdk"
)

// frame is a Bolt v1 frame for tests, with an opaque (protobuf) content.
type frame struct {
	kind    byte // 0 response, 1 request, 2 one-way
	id      uint32
	timeout int32
	status  uint16
	headers []string // name, value, ...
	content string
}

// request asks a.Service for a method. The answer must come within timeout
// milliseconds.
func request(id uint32, method string, timeout int32, content string) frame {
	return frame{kind: 1, id: id, timeout: timeout, content: content,
		headers: []string{"service", "a.Service:1.0", "sofa_head_method_name", method}}
}

func answerTo(id uint32, content string) frame { return frame{id: id, content: content} }

func (f frame) String() string {
	var block []byte
	for _, s := range f.headers {
		block = binary.BigEndian.AppendUint32(block, uint32(len(s)))
		block = append(block, s...)
	}
	cmd := byte(1)
	if f.kind == 0 {
		cmd = 2
	}
	b := []byte{1, f.kind, 0, cmd, 1}
	b = binary.BigEndian.AppendUint32(b, f.id)
	b = append(b, 11)
	if f.kind == 0 {
		b = binary.BigEndian.AppendUint16(b, f.status)
	} else {
		b = binary.BigEndian.AppendUint32(b, uint32(f.timeout))
	}
	class := ""
	if f.kind != 0 {
		class = "com.alipay.sofa.rpc.core.request.SofaRequest"
	}
	b = binary.BigEndian.AppendUint16(b, uint16(len(class)))
	b = binary.BigEndian.AppendUint16(b, uint16(len(block)))
	b = binary.BigEndian.AppendUint32(b, uint32(len(f.content)))
	return string(b) + class + string(block) + f.content
}

// frames shows what a peer has received: "request 1 timeout=3000 hello", one a line.
func frames(s string) string {
	var out []string
	for s != "" {
		b := []byte(s)
		if len(b) < 20 || b[0] != 1 {
			return strings.Join(append(out, fmt.Sprintf("%q", s)), "\n")
		}
		id, at := binary.BigEndian.Uint32(b[5:]), 12
		line := fmt.Sprintf("answer %d status=%d", id, binary.BigEndian.Uint16(b[10:]))
		if b[1] != 0 {
			line = fmt.Sprintf("%s %d timeout=%d", []string{"", "request", "oneway"}[b[1]], id, int32(binary.BigEndian.Uint32(b[10:])))
			at = 14
		}
		if b[3] == 0 {
			line = "heartbeat " + line
		}
		head := at + 8 + int(binary.BigEndian.Uint16(b[at:])) + int(binary.BigEndian.Uint16(b[at+2:]))
		end := min(head+int(binary.BigEndian.Uint32(b[at+4:])), len(b))
		if end > head {
			line += " " + string(b[head:end])
		}
		out = append(out, line)
		s = s[end:]
	}
	return strings.Join(out, "\n")
}

// withBolt has connections speak HTTP/1 or Bolt.
func withBolt(o setup) setup {
	codec := bolt.Codec(bolt.Limits{})
	compile := func(side sdk.Side) sdk.CodecConfig {
		cc, err := codec.Compile(nil, side, sdk.CodecOptions{})
		if err != nil {
			panic(err)
		}
		return cc
	}
	edit := o.edit
	o.rpc = []sdk.CodecConfig{compile(sdk.Upstream)}
	o.edit = func(cfg *Config) {
		cfg.Codecs = append(cfg.Codecs, compile(sdk.Downstream))
		if edit != nil {
			edit(cfg)
		}
	}
	return o
}

// says sends frames, and settles.
func (w *world) says(p interface{ Send(string) }, list ...frame) {
	w.t.Helper()
	var b strings.Builder
	for _, f := range list {
		b.WriteString(f.String())
	}
	p.Send(b.String())
	w.Settle()
}

// hears compares the frames that a peer has received since the last time.
func (w *world) hears(p interface{ Received() string }, want ...string) {
	w.t.Helper()
	if got := frames(p.Received()); got != strings.Join(want, "\n") {
		w.t.Errorf("got\n%s\nwant\n%s", got, strings.Join(want, "\n"))
	}
}
