package arch

import (
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// repository parses the tree that this test is part of, once.
var repository = sync.OnceValues(func() (*Tree, error) { return Load(repositoryRoot()) })

func repositoryRoot() string {
	root, err := filepath.Abs("../..")
	if err != nil {
		panic(err)
	}
	return root
}

func load(t *testing.T) *Tree {
	t.Helper()
	tree, err := repository()
	if err != nil {
		t.Fatal(err)
	}
	if len(tree.Packages) == 0 {
		t.Fatal("no packages found: the rules would hold of nothing")
	}
	return tree
}

func report(t *testing.T, found []Finding) {
	t.Helper()
	for _, f := range found {
		t.Error(f)
	}
}

func TestImports(t *testing.T) { report(t, CheckImports(load(t))) }

func TestDocs(t *testing.T) { report(t, CheckDocs(load(t))) }

func TestNoInit(t *testing.T) { report(t, CheckInit(load(t))) }

func TestSansIO(t *testing.T) { report(t, CheckSansIO(load(t))) }

func TestNoPackageState(t *testing.T) {
	tree := load(t)
	imp, err := Exported(tree)
	if err != nil {
		t.Fatal(err)
	}
	report(t, CheckState(tree, imp, allowed()))
}

func TestLayout(t *testing.T) {
	found, err := CheckLayout(repositoryRoot())
	if err != nil {
		t.Fatal(err)
	}
	report(t, found)
}

func TestMap(t *testing.T) {
	found, err := CheckMap(repositoryRoot(), "ARCHITECTURE.md")
	if err != nil {
		t.Fatal(err)
	}
	report(t, found)
}

func TestGoMod(t *testing.T) {
	for _, file := range []string{"go.mod", "tools/go.mod"} {
		found, err := CheckGoMod(filepath.Join(repositoryRoot(), file))
		if err != nil {
			t.Fatal(err)
		}
		report(t, found)
	}
}

// TestLoadSeesWhatGoSees guards the walk: a package that it overlooks is held
// to no rule.
func TestLoadSeesWhatGoSees(t *testing.T) {
	tree := load(t)
	have := map[string]bool{}
	for _, p := range tree.Packages {
		have[p.Path] = true
	}
	cmd := exec.Command("go", "list", "-e", "-f", "{{.ImportPath}}", "./...")
	cmd.Dir = tree.Root
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range strings.Fields(string(out)) {
		p := strings.TrimPrefix(strings.TrimPrefix(line, tree.Module), "/")
		if p == "" {
			p = "."
		}
		if !have[p] {
			t.Errorf("go list knows %s, the rules do not", p)
		}
	}
}
