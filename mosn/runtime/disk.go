package runtime

import (
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Limits of a disk layer.
const (
	maxDepth     = 16 // Envoy's
	maxFiles     = 100_000
	maxFileBytes = 1 << 20
)

// readTree reads a directory of files, each being one value: a/b/c is the key "a.b.c".
// found is false when there is no such directory.
func readTree(root string) (values map[string]*value, found bool, err error) {
	if info, err := os.Stat(root); err != nil || !info.IsDir() {
		return nil, false, nil
	}
	values = map[string]*value{}
	return values, true, walk(values, root, "", 1)
}

func walk(values map[string]*value, dir, prefix string, depth int) error {
	if depth > maxDepth {
		return fmt.Errorf("%s: walk recursion depth exceeded %d", dir, maxDepth)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		info, err := os.Stat(path) // of what a link leads to
		switch {
		case err != nil:
			return err
		case info.IsDir():
			err = walk(values, path, prefix+e.Name()+".", depth+1)
		case info.Mode().IsRegular():
			if len(values) >= maxFiles {
				return fmt.Errorf("%s: there are more than %d files", dir, maxFiles)
			}
			values[prefix+e.Name()], err = readValue(path, info)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// readValue reads a file: lines that begin with # are comments, blanks at its end do
// not count.
func readValue(path string, info fs.FileInfo) (*value, error) {
	if info.Size() > maxFileBytes {
		return nil, fmt.Errorf("%s has %d bytes, over the limit of %d", path, info.Size(), maxFileBytes)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxFileBytes))
	if err != nil {
		return nil, err
	}
	var lines []string
	for line := range strings.SplitSeq(string(text), "\n") {
		if line != "" && line[0] != '#' {
			lines = append(lines, line)
		}
	}
	return parse(strings.TrimRight(strings.Join(lines, "\n"), " \t\r\n\v\f")), nil
}
