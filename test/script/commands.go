package script

import (
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// patience bounds every wait for something that a script says will happen. It
// is generous: on a good day nothing waits.
const patience = 15 * time.Second

// commands are those that scripts have beside testscript's own.
func commands() map[string]func(ts *testscript.TestScript, neg bool, args []string) {
	return map[string]func(*testscript.TestScript, bool, []string){
		"port":       port,
		"backend":    backend,
		"expand":     expand,
		"httpget":    httpget,
		"ready":      ready,
		"eventually": eventually,
		"shows":      shows,
		"term":       term,
		"hup":        hup,
		"hammer":     hammer,
	}
}

func usage(ts *testscript.TestScript, bad bool, text string) {
	if bad {
		ts.Fatalf("usage: %s", text)
	}
}

// port NAME...: sets each variable to a TCP port of 127.0.0.1 that is free now.
func port(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg || len(args) == 0, "port NAME...")
	for _, name := range args {
		// All are held until the last one is known, so that they differ.
		l, err := net.Listen("tcp", "127.0.0.1:0")
		ts.Check(err)
		defer l.Close()
		ts.Setenv(name, fmt.Sprint(l.Addr().(*net.TCPAddr).Port))
	}
}

// backend NAME: starts an HTTP server that answers with NAME, the request's
// line and its headers, and sets the variable NAME to its port.
func backend(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg || len(args) != 1, "backend NAME")
	name := args[0]
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s: %s %s host=%s\n", name, r.Method, r.URL.RequestURI(), r.Host)
		for _, key := range slices.Sorted(maps.Keys(r.Header)) {
			fmt.Fprintf(w, "%s: %s\n", strings.ToLower(key), strings.Join(r.Header[key], ", "))
		}
	}))
	ts.Defer(s.Close)
	ts.Setenv(name, fmt.Sprint(s.Listener.Addr().(*net.TCPAddr).Port))
}

// expand FILE...: replaces $NAME and ${NAME} in the files, in place.
func expand(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg || len(args) == 0, "expand FILE...")
	for _, file := range args {
		text := os.Expand(ts.ReadFile(file), ts.Getenv)
		ts.Check(os.WriteFile(ts.MkAbs(file), []byte(text), 0o644))
	}
}

// httpget [-X METHOD] [-H 'name: value']... [-status N] URL: prints status line,
// headers and body, so that "stdout" can look at them. A status other than N
// (200) fails. Redirects are not followed.
func httpget(ts *testscript.TestScript, neg bool, args []string) {
	const how = "httpget [-X METHOD] [-H 'name: value']... [-status N] URL"
	usage(ts, neg || len(args) == 0, how)
	method, want := "GET", "200"
	header := http.Header{}
	for len(args) > 2 {
		switch value := args[1]; args[0] {
		case "-X":
			method = value
		case "-H":
			name, text, _ := strings.Cut(value, ":")
			header.Add(name, strings.TrimSpace(text))
		case "-status":
			want = value
		default:
			usage(ts, true, how)
		}
		args = args[2:]
	}
	usage(ts, len(args) != 1, how)
	req, err := http.NewRequest(method, args[0], nil)
	ts.Check(err)
	req.Header = header
	if host := header.Get("Host"); host != "" {
		req.Host = host
	}
	status, err := roundTrip(req, ts.Stdout())
	ts.Check(err)
	if fmt.Sprint(status) != want {
		ts.Fatalf("%s: status %d, want %s", args[0], status, want)
	}
}

// roundTrip sends the request on a connection of its own and prints the answer.
func roundTrip(req *http.Request, out io.Writer) (status int, err error) {
	tr := &http.Transport{DisableKeepAlives: true, DisableCompression: true}
	client := http.Client{Transport: tr, Timeout: patience, CheckRedirect: func(*http.Request, []*http.Request) error {
		return http.ErrUseLastResponse
	}}
	resp, err := client.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	fmt.Fprintf(out, "%s %s\n", resp.Proto, resp.Status)
	for _, key := range slices.Sorted(maps.Keys(resp.Header)) {
		fmt.Fprintf(out, "%s: %s\n", strings.ToLower(key), strings.Join(resp.Header[key], ", "))
	}
	fmt.Fprintln(out)
	_, err = io.Copy(out, resp.Body)
	return resp.StatusCode, err
}

// ready URL: waits until it answers 200.
func ready(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg || len(args) != 1, "ready URL")
	await(ts, args[0]+" answers 200", func() bool {
		req, err := http.NewRequest("GET", args[0], nil)
		ts.Check(err)
		status, err := roundTrip(req, io.Discard)
		return err == nil && status == http.StatusOK
	})
}

// eventually FILE TEXT: waits until the file holds the text.
func eventually(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg || len(args) != 2, "eventually FILE TEXT")
	await(ts, fmt.Sprintf("%s holds %q", args[0], args[1]), func() bool {
		data, err := os.ReadFile(ts.MkAbs(args[0]))
		return err == nil && strings.Contains(string(data), args[1])
	})
}

// shows URL TEXT: waits until what it answers holds the text; with ! until it does not.
func shows(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, len(args) != 2, "shows URL TEXT")
	await(ts, fmt.Sprintf("%s shows %q", args[0], args[1]), func() bool {
		req, err := http.NewRequest("GET", args[0], nil)
		ts.Check(err)
		var out strings.Builder
		_, err = roundTrip(req, &out)
		return err == nil && strings.Contains(out.String(), args[1]) != neg
	})
}

// hup: sends SIGHUP to the background commands.
func hup(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg || len(args) != 0, "hup")
	for _, cmd := range ts.BackgroundCmds() {
		ts.Check(cmd.Process.Signal(syscall.SIGHUP))
	}
}

// term: sends SIGTERM to the background commands. "wait" then waits for them.
func term(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg || len(args) != 0, "term")
	for _, cmd := range ts.BackgroundCmds() {
		ts.Check(cmd.Process.Signal(syscall.SIGTERM))
	}
}

func await(ts *testscript.TestScript, what string, holds func() bool) {
	for deadline := time.Now().Add(patience); !holds(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			ts.Fatalf("after %v still not: %s", patience, what)
		}
	}
}
