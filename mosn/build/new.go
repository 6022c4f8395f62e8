package build

import (
	"context"
	"embed"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

const newUsage = `usage: mosn new [--sofamesh FOLDER|VERSION] MODULE [FOLDER]

Writes a module with a filter, its test and a configuration to begin with, into
FOLDER (default: the last part of MODULE), which must be empty or not exist.
`

//go:embed scaffold
var scaffold embed.FS

// newTime bounds what go does for a new module.
const newTime = 5 * time.Minute

// names are what the files of a new module are made of.
type names struct {
	Module  string // example.com/my-filter
	Package string // myfilter
	Filter  string // example.com.filters.http.my_filter
}

// namesOf makes names of the path of a module.
func namesOf(module string) (n names, err error) {
	if !regexp.MustCompile(`^[a-z0-9][a-z0-9.-]*\.[a-z]+(/[A-Za-z0-9._~-]+)+$`).MatchString(module) {
		return n, fmt.Errorf("%q is no path of a module such as example.com/my-filter", module)
	}
	last := path.Base(module)
	if regexp.MustCompile(`^v[0-9]+$`).MatchString(last) {
		last = path.Base(path.Dir(module))
	}
	word := strings.ToLower(regexp.MustCompile(`[^A-Za-z0-9]+`).ReplaceAllString(last, "_"))
	host, _, _ := strings.Cut(module, "/")
	n = names{Module: module, Package: strings.ReplaceAll(word, "_", ""), Filter: host + ".filters.http." + strings.Trim(word, "_")}
	if !regexp.MustCompile(`^[a-z]`).MatchString(n.Package) {
		return n, fmt.Errorf("%q: the last part must begin with a letter, as a package is named by it", module)
	}
	return n, nil
}

func runNew(args []string, stdout, stderr io.Writer) error {
	f := flag.NewFlagSet("mosn new", flag.ContinueOnError)
	asked := f.String("sofamesh", "", "")
	if err := parse(f, args, stdout, newUsage); err != nil {
		return err
	}
	if f.NArg() < 1 || f.NArg() > 2 {
		return errors.New("want MODULE [FOLDER] (mosn new --help)")
	}
	n, err := namesOf(f.Arg(0))
	if err != nil {
		return err
	}
	dir := path.Base(n.Module)
	if f.NArg() == 2 {
		dir = f.Arg(1)
	}
	src, err := sourceOf(*asked)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), newTime)
	defer cancel()
	if err := n.write(dir); err != nil {
		return err
	}
	m := &module{dir: dir, stderr: stderr}
	if err := m.begin(ctx, n.Module, src); err != nil {
		return err
	}
	fmt.Fprintf(stdout, "%s: %s. Next: cd %s && go test ./...\n", dir, n.Module, dir)
	return nil
}

// write makes the files.
func (n names) write(dir string) error {
	entries, err := os.ReadDir(dir)
	switch {
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return err
	case len(entries) > 0:
		return fmt.Errorf("%s is not empty", dir)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	// A template of text/template would keep the linker from leaving out any method of
	// any type, in every proxy.
	fill := strings.NewReplacer("{{.Module}}", n.Module, "{{.Package}}", n.Package, "{{.Filter}}", n.Filter)
	files, err := scaffold.ReadDir("scaffold")
	if err != nil {
		return err
	}
	for _, f := range files {
		text, err := scaffold.ReadFile("scaffold/" + f.Name())
		if err != nil {
			return err
		}
		name := strings.Replace(strings.TrimSuffix(f.Name(), ".tmpl"), "filter", n.Package, 1)
		if err := os.WriteFile(filepath.Join(dir, name), []byte(fill.Replace(string(text))), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// begin makes the go.mod of a new module. What it imports is known to the proxy's own,
// so nothing need be fetched for a checkout.
func (m *module) begin(ctx context.Context, path string, src source) error {
	if err := os.WriteFile(filepath.Join(m.dir, "go.mod"), []byte("module "+path+"\n"+pruned), 0o644); err != nil {
		return err
	}
	var err error
	if src.folder != "" {
		err = m.replace(ctx, sofamesh, src.folder)
	} else {
		err = m.goTool(ctx, m.stderr, "get", sofamesh+"@"+src.version)
	}
	if err != nil {
		return err
	}
	return m.goTool(ctx, io.Discard, "list", "-mod=mod", "-test", "./...") // completes go.mod and go.sum
}
