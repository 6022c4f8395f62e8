package arch

import (
	"fmt"
	"go/ast"
	"go/token"
	"slices"
	"strconv"
	"strings"
)

// CheckDocs demands a doc comment of every package: what it owns, who calls it
// on which goroutine. A machine sees only that it is there and names the
// package.
func CheckDocs(t *Tree) []Finding {
	const why = "a stranger asks first what a package owns and who calls it on which goroutine"
	var found []Finding
	for _, p := range t.Packages {
		// The comment of package foo_test does not document package foo. A
		// folder with test files only is documented by one of them.
		testOnly := !slices.ContainsFunc(p.Files, func(f *File) bool { return !f.Test })
		documented := false
		for _, f := range p.Files {
			if f.AST.Doc == nil || f.Test != testOnly {
				continue
			}
			documented = true
			name := f.AST.Name.Name
			text := f.AST.Doc.Text()
			if name != "main" && !strings.HasPrefix(text, "Package "+name+" ") {
				found = append(found, Finding{t.at(f.AST.Doc.Pos()), fmt.Sprintf("the doc comment does not begin with %q", "Package "+name), why})
			}
		}
		if !documented {
			found = append(found, Finding{p.Path, "no package doc comment", why})
		}
	}
	return found
}

// CheckInit refuses init functions and imports for their side effects.
func CheckInit(t *Tree) []Finding {
	const why = "no registration by init: what is in the binary is read in builtin, and two proxies run in one test process"
	var found []Finding
	t.code(func(p *Package, f *File) {
		for _, d := range f.AST.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil && fn.Name.Name == "init" {
				found = append(found, Finding{t.at(fn.Pos()), "func init", why})
			}
		}
		for _, spec := range f.AST.Imports {
			// embed has to be imported so for its //go:embed comments.
			if spec.Name != nil && spec.Name.Name == "_" && spec.Path.Value != `"embed"` {
				found = append(found, Finding{t.at(spec.Pos()), "import for side effects of " + spec.Path.Value, why})
			}
		}
	})
	return found
}

// CheckSansIO refuses clocks and goroutines in codecs, and goroutines in
// filters. Sockets and files are banned by imports.
func CheckSansIO(t *Tree) []Finding {
	var found []Finding
	t.code(func(p *Package, f *File) {
		codec := matchAny([]string{"mosn/protocol/*"}, p.Path)
		if !codec && !matchAny([]string{"mosn/filter/*"}, p.Path) {
			return
		}
		clock := importName(f.AST, "time")
		ast.Inspect(f.AST, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.GoStmt:
				found = append(found, Finding{t.at(n.Pos()), "go statement", "extensions start goroutines only through the SDK, where each has an owner and an end"})
			case *ast.SelectorExpr:
				if codec && isClock(n, clock) {
					found = append(found, Finding{t.at(n.Pos()), "time." + n.Sel.Name, "a codec takes the time as an argument: that is why scripts and fuzzers can drive it"})
				}
			}
			return true
		})
	})
	return found
}

// importName is the name by which the file knows the package, or "".
func importName(f *ast.File, pkg string) string {
	for _, spec := range f.Imports {
		if p, _ := strconv.Unquote(spec.Path.Value); p == pkg {
			if spec.Name != nil {
				return spec.Name.Name
			}
			return pkg
		}
	}
	return ""
}

func isClock(sel *ast.SelectorExpr, clock string) bool {
	x, ok := sel.X.(*ast.Ident)
	if !ok || clock == "" || x.Name != clock {
		return false
	}
	switch sel.Sel.Name {
	case "Now", "Since", "Until", "Sleep", "After", "AfterFunc", "Tick", "NewTimer", "NewTicker":
		return true
	}
	return false
}

// packageVars calls yield for each name of each package-level var declaration
// of a file, the blank name left out.
func packageVars(f *ast.File, yield func(spec *ast.ValueSpec, name *ast.Ident, value ast.Expr)) {
	for _, d := range f.Decls {
		decl, ok := d.(*ast.GenDecl)
		if !ok || decl.Tok != token.VAR {
			continue
		}
		for _, s := range decl.Specs {
			spec := s.(*ast.ValueSpec)
			for i, name := range spec.Names {
				if name.Name == "_" {
					continue
				}
				var value ast.Expr
				if len(spec.Values) == len(spec.Names) {
					value = spec.Values[i]
				} else if len(spec.Values) == 1 {
					value = spec.Values[0]
				}
				yield(spec, name, value)
			}
		}
	}
}
