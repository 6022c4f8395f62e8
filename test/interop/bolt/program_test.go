package bolt

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"sofamesh.io/sofamesh/test/interop/peers"
)

// patience bounds every wait for something that is expected to happen soon.
const patience = 20 * time.Second

// kit is what the programs of the peers are made of.
type kit struct {
	classPath string
	modules   string // of Node
	home      string // where Java's middleware may write its logs
}

// newKit compiles the Java peers; without the tools or the packages the test is skipped.
func newKit(t *testing.T) *kit {
	t.Helper()
	for _, tool := range []string{"java", "javac", "node"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("no SOFARPC peers: %v: run test/interop/bolt/install.sh", err)
		}
	}
	dir, err := os.UserCacheDir()
	if err != nil {
		t.Skipf("no SOFARPC peers: %v", err)
	}
	cache := filepath.Join(dir, "sofamesh", "bolt-peers")
	if _, err := os.Stat(filepath.Join(cache, "done")); err != nil {
		t.Skipf("no SOFARPC peers: %v: run test/interop/bolt/install.sh", err)
	}
	home := t.TempDir()
	classes := filepath.Join(home, "classes")
	sources, err := filepath.Glob("java/com/acme/*.java")
	if err != nil || len(sources) == 0 {
		t.Fatalf("sources of the Java peers: %v", err)
	}
	jars := filepath.Join(cache, "jars", "*")
	if out, err := exec.Command("javac", append([]string{"-cp", jars, "-d", classes}, sources...)...).CombinedOutput(); err != nil {
		t.Fatalf("javac: %v\n%s", err, out)
	}
	return &kit{classPath: classes + ":" + jars, modules: filepath.Join(cache, "node_modules"), home: home}
}

// java is the command of a main class. Bolt's clients send a heartbeat on a connection that was idle for 300 ms; their queues of bytes to write
// have room for every test, for Bolt refuses calls that exceed them.
func (k *kit) java(class string, args ...string) *exec.Cmd {
	flags := []string{
		"-Xmx512m", "-Xss256k", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "--add-opens=java.base/java.lang=ALL-UNNAMED",
		"-Duser.home=" + k.home, "-Dlogging.path=" + k.home, "-Dinvoke.baggage.enable=true", "-Dbolt.tcp.heartbeat.interval=300",
		"-Dbolt.netty.buffer.high.watermark=67108864", "-Dbolt.netty.buffer.low.watermark=33554432",
		"-cp", k.classPath, "com.acme." + class,
	}
	return exec.Command("java", append(flags, args...)...)
}

// node is the command of a script.
func (k *kit) node(script string, args ...string) *exec.Cmd {
	cmd := exec.Command("node", append([]string{filepath.Join("node", script)}, args...)...)
	cmd.Env = append(os.Environ(), "NODE_PATH="+k.modules)
	return cmd
}

// program is a running peer that talks in lines. Its methods are safe for concurrent use.
type program struct {
	*peers.Process
	name string

	mu    sync.Mutex
	in    io.Writer
	part  []byte
	lines []string
	tags  int
	asked map[string]chan string
}

// start runs a peer until it says that it is ready.
func start(t testing.TB, name string, cmd *exec.Cmd) *program {
	t.Helper()
	p := &program{name: name, asked: map[string]chan string{}}
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.in = in
	cmd.Stdout = p
	p.Process = peers.StartCommand(t, cmd)
	p.await(t, "ready")
	return p
}

// Write takes what the program prints.
func (p *program) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.part = append(p.part, b...)
	for {
		line, rest, whole := strings.Cut(string(p.part), "\n")
		if !whole {
			return len(b), nil
		}
		p.part = []byte(rest)
		tag, result, _ := strings.Cut(line, " ")
		if answer := p.asked[tag]; answer != nil {
			answer <- result
			delete(p.asked, tag)
			continue
		}
		p.lines = append(p.lines, line)
	}
}

// await waits until the program has printed the line.
func (p *program) await(t testing.TB, line string) {
	t.Helper()
	eventually(t, fmt.Sprintf("%s says %q", p.name, line), func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		return slices.Contains(p.lines, line)
	})
}

// count says how often the program has printed the line.
func (p *program) count(line string) (n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, l := range p.lines {
		if l == line {
			n++
		}
	}
	return n
}

// begin sends a command; the channel gets its result.
func (p *program) begin(t testing.TB, format string, args ...any) <-chan string {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.tags++
	tag := fmt.Sprintf("@%d", p.tags)
	answer := make(chan string, 1)
	p.asked[tag] = answer
	if _, err := fmt.Fprintf(p.in, "%s %s\n", tag[1:], fmt.Sprintf(format, args...)); err != nil {
		t.Fatalf("%s: %v\n%s", p.name, err, p.Output())
	}
	return answer
}

// result waits for the result of a command.
func (p *program) result(t testing.TB, answer <-chan string) string {
	t.Helper()
	select {
	case r := <-answer:
		return r
	case <-p.Done():
		t.Fatalf("%s has ended: %s", p.name, p.Output())
	case <-time.After(3 * patience):
		t.Fatalf("%s does not answer a command", p.name)
	}
	return ""
}

// do sends a command and waits for its result.
func (p *program) do(t testing.TB, format string, args ...any) string {
	t.Helper()
	return p.result(t, p.begin(t, format, args...))
}

// eventually waits until ok; what says what did not happen.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("after %v still not: %s", patience, what)
		}
	}
}
