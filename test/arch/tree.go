// Package arch holds the architecture's rules as tests: who may import whom,
// what every package must document, which state may live in a package, and
// what the repository looks like. "go test ./test/arch" reads the source tree
// beside it and fails with one line per violation and the reason of the rule.
//
// Each rule is a plain function from a parsed Tree to findings, so that each is
// also tested on a small bad example. Nothing here runs in a shipped binary.
package arch

import (
	"bufio"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"sort"
	"strings"
)

// Finding is one violation of one rule.
type Finding struct {
	Where string // path[:line], relative to the root of the tree
	What  string // what is wrong
	Why   string // the reason of the rule
}

func (f Finding) String() string {
	return fmt.Sprintf("%s: %s\n\treason: %s", f.Where, f.What, f.Why)
}

// Tree is the parsed source of one module: every .go file whatever its build
// constraints, nested modules and testdata left out.
type Tree struct {
	Root     string // absolute
	Module   string // module path
	Fset     *token.FileSet
	Packages []*Package // by path
}

// Package is one folder with Go files.
type Package struct {
	Path  string // folder relative to the root, with slashes; "." for the root
	Files []*File
}

// File is one parsed Go file.
type File struct {
	Path      string // relative to the root, with slashes
	Test      bool   // _test.go
	Generated bool
	AST       *ast.File
}

// Load parses the module whose go.mod lies in root.
func Load(root string) (*Tree, error) {
	module, err := modulePath(filepath.Join(root, "go.mod"))
	if err != nil {
		return nil, err
	}
	t := &Tree{Root: root, Module: module, Fset: token.NewFileSet()}
	byPath := map[string]*Package{}
	err = filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if name != root && notOurs(name, d.Name()) {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(name, ".go") {
			return nil
		}
		return t.add(byPath, name)
	})
	for _, p := range byPath {
		t.Packages = append(t.Packages, p)
	}
	sort.Slice(t.Packages, func(i, j int) bool { return t.Packages[i].Path < t.Packages[j].Path })
	return t, err
}

// notOurs reports a folder that the go command would not look into either.
func notOurs(full, base string) bool {
	if strings.HasPrefix(base, ".") || strings.HasPrefix(base, "_") || base == "testdata" || base == "vendor" {
		return true
	}
	_, err := os.Stat(filepath.Join(full, "go.mod"))
	return err == nil
}

func (t *Tree) add(byPath map[string]*Package, name string) error {
	rel, err := filepath.Rel(t.Root, name)
	if err != nil {
		return err
	}
	rel = filepath.ToSlash(rel)
	src, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	// The position names in findings are relative: the same on every machine.
	parsed, err := parser.ParseFile(t.Fset, rel, src, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return err
	}
	dir := path.Dir(rel)
	p := byPath[dir]
	if p == nil {
		p = &Package{Path: dir}
		byPath[dir] = p
	}
	p.Files = append(p.Files, &File{
		Path:      rel,
		Test:      strings.HasSuffix(rel, "_test.go"),
		Generated: ast.IsGenerated(parsed),
		AST:       parsed,
	})
	return nil
}

func modulePath(gomod string) (string, error) {
	f, err := os.Open(gomod)
	if err != nil {
		return "", err
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		if p, ok := strings.CutPrefix(lines.Text(), "module "); ok {
			return strings.TrimSpace(p), nil
		}
	}
	return "", fmt.Errorf("%s: no module line", gomod)
}

// at renders a position as path:line.
func (t *Tree) at(pos token.Pos) string {
	p := t.Fset.Position(pos)
	return fmt.Sprintf("%s:%d", p.Filename, p.Line)
}

// code calls yield for each hand-written file that is part of a shipped
// package, that is neither a test nor generated.
func (t *Tree) code(yield func(*Package, *File)) {
	for _, p := range t.Packages {
		for _, f := range p.Files {
			if !f.Test && !f.Generated {
				yield(p, f)
			}
		}
	}
}
