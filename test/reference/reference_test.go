package reference

import (
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	"sofamesh.io/sofamesh/mosn/builtin"
	"sofamesh.io/sofamesh/mosn/config"
	"sofamesh.io/sofamesh/mosn/fields"
	"sofamesh.io/sofamesh/sdk"
)

var update = flag.Bool("update", false, "rewrite docs/reference and the golden files")

const (
	repository = "../.."
	pages      = repository + "/docs/reference"
	supported  = "testdata/supported.txt" // all supported fields
	dropped    = "testdata/dropped.txt"   // those that are no longer, each with the reason
	uncovered  = "testdata/uncovered.txt" // supported fields that no test sets
)

func registry(t *testing.T) *config.Registry {
	t.Helper()
	r, err := config.NewRegistry(builtin.Default())
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestEveryFieldHasAStatus walks from the bootstrap, the resources, the configurations of all extensions and every message of which a field is
// declared, such as the inputs of a matcher tree, through everything that supported fields lead to.
func TestEveryFieldHasAStatus(t *testing.T) {
	r := registry(t)
	roots := r.Messages()
	for name := range r.Table() {
		roots = append(roots, descriptor(t, name).ContainingMessage()) // fails on a name that is no field's
	}
	for _, name := range r.Table().Undeclared(roots...) {
		t.Errorf("%s has no status", name)
	}
}

// TestDisallowedFieldsAreRefused: Envoy refuses them unless a runtime key says otherwise.
func TestDisallowedFieldsAreRefused(t *testing.T) {
	for name, state := range registry(t).Table() {
		if fields.Disallowed(descriptor(t, name)) && state != sdk.Refused {
			t.Errorf("%s is %s; Envoy refuses it", name, fields.Name(state))
		}
	}
}

func descriptor(t *testing.T, field string) protoreflect.FieldDescriptor {
	t.Helper()
	d, err := protoregistry.GlobalFiles.FindDescriptorByName(protoreflect.FullName(field))
	if err != nil {
		t.Fatal(err)
	}
	return d.(protoreflect.FieldDescriptor)
}

// TestReference compares docs/reference with what the code declares.
func TestReference(t *testing.T) {
	r := registry(t)
	table := r.Table()
	u := gather(t, repository, messagesOf(t, table))
	want := render(t, r, u)
	if *update {
		if err := os.RemoveAll(pages); err != nil {
			t.Fatal(err)
		}
		for name, text := range want {
			write(t, filepath.Join(pages, name), text)
		}
	}
	for name, text := range want {
		if got, err := os.ReadFile(filepath.Join(pages, name)); err != nil || string(got) != text {
			t.Errorf("docs/reference/%s is not what the code says: run go test ./test/reference -update", name)
		}
	}
	found, err := filepath.Glob(filepath.Join(pages, "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range found {
		if _, known := want[filepath.Base(f)]; !known {
			t.Errorf("docs/reference/%s is of nothing that is read: run go test ./test/reference -update", filepath.Base(f))
		}
	}
}

// TestNothingIsDropped: a field that was supported stays so, or testdata/dropped.txt says why not.
func TestNothingIsDropped(t *testing.T) {
	var now []string
	for name, state := range registry(t).Table() {
		if state == sdk.Supported {
			now = append(now, name)
		}
	}
	slices.Sort(now)
	reasons := map[string]bool{}
	for _, line := range lines(t, dropped) {
		name, reason, _ := strings.Cut(line, ": ")
		reasons[name] = reason != ""
	}
	before, lost := lines(t, supported), false
	for _, name := range before {
		if !slices.Contains(now, name) && !reasons[name] {
			lost = true
			t.Errorf("%s was supported; if it must not be any longer, say why in %s", name, dropped)
		}
	}
	if *update && !lost {
		write(t, supported, strings.Join(now, "\n")+"\n")
		before = now
	}
	for _, name := range now {
		if _, known := slices.BinarySearch(before, name); !known {
			t.Errorf("%s is new: run go test ./test/reference -update", name)
		}
	}
}

// TestSupportedFieldsAreCovered: the list of fields that no test sets only gets shorter.
func TestSupportedFieldsAreCovered(t *testing.T) {
	table := registry(t).Table()
	u := gather(t, repository, messagesOf(t, table))
	known := lines(t, uncovered)
	var still []string
	for name, state := range table {
		if _, covered := u[protoreflect.FullName(name)]; state != sdk.Supported || covered {
			continue
		}
		if slices.Contains(known, name) {
			still = append(still, name)
			continue
		}
		t.Errorf("%s is supported, but no test sets it", name)
	}
	slices.Sort(still)
	if *update {
		write(t, uncovered, strings.Join(append(still, ""), "\n"))
		known = still
	}
	for _, name := range known {
		if !slices.Contains(still, name) {
			t.Errorf("%s is covered now: run go test ./test/reference -update", name)
		}
	}
}

// messagesOf returns the messages of a table by the names of their fields.
func messagesOf(t *testing.T, table fields.Table) byField {
	t.Helper()
	known := byField{}
	for _, name := range sorted(table) {
		fd := descriptor(t, name)
		mt, err := protoregistry.GlobalTypes.FindMessageByName(fd.Parent().FullName())
		if err != nil {
			t.Fatal(err)
		}
		known[string(fd.Name())] = append(known[string(fd.Name())], mt)
	}
	return known
}

func sorted(table fields.Table) []string {
	var names []string
	for name := range table {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// lines reads a golden file; one that is missing is empty.
func lines(t *testing.T, file string) []string {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return strings.FieldsFunc(string(b), func(r rune) bool { return r == '\n' })
}

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}
