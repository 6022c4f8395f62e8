// Package tutorial follows the text of a tutorial to the letter: it holds the code in
// it against the files beside it, does what its commands say in a new folder, and runs
// its programs. It belongs to the test that uses it.
package tutorial

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// Text is a tutorial.
type Text struct {
	path   string
	text   string
	blocks []block
}

// block is a fenced block of the tutorial.
type block struct {
	file       string // the name in the line before, "" for none
	lang       string
	text       string
	start, end int // of the text
}

// Read reads a tutorial.
func Read(tb testing.TB, path string) *Text {
	tb.Helper()
	p, err := os.ReadFile(path)
	if err != nil {
		tb.Fatal(err)
	}
	t := &Text{path: path, text: string(p)}
	for _, m := range regexp.MustCompile("(?ms)^(?:`([^`\n]+)`:\n\n)?```(\\w+)\n(.*?)^```$").FindAllStringSubmatchIndex(t.text, -1) {
		b := block{lang: t.text[m[4]:m[5]], text: t.text[m[6]:m[7]], start: m[6], end: m[7]}
		if m[2] >= 0 {
			b.file = t.text[m[2]:m[3]]
		}
		t.blocks = append(t.blocks, b)
	}
	return t
}

// Files holds the blocks that are files against those below folder, or writes them into
// the text when update is set: what is to be pasted is what is tested. It returns how
// many there are. Files in except are not there.
func (t *Text) Files(tb testing.TB, folder string, update bool, except ...string) (n int) {
	tb.Helper()
	var rewritten bytes.Buffer
	from := 0
	for _, b := range t.blocks {
		if b.file == "" || slices.Contains(except, b.file) {
			continue
		}
		n++
		file, err := os.ReadFile(filepath.Join(folder, b.file))
		if err != nil {
			tb.Fatal(err)
		}
		if string(file) != b.text && !update {
			tb.Errorf("the block %s differs from the file; -update writes it", b.file)
		}
		rewritten.WriteString(t.text[from:b.start])
		rewritten.Write(file)
		from = b.end
	}
	if update {
		rewritten.WriteString(t.text[from:])
		if err := os.WriteFile(t.path, rewritten.Bytes(), 0o644); err != nil {
			tb.Fatal(err)
		}
	}
	return n
}

// Follow does what the text says in dir, file by file and command by command. The
// commands have env beside the environment of the test, and no network.
func (t *Text) Follow(tb testing.TB, dir string, env ...string) {
	tb.Helper()
	cd := dir
	for _, b := range t.blocks {
		switch {
		case b.file != "":
			path := filepath.Join(cd, b.file)
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				tb.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(b.text), 0o644); err != nil {
				tb.Fatal(err)
			}
		case b.lang == "sh":
			// What a command leaves as its folder is where the next block goes on.
			cmd := exec.Command("bash", "-euc", b.text+"\npwd > "+dir+"/.folder")
			cmd.Dir = cd
			cmd.Env = append(append(os.Environ(), "GOFLAGS=", "GOPROXY=off", "GOWORK=off", "GOTOOLCHAIN=local"), env...)
			if out, err := cmd.CombinedOutput(); err != nil {
				tb.Fatalf("%s\n%v\n%s", b.text, err, out)
			}
			now, err := os.ReadFile(filepath.Join(dir, ".folder"))
			if err != nil {
				tb.Fatal(err)
			}
			cd = strings.TrimSpace(string(now))
		}
	}
}

// Consoles returns the commands of the console blocks, and the lines that they print.
func (t *Text) Consoles() (commands, output []string) {
	for _, b := range t.blocks {
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
