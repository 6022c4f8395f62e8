package build

import (
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	gomod "golang.org/x/mod/module"
	"golang.org/x/mod/zip"
)

// proxy is a module proxy in a folder (https://go.dev/ref/mod#goproxy-protocol).
type proxy string

// publish adds a release of the module in dir.
func (p proxy) publish(t *testing.T, path, version, dir string) {
	t.Helper()
	at := filepath.Join(string(p), path, "@v")
	mod, err := os.ReadFile(filepath.Join(dir, "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	var archive bytes.Buffer
	if err := zip.Create(&archive, gomod.Version{Path: path, Version: version}, sources(t, dir)); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(at, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string][]byte{
		version + ".info": fmt.Appendf(nil, `{"Version":%q,"Time":"2026-01-02T03:04:05Z"}`, version),
		version + ".mod":  mod, version + ".zip": archive.Bytes(),
	} {
		if err := os.WriteFile(filepath.Join(at, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	list, err := os.OpenFile(filepath.Join(at, "list"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer list.Close()
	fmt.Fprintln(list, version)
}

// sources are the files of a module but for tests and what a build leaves.
func sources(t *testing.T, dir string) []zip.File {
	t.Helper()
	var files []zip.File
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		rel, _ := filepath.Rel(dir, path)
		switch {
		case err != nil:
			return err
		case d.IsDir() && (strings.HasPrefix(d.Name(), ".") && rel != "." || rel == "out" || rel == "bin" || rel == "test" || rel == "tools"):
			return fs.SkipDir
		case d.Type().IsRegular() && !strings.HasSuffix(path, "_test.go"):
			files = append(files, diskFile{path, filepath.ToSlash(rel)})
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// TestReleases builds with modules from a module proxy: one of the proxy itself and two
// extensions, one of which needs a newer proxy than asked for.
func TestReleases(t *testing.T) {
	p := proxy(t.TempDir())
	root := checkout(t)
	for _, version := range []string{"v0.9.0", "v0.9.1"} {
		p.publish(t, sofamesh, version, root)
	}
	for _, e := range []struct{ path, version, proxy string }{
		{"example.com/stamp", "v1.0.0", "v0.9.0"}, {"example.com/stamp", "v1.1.0", "v0.9.1"}, {"example.com/other", "v1.0.0", "v0.9.0"},
	} {
		p.publish(t, e.path, e.version, write(t, map[string]string{
			"go.mod":   fmt.Sprintf("module %s\n\ngo 1.26\n\nrequire %s %s\n", e.path, sofamesh, e.proxy),
			"stamp.go": stamp,
		}))
	}
	cache, err := exec.Command("go", "env", "GOMODCACHE").Output()
	if err != nil {
		t.Fatal(err)
	}
	mods := t.TempDir()
	for name, value := range map[string]string{
		"GOPROXY":    "file://" + string(p) + ",file://" + filepath.Join(strings.TrimSpace(string(cache)), "cache", "download") + "," + os.Getenv("GOPROXY"),
		"GOMODCACHE": mods, "GOSUMDB": "off", "GOFLAGS": "-modcacherw", // the cache holds what go.sum has verified
	} {
		t.Setenv(name, value)
	}
	program := filepath.Join(t.TempDir(), "mosn")
	code, out, errs := run(t, "build", "--sofamesh", "v0.9.0", "--with", "example.com/stamp@v1.0.0", "-o", program)
	if want := program + ": sofamesh.io/sofamesh v0.9.0, example.com/stamp v1.0.0\n"; code != 0 || out != want {
		t.Fatalf("%d %q %s; want %q", code, out, errs, want)
	}
	if info, err := exec.Command("go", "version", "-m", program).Output(); err != nil || !strings.Contains(string(info), "example.com/stamp\tv1.0.0") {
		t.Errorf("%v\n%s", err, info)
	}
	for _, c := range []struct{ with, want string }{
		{"example.com/stamp", "an extension needs sofamesh.io/sofamesh v0.9.1, newer than v0.9.0"}, // the latest
		{"example.com/stamp@v3.0.0", "go get example.com/stamp@v3.0.0"},
	} {
		if code, _, errs := run(t, "build", "--sofamesh", "v0.9.0", "--with", c.with, "-o", program); code != 1 || !strings.Contains(errs, c.want) {
			t.Errorf("%s: %d %s; want %s", c.with, code, errs, c.want)
		}
	}
	// Both declare a filter of one name, which is noticed before anybody serves with it.
	code, _, errs = run(t, "build", "--sofamesh", "v0.9.0", "--with", "example.com/stamp@v1.0.0", "--with", "example.com/other@v1.0.0", "-o", program)
	if want := `extension "example.com.stamp" is listed twice`; code != 1 || !strings.Contains(errs, want) {
		t.Errorf("%d %s; want %s", code, errs, want)
	}
	if _, err := os.Stat(program); err == nil {
		t.Error("a program that does not start was left")
	}
}

// stamp is the smallest extension.
const stamp = `package stamp

import (
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"

	"sofamesh.io/sofamesh/sdk"
)

func Extensions() sdk.Extensions {
	return sdk.Extensions{HTTPFilters: []*sdk.HTTPFilter{{
		Name: "example.com.stamp", Config: &structpb.Struct{},
		Compile: func(sdk.Compiler, proto.Message) (sdk.HTTPConfig, error) { return config{}, nil },
	}}}
}

type config struct{ sdk.PassThrough }

func (c config) New(sdk.Stream) sdk.Filter { return c }
func (config) Close()                      {}
`

// diskFile is a file of a module, as zip wants it.
type diskFile struct{ at, name string }

func (f diskFile) Path() string                 { return f.name }
func (f diskFile) Lstat() (os.FileInfo, error)  { return os.Lstat(f.at) }
func (f diskFile) Open() (io.ReadCloser, error) { return os.Open(f.at) }
