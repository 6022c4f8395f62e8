//go:build linux

package load

import "bytes"

// head is what the generator needs of a response head.
type head struct {
	size   int // bytes, the empty line included
	status int
	length int  // Content-Length
	close  bool // the server will close after this response
}

// parseHead reads a response head at the start of data. It gives (zero, true) while the head is incomplete and false when it is
// nothing the bench's backend can have sent: no HTTP/1.1, no Content-Length or two of them, a Transfer-Encoding.
func parseHead(data []byte) (head, bool) {
	end := bytes.Index(data, []byte("\r\n\r\n"))
	if end < 0 {
		return head{}, len(data) <= maxHead
	}
	h := head{size: end + 4, length: -1}
	line, rest, _ := bytes.Cut(data[:end], []byte("\r\n"))
	if len(line) < len("HTTP/1.1 200") || string(line[:9]) != "HTTP/1.1 " {
		return head{}, false
	}
	status, ok := number(line[9:12])
	if !ok {
		return head{}, false
	}
	h.status = status
	for len(rest) > 0 {
		line, rest, _ = bytes.Cut(rest, []byte("\r\n"))
		if !h.field(line) {
			return head{}, false
		}
	}
	return h, h.length >= 0
}

// field takes one header line in; the first byte tells apart the few names that matter, so that the others cost nothing.
func (h *head) field(line []byte) bool {
	if len(line) == 0 {
		return false
	}
	switch line[0] | 0x20 {
	case 'c':
		if value, ok := valueOf(line, "content-length:"); ok {
			n, ok := number(value)
			if !ok || h.length >= 0 {
				return false
			}
			h.length = n
		} else if value, ok := valueOf(line, "connection:"); ok {
			h.close = bytes.EqualFold(value, []byte("close"))
		}
	case 't':
		_, chunked := valueOf(line, "transfer-encoding:")
		return !chunked
	}
	return true
}

func valueOf(line []byte, name string) ([]byte, bool) {
	if len(line) < len(name) || !bytes.EqualFold(line[:len(name)], []byte(name)) {
		return nil, false
	}
	return bytes.TrimSpace(line[len(name):]), true
}

func number(digits []byte) (int, bool) {
	if len(digits) == 0 || len(digits) > 9 {
		return 0, false
	}
	n := 0
	for _, c := range digits {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + int(c-'0')
	}
	return n, true
}
