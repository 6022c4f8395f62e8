// Package xprotocol is a tutorial in README.md. Its tests hold the text against the
// files beside it, and follow it to the letter.
package xprotocol

import (
	"bytes"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the files into the code blocks of README.md")

// block is a fenced block of the tutorial.
type block struct {
	file       string // the name in the line before, "" for none
	lang       string
	text       string
	start, end int // of the text
}

func tutorial(tb testing.TB) (text string, blocks []block) {
	tb.Helper()
	p, err := os.ReadFile("README.md")
	if err != nil {
		tb.Fatal(err)
	}
	text = string(p)
	for _, m := range regexp.MustCompile("(?ms)^(?:`([^`\n]+)`:\n\n)?```(\\w+)\n(.*?)^```$").FindAllStringSubmatchIndex(text, -1) {
		b := block{lang: text[m[4]:m[5]], text: text[m[6]:m[7]], start: m[6], end: m[7]}
		if m[2] >= 0 {
			b.file = text[m[2]:m[3]]
		}
		blocks = append(blocks, b)
	}
	return text, blocks
}

// TestBlocksAreFiles: what is to be pasted is what is tested here. main.go has no
// file, because an example imports nothing but the SDK.
func TestBlocksAreFiles(t *testing.T) {
	text, blocks := tutorial(t)
	var rewritten bytes.Buffer
	from, seen := 0, 0
	for _, b := range blocks {
		if b.file == "" || b.file == "main.go" {
			continue
		}
		seen++
		file, err := os.ReadFile(b.file)
		if err != nil {
			t.Fatal(err)
		}
		if string(file) != b.text && !*update {
			t.Errorf("the block %s differs from the file; -update writes it", b.file)
		}
		rewritten.WriteString(text[from:b.start])
		rewritten.Write(file)
		from = b.end
	}
	if seen != 6 {
		t.Errorf("%d blocks are files", seen)
	}
	if *update {
		rewritten.WriteString(text[from:])
		if err := os.WriteFile("README.md", rewritten.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// follow does what the tutorial says in a new folder, file by file and command by
// command, without a network, and returns the folder.
func follow(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	checkout, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	_, blocks := tutorial(t)
	for _, b := range blocks {
		switch {
		case b.file != "":
			path := filepath.Join(dir, b.file)
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(b.text), 0o644); err != nil {
				t.Fatal(err)
			}
		case b.lang == "sh":
			cmd := exec.Command("bash", "-euc", b.text)
			cmd.Dir = dir
			cmd.Env = append(os.Environ(), "SOFAMESH="+checkout, "GOFLAGS=", "GOPROXY=off", "GOWORK=off", "GOTOOLCHAIN=local")
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("%s\n%v\n%s", b.text, err, out)
			}
		}
	}
	return dir
}

// consoles returns the commands of the console blocks, and what they print.
func consoles(t *testing.T) (commands, output []string) {
	t.Helper()
	_, blocks := tutorial(t)
	for _, b := range blocks {
		if b.lang != "console" {
			continue
		}
		for line := range strings.Lines(b.text) {
			line = strings.TrimSuffix(line, "\n")
			if cmd, ok := strings.CutPrefix(line, "$ "); ok {
				commands = append(commands, cmd)
			} else {
				output = append(output, line)
			}
		}
	}
	return commands, output
}
