package accesslog

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"sofamesh.io/sofamesh/mosn/format"
	"sofamesh.io/sofamesh/mosn/stats"
	"sofamesh.io/sofamesh/sdk"
	"sofamesh.io/sofamesh/sdk/sdktest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// counted is Options with a way to read the counters.
func counted(o Options) (Options, func(t *testing.T, name string) uint64) {
	store := stats.NewStore(stats.Options{})
	o.Scope, o.Shared = store.Root(), store.Shared()
	return o, func(t *testing.T, name string) uint64 {
		t.Helper()
		v, err := stats.NewCollector(store, nil, nil).Scrape(stats.Filter{})
		if err != nil {
			t.Fatal(err)
		}
		n, ok := v.Value("filesystem." + name)
		if !ok {
			t.Fatalf("there is no filesystem.%s", name)
		}
		return n
	}
}

func open(t *testing.T, s *Outputs, path string) *Output {
	t.Helper()
	out, err := s.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	return out.(*Output)
}

func closeAll(t *testing.T, s *Outputs) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

func write(o *Output, loop int, line string) { o.Write(loop, append(o.Scratch(loop), line...)) }

func content(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestFileIsAppendedTo(t *testing.T) {
	path := filepath.Join(t.TempDir(), "access.log")
	if err := os.WriteFile(path, []byte("old\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	o, count := counted(Options{Loops: 2})
	s := NewOutputs(o)
	out := open(t, s, path)
	if open(t, s, path) != out {
		t.Error("a path opened twice is two outputs")
	}
	write(out, 0, "one\n")
	write(out, 1, "two\n")
	write(out, 0, "")
	s.Flush()
	if got := content(t, path); got != "old\none\ntwo\n" {
		t.Errorf("after a flush: %q", got)
	}
	write(out, 0, "three\n")
	closeAll(t, s)
	if got := content(t, path); got != "old\none\ntwo\nthree\n" {
		t.Errorf("after Close: %q", got)
	}
	if n := count(t, "write_completed"); n != 3 {
		t.Errorf("%d writes", n)
	}
	if _, err := s.Open(path); !errors.Is(err, ErrClosed) {
		t.Errorf("opened after Close: %v", err)
	}
	s.Flush() // must not hang
	closeAll(t, s)
}

func TestReopen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "access.log")
	o, count := counted(Options{Loops: 1})
	s := NewOutputs(o)
	out := open(t, s, path)
	write(out, 0, "before\n")
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	s.Reopen()
	s.Reopen()
	// The reopening has happened when the file is there; a flush is not in order with it.
	for {
		if _, err := os.Stat(path); err == nil {
			break
		}
		time.Sleep(time.Millisecond)
	}
	write(out, 0, "after\n")
	closeAll(t, s)
	if got := content(t, path+".1"); got != "before\n" {
		t.Errorf("the old file has %q", got)
	}
	if got := content(t, path); got != "after\n" {
		t.Errorf("the new file has %q", got)
	}
	if n := count(t, "reopen_failed"); n != 0 {
		t.Errorf("%d reopenings failed", n)
	}
}

func TestReopenFails(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "logs")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "access.log")
	messages := make(chan string, 1)
	o, count := counted(Options{Loops: 1, Log: func(m string) { messages <- m }})
	s := NewOutputs(o)
	out := open(t, s, path)
	moved := dir + ".moved"
	if err := os.Rename(dir, moved); err != nil {
		t.Fatal(err)
	}
	s.Reopen()
	if m := <-messages; !strings.Contains(m, path) {
		t.Errorf("the message is %q", m)
	}
	write(out, 0, "goes on\n")
	closeAll(t, s)
	if got := content(t, filepath.Join(moved, "access.log")); got != "goes on\n" {
		t.Errorf("the open file has %q", got)
	}
	if n := count(t, "reopen_failed"); n != 1 {
		t.Errorf("%d reopenings failed", n)
	}
}

func TestOpenFails(t *testing.T) {
	s := NewOutputs(Options{Loops: 1})
	defer closeAll(t, s)
	if _, err := s.Open("/does/not/exist/access.log"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v", err)
	}
}

// sink is a writer that can be held up and that fails on demand.
type sink struct {
	mu   sync.Mutex
	text bytes.Buffer
	err  error
	hold chan struct{}
	in   chan struct{}
}

func (s *sink) Write(p []byte) (int, error) {
	if s.hold != nil {
		s.in <- struct{}{}
		<-s.hold
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return 0, s.err
	}
	return s.text.Write(p)
}

func (s *sink) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

func TestStandardStreams(t *testing.T) {
	stdout, stderr := &sink{}, &sink{}
	s := NewOutputs(Options{Loops: 1, Stdout: stdout, Stderr: stderr})
	write(open(t, s, "/dev/stdout"), 0, "out\n")
	write(open(t, s, "/dev/stderr"), 0, "err\n")
	s.Reopen() // has no effect on them
	closeAll(t, s)
	if stdout.String() != "out\n" || stderr.String() != "err\n" {
		t.Errorf("stdout %q, stderr %q", stdout, stderr)
	}
}

func TestFlushedByTimer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &sink{}
		o, count := counted(Options{Loops: 1, Stdout: w})
		s := NewOutputs(o)
		out := open(t, s, "/dev/stdout")
		write(out, 0, "line\n")
		synctest.Wait()
		if w.String() != "" {
			t.Errorf("written at once: %q", w)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if w.String() != "line\n" {
			t.Errorf("after a second: %q", w)
		}
		time.Sleep(3 * time.Second)
		if n := count(t, "flushed_by_timer"); n != 1 {
			t.Errorf("%d flushes by timer, want only the one with something to write", n)
		}
		closeAll(t, s)
	})
}

func TestHalfFullRingWakesTheWriter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &sink{}
		s := NewOutputs(Options{Loops: 1, Stdout: w})
		out := open(t, s, "/dev/stdout")
		line := strings.Repeat("x", 1023) + "\n"
		for i := range ringSize / 2048 {
			if w.String() != "" {
				t.Fatalf("written after %d lines", i)
			}
			write(out, 0, line)
		}
		synctest.Wait()
		if len(w.String()) != ringSize/2 {
			t.Errorf("%d bytes are written", len(w.String()))
		}
		closeAll(t, s)
	})
}

// TestDrops: a writer that hangs costs lines, never the loop, and the lines that are
// there are whole.
func TestDrops(t *testing.T) {
	w := &sink{hold: make(chan struct{}), in: make(chan struct{}, 100)}
	o, count := counted(Options{Loops: 1, Stdout: w})
	s := NewOutputs(o)
	out := open(t, s, "/dev/stdout")
	line := strings.Repeat("x", 999) + "\n"
	const lines = 2000
	for range lines { // far more than the ring holds, and nobody empties it
		write(out, 0, line)
	}
	close(w.hold)
	closeAll(t, s)
	text := w.String()
	dropped := count(t, "write_dropped")
	if dropped == 0 || uint64(strings.Count(text, line))+dropped != lines || strings.Trim(text, "x\n") != "" {
		t.Errorf("%d lines written, %d dropped, of %d", strings.Count(text, line), dropped, lines)
	}
	huge := NewOutputs(o)
	big := open(t, huge, "/dev/stdout")
	write(big, 0, strings.Repeat("y", ringSize+1))
	if cap(big.Scratch(0)) != 0 {
		t.Error("the scratch of a huge line is kept")
	}
	closeAll(t, huge)
	if n := count(t, "write_dropped"); n != dropped+1 {
		t.Errorf("%d dropped after a line larger than the ring", n-dropped)
	}
}

func TestWriteFails(t *testing.T) {
	w := &sink{err: errors.New("disk full")}
	var mu sync.Mutex
	var messages []string
	o, count := counted(Options{Loops: 1, Stdout: w, Log: func(m string) {
		mu.Lock()
		defer mu.Unlock()
		messages = append(messages, m)
	}})
	s := NewOutputs(o)
	out := open(t, s, "/dev/stdout")
	for range 3 {
		write(out, 0, "lost\n")
		s.Flush()
	}
	w.mu.Lock()
	w.err = nil
	w.mu.Unlock()
	write(out, 0, "kept\n")
	closeAll(t, s)
	if w.String() != "kept\n" || count(t, "write_failed") != 3 {
		t.Errorf("%q is written, %d writes failed", w, count(t, "write_failed"))
	}
	mu.Lock()
	defer mu.Unlock()
	if len(messages) != 1 || !strings.Contains(messages[0], "/dev/stdout: disk full") {
		t.Errorf("messages: %q", messages)
	}
}

func TestCloseGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &sink{hold: make(chan struct{}), in: make(chan struct{}, 1)}
		s := NewOutputs(Options{Loops: 1, Stdout: w})
		write(open(t, s, "/dev/stdout"), 0, "line\n")
		if err := s.Close(); err == nil || !strings.Contains(err.Error(), "/dev/stdout: writing does not end") {
			t.Errorf("got %v", err)
		}
		close(w.hold)
	})
}

// TestRing compares the ring with what went in, over many wraps.
func TestRing(t *testing.T) {
	r := &ring{}
	var in, out strings.Builder
	for i := range 20000 {
		line := strings.Repeat(string(rune('a'+i%26)), i*7919%1500) + "\n"
		r.put([]byte(line))
		in.WriteString(line)
		if i%97 == 0 || i*7919%5 == 0 {
			r.take(func(b []byte) { out.Write(b) })
		}
	}
	r.take(func(b []byte) { out.Write(b) })
	if r.dropped.Load() != 0 || in.String() != out.String() {
		t.Errorf("%d dropped, %d bytes in, %d out", r.dropped.Load(), in.Len(), out.Len())
	}
	full := make([]byte, ringSize)
	if r.put(full); r.take(func([]byte) {}) == 0 {
		t.Error("a line as large as the ring did not fit")
	}
}

// TestLoopsAndWriter is for the race detector.
func TestLoopsAndWriter(t *testing.T) {
	const loops, lines = 3, 5000
	w := &sink{}
	o, count := counted(Options{Loops: loops, Stdout: w, FlushInterval: time.Millisecond})
	s := NewOutputs(o)
	out := open(t, s, "/dev/stdout")
	var wg sync.WaitGroup
	for loop := range loops {
		wg.Go(func() {
			for i := range lines {
				write(out, loop, fmt.Sprintf("loop %d line %d\n", loop, i))
			}
		})
	}
	wg.Wait()
	closeAll(t, s)
	next := [loops]int{}
	got := 0
	for line := range strings.Lines(w.String()) {
		var loop, i int
		if _, err := fmt.Sscanf(line, "loop %d line %d\n", &loop, &i); err != nil || i < next[loop] {
			t.Fatalf("%q after line %d of its loop: %v", line, next[loop], err)
		}
		next[loop] = i + 1
		got++
	}
	if dropped := count(t, "write_dropped"); got+int(dropped) != loops*lines {
		t.Errorf("%d lines, %d dropped", got, dropped)
	}
}

func TestText(t *testing.T) {
	c := sdktest.NewCompiler(t)
	f, err := format.Parse("%RESPONSE_CODE% %REQ(a)% %RESP(a)% %TRAILER(a)%\n")
	if err != nil {
		t.Fatal(err)
	}
	logger, err := NewText(c, "/x", f)
	if err != nil {
		t.Fatal(err)
	}
	var request, response, trailers sdk.Headers
	request.Add("a", "1")
	response.Add("a", "2")
	trailers.Add("a", "3")
	logger.Log(0, &sdk.StreamInfo{ResponseCode: 200}, &request, &response, &trailers)
	logger.Log(0, &sdk.StreamInfo{ResponseCode: 404}, &response, &response, &trailers)
	if got := string(c.Output("/x").Text); got != "200 1 2 3\n404 2 2 3\n" {
		t.Errorf("got %q", got)
	}
	if logger, err = NewText(c, "/default", nil); err != nil {
		t.Fatal(err)
	}
	logger.Log(0, &sdk.StreamInfo{ResponseCode: 200}, &request, &response, &trailers)
	if got := string(c.Output("/default").Text); !strings.HasSuffix(got, `] "- - -" 200 - 0 0 - - "-" "-" "-" "-" "-"`+"\n") {
		t.Errorf("got %q", got)
	}
}

// outputCompiler gives a logger real outputs.
type outputCompiler struct {
	sdk.Compiler
	outputs *Outputs
}

func (c outputCompiler) LogOutput(path string) (sdk.LogOutput, error) { return c.outputs.Open(path) }

func logging(tb testing.TB) (*Outputs, func()) {
	tb.Helper()
	s := NewOutputs(Options{Loops: 1, Stdout: io.Discard})
	logger, err := NewText(outputCompiler{sdktest.NewCompiler(tb), s}, "/dev/stdout", nil)
	if err != nil {
		tb.Fatal(err)
	}
	info := &sdk.StreamInfo{ResponseCode: 200, UpstreamHost: "127.0.0.1:80", StartTime: time.Unix(0, 0)}
	h := &sdk.Headers{}
	h.Add(":path", "/some/path")
	return s, func() { logger.Log(0, info, h, h, h) }
}

func TestLogDoesNotAllocate(t *testing.T) {
	s, log := logging(t)
	if n := testing.AllocsPerRun(200, log); n != 0 {
		t.Errorf("%v allocations", n)
	}
	closeAll(t, s)
}

func BenchmarkLog(b *testing.B) {
	s, log := logging(b)
	b.ReportAllocs()
	for b.Loop() {
		log()
	}
	if err := s.Close(); err != nil {
		b.Error(err)
	}
}
