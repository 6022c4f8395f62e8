package faults

import (
	"bufio"
	"bytes"
	"crypto/sha1" // RFC 6455 section 1.3 wants it
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
)

// TestWebSocket holds a conversation of masked frames (RFC 6455 section 5) with an echo server behind the proxy, small and large, and ends it
// with the closing handshake.
func TestWebSocket(t *testing.T) {
	each(t, func(t *testing.T, b program) {
		r := newRig(t, b, routeDefault, webSocketEcho(t))
		before := r.FDs()
		conn := dial(t, r.addr)
		in := bufio.NewReader(conn)
		handshake(t, conn, in)
		for _, size := range []int{0, 1, 125, 126, 65535, 65536, 1 << 20} {
			message := bytes.Repeat([]byte{byte(size)}, size)
			go writeFrame(conn, 2, message, true)
			op, got, err := readFrame(in)
			if err != nil || op != 2 || !bytes.Equal(got, message) {
				t.Fatalf("message of %d bytes: opcode %d, %d bytes back, %v", size, op, len(got), err)
			}
		}
		writeFrame(conn, 8, []byte{3, 232}, true) // 1000, normal closure
		if op, _, err := readFrame(in); err != nil || op != 8 {
			t.Fatalf("closing handshake: opcode %d, %v", op, err)
		}
		if _, err := in.ReadByte(); err != io.EOF {
			t.Errorf("after the closing handshake: %v, want EOF", err)
		}
		_ = conn.Close()
		r.quiet(t, before)
	})
}

const webSocketGUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

func handshake(t *testing.T, conn net.Conn, in *bufio.Reader) {
	t.Helper()
	const key = "dGhlIHNhbXBsZSBub25jZQ=="
	fmt.Fprintf(conn, "GET /chat HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %s\r\n\r\n", key)
	status, err := in.ReadString('\n')
	if err != nil || !strings.HasPrefix(status, "HTTP/1.1 101 ") {
		t.Fatalf("status line %q, %v", status, err)
	}
	accept := ""
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		if strings.TrimSpace(line) == "" {
			break
		}
		name, value, _ := strings.Cut(line, ":")
		if strings.EqualFold(name, "sec-websocket-accept") {
			accept = strings.TrimSpace(value)
		}
	}
	if accept != acceptKey(key) {
		t.Fatalf("sec-websocket-accept is %q", accept)
	}
}

func acceptKey(key string) string {
	sum := sha1.Sum([]byte(key + webSocketGUID))
	return base64.StdEncoding.EncodeToString(sum[:])
}

// webSocketEcho serves echo until a close frame comes, which it answers before it closes.
func webSocketEcho(t *testing.T) int {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ln.Close() })
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			go echo(conn)
		}
	}()
	return ln.Addr().(*net.TCPAddr).Port
}

func echo(conn net.Conn) {
	defer conn.Close()
	in := bufio.NewReader(conn)
	key := ""
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return
		}
		if strings.TrimSpace(line) == "" {
			break
		}
		name, value, _ := strings.Cut(line, ":")
		if strings.EqualFold(name, "sec-websocket-key") {
			key = strings.TrimSpace(value)
		}
	}
	fmt.Fprintf(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: %s\r\n\r\n", acceptKey(key))
	for {
		op, payload, err := readFrame(in)
		if err != nil {
			return
		}
		writeFrame(conn, op, payload, false)
		if op == 8 {
			return
		}
	}
}

// writeFrame writes one final frame; an error shows at the reader.
func writeFrame(w io.Writer, op byte, payload []byte, masked bool) {
	frame := []byte{0x80 | op, 0}
	switch n := len(payload); {
	case n < 126:
		frame[1] = byte(n)
	case n < 1<<16:
		frame[1] = 126
		frame = binary.BigEndian.AppendUint16(frame, uint16(n))
	default:
		frame[1] = 127
		frame = binary.BigEndian.AppendUint64(frame, uint64(n))
	}
	if !masked {
		_, _ = w.Write(append(frame, payload...))
		return
	}
	frame[1] |= 0x80
	mask := [4]byte{1, 2, 3, 4}
	frame = append(frame, mask[:]...)
	for i, b := range payload {
		frame = append(frame, b^mask[i%4])
	}
	_, _ = w.Write(frame)
}

func readFrame(in *bufio.Reader) (op byte, payload []byte, err error) {
	var head [2]byte
	if _, err := io.ReadFull(in, head[:]); err != nil {
		return 0, nil, err
	}
	size := uint64(head[1] & 0x7f)
	if size >= 126 {
		wide := make([]byte, 2)
		if size == 127 {
			wide = make([]byte, 8)
		}
		if _, err := io.ReadFull(in, wide); err != nil {
			return 0, nil, err
		}
		size = 0
		for _, b := range wide {
			size = size<<8 | uint64(b)
		}
	}
	var mask [4]byte
	if head[1]&0x80 != 0 {
		if _, err := io.ReadFull(in, mask[:]); err != nil {
			return 0, nil, err
		}
	}
	payload = make([]byte, size)
	if _, err := io.ReadFull(in, payload); err != nil {
		return 0, nil, err
	}
	for i := range payload {
		payload[i] ^= mask[i%4]
	}
	return head[0] & 0x0f, payload, nil
}
