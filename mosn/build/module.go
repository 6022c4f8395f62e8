package build

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"strings"
	"time"
)

// sofamesh is the module of the proxy.
const sofamesh = "sofamesh.io/sofamesh"

// unreleased stands for the version of what is used from a folder.
const unreleased = "v0.0.0-00010101000000-000000000000"

// pruned is the go line that a module begins with: since 1.17 go.mod lists what is
// needed and no more. The go command raises it to what the proxy needs.
const pruned = "\ngo 1.17\n"

// tryTime bounds the first start of the program that was made.
const tryTime = 30 * time.Second

// source is what the proxy is built from: a checkout or a release.
type source struct{ folder, version string }

func (s source) String() string {
	if s.folder != "" {
		return sofamesh + " in " + s.folder
	}
	return sofamesh + " " + s.version
}

// sourceOf finds the source that was asked for, by default that of this program.
func sourceOf(asked string) (source, error) {
	if asked == "" {
		return ownSource()
	}
	info, err := os.Stat(asked)
	switch {
	case err == nil && info.IsDir():
		folder, err := checkModule(asked, sofamesh)
		return source{folder: folder}, err
	case strings.HasPrefix(asked, "v"):
		return source{version: asked}, nil
	}
	return source{}, fmt.Errorf("--sofamesh %s is neither a folder nor a version such as v1.2.3", asked)
}

func ownSource() (source, error) {
	info, ok := debug.ReadBuildInfo()
	if ok {
		for _, m := range append([]*debug.Module{&info.Main}, info.Deps...) {
			if m.Path == sofamesh && m.Replace == nil && released(m.Version) {
				return source{version: m.Version}, nil
			}
		}
	}
	return source{}, errors.New("this program was built from a checkout, not from a release: say --sofamesh FOLDER or VERSION")
}

// released reports whether a version can be had from elsewhere: a build of a checkout
// is stamped with its commit.
func released(version string) bool {
	return strings.HasPrefix(version, "v") && !strings.Contains(version, "+dirty") && !regexp.MustCompile(`\d{14}-[0-9a-f]{12}$`).MatchString(version)
}

// checkModule returns the absolute folder of a module, whose path must be want or, for
// a package, a path above it.
func checkModule(folder, want string) (string, error) {
	folder, err := filepath.Abs(folder)
	if err != nil {
		return "", err
	}
	path, err := modulePath(folder)
	if err != nil {
		return "", err
	}
	if path != want {
		return "", fmt.Errorf("%s holds the module %s, not %s", folder, path, want)
	}
	return folder, nil
}

func modulePath(folder string) (string, error) {
	text, err := os.ReadFile(filepath.Join(folder, "go.mod"))
	if errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("%s holds no go.mod: give the folder of the module", folder)
	}
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(string(text)) {
		if words := strings.Fields(line); len(words) >= 2 && words[0] == "module" {
			return strings.Trim(words[1], `"`), nil
		}
	}
	return "", fmt.Errorf("%s names no module", filepath.Join(folder, "go.mod"))
}

// module is the one that is made to be built.
type module struct {
	dir    string
	stderr io.Writer // what go has to say while it works
}

// goTool runs go in the module.
func (m *module) goTool(ctx context.Context, stdout io.Writer, args ...string) error {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = m.dir
	// A workspace or a vendor folder of the caller's has nothing to do with this module.
	cmd.Env = append(os.Environ(), "GOWORK=off", "CGO_ENABLED=0", "GOFLAGS="+withoutMod(os.Getenv("GOFLAGS")))
	cmd.Stdout, cmd.Stderr = stdout, m.stderr
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 10 * time.Second
	err := cmd.Run()
	switch {
	case errors.Is(err, exec.ErrNotFound):
		return errors.New("there is no go in PATH: mosn build compiles, so it needs Go (https://go.dev/dl)")
	case ctx.Err() != nil:
		return fmt.Errorf("go %s: %w", args[0], context.Cause(ctx))
	case err != nil:
		return fmt.Errorf("go %s: %w", strings.Join(args[:min(2, len(args))], " "), err)
	}
	return nil
}

func withoutMod(flags string) string {
	var keep []string
	for _, f := range strings.Fields(flags) {
		if !strings.HasPrefix(strings.TrimLeft(f, "-"), "mod=") {
			keep = append(keep, f)
		}
	}
	return strings.Join(keep, " ")
}

// init begins the module. From a checkout it takes the sums too, so that what it pins
// need not be asked for again.
func (m *module) init(ctx context.Context, src source) error {
	if err := os.WriteFile(filepath.Join(m.dir, "go.mod"), []byte("module mosn.local/mosn\n"+pruned), 0o600); err != nil {
		return err
	}
	if src.folder == "" {
		return m.goTool(ctx, m.stderr, "get", sofamesh+"@"+src.version)
	}
	return m.replace(ctx, sofamesh, src.folder)
}

func (m *module) replace(ctx context.Context, path, folder string) error {
	sums, err := os.ReadFile(filepath.Join(folder, "go.sum"))
	if err == nil {
		err = m.appendSums(sums)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return m.goTool(ctx, m.stderr, "mod", "edit", "-require="+path+"@"+unreleased, "-replace="+path+"="+folder)
}

func (m *module) appendSums(sums []byte) error {
	f, err := os.OpenFile(filepath.Join(m.dir, "go.sum"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(sums)
	return errors.Join(err, f.Close())
}

// require adds the module of an extension.
func (m *module) require(ctx context.Context, e extension) error {
	if e.folder == "" {
		version := e.version
		if version == "" {
			version = "latest"
		}
		return m.goTool(ctx, m.stderr, "get", e.pkg+"@"+version)
	}
	folder, err := filepath.Abs(e.folder)
	if err != nil {
		return err
	}
	path, err := modulePath(folder)
	if err != nil {
		return err
	}
	if path != e.pkg && !strings.HasPrefix(e.pkg, path+"/") {
		return fmt.Errorf("--with %s: %s holds the module %s", e.pkg, folder, path)
	}
	return m.replace(ctx, path, folder)
}

// build compiles. A package without the function gets a word about it, as go's own
// message speaks of a file that nobody has seen.
func (m *module) build(ctx context.Context, output string, with []extension) error {
	var said bytes.Buffer
	tee := &module{dir: m.dir, stderr: io.MultiWriter(m.stderr, &said)}
	err := tee.goTool(ctx, tee.stderr, "build", "-mod=mod", "-trimpath", "-o", output, ".")
	if err == nil {
		return nil
	}
	for i, e := range with {
		if strings.Contains(said.String(), fmt.Sprintf("x%d.Extensions", i)) {
			return fmt.Errorf(`%s does not export "func Extensions() sdk.Extensions"`, e.pkg)
		}
	}
	return err
}

// pinned holds what was built against what was asked for: an extension that needs a
// newer proxy would have raised it in silence.
func (m *module) pinned(ctx context.Context, src source) error {
	if src.folder != "" {
		return nil
	}
	got, err := m.list(ctx, "-m", sofamesh)
	if err != nil || got.Version == src.version {
		return err
	}
	return fmt.Errorf("an extension needs %s %s, newer than %s: build it with --sofamesh %s", sofamesh, got.Version, src.version, got.Version)
}

// listed is what go list says of a module or of a package.
type listed struct {
	Path, ImportPath, Version, Dir string
	Module                         *listed
	Replace                        *listed
}

func (m *module) list(ctx context.Context, args ...string) (l listed, err error) {
	var out bytes.Buffer
	if err = m.goTool(ctx, &out, append([]string{"list", "-mod=mod", "-json"}, args...)...); err != nil {
		return l, err
	}
	return l, json.Unmarshal(out.Bytes(), &l)
}

// origin says where an extension came from.
func (m *module) origin(ctx context.Context, e extension) (string, error) {
	l, err := m.list(ctx, e.pkg)
	switch {
	case err != nil:
		return "", err
	case l.Module == nil:
		return "", fmt.Errorf("%s is in no module", e.pkg)
	case l.Module.Replace != nil:
		return e.pkg + " in " + l.Module.Dir, nil
	}
	return e.pkg + " " + l.Module.Version, nil
}

// try starts the program to check an empty configuration: that is where two extensions
// of one name are noticed. A program for another machine cannot be tried.
func try(ctx context.Context, program string) error {
	if os.Getenv("GOOS") != "" || os.Getenv("GOARCH") != "" {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, tryTime)
	defer cancel()
	out, err := exec.CommandContext(ctx, program, "--mode", "validate", "--config-yaml", "{}").CombinedOutput()
	if err != nil {
		return fmt.Errorf("the program that was made does not start: %w\n%s", err, bytes.TrimSpace(out))
	}
	return nil
}
