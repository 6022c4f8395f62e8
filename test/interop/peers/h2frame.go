package peers

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// Frame is one HTTP/2 frame (RFC 9113 section 6) that a script sends, legal or not.
type Frame struct {
	Stream   uint32 // 0 in a backend's script: the stream of the request
	Type     http2.FrameType
	End      bool          // END_STREAM
	Open     bool          // without END_HEADERS: CONTINUATION follows
	Fields   []Header      // of HEADERS, CONTINUATION, PUSH_PROMISE, as they stand
	Data     []byte        // of DATA, PING, GOAWAY (debug data), or all of a raw frame
	Code     http2.ErrCode // of RST_STREAM, GOAWAY
	N        uint32        // increment, last or promised stream, depended stream
	Settings []http2.Setting
	Raw      bool // Data is sent as it is
	Conn     bool // the stream is 0 on purpose
}

// parseFrame reads a frame as scripts write it:
//
//	[stream] KIND arguments [end] [open] [| name value]...
//
// GET, POST, ... path and STATUS code are HEADERS with the usual pseudo-headers; a GET ends its stream. TRAILERS are HEADERS that end it.
// Texts, names and values may be quoted; `DATA 100 "ab"` repeats.
func parseFrame(line string) (*Frame, error) {
	parts := strings.Split(line, " | ")
	words, err := splitWords(parts[0])
	if err != nil || len(words) == 0 {
		return nil, fmt.Errorf("no frame: %w", err)
	}
	f := &Frame{}
	if id, err := strconv.ParseUint(words[0], 10, 31); err == nil {
		f.Stream, f.Conn, words = uint32(id), id == 0, words[1:]
	}
	for len(words) > 1 && (words[len(words)-1] == "end" || words[len(words)-1] == "open") {
		f.End = f.End || words[len(words)-1] == "end"
		f.Open = f.Open || words[len(words)-1] == "open"
		words = words[:len(words)-1]
	}
	if len(words) == 0 {
		return nil, fmt.Errorf("no kind of frame")
	}
	if err := f.parseKind(words[0], words[1:]); err != nil {
		return nil, err
	}
	for _, p := range parts[1:] {
		h, err := parseField(p)
		if err != nil {
			return nil, err
		}
		f.Fields = append(f.Fields, h)
	}
	return f, nil
}

func (f *Frame) parseKind(kind string, args []string) (err error) {
	arg := func(i int) string {
		if i < len(args) {
			return args[i]
		}
		return ""
	}
	number := func(i int) uint32 {
		n, e := strconv.ParseUint(arg(i), 10, 32)
		if e != nil {
			err = e
		}
		return uint32(n)
	}
	code := func(i int) http2.ErrCode {
		c, known := errorCode(arg(i))
		if !known {
			err = fmt.Errorf("no error code %q", arg(i))
		}
		return c
	}
	switch kind {
	case "GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS":
		f.Type, f.End = http2.FrameHeaders, f.End || kind == "GET" || kind == "HEAD"
		f.Fields = []Header{{":method", kind}, {":scheme", "http"}, {":authority", "h"}, {":path", arg(0)}}
	case "STATUS":
		f.Type, f.Fields = http2.FrameHeaders, []Header{{":status", arg(0)}}
	case "HEADERS":
		f.Type = http2.FrameHeaders
	case "TRAILERS":
		f.Type, f.End = http2.FrameHeaders, true
	case "CONTINUATION":
		f.Type = http2.FrameContinuation
	case "DATA":
		f.Type = http2.FrameData
		f.Data = []byte(arg(0))
		if len(args) == 2 {
			f.Data = []byte(strings.Repeat(args[1], int(number(0))))
		}
	case "RST_STREAM":
		f.Type, f.Code = http2.FrameRSTStream, code(0)
	case "GOAWAY":
		f.Type, f.Conn, f.N, f.Code, f.Data = http2.FrameGoAway, true, number(0), code(1), []byte(arg(2))
	case "SETTINGS":
		f.Type, f.Conn = http2.FrameSettings, true
		f.Settings, err = parseSettings(args)
	case "PING":
		f.Type, f.Conn, f.Data = http2.FramePing, true, []byte(arg(0))
	case "WINDOW_UPDATE":
		f.Type, f.N = http2.FrameWindowUpdate, number(0)
	case "PRIORITY":
		f.Type, f.N = http2.FramePriority, number(0)
	case "PUSH_PROMISE":
		f.Type, f.N = http2.FramePushPromise, number(0)
	case "RAW":
		f.Raw, f.Data = true, []byte(arg(0))
	default:
		err = fmt.Errorf("unknown kind of frame %q", kind)
	}
	return err
}

// errorCode finds a code by its name in RFC 9113 section 7.
func errorCode(name string) (http2.ErrCode, bool) {
	for c := http2.ErrCodeNo; c <= http2.ErrCodeHTTP11Required; c++ {
		if c.String() == name {
			return c, true
		}
	}
	return 0, false
}

func parseSettings(args []string) (all []http2.Setting, err error) {
	for _, a := range args {
		name, value, _ := strings.Cut(a, "=")
		n, err := strconv.ParseUint(value, 10, 32)
		if err != nil {
			return nil, err
		}
		s := http2.Setting{Val: uint32(n)}
		for s.ID = http2.SettingHeaderTableSize; s.ID.String() != name; s.ID++ {
			if s.ID > http2.SettingEnableConnectProtocol {
				return nil, fmt.Errorf("no setting %q", name)
			}
		}
		all = append(all, s)
	}
	return all, nil
}

func parseField(s string) (Header, error) {
	s = strings.TrimSpace(s)
	name, value, _ := strings.Cut(s, " ")
	if strings.HasPrefix(s, `"`) {
		q, err := strconv.QuotedPrefix(s)
		if err != nil {
			return Header{}, fmt.Errorf("field %s: %w", s, err)
		}
		name, _ = strconv.Unquote(q)
		value = strings.TrimSpace(s[len(q):])
	}
	if strings.HasPrefix(value, `"`) {
		var err error
		if value, err = strconv.Unquote(value); err != nil {
			return Header{}, fmt.Errorf("field %s: %w", s, err)
		}
	}
	return Header{name, value}, nil
}

// splitWords splits at blanks; a quoted word is unquoted.
func splitWords(s string) (words []string, err error) {
	for s = strings.TrimSpace(s); s != ""; s = strings.TrimSpace(s) {
		word, rest, _ := strings.Cut(s, " ")
		if s[0] == '"' {
			q, err := strconv.QuotedPrefix(s)
			if err != nil {
				return nil, err
			}
			word, _ = strconv.Unquote(q)
			rest = s[len(q):]
		}
		words = append(words, word)
		s = rest
	}
	return words, nil
}

// frameWriter writes frames of scripts. It belongs to whoever holds the connection's write lock.
type frameWriter struct {
	fr    *http2.Framer
	enc   *hpack.Encoder
	block bytes.Buffer
}

func newFrameWriter(fr *http2.Framer) *frameWriter {
	fr.AllowIllegalWrites = true
	w := &frameWriter{fr: fr}
	w.enc = hpack.NewEncoder(&w.block)
	return w
}

func (w *frameWriter) encode(fields []Header) []byte {
	w.block.Reset()
	for _, h := range fields {
		_ = w.enc.WriteField(hpack.HeaderField{Name: h.Name, Value: h.Value})
	}
	return w.block.Bytes()
}

// write sends a frame; an error shows as the end of the connection.
func (w *frameWriter) write(f *Frame) {
	switch f.Type {
	case http2.FrameHeaders:
		_ = w.fr.WriteHeaders(http2.HeadersFrameParam{
			StreamID: f.Stream, BlockFragment: w.encode(f.Fields), EndStream: f.End, EndHeaders: !f.Open,
		})
	case http2.FrameContinuation:
		_ = w.fr.WriteContinuation(f.Stream, !f.Open, w.encode(f.Fields))
	case http2.FrameData:
		w.writeData(f)
	case http2.FrameRSTStream:
		_ = w.fr.WriteRSTStream(f.Stream, f.Code)
	case http2.FrameGoAway:
		_ = w.fr.WriteGoAway(f.N, f.Code, f.Data)
	case http2.FrameSettings:
		_ = w.fr.WriteSettings(f.Settings...)
	case http2.FramePing:
		var data [8]byte
		copy(data[:], f.Data)
		_ = w.fr.WritePing(false, data)
	case http2.FrameWindowUpdate:
		_ = w.fr.WriteWindowUpdate(f.Stream, f.N)
	case http2.FramePriority:
		_ = w.fr.WritePriority(f.Stream, http2.PriorityParam{StreamDep: f.N, Weight: 15})
	case http2.FramePushPromise:
		_ = w.fr.WritePushPromise(http2.PushPromiseParam{
			StreamID: f.Stream, PromiseID: f.N, BlockFragment: w.encode(f.Fields), EndHeaders: !f.Open,
		})
	}
}

// writeData sends the data in frames of the size that every peer must take.
func (w *frameWriter) writeData(f *Frame) {
	const most = 16 << 10
	data := f.Data
	for len(data) > most {
		_ = w.fr.WriteData(f.Stream, false, data[:most])
		data = data[most:]
	}
	_ = w.fr.WriteData(f.Stream, f.End, data)
}
