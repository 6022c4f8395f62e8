//go:build linux

// Package side is the other side of the proxies: one process, one thread, one epoll instance that is both the backends and the load
// generator. Being one process saves the switches between two, so that the proxy's processor is the one that saturates.
//
// Serve owns the process: it reads commands from a pipe (one JSON value each), carries them out one after another while the backend
// keeps answering, and writes one reply each. Client is the runner's end of that pipe.
package side

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"runtime"

	"golang.org/x/sys/unix"

	"sofamesh.io/sofamesh/test/bench/backend"
	"sofamesh.io/sofamesh/test/bench/bolt"
	"sofamesh.io/sofamesh/test/bench/h2"
	"sofamesh.io/sofamesh/test/bench/load"
	"sofamesh.io/sofamesh/test/bench/rawsock"
)

// command asks for one of: a load run, idle connections to be opened and held, those to be closed.
type command struct {
	Run  *load.Plan `json:",omitempty"`
	Hold *hold      `json:",omitempty"`
	Drop bool       `json:",omitempty"`
}

type hold struct {
	Target netip.AddrPort
	Conns  int
}

// reply answers a command; the first one, unasked, tells the backends' ports.
type reply struct {
	Port   uint16      `json:",omitempty"`
	Bolt   uint16      `json:",omitempty"`
	HTTP2  uint16      `json:",omitempty"`
	Result load.Result `json:",omitzero"`
	Error  string      `json:",omitempty"`
}

// inbox collects the bytes of commands from a pipe.
type inbox struct {
	fd   int
	data []byte
	eof  bool
	err  error
}

// Ready takes one read's worth; the pipe is watched level-triggered, so that what remains is reported again.
func (b *inbox) Ready(uint32) {
	var buf [4096]byte
	n, err := unix.Read(b.fd, buf[:])
	switch {
	case n > 0:
		b.data = append(b.data, buf[:n]...)
	case err == nil:
		b.eof = true
	case !errors.Is(err, unix.EAGAIN) && !errors.Is(err, unix.EINTR):
		b.err = fmt.Errorf("command pipe: %w", err)
	}
}

// line takes one complete line out of the inbox.
func (b *inbox) line() ([]byte, bool) {
	line, rest, ok := bytes.Cut(b.data, []byte("\n"))
	if ok {
		b.data = rest
	}
	return line, ok
}

// Serve runs the HTTP backend on addr, those of Bolt and HTTP/2 on any ports beside it, and the commands that come from the descriptor in, until its end. Replies go to out.
func Serve(addr netip.AddrPort, in int, out io.Writer) error {
	loop, err := rawsock.NewLoop()
	if err != nil {
		return err
	}
	defer loop.Close()
	server, err := backend.New(loop, addr)
	if err != nil {
		return err
	}
	port, err := server.Port()
	if err != nil {
		return err
	}
	boltServer, err := bolt.NewServer(loop, netip.AddrPortFrom(addr.Addr(), 0))
	if err != nil {
		return err
	}
	boltPort, err := boltServer.Port()
	if err != nil {
		return err
	}
	h2Server, err := h2.NewServer(loop, netip.AddrPortFrom(addr.Addr(), 0))
	if err != nil {
		return err
	}
	h2Port, err := h2Server.Port()
	if err != nil {
		return err
	}
	box := &inbox{fd: in}
	if err := loop.Add(in, unix.EPOLLIN, box); err != nil {
		return err
	}
	enc := json.NewEncoder(out)
	if err := enc.Encode(reply{Port: port, Bolt: boltPort, HTTP2: h2Port}); err != nil {
		return err
	}
	return serve(loop, boltServer, box, enc)
}

func serve(loop *rawsock.Loop, boltServer *bolt.Server, box *inbox, enc *json.Encoder) error {
	var held *load.Held
	for !box.eof && box.err == nil {
		if err := loop.Turn(-1); err != nil {
			return err
		}
		for line, ok := box.line(); ok; line, ok = box.line() {
			result, err := execute(loop, boltServer, line, &held)
			rep := reply{Result: result}
			if err != nil {
				rep.Error = err.Error()
			}
			if err := enc.Encode(rep); err != nil {
				return err
			}
			runtime.GC() // the process runs with the collector off; between two commands nothing is measured
		}
	}
	return box.err
}

func execute(loop *rawsock.Loop, boltServer *bolt.Server, line []byte, held **load.Held) (load.Result, error) {
	var cmd command
	if err := json.Unmarshal(line, &cmd); err != nil {
		return load.Result{}, fmt.Errorf("command: %w", err)
	}
	switch {
	case cmd.Run != nil:
		boltServer.Gather = cmd.Run.Gather
		return load.Run(loop, *cmd.Run)
	case cmd.Hold != nil && *held == nil:
		h, err := load.Hold(loop, cmd.Hold.Target, cmd.Hold.Conns)
		*held = h
		return load.Result{}, err
	case cmd.Drop && *held != nil:
		err := (*held).Close()
		*held = nil
		return load.Result{}, err
	}
	return load.Result{}, errors.New("a command that does not fit the state")
}
