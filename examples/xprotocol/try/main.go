// Try is a server and a client of the protocol ping, to try the codec with.
//
//	try serve 127.0.0.1:18091 one
//	try call 127.0.0.1:18090 hello world
//
// The server has one goroutine a connection; the client has one for all.
package main

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"log"
	"net"
	"os"
)

func main() {
	if len(os.Args) < 4 {
		log.Fatal("usage: try serve ADDRESS NAME, or try call ADDRESS TEXT...")
	}
	log.SetFlags(0)
	if os.Args[1] == "serve" {
		log.Fatal(serve(os.Args[2], os.Args[3]))
	}
	if err := call(os.Stdout, os.Args[2], os.Args[3:]); err != nil {
		log.Fatal(err)
	}
}

func serve(address, name string) error {
	ln, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	for {
		conn, err := ln.Accept()
		if err != nil {
			return err
		}
		go func() {
			defer conn.Close()
			in := bufio.NewReader(conn)
			for {
				f, err := readFrame(in)
				if err != nil {
					return
				}
				switch f.kind {
				case 1:
					f.kind, f.text = 2, name+" has got "+f.text
				case 3:
					f.kind = 4
				}
				if _, err := conn.Write(f.bytes()); err != nil {
					return
				}
			}
		}()
	}
}

// call sends all texts at once and prints the answers as they come.
func call(out io.Writer, address string, texts []string) error {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return err
	}
	defer conn.Close()
	for i, text := range texts {
		if _, err := conn.Write(frame{kind: 1, id: uint32(i + 1), text: text}.bytes()); err != nil {
			return err
		}
	}
	in := bufio.NewReader(conn)
	for range texts {
		f, err := readFrame(in)
		if err != nil {
			return err
		}
		fmt.Fprintf(out, "%d: %s\n", f.id, f.text)
	}
	return nil
}

type frame struct {
	kind, failed byte
	id           uint32
	text         string
}

func (f frame) bytes() []byte {
	p := binary.BigEndian.AppendUint32([]byte{'p', 'g', f.kind, f.failed}, f.id)
	return append(binary.BigEndian.AppendUint32(p, uint32(len(f.text))), f.text...)
}

func readFrame(in io.Reader) (frame, error) {
	var head [12]byte
	if _, err := io.ReadFull(in, head[:]); err != nil {
		return frame{}, err
	}
	text := make([]byte, min(binary.BigEndian.Uint32(head[8:]), 1<<20))
	_, err := io.ReadFull(in, text)
	return frame{kind: head[2], failed: head[3], id: binary.BigEndian.Uint32(head[4:]), text: string(text)}, err
}
