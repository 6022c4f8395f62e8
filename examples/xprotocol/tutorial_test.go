// Package xprotocol is a tutorial in README.md. Its tests hold the text against the
// files beside it, and follow it to the letter.
package xprotocol

import (
	"flag"
	"path/filepath"
	"testing"

	"sofamesh.io/sofamesh/test/tutorial"
)

var update = flag.Bool("update", false, "write the files into the code blocks of README.md")

// TestBlocksAreFiles: main.go has no file, because an example imports nothing but the
// SDK.
func TestBlocksAreFiles(t *testing.T) {
	if n := tutorial.Read(t, "README.md").Files(t, ".", *update, "main.go"); n != 6 {
		t.Errorf("%d blocks are files", n)
	}
}

// follow does what the tutorial says in a new folder and returns it.
func follow(t *testing.T, text *tutorial.Text) string {
	t.Helper()
	dir := t.TempDir()
	checkout, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	text.Follow(t, dir, "SOFAMESH="+checkout)
	return dir
}
