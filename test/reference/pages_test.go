package reference

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"

	"sofamesh.io/sofamesh/mosn/config"
	"sofamesh.io/sofamesh/mosn/fields"
	"sofamesh.io/sofamesh/sdk"
)

// states in the order in which they are counted.
func states() []sdk.FieldState {
	return []sdk.FieldState{sdk.Supported, sdk.NoEffect, sdk.Ignored, sdk.Refused}
}

// page is one file: the messages of one package of Envoy's API.
type page struct {
	name     string // "config.route.v3"
	messages map[string][]protoreflect.FieldDescriptor
	counts   map[sdk.FieldState]int
}

const generated = "<!-- Made by go test ./test/reference -update from what the code declares. -->\n\n"

// render makes the files of docs/reference, by name.
func render(t *testing.T, r *config.Registry, u uses) map[string]string {
	t.Helper()
	table := r.Table()
	all := map[string]*page{}
	for _, field := range sorted(table) {
		fd := descriptor(t, field)
		pkg := strings.TrimPrefix(string(fd.ParentFile().Package()), "envoy.")
		p := all[pkg]
		if p == nil {
			p = &page{pkg, map[string][]protoreflect.FieldDescriptor{}, map[sdk.FieldState]int{}}
			all[pkg] = p
		}
		message := string(fd.Parent().FullName())
		p.messages[message] = append(p.messages[message], fd)
		p.counts[table[field]]++
	}
	files := map[string]string{"extensions.md": extensions(r), "README.md": index(all)}
	for _, p := range all {
		files[p.name+".md"] = p.render(table, u)
	}
	return files
}

func (p *page) render(table fields.Table, u uses) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s# %s\n", generated, p.name)
	for _, message := range slices.Sorted(maps.Keys(p.messages)) {
		list := p.messages[message]
		slices.SortFunc(list, func(a, b protoreflect.FieldDescriptor) int { return a.Index() - b.Index() })
		pkg := string(list[0].ParentFile().Package()) + "."
		fmt.Fprintf(&b, "\n## %s\n\n| field | status | note | covered by |\n|---|---|---|---|\n", strings.TrimPrefix(message, pkg))
		for _, fd := range list {
			state := table[string(fd.FullName())]
			fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", fd.Name(), fields.Name(state), note(fd), coverage(state, u[fd.FullName()]))
		}
	}
	return b.String()
}

// note says what Envoy's API says of a field.
func note(fd protoreflect.FieldDescriptor) string {
	options, _ := fd.Options().(*descriptorpb.FieldOptions)
	switch {
	case fields.Disallowed(fd):
		return "deprecated; Envoy refuses it too"
	case options.GetDeprecated():
		return "deprecated"
	}
	return ""
}

func coverage(state sdk.FieldState, by use) string {
	if state != sdk.Supported || by.test == "" {
		return ""
	}
	return [...]string{"Envoy: ", "", ""}[by.rank] + by.test
}

// index is the first page.
func index(all map[string]*page) string {
	var b strings.Builder
	b.WriteString(generated + `# Reference

What mosn does with each field of Envoy's API that it reads. A page holds the messages of one package.

- *supported*: does what Envoy does. *covered by* names a test that sets the field: a case of test/interop/envoy, which runs the same bytes
  through Envoy, a script of test/script, or a Go test.
- *no effect here*: accepted; there is nothing in mosn that it could change.
- *ignored as in Envoy*: accepted and ignored, as Envoy does.
- *refused*: an error that names file, line, resource and field.

Fields below one that is not supported have no row. Which extensions there are is told in [extensions.md](extensions.md).

| package | supported | no effect here | ignored as in Envoy | refused |
|---|---:|---:|---:|---:|
`)
	row := func(name string, counts map[sdk.FieldState]int) {
		b.WriteString("| " + name)
		for _, s := range states() {
			fmt.Fprintf(&b, " | %d", counts[s])
		}
		b.WriteString(" |\n")
	}
	total := map[sdk.FieldState]int{}
	for _, name := range slices.Sorted(maps.Keys(all)) {
		row(fmt.Sprintf("[%s](%s.md)", name, name), all[name].counts)
		for s, n := range all[name].counts {
			total[s] += n
		}
	}
	row("all", total)
	return b.String()
}

// extensions lists all of Envoy's extensions by category.
func extensions(r *config.Registry) string {
	var b strings.Builder
	b.WriteString(generated + `# Extensions

All extensions of Envoy 1.40, those of its contrib build and mosn's own. What is *known* is refused by name, and by the type of its
configuration.
`)
	category := ""
	for _, e := range r.Known() {
		if e.Category != category {
			category = e.Category
			fmt.Fprintf(&b, "\n## %s\n\n| name | here | configured by |\n|---|---|---|\n", category)
		}
		here, by := "known", []string{}
		if e.Here {
			here = "**yes**"
		}
		for _, md := range e.Messages {
			pkg := strings.TrimPrefix(string(md.ParentFile().Package()), "envoy.")
			name := string(md.Name())
			if md.Fields().Len() > 0 && pkg != "google.protobuf" {
				name = fmt.Sprintf("[%s](%s.md#%s)", name, pkg, strings.ToLower(name))
			}
			by = append(by, name)
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", e.Name, here, strings.Join(by, ", "))
	}
	return b.String()
}
