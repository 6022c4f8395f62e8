package xprotocol

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"sofamesh.io/sofamesh/examples/xprotocol/desk"
	"sofamesh.io/sofamesh/examples/xprotocol/ping"
	"sofamesh.io/sofamesh/mosn/builtin"
	"sofamesh.io/sofamesh/mosn/server"
	"sofamesh.io/sofamesh/test/tutorial"
)

// TestConfiguration: the example is valid. So is a listener for one protocol only,
// with rules that it can follow.
func TestConfiguration(t *testing.T) {
	p, err := os.ReadFile("mosn.yaml")
	if err != nil {
		t.Fatal(err)
	}
	only := strings.Replace(string(p), "    filter_chains:", "    metadata: { filter_metadata: { mosn: { protocol: ping } } }\n    filter_chains:", 1)
	bad := "domains[0]: the protocol ping of this listener shows no service names"
	for yaml, want := range map[string]string{string(p): "", only: bad, strings.Replace(only, "com.acme.orders", "ping2", 1): bad} {
		var out, errs bytes.Buffer
		code := server.Run(builtin.With(ping.Codec, desk.Codec), []string{"mosn", "--mode", "validate", "--config-yaml", yaml}, &out, &errs)
		if (code == 0) != (want == "") || !strings.Contains(errs.String(), want) {
			t.Errorf("code %d, %s; want %q", code, errs.String(), want)
		}
	}
}

// TestTutorial builds and runs what the tutorial says, on ports of its own.
func TestTutorial(t *testing.T) {
	text := tutorial.Read(t, "README.md")
	dir := follow(t, text)
	ports := tutorial.OwnPorts(t, "18090", "18091", "18092", "18093", "19902")
	config := filepath.Join(dir, "mosn.yaml")
	p, err := os.ReadFile(config)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(config, []byte(ports.Replace(string(p))), 0o644); err != nil {
		t.Fatal(err)
	}
	commands, want := text.Consoles()
	var servers []*tutorial.Process
	var got []string
	for _, c := range commands {
		c = ports.Replace(c)
		if background, ok := strings.CutSuffix(c, " &"); ok {
			s := tutorial.Start(t, dir, background)
			servers = append(servers, s)
			fields := strings.Fields(background)
			if fields[1] == "serve" {
				s.WaitFor(t, func() bool { return tutorial.Dials(fields[2]) })
			} else {
				s.WaitFor(t, func() bool { return tutorial.Answers(ports.Replace("http://127.0.0.1:19902/ready")) })
			}
			continue
		}
		if url, ok := strings.CutPrefix(c, "curl "); ok {
			got = append(got, tutorial.Get(t, url))
			continue
		}
		out, err := exec.Command("bash", "-c", "cd "+dir+" && timeout 20 "+c).CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v\n%s", c, err, out)
		}
		lines := strings.Split(strings.TrimSpace(string(out)), "\n")
		slices.Sort(lines)
		got = append(got, lines...)
	}
	// Which server gets the first request is chance.
	if other := swap(want); !slices.Equal(got[:4], sorted(want[:4])) && !slices.Equal(got[:4], sorted(other[:4])) || got[4] != want[4] {
		t.Errorf("printed\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if len(servers) != 3 {
		t.Fatalf("%d programs run in the background", len(servers))
	}
	desks(t, ports)
	for _, s := range servers[:2] {
		s.Stop()
	}
	out, _ := exec.Command(filepath.Join(dir, "bin/try"), "call", ports.Replace("127.0.0.1:18090"), "a").CombinedOutput()
	if !strings.HasPrefix(string(out), "1: upstream connect error") {
		t.Errorf("without servers: %s", out)
	}
	proxy := servers[2]
	proxy.Stop()
	for _, line := range []string{`"POST / ping" 200`, `"POST / ping" 503`, `"GET / HTTP/1.1" 200`, `"POST /com.acme.Orders/Place desk" 200`, `"POST /com.acme.Orders/Cancel desk" 403`} {
		if !strings.Contains(proxy.Out.String(), line) {
			t.Errorf("the access log has no %s:\n%s", line, proxy.Out.String())
		}
	}
}

func sorted(lines []string) []string {
	lines = slices.Clone(lines)
	slices.Sort(lines)
	return lines
}

func swap(lines []string) (other []string) {
	for _, l := range lines {
		other = append(other, strings.NewReplacer("one", "two", "two", "one").Replace(l))
	}
	return other
}

// desks makes calls of the medium codec, as a client of version 2 and a server do.
func desks(t *testing.T, ports *strings.Replacer) {
	t.Helper()
	ln, err := net.Listen("tcp", ports.Replace("127.0.0.1:18093"))
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			go serveDesk(conn)
		}
	}()
	conn, err := net.Dial("tcp", ports.Replace("127.0.0.1:18090"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	call := func(id uint64, method, user string, timeout uint32) string {
		t.Helper()
		body := fmt.Sprint("body of ", id)
		if _, err := conn.Write(deskFrame(2, 1, id, timeout, body, "com.acme.Orders", method, "", "user", user)); err != nil {
			t.Fatal(err)
		}
		answer, err := readDesk(conn)
		if err != nil {
			t.Fatal(err)
		}
		if answer.id != id || answer.version != 2 {
			t.Errorf("the answer to %d is for %d, of version %d", id, answer.id, answer.version)
		}
		return fmt.Sprintf("%d %s %s", answer.number, strings.Join(answer.texts, " "), answer.body)
	}
	for i, c := range []struct {
		method, user string
		timeout      uint32
		want         string
	}{
		{"Place", "ann", 3000, "0 by ann Place body of 1"},
		{"Cancel", "ann", 0, "1 error orders are not cancelled here "},
		{"Place", "bob", 0, "2 error no route for com.acme.orders/com.acme.Orders/Place "},
		{"Wait", "ann", 50, "4 error upstream request timeout "},
		{"Place", "ann", 0, "0 by ann Place body of 5"},
	} {
		if got := call(uint64(i+1), c.method, c.user, c.timeout); got != c.want {
			t.Errorf("%s of %s: %q, want %q", c.method, c.user, got, c.want)
		}
	}
}

// serveDesk answers with the method and the body, and a header; Wait gets no answer.
func serveDesk(conn net.Conn) {
	defer conn.Close()
	for {
		f, err := readDesk(conn)
		if err != nil {
			return
		}
		if f.kind != 1 || f.texts[1] == "Wait" {
			continue
		}
		user := f.texts[4]
		if _, err := conn.Write(deskFrame(f.version, 2, f.id, 0, f.texts[1]+" "+f.body, "by", user)); err != nil {
			return
		}
	}
}

// desker is a frame of desk, read by somebody who does not know the codec.
type desker struct {
	version, kind byte
	id            uint64
	number        uint32
	texts         []string
	body          string
}

func deskFrame(version, kind byte, id uint64, number uint32, body string, texts ...string) []byte {
	var block []byte
	for _, s := range texts {
		block = append(binary.BigEndian.AppendUint16(block, uint16(len(s))), s...)
	}
	p := []byte{0xde, 0x5c, version, kind}
	p = binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint64(p, id), number)
	p = binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint16(p, uint16(len(block))), uint32(len(body)))
	return append(append(p, block...), body...)
}

func readDesk(conn net.Conn) (f desker, err error) {
	var head [22]byte
	if _, err := io.ReadFull(conn, head[:]); err != nil {
		return f, err
	}
	texts := make([]byte, binary.BigEndian.Uint16(head[16:]))
	body := make([]byte, binary.BigEndian.Uint32(head[18:]))
	if _, err := io.ReadFull(conn, texts); err != nil {
		return f, err
	}
	_, err = io.ReadFull(conn, body)
	f = desker{version: head[2], kind: head[3], id: binary.BigEndian.Uint64(head[4:]), number: binary.BigEndian.Uint32(head[12:]), body: string(body)}
	for len(texts) > 0 {
		n := 2 + int(binary.BigEndian.Uint16(texts))
		f.texts, texts = append(f.texts, string(texts[2:n])), texts[n:]
	}
	return f, err
}
