package holmes

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/structpb"

	"sofamesh.io/sofamesh/sdk/sdktest"
)

func compile(t *testing.T, text string) (*Config, error) {
	t.Helper()
	pb := &structpb.Struct{}
	if err := protojson.Unmarshal([]byte(text), pb); err != nil {
		t.Fatal(err)
	}
	return Compile(sdktest.NewCompiler(t), pb)
}

func TestCompile(t *testing.T) {
	for text, want := range map[string]string{
		`{}`:                                    "folder: is missing",
		`{"folder":"a","interval":"0.001s"}`:    "interval: 1ms is not between",
		`{"folder":"a","interval":"often"}`:     `interval: "often" is no duration`,
		`{"folder":"a","max_files":0}`:          "max_files: 0 is not between 1 and 1000",
		`{"folder":"a","max_bytes":-1}`:         "max_bytes: -1 is not positive",
		`{"folder":"a","cpu":{"abs":-1}}`:       "cpu: a threshold is negative",
		`{"folder":"a","disk":{}}`:              "disk: there is no such field",
		`{"folder":"a","cpu":{"cooldown":"x"}}`: `cpu.cooldown: "x" is no duration`,
	} {
		if _, err := compile(t, text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
	cfg, err := compile(t, `{"folder":"a","cpu":{"abs":95}}`)
	if err != nil || cfg.CPU.Abs != 95 || cfg.CPU.Min != 10 || time.Duration(cfg.CPU.Cooldown) != time.Minute || cfg.Heap != nil {
		t.Errorf("%+v %v", cfg, err)
	}
	if cfg, err := compile(t, `{"folder":"a"}`); err != nil || cfg.CPU == nil || cfg.Heap == nil || cfg.Goroutines == nil || cfg.Threads != nil {
		t.Errorf("%+v %v", cfg, err)
	}
}

// TestBursts forces one burst of each kind, and each leaves one profile, although it
// lasts for many samples.
func TestBursts(t *testing.T) {
	if testing.Short() {
		t.Skip("the library samples for a second at a time, ten times before the first profile")
	}
	dir := filepath.Join(t.TempDir(), "profiles")
	cfg, err := compile(t, fmt.Sprintf(`{"folder":%q,"interval":"0.1s","cpu":{"min":30,"diff":50,"abs":60},"heap":{"min":1,"diff":100,"abs":90},"goroutines":{"min":500,"diff":100,"abs":5000}}`, dir))
	if err != nil {
		t.Fatal(err)
	}
	var log lockedBuffer
	w, err := Start(cfg, slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})))
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	for _, on := range []bool{false, true} { // what was switched off and on again watches as before
		for _, k := range kinds()[:3] {
			if err := w.Set(k.name, on); err != nil {
				t.Fatal(err)
			}
		}
	}
	wait := func(what string, ready func() bool) {
		t.Helper()
		for range 600 {
			if ready() {
				return
			}
			time.Sleep(100 * time.Millisecond)
		}
		t.Fatalf("%s does not come:\n%s", what, log.String())
	}
	wait("the tenth sample", func() bool { return strings.Contains(log.String(), "NODUMP") })
	stop := make(chan struct{})
	var stopped atomic.Bool
	var busy sync.WaitGroup
	for range 2000 {
		busy.Go(func() { <-stop })
	}
	for range runtime.GOMAXPROCS(0) {
		busy.Go(func() {
			for !stopped.Load() {
			}
		})
	}
	count := func(prefix string) (n int) {
		list, err := w.Profiles()
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range list {
			if strings.HasPrefix(p.Name, prefix) && p.Bytes > 0 {
				n++
			}
		}
		return n
	}
	wait("the profile of goroutines", func() bool { return count("goroutine.") == 1 })
	wait("the profile of the CPU", func() bool { return count("cpu.") == 1 })
	time.Sleep(3 * time.Second) // two more samples of the same bursts
	close(stop)
	stopped.Store(true)
	busy.Wait()
	if count("goroutine.") != 1 || count("cpu.") != 1 {
		list, _ := w.Profiles()
		t.Errorf("a burst left more than one profile: %v", list)
	}
	hold := make([]byte, machineBytes(t)/20) // 5% of what there is, where 1% and twice the average is a burst
	for i := 0; i < len(hold); i += os.Getpagesize() {
		hold[i] = 1
	}
	wait("the profile of the heap", func() bool { return count("mem.") == 1 })
	runtime.KeepAlive(hold)
}

// machineBytes is the memory of the machine.
func machineBytes(t *testing.T) int {
	text, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		t.Fatal(err)
	}
	var kb int
	if _, err := fmt.Sscanf(string(text), "MemTotal: %d kB", &kb); err != nil {
		t.Fatal(err)
	}
	return kb << 10
}

// TestPrune: the oldest profiles go, and nothing else does.
func TestPrune(t *testing.T) {
	dir := t.TempDir()
	for i, name := range []string{"cpu..1.log", "mem..2.log", "goroutine..3.log", "cpu..4.log", "notes.log"} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, bytes.Repeat([]byte("x"), 100), 0o600); err != nil {
			t.Fatal(err)
		}
		when := time.Unix(int64(1000+i), 0)
		if err := os.Chtimes(path, when, when); err != nil {
			t.Fatal(err)
		}
	}
	names := func(maxFiles int, maxBytes int64) string {
		w := &Watcher{cfg: &Config{Folder: dir, MaxFiles: maxFiles, MaxBytes: maxBytes}, log: slog.Default()}
		w.prune()
		var list []string
		entries, _ := os.ReadDir(dir)
		for _, e := range entries {
			list = append(list, e.Name())
		}
		return strings.Join(list, " ")
	}
	if got := names(3, 1000); got != "cpu..4.log goroutine..3.log mem..2.log notes.log" {
		t.Error(got)
	}
	if got := names(3, 200); got != "cpu..4.log goroutine..3.log notes.log" {
		t.Error(got)
	}
	if got := names(3, 50); got != "notes.log" {
		t.Error(got)
	}
}

// lockedBuffer is written by the library's goroutines.
type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}
