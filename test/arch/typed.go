package arch

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/build/constraint"
	"go/importer"
	"go/types"
	"io"
	"os"
	"os/exec"
	"path"
	"slices"
	"strings"
)

// A setting is one way to build the tree. State is looked for in each, so that
// no build tag hides it.
type setting []string // the build tags that hold

func settings() []setting {
	return []setting{
		{"linux", "amd64", "unix"},
		{"linux", "amd64", "unix", "invariants", "race"},
		{"darwin", "arm64", "unix"},
	}
}

// CheckState holds package-level variables against the rule in state.go. imp
// resolves imports; what it cannot resolve is skipped, since a tree that does
// not compile fails elsewhere.
func CheckState(t *Tree, imp types.Importer, allow map[string]string) []Finding {
	s := stateCheck{tree: t, imp: imp, allow: allow, used: map[string]bool{}, seen: map[string]bool{}, ours: map[string]bool{}}
	for _, p := range t.Packages {
		s.ours[s.importPath(p)] = true
	}
	for _, setting := range settings() {
		for _, p := range t.Packages {
			s.pkg(p, setting)
		}
	}
	for name := range allow {
		if !s.used[name] {
			s.found = append(s.found, Finding{name, "is allowed but no longer refused", "a stale exception hides the next one"})
		}
	}
	return s.found
}

type stateCheck struct {
	tree  *Tree
	imp   types.Importer
	allow map[string]string
	used  map[string]bool // allowed names that were met
	seen  map[string]bool // findings, as text: settings overlap
	ours  map[string]bool // import paths of the tree
	found []Finding
}

func (s *stateCheck) importPath(p *Package) string { return path.Join(s.tree.Module, p.Path) }

// pkg checks one package in one setting, twice: with its own tests, and the
// external tests alone, which see the exported variables.
func (s *stateCheck) pkg(p *Package, tags setting) {
	var own, external []*ast.File
	declaring := map[*ast.File]bool{}
	for _, f := range p.Files {
		if f.Generated || !builds(f, tags) {
			continue
		}
		if strings.HasSuffix(f.AST.Name.Name, "_test") {
			external = append(external, f.AST)
			continue
		}
		own = append(own, f.AST)
		declaring[f.AST] = !f.Test // a test's own variables are its affair
	}
	s.files(s.importPath(p), own, declaring)
	s.files(s.importPath(p)+"_test", external, nil)
}

func (s *stateCheck) files(importPath string, files []*ast.File, declaring map[*ast.File]bool) {
	info := &types.Info{
		Types:      map[ast.Expr]types.TypeAndValue{},
		Defs:       map[*ast.Ident]types.Object{},
		Uses:       map[*ast.Ident]types.Object{},
		Selections: map[*ast.SelectorExpr]*types.Selection{},
	}
	conf := types.Config{Importer: s.imp, Error: func(error) {}, FakeImportC: true}
	_, _ = conf.Check(importPath, s.tree.Fset, files, info) // errors: see CheckState
	for _, file := range files {
		if declaring[file] {
			packageVars(file, func(_ *ast.ValueSpec, name *ast.Ident, value ast.Expr) {
				if v, ok := info.Defs[name].(*types.Var); ok {
					s.report(v, name, declared(v, value, info))
				}
			})
		}
		written(file, info, func(v *types.Var, at ast.Node, how string) {
			// Other modules' variables, and those that a test declares for
			// itself, are not ours to judge.
			if s.ours[v.Pkg().Path()] && !strings.HasSuffix(s.tree.Fset.Position(v.Pos()).Filename, "_test.go") {
				s.report(v, at, how)
			}
		})
	}
}

func (s *stateCheck) report(v *types.Var, at ast.Node, what string) {
	if what == "" {
		return
	}
	name := varName(v)
	if _, ok := s.allow[name]; ok {
		s.used[name] = true
		return
	}
	f := Finding{s.tree.at(at.Pos()), fmt.Sprintf("%s %s", name, what), whyState}
	if !s.seen[f.String()] {
		s.seen[f.String()] = true
		s.found = append(s.found, f)
	}
}

// builds reports whether the file is part of the build with these tags.
func builds(f *File, tags setting) bool {
	if !nameBuilds(f.Path, tags) {
		return false
	}
	for _, group := range f.AST.Comments {
		if group.Pos() > f.AST.Package {
			break
		}
		for _, c := range group.List {
			if !constraint.IsGoBuild(c.Text) {
				continue
			}
			x, err := constraint.Parse(c.Text)
			if err != nil {
				return false
			}
			return x.Eval(func(tag string) bool {
				return slices.Contains(tags, tag) || strings.HasPrefix(tag, "go1.")
			})
		}
	}
	return true
}

// nameBuilds applies the constraint in a file's name (x_linux.go,
// x_darwin_arm64_test.go) for the systems and machines that we name.
func nameBuilds(file string, tags setting) bool {
	base := strings.TrimSuffix(strings.TrimSuffix(path.Base(file), ".go"), "_test")
	parts := strings.Split(base, "_")
	known := []string{"linux", "darwin", "windows", "freebsd", "amd64", "arm64"}
	for _, part := range parts[max(1, len(parts)-2):] {
		if slices.Contains(known, part) && !slices.Contains(tags, part) {
			return false
		}
	}
	return true
}

// Exported returns an importer that reads the compiler's export data of
// everything that the module in root depends on, its tests left out. It runs
// the go command, which compiles what its cache does not hold.
func Exported(t *Tree) (types.Importer, error) {
	cmd := exec.Command("go", "list", "-e", "-export", "-deps", "-json=ImportPath,Export", "./...")
	cmd.Dir = t.Root
	cmd.Stderr = io.Discard // a broken package is reported by the build
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go list: %w", err)
	}
	export := map[string]string{}
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p struct{ ImportPath, Export string }
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, err
		}
		export[p.ImportPath] = p.Export
	}
	return importer.ForCompiler(t.Fset, "gc", func(p string) (io.ReadCloser, error) {
		if export[p] == "" {
			return nil, fmt.Errorf("no export data for %s", p)
		}
		return os.Open(export[p])
	}), nil
}
