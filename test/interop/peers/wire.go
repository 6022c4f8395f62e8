package peers

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Header is one header line, name and value as they stood on the wire (blanks around the value removed).
type Header struct{ Name, Value string }

// Message is one HTTP/1 message as it stood on the wire.
type Message struct {
	Start    string // the first line without its line end
	Headers  []Header
	Body     []byte // without chunk framing
	Trailers []Header
	Whole    bool // false when the stream ended before the message did
	Tunnel   bool // everything after the head is opaque (101, or 2xx to CONNECT)
}

// Method is the first word of a request's first line.
func (m *Message) Method() string { return firstWord(m.Start) }

// Get returns the first value of a header, compared without case.
func (m *Message) Get(name string) (string, bool) {
	for _, h := range m.Headers {
		if strings.EqualFold(h.Name, name) {
			return h.Value, true
		}
	}
	return "", false
}

// String renders the message with its headers sorted by name; lines of one name keep their order.
func (m *Message) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n", quoteOdd(m.Start))
	writeHeaders(&b, m.Headers, "")
	if len(m.Body) > 0 {
		fmt.Fprintf(&b, "body %s\n", Abbreviate(m.Body))
	}
	writeHeaders(&b, m.Trailers, "trailer ")
	if !m.Whole && !m.Tunnel {
		b.WriteString("cut off\n")
	}
	return b.String()
}

// Abbreviate quotes bytes, long ones by their ends and their length.
func Abbreviate(p []byte) string {
	if len(p) <= 400 {
		return strconv.Quote(string(p))
	}
	return fmt.Sprintf("%q ... %q (%d bytes)", p[:20], p[len(p)-20:], len(p))
}

func writeHeaders(b *strings.Builder, hs []Header, prefix string) {
	sorted := slices.Clone(hs)
	slices.SortStableFunc(sorted, func(x, y Header) int {
		return strings.Compare(strings.ToLower(x.Name), strings.ToLower(y.Name))
	})
	for _, h := range sorted {
		fmt.Fprintf(b, "%s%s: %s\n", prefix, quoteOdd(h.Name), quoteOdd(h.Value))
	}
}

// quoteOdd keeps printable ASCII readable and quotes the rest; long values are abbreviated.
func quoteOdd(s string) string {
	if len(s) > 400 {
		return Abbreviate([]byte(s))
	}
	for i := range len(s) {
		if s[i] < 0x20 || s[i] > 0x7e {
			return strconv.Quote(s)
		}
	}
	return s
}

// ParseRequest reads one request from b. It returns nil when more bytes are needed, unless eof says that none will come: then what is there is
// returned as a message that is not Whole. The error says why b cannot be a request.
func ParseRequest(b []byte, eof bool) (*Message, int, error) { return parse(b, eof, true, "") }

// ParseResponse reads one response to a request of the given method from b; results as ParseRequest's.
func ParseResponse(b []byte, eof bool, method string) (*Message, int, error) {
	return parse(b, eof, false, method)
}

// ParseHead reads the head alone and returns it with its length; nil when more bytes are needed.
func ParseHead(b []byte) (*Message, int, error) {
	end := bytes.Index(b, []byte("\r\n\r\n"))
	if end < 0 {
		return nil, 0, nil
	}
	lines := strings.Split(string(b[:end]), "\r\n")
	m := &Message{Start: lines[0]}
	if !strings.Contains(m.Start, "HTTP/") {
		return nil, 0, fmt.Errorf("no HTTP/1 first line: %q", m.Start)
	}
	for _, l := range lines[1:] {
		name, value, ok := strings.Cut(l, ":")
		if !ok {
			return nil, 0, fmt.Errorf("header line without colon: %q", l)
		}
		m.Headers = append(m.Headers, Header{name, strings.Trim(value, " \t")})
	}
	return m, end + 4, nil
}

func parse(b []byte, eof, request bool, method string) (*Message, int, error) {
	m, n, err := ParseHead(b)
	if m == nil {
		return nil, 0, err
	}
	rest := b[n:]
	used := 0
	chunked := false
	if te, ok := m.Get("transfer-encoding"); ok {
		chunked = strings.EqualFold(te, "chunked")
	}
	length, hasLength := m.Get("content-length")
	switch {
	case !request && tunnels(m.Start, method):
		m.Tunnel = true
		return m, n, nil
	case !request && bodiless(m.Start, method):
		m.Whole = true
	case chunked:
		used, err = m.readChunks(rest)
	case hasLength:
		used, err = m.readLength(rest, length)
	case request:
		m.Whole = true
	default:
		m.Body, used, m.Whole = rest, len(rest), eof
	}
	if err != nil {
		return nil, 0, err
	}
	if !m.Whole {
		if !eof {
			return nil, 0, nil
		}
		used = len(rest)
	}
	return m, n + used, nil
}

func (m *Message) readLength(rest []byte, length string) (int, error) {
	n, err := strconv.Atoi(length)
	if err != nil || n < 0 {
		return 0, fmt.Errorf("content-length %q", length)
	}
	m.Whole = len(rest) >= n
	m.Body = rest[:min(n, len(rest))]
	return len(m.Body), nil
}

// readChunks sets Body, Trailers and Whole from a chunked body; extensions are dropped.
func (m *Message) readChunks(rest []byte) (int, error) {
	at := 0
	for {
		eol := bytes.Index(rest[at:], []byte("\r\n"))
		if eol < 0 {
			return at, nil
		}
		hex, _, _ := strings.Cut(string(rest[at:at+eol]), ";")
		size, err := strconv.ParseUint(strings.TrimSpace(hex), 16, 31)
		if err != nil {
			return 0, fmt.Errorf("chunk size %q", hex)
		}
		at += eol + 2
		if size == 0 {
			return m.readTrailers(rest, at)
		}
		have := min(int(size), len(rest)-at)
		m.Body = append(m.Body, rest[at:at+have]...)
		if len(rest) < at+int(size)+2 {
			return at, nil
		}
		at += int(size) + 2
	}
}

func (m *Message) readTrailers(rest []byte, at int) (int, error) {
	for {
		eol := bytes.Index(rest[at:], []byte("\r\n"))
		if eol < 0 {
			return at, nil
		}
		line := string(rest[at : at+eol])
		at += eol + 2
		if line == "" {
			m.Whole = true
			return at, nil
		}
		name, value, ok := strings.Cut(line, ":")
		if !ok {
			return 0, fmt.Errorf("trailer line without colon: %q", line)
		}
		m.Trailers = append(m.Trailers, Header{name, strings.Trim(value, " \t")})
	}
}

// Status is the code of a response's first line, zero when there is none.
func Status(start string) int {
	_, rest, _ := strings.Cut(start, " ")
	code, _ := strconv.Atoi(firstWord(rest))
	return code
}

func tunnels(start, method string) bool {
	code := Status(start)
	return code == 101 || method == "CONNECT" && code >= 200 && code < 300
}

func bodiless(start, method string) bool {
	code := Status(start)
	return method == "HEAD" || code < 200 || code == 204 || code == 304
}

func firstWord(s string) string {
	w, _, _ := strings.Cut(s, " ")
	return w
}
