package http1

import (
	"bytes"
	"strings"
	"testing"

	"sofamesh.io/sofamesh/sdk"
	"sofamesh.io/sofamesh/sdk/httpfield"
)

// read decodes one request and returns its view or its error.
func read(t *testing.T, in string) (*sdk.Message, error) {
	t.Helper()
	m := new(sdk.Message)
	ev := sdk.Event{Msg: m}
	_, err := newConfig(t, sdk.Downstream, nil).New().Decode([]byte(in), &ev)
	if err == nil && ev.Kind != sdk.EventHeaders {
		t.Fatalf("%q is no whole head", in)
	}
	return m, err
}

// TestTargets has what Envoy 1.40 made of each target.
func TestTargets(t *testing.T) {
	for _, c := range []struct {
		line, authority, path string
		err                   error
	}{
		{"GET http://a.test:0/x", "a.test:0", "/x", nil},
		{"GET http://a.test:080/x", "a.test:080", "/x", nil},
		{"GET http://a.test:65535/x", "a.test:65535", "/x", nil},
		{"GET http://a.test:65536/x", "", "", errURL},
		{"GET http://a.test:/x", "", "", errURL},
		{"GET http://a.test:80:80/x", "", "", errURL},
		{"GET http://:80/x", "", "", errURL},
		{"GET http://u@/x", "", "", errURL},
		{"GET http://a@b@x/x", "", "", errURL},
		{"GET http://a@@x/x", "", "", errTarget},
		{"GET http://a_b.test/x", "", "", errURL},
		{"GET http://(a)/x", "", "", errURL},
		{"GET http://a%41/x", "", "", errURL},
		{"GET http://[::1/x", "", "", errURL},
		{"GET http://[]/x", "", "", errURL},
		{"GET http://[::1%25eth0]/x", "", "", errURL},
		{"GET http://[::1]x/x", "", "", errURL},
		{"GET http://[::1]/x", "[::1]", "/x", nil},
		{"GET http://a.test/x#frag", "a.test", "/x#frag", nil},
		{"GET http://a.test?x", "a.test", "?x", nil},
		{"GET http://a.test", "a.test", "/", nil},
		{"GET h2+x-.://a/", "", "", errScheme},
		{"GET 1http://a/", "", "", errTarget},
		{"GET http:/a/", "", "", errTarget},
		{"GET http//a/", "", "", errTarget},
		{"GET http://a\"/", "", "", errTarget},
		{"GET /a?\"<>\\^`{|}", "h", "/a?\"<>\\^`{|}", nil},
		{"OPTIONS *", "h", "*", nil},
		{"OPTIONS *x", "", "", errURL},
		{"CONNECT a:443", "a:443", "", nil},
		{"CONNECT [::1]:443", "[::1]:443", "", nil},
		{"CONNECT [::1]", "", "", errURL},
		{"CONNECT a", "", "", errURL},
		{"CONNECT a:", "", "", errURL},
		{"CONNECT a:99999", "", "", errURL},
		{"CONNECT u@a:443", "", "", errURL},
		{"CONNECT a:443/x", "", "", errURL},
		{"CONNECT http://a:443/", "", "", errURL},
		{"CONNECT *", "", "", errURL},
		{"GET\t\t/x\r", "h", "/x", nil},
	} {
		m, err := read(t, c.line+" HTTP/1.1\r\nhost: h\r\n\r\n")
		if err != c.err {
			t.Errorf("%q: %v, want %v", c.line, err, c.err)
			continue
		}
		if err == nil && (m.Authority() != c.authority || m.Path() != c.path) {
			t.Errorf("%q: host %q, path %q", c.line, m.Authority(), m.Path())
		}
	}
}

// TestAuthorityCharacters has the characters that Envoy 1.40 takes in a host.
func TestAuthorityCharacters(t *testing.T) {
	const fine = "!$%&'()*+,-.0123456789:;=@ABCDEFGHIJKLMNOPQRSTUVWXYZ[]_abcdefghijklmnopqrstuvwxyz~"
	for c := byte('!'); c < 0x7f; c++ {
		_, err := read(t, "GET / HTTP/1.1\r\nhost: a"+string(c)+"b\r\n\r\n")
		if want := strings.IndexByte(fine, c) >= 0; (err == nil) != want || err != nil && err != errAuthority {
			t.Errorf("%q in a host: %v", c, err)
		}
	}
}

// TestNominated has what Envoy 1.40 made of connection headers.
func TestNominated(t *testing.T) {
	const others = "te: Trailers, deflate\r\nkeep-alive: x\r\ncookie: a\r\nx: y\r\nx-forwarded-port: 1\r\nx-forwarded-for: 1\r\ncontent-length: 0\r\n"
	for _, c := range []struct {
		connection string
		gone       string // comma separated
		err        error
	}{
		{"a,b,c,d,e,f,g,h,i", "", nil},
		{"a,b,c,d,e,f,g,h,i,j", "", errConnection},
		{"a,,,,,,,,,,,,,,, b", "", nil},
		{"connection", "", nil},
		{":path", "", errConnection},
		{"X-Forwarded-For", "", errConnection},
		{"x-forwarded-host", "", errConnection},
		{"x-forwarded-proto", "", errConnection},
		{"x-forwarded-port", "x-forwarded-port", nil},
		{"Cookie,, X ,(", "cookie,x", nil},
		{"content-length, host", "content-length,:authority", nil},
		{"close, keep-alive", "keep-alive", nil},
	} {
		m, err := read(t, "POST / HTTP/1.1\r\nhost: h\r\nconnection: "+c.connection+"\r\n"+others+"\r\n")
		if err != c.err {
			t.Errorf("%q: %v, want %v", c.connection, err, c.err)
			continue
		}
		for _, name := range []string{":authority", "te", "keep-alive", "cookie", "x", "x-forwarded-port", "content-length"} {
			gone := strings.Contains(","+c.gone+",", ","+name+",")
			if err == nil && m.Has(name) == gone {
				t.Errorf("connection %q: %s there: %v", c.connection, name, !gone)
			}
		}
	}
	for te, want := range map[string]string{"Trailers, deflate": "trailers", "deflate": "", "x;q=1,trailers": "trailers"} {
		m, err := read(t, "GET / HTTP/1.1\r\nhost: h\r\nconnection: TE\r\nte: "+te+"\r\n\r\n")
		if err != nil || m.Value("te") != want || m.Has("te") != (want != "") {
			t.Errorf("te %q: %v, became %q", te, err, m.Value("te"))
		}
	}
	if _, err := read(t, "GET / HTTP/1.1\r\nhost: h\r\nconnection: te\r\nte: "+strings.Repeat("x", maxTE)+"\r\n\r\n"); err != errConnection {
		t.Errorf("a long te: %v", err)
	}
}

// TestPlain compares the word-wise search with the obvious one.
func TestPlain(t *testing.T) {
	p := make([]byte, 29)
	for c := range 256 {
		for at := range p {
			for i := range p {
				p[i] = "az~ !\xff\x80\x7e"[i%8]
			}
			p[at] = byte(c)
			want := len(p)
			if c < ' ' && c != '\t' || c == 0x7f {
				want = at
			}
			if got := httpfield.Plain(p); got != want {
				t.Fatalf("plain: %#x at %d: %d", c, at, got)
			}
			for i := range p {
				p[i] = 'a' + byte(i%26)
			}
			p[at] = byte(c)
			if got, want := httpfield.Printable(httpfield.String(p)), c >= ' ' && c < 0x7f; got != want {
				t.Fatalf("printable: %#x at %d: %v", c, at, got)
			}
		}
	}
}

// TestLower compares the word-wise reading of names with the obvious one.
func TestLower(t *testing.T) {
	for c := range 256 {
		for at := range 19 {
			p := []byte("Content-Type-x9Z~_: VALUE\r\n")
			p[at] = byte(c)
			want := bytes.Clone(p)
			n := 0
			for ; n < len(want) && httpfield.Lower(want[n]) != 0; n++ {
				want[n] = httpfield.Lower(want[n])
			}
			for _, extra := range []int{0, 3} {
				q := bytes.Clone(p)[:len(p)-extra]
				if got := lower(q); got != n || !bytes.Equal(q, want[:len(q)]) {
					t.Fatalf("%q: %d %q, want %d %q", p, got, q, n, want)
				}
				if got := token(p); got != n {
					t.Fatalf("%q: token of %d, want %d", p, got, n)
				}
			}
		}
	}
}

func FuzzPlain(f *testing.F) {
	f.Add([]byte("\x80\x7f\x1f"))
	f.Add([]byte("aaaaaaa\xff\x7faaaaaa\t\r\n"))
	f.Fuzz(func(t *testing.T, p []byte) {
		want := len(p)
		for i, c := range p {
			if c < ' ' && c != '\t' || c == 0x7f {
				want = i
				break
			}
		}
		if got := httpfield.Plain(p); got != want {
			t.Fatalf("%q: %d, want %d", p, got, want)
		}
	})
}

// TestBlanksAreNormal sends fields on with one blank before the value and none
// after it, however they came.
func TestBlanksAreNormal(t *testing.T) {
	m, err := read(t, "GET / HTTP/1.1\r\nhost: h\r\na: 1\r\nb:2\r\nc:\t3\r\nd:  4\r\ne: 5 \r\nf: 6\nG: 7\r\nh:\r\ni: \r\nj: 8\t\r\n\r\n")
	if err != nil {
		t.Fatal(err)
	}
	conn, out := newConfig(t, sdk.Upstream, nil).New(), buffer()
	if err := conn.WriteHeaders(out, 1, m, true); err != nil {
		t.Fatal(err)
	}
	want := "GET / HTTP/1.1\r\nhost: h\r\na: 1\r\nb: 2\r\nc: 3\r\nd: 4\r\ne: 5\r\nf: 6\r\ng: 7\r\nh: \r\ni: \r\nj: 8\r\n\r\n"
	if got := string(out.Bytes(nil)); got != want {
		t.Fatalf("wrote\n%q\nwant\n%q", got, want)
	}
}
