package build

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// run runs a command and returns its exit code and what it printed.
func run(t *testing.T, name string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	code = Command(name)(args, &out, &errs)
	return code, out.String(), errs.String()
}

func checkout(t *testing.T) string {
	t.Helper()
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	return root
}

// write makes the files of a module and returns its folder.
func write(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestCommand(t *testing.T) {
	if Command("-c") != nil || Command("serve") != nil {
		t.Error("a flag is no command")
	}
	for _, name := range []string{"build", "new"} {
		if code, out, _ := run(t, name, "--help"); code != 0 || !strings.HasPrefix(out, "usage: mosn "+name) {
			t.Errorf("%s --help: %d, %q", name, code, out)
		}
	}
}

func TestRefusedCommandLines(t *testing.T) {
	other := write(t, map[string]string{"go.mod": "module example.com/other\n"})
	empty := t.TempDir()
	root := checkout(t)
	for _, c := range []struct{ args, want string }{
		{"build extra", `unexpected argument "extra"`},
		{"build --with =x", `"=x" names no package`},
		{"build --with example.com/a=", `"example.com/a=" names no folder`},
		{"build --with example.com/a@v1.0.0=x", "has a version and a folder"},
		{"build --with example.com/a --with example.com/a@v1.0.0", "--with example.com/a is given twice"},
		{"build --sofamesh latest", "--sofamesh latest is neither a folder nor a version"},
		{"build --sofamesh " + other, "holds the module example.com/other, not sofamesh.io/sofamesh"},
		{"build --sofamesh " + empty, "holds no go.mod"},
		{"build", "this program was built from a checkout"},
		{"build --sofamesh " + root + " --with example.com/a=" + other, "--with example.com/a: " + other + " holds the module example.com/other"},
		{"build --sofamesh " + root + " --with example.com/a=" + empty, empty + " holds no go.mod"},
		{"new", "want MODULE [FOLDER]"},
		{"new hello", `"hello" is no path of a module such as example.com/my-filter`},
		{"new example.com/9lives", "must begin with a letter"},
		{"new --sofamesh " + root + " example.com/a " + root, root + " is not empty"},
	} {
		words := strings.Fields(c.args)
		code, _, errs := run(t, words[0], words[1:]...)
		if code != 1 || !strings.Contains(errs, c.want) {
			t.Errorf("%s: code %d, %s; want %s", c.args, code, errs, c.want)
		}
	}
}

func TestNames(t *testing.T) {
	for module, want := range map[string]string{
		"example.com/my-filter":      "myfilter example.com.filters.http.my_filter",
		"example.com/x/Header.Stamp": "headerstamp example.com.filters.http.header_stamp",
		"example.com/rate/v2":        "rate example.com.filters.http.rate",
	} {
		n, err := namesOf(module)
		if got := n.Package + " " + n.Filter; err != nil || got != want {
			t.Errorf("%s: %q, %v; want %q", module, got, err, want)
		}
	}
}

// TestScaffold: what new writes is formatted, passes its own test, and is in force in the
// program that is built with it.
func TestScaffold(t *testing.T) {
	root := checkout(t)
	t.Setenv("GOPROXY", "off") // all is known to the checkout
	dir := filepath.Join(t.TempDir(), "my-filter")
	if code, out, errs := run(t, "new", "--sofamesh", root, "example.com/my-filter", dir); code != 0 || !strings.Contains(out, "go test") {
		t.Fatalf("%d %s %s", code, out, errs)
	}
	if out, err := exec.Command("gofmt", "-l", dir).CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("gofmt: %v %s", err, out)
	}
	for _, args := range [][]string{{"vet", "./..."}, {"test", "./..."}} {
		cmd := exec.Command("go", args...)
		cmd.Dir, cmd.Env = dir, append(os.Environ(), "GOFLAGS=", "GOWORK=off")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("go %s: %v\n%s", args[0], err, out)
		}
	}
	program := filepath.Join(t.TempDir(), "mosn")
	code, _, errs := run(t, "build", "--sofamesh", root, "--with", "example.com/my-filter="+dir, "--with", nothing(t), "-o", program)
	if want := `example.com/nothing does not export "func Extensions() sdk.Extensions"`; code != 1 || !strings.Contains(errs, want) {
		t.Errorf("%d %s; want %s", code, errs, want)
	}
	code, out, errs := run(t, "build", "--sofamesh", root, "--with", "example.com/my-filter="+dir, "-o", program)
	if want := fmt.Sprintf("%s: sofamesh.io/sofamesh in %s, example.com/my-filter in %s\n", program, root, dir); code != 0 || out != want {
		t.Fatalf("%d %q %s; want %q", code, out, errs, want)
	}
	config := filepath.Join(dir, "mosn.yaml")
	if out, err := exec.Command(program, "--mode", "validate", "-c", config).CombinedOutput(); err != nil {
		t.Errorf("%v %s", err, out)
	}
	text, err := os.ReadFile(config)
	if err != nil {
		t.Fatal(err)
	}
	wrong := strings.Replace(string(text), "greeting: hello", "greting: hello", 1)
	if err := os.WriteFile(config, []byte(wrong), 0o600); err != nil {
		t.Fatal(err)
	}
	output, err := exec.Command(program, "--mode", "validate", "-c", config).CombinedOutput()
	if want := "http_filters[0].typed_config.greting: there is no such field"; err == nil || !strings.Contains(string(output), want) {
		t.Errorf("%v %s; want %s", err, output, want)
	}
	if info, err := exec.Command("go", "version", "-m", program).Output(); err != nil || !strings.Contains(string(info), "CGO_ENABLED=0") {
		t.Errorf("%v: not a static binary\n%s", err, info)
	}
}

// nothing is a module that exports nothing, as an argument of --with.
func nothing(t *testing.T) string {
	return "example.com/nothing=" + write(t, map[string]string{"go.mod": "module example.com/nothing\n\ngo 1.26\n", "nothing.go": "package nothing\n"})
}
