package tls

// The framing of records (RFC 8446, 5.1), as much as is needed to know whether a whole
// one is here. What is wrong is for crypto/tls to find out, which has the right alert.
const (
	headerSize      = 5
	maxRecord       = 16<<10 + 2048 // of a payload, in TLS 1.2, with everything that may be around it
	typeHandshake   = 22
	typeClientHello = 1
	maxHello        = 16 << 10 // of a ClientHello, as in BoringSSL
)

// wholeRecords returns how much of in is complete records, all of it when what follows
// them cannot become one.
func wholeRecords(in []byte) int {
	n := 0
	for len(in)-n >= headerSize {
		size := int(in[n+3])<<8 | int(in[n+4])
		if in[n+1] != 3 || size > maxRecord {
			return len(in)
		}
		if len(in)-n < headerSize+size {
			break
		}
		n += headerSize + size
	}
	return n
}

// wholeHello reports whether in begins with all records of a ClientHello, or can no
// longer become that.
func wholeHello(in []byte) bool {
	got, want := 0, -1 // bytes of the handshake message
	var head [4]byte
	for n := 0; ; {
		if len(in) > n && in[n] != typeHandshake || len(in) > n+1 && in[n+1] != 3 {
			return true
		}
		if len(in)-n < headerSize {
			return false
		}
		size := int(in[n+3])<<8 | int(in[n+4])
		if size == 0 || size > maxRecord {
			return true
		}
		payload := in[n+headerSize:]
		payload = payload[:min(size, len(payload))]
		if got < len(head) {
			copy(head[got:], payload)
			if got+len(payload) > 0 && head[0] != typeClientHello {
				return true
			}
		}
		if got += len(payload); want < 0 && got >= len(head) {
			if want = len(head) + int(head[1])<<16 + int(head[2])<<8 + int(head[3]); want > maxHello {
				return true
			}
		}
		if len(payload) < size {
			return false
		}
		if want >= 0 && got >= want {
			return true
		}
		n += headerSize + size
	}
}
