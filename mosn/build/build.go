package build

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

const buildUsage = `usage: mosn build [--with MODULE[@VERSION][=FOLDER]]... [--sofamesh FOLDER|VERSION] [-o FILE]

Makes a mosn with extensions of other modules, by the Go that is in PATH.

  --with MODULE[@VERSION][=FOLDER]
        a package that exports "func Extensions() sdk.Extensions"; without VERSION
        its latest release, with FOLDER what stands there. May be repeated.
  --sofamesh FOLDER|VERSION
        the checkout or the release to build; this program's own release when it is
        not given
  -o, --output FILE
        the program that is made (default mosn)
`

// maxTime bounds a build: a slow machine that has to fetch and compile all.
const maxTime = 30 * time.Minute

// extension is one --with.
type extension struct {
	pkg     string // import path of the package
	version string // "" for the latest
	folder  string // "" for a release
}

func parseExtension(s string) (e extension, err error) {
	var local bool
	e.pkg, e.folder, local = strings.Cut(s, "=")
	e.pkg, e.version, _ = strings.Cut(e.pkg, "@")
	switch {
	case e.pkg == "" || strings.ContainsAny(e.pkg, " \"`\\") || strings.HasPrefix(e.pkg, "-"):
		return e, fmt.Errorf("%q names no package", s)
	case local && e.folder == "":
		return e, fmt.Errorf("%q names no folder", s)
	case local && e.version != "":
		return e, fmt.Errorf("%q has a version and a folder: a folder is used as it stands", s)
	}
	return e, nil
}

// plan is what a command line asks for.
type plan struct {
	with     []extension
	sofamesh string // folder or version
	output   string
}

func parseBuild(args []string, stdout io.Writer) (p plan, err error) {
	f := flag.NewFlagSet("mosn build", flag.ContinueOnError)
	f.Func("with", "", func(s string) error {
		e, err := parseExtension(s)
		p.with = append(p.with, e)
		return err
	})
	f.StringVar(&p.sofamesh, "sofamesh", "", "")
	f.StringVar(&p.output, "output", "mosn", "")
	f.StringVar(&p.output, "o", "mosn", "")
	if err := parse(f, args, stdout, buildUsage); err != nil {
		return p, err
	}
	if f.NArg() > 0 {
		return p, fmt.Errorf("unexpected argument %q (mosn build --help)", f.Arg(0))
	}
	seen := map[string]bool{}
	for _, e := range p.with {
		if seen[e.pkg] {
			return p, fmt.Errorf("--with %s is given twice", e.pkg)
		}
		seen[e.pkg] = true
	}
	return p, nil
}

func runBuild(args []string, stdout, stderr io.Writer) error {
	p, err := parseBuild(args, stdout)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), maxTime)
	defer cancel()
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	dir, err := os.MkdirTemp("", "mosn-build-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	return p.run(ctx, &module{dir: dir, stderr: stderr}, stdout)
}

// run makes the program in a module of its own.
func (p plan) run(ctx context.Context, m *module, stdout io.Writer) error {
	output, err := filepath.Abs(p.output)
	if err != nil {
		return err
	}
	src, err := sourceOf(p.sofamesh)
	if err != nil {
		return err
	}
	if err := m.init(ctx, src); err != nil {
		return err
	}
	for _, e := range p.with {
		if err := m.require(ctx, e); err != nil {
			return err
		}
	}
	if err := os.WriteFile(filepath.Join(m.dir, "main.go"), []byte(p.main()), 0o600); err != nil {
		return err
	}
	if err := m.build(ctx, output, p.with); err != nil {
		return err
	}
	if err := m.pinned(ctx, src); err != nil {
		return errors.Join(err, os.Remove(output))
	}
	if err := try(ctx, output); err != nil {
		return errors.Join(err, os.Remove(output))
	}
	fmt.Fprintf(stdout, "%s: %s", p.output, src)
	for _, e := range p.with {
		what, err := m.origin(ctx, e)
		if err != nil {
			return err
		}
		fmt.Fprintf(stdout, ", %s", what)
	}
	fmt.Fprintln(stdout)
	return nil
}

// main is the program's source. The names x0, x1 ... stand for the packages, as two
// may have the same name.
func (p plan) main() string {
	var imports, list strings.Builder
	for i, e := range p.with {
		fmt.Fprintf(&imports, "\tx%d %q\n", i, e.pkg)
		fmt.Fprintf(&list, "x%d.Extensions(), ", i)
	}
	return fmt.Sprintf(`package main

import (
	"%[1]s/mosn/builtin"
	"%[1]s/mosn/server"
%s)

func main() { server.Main(builtin.Default().Add(%s)) }
`, sofamesh, imports.String(), strings.TrimSuffix(list.String(), ", "))
}
