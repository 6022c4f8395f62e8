package bolt

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"sync/atomic"
	"testing"
)

// relay passes the bytes between its clients and a server on, and counts what it sees of heartbeats.
type relay struct {
	addr    string
	target  string
	conns   atomic.Int32
	pings   atomic.Int32 // requests of clients
	pongs   atomic.Int32 // answers of the server
	strange atomic.Int32 // streams that are not Bolt
}

func newRelay(t *testing.T, target string) *relay {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ln.Close() })
	r := &relay{addr: ln.Addr().String(), target: target}
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			r.conns.Add(1)
			go r.serve(conn)
		}
	}()
	return r
}

func (r *relay) serve(client net.Conn) {
	defer client.Close()
	server, err := net.Dial("tcp", r.target)
	if err != nil {
		return
	}
	defer server.Close()
	done := make(chan struct{}, 2)
	pass := func(dst, src net.Conn, heartbeats *atomic.Int32) {
		if err := watch(io.TeeReader(src, dst), heartbeats); err != nil {
			r.strange.Add(1)
		}
		done <- struct{}{}
	}
	go pass(server, client, &r.pings)
	go pass(client, server, &r.pongs)
	<-done // then both connections are closed
}

// watch reads frames of Bolt until the stream ends, and counts heartbeats. A stream that ends within a frame is not strange.
func watch(in io.Reader, heartbeats *atomic.Int32) error {
	var head [24]byte
	for {
		if _, err := io.ReadFull(in, head[:1]); err != nil {
			return nil
		}
		version := head[0]
		if version != 1 && version != 2 {
			return fmt.Errorf("a frame begins with %d", version)
		}
		shift := int(version) - 1 // version 2 has a byte more before the type
		if _, err := io.ReadFull(in, head[1:20+2*shift]); err != nil {
			return nil
		}
		kind, command := head[1+shift], binary.BigEndian.Uint16(head[2+shift:])
		// Version 2 has a second byte more before what follows the serialization.
		size, lengths := 20+2*shift, head[12+2*shift:]
		if kind != 0 { // a request: four bytes of timeout instead of two of status
			size += 2
			if _, err := io.ReadFull(in, head[size-2:size]); err != nil {
				return nil
			}
			lengths = lengths[2:]
		}
		rest := int64(binary.BigEndian.Uint16(lengths)) + int64(binary.BigEndian.Uint16(lengths[2:])) +
			int64(binary.BigEndian.Uint32(lengths[4:]))
		if version == 2 && head[1] == 2 && head[11]&1 != 0 {
			rest += 4
		}
		if command == 0 {
			heartbeats.Add(1)
		}
		if _, err := io.CopyN(io.Discard, in, rest); err != nil {
			return nil
		}
	}
}
