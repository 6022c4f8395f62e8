// Package filter is a tutorial in README.md. Its tests hold the text against the files
// beside it, and follow it to the letter.
package filter

import (
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"sofamesh.io/sofamesh/test/tutorial"
)

var update = flag.Bool("update", false, "write the files into the code blocks of README.md")

func TestBlocksAreFiles(t *testing.T) {
	if n := tutorial.Read(t, "README.md").Files(t, "greeter", *update); n != 3 {
		t.Errorf("%d blocks are files", n)
	}
}

// TestTutorial does what the text says up to its end. The programs of the console blocks
// run then: that of the first block, before the filter was changed, is the scaffold, which
// has a test of its own in mosn/build.
func TestTutorial(t *testing.T) {
	checkout, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	bin := t.TempDir()
	build := exec.Command("go", "build", "-trimpath", "-o", filepath.Join(bin, "mosn"), "./cmd/mosn")
	build.Dir, build.Env = checkout, append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	text := tutorial.Read(t, "README.md")
	dir := t.TempDir()
	text.Follow(t, dir, "SOFAMESH="+checkout, "PATH="+bin+":"+os.Getenv("PATH"))
	dir = filepath.Join(dir, "greeter")

	ports := tutorial.OwnPorts(t, "10000", "9901")
	config := filepath.Join(dir, "mosn.yaml")
	p, err := os.ReadFile(config)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(config, []byte(ports.Replace(string(p))), 0o644); err != nil {
		t.Fatal(err)
	}
	proxy := tutorial.Start(t, dir, "mosn -c mosn.yaml")
	proxy.WaitFor(t, func() bool { return tutorial.Answers(ports.Replace("http://127.0.0.1:9901/ready")) })
	commands, want := text.Consoles()
	again := slices.Index(commands[1:], "./mosn -c mosn.yaml &") + 1
	var got []string
	for _, c := range commands[again+1:] {
		out, err := exec.Command("bash", "-c", strings.Replace(ports.Replace(c), "curl", "curl -sS --max-time 20", 1)).Output()
		if err != nil {
			t.Fatalf("%s: %v", c, err)
		}
		got = append(got, strings.TrimSpace(string(out)))
	}
	if want = want[len(want)-len(got):]; !slices.Equal(got, want) {
		t.Errorf("printed %q, want %q", got, want)
	}
}
