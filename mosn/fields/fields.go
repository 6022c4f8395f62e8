// Package fields says of each field of each configuration message what the proxy
// does with it, so that nothing a user writes is dropped in silence.
//
// It owns no state: packages that compile messages declare them with [Message], the
// configuration store merges the declarations into one [Table] at start and checks
// every resource against it before compiling, on the goroutine that applies
// configuration. The reference documentation is generated from the same table.
package fields

import (
	"errors"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"strings"

	"github.com/envoyproxy/go-control-plane/envoy/annotations"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"sofamesh.io/sofamesh/sdk"
)

// Declaration gives some fields of one message a state.
type Declaration struct {
	state sdk.FieldState
	names []string
}

// Supported declares fields that do what Envoy does.
func Supported(names ...string) Declaration { return Declaration{sdk.Supported, names} }

// NoEffect declares fields that are accepted, as there is nothing here that they
// could change.
func NoEffect(names ...string) Declaration { return Declaration{sdk.NoEffect, names} }

// Ignored declares fields that are accepted and ignored, as Envoy ignores them.
func Ignored(names ...string) Declaration { return Declaration{sdk.Ignored, names} }

// Refused declares fields that are known and an error when set.
func Refused(names ...string) Declaration { return Declaration{sdk.Refused, names} }

// Message declares the fields of the message with a full name, such as
// "envoy.config.route.v3.Route". A field named twice panics: it is a mistake in the
// program.
func Message(message string, declarations ...Declaration) sdk.FieldStatus {
	status := sdk.FieldStatus{}
	for _, d := range declarations {
		for _, name := range d.names {
			full := message + "." + name
			if _, twice := status[full]; twice {
				panic("fields: declared twice: " + full)
			}
			status[full] = d.state
		}
	}
	return status
}

// Join puts declarations of several messages together; a field declared in two of
// them panics.
func Join(parts ...sdk.FieldStatus) sdk.FieldStatus {
	all := sdk.FieldStatus{}
	for _, part := range parts {
		for name, state := range part {
			if _, twice := all[name]; twice {
				panic("fields: declared twice: " + name)
			}
			all[name] = state
		}
	}
	return all
}

// Table is all declarations of a proxy.
type Table sdk.FieldStatus

// Merge makes a table of what several packages declare. Two may declare the same
// field (both compile a message that they share); that they contradict each other is
// an error that names the fields.
func Merge(parts ...sdk.FieldStatus) (Table, error) {
	t := Table{}
	var errs []error
	for _, part := range parts {
		for name, state := range part {
			if known, ok := t[name]; ok && known != state {
				errs = append(errs, fmt.Errorf("field %s is declared %s and %s", name, Name(min(known, state)), Name(max(known, state))))
				continue
			}
			t[name] = state
		}
	}
	slices.SortFunc(errs, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	return t, errors.Join(errs...)
}

// Name is the word for a state in messages and in the reference.
func Name(s sdk.FieldState) string {
	switch s {
	case sdk.Supported:
		return "supported"
	case sdk.NoEffect:
		return "no effect here"
	case sdk.Ignored:
		return "ignored as in Envoy"
	}
	return "refused"
}

// State returns the state of a field; one that is not declared is refused.
func (t Table) State(fd protoreflect.FieldDescriptor) (state sdk.FieldState, declared bool) {
	state, declared = t[string(fd.FullName())]
	return state, declared
}

// Refusal is a field that is set and must not be.
type Refusal struct {
	Path     string // "virtual_hosts[2].routes[0].route.cluster_header"
	Field    protoreflect.FieldDescriptor
	Declared bool // false: nobody has thought of this field yet
}

// Error says what is wrong, the path first.
func (r Refusal) Error() string { return r.Path + ": " + r.Reason() }

// Reason says what is wrong, without the path.
func (r Refusal) Reason() string {
	name := string(r.Field.FullName())
	switch {
	case !r.Declared:
		return name + " is not known to this version"
	case Disallowed(r.Field):
		return name + " is deprecated, and Envoy refuses it too"
	}
	return name + " is not built yet"
}

// Disallowed reports whether Envoy refuses a field because it is deprecated.
func Disallowed(fd protoreflect.FieldDescriptor) bool {
	refuse, _ := proto.GetExtension(fd.Options(), annotations.E_DisallowedByDefault).(bool)
	return refuse
}

// Check reports the fields of m that are set and refused, each with its path below
// path. The message of an Any is not entered: whoever unpacks it checks it. Fields
// of a refused message and of one without effect are not looked at.
func (t Table) Check(m protoreflect.Message, path string, report func(Refusal)) {
	if !enter(m.Descriptor()) {
		return
	}
	m.Range(func(fd protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		at := join(path, string(fd.Name()))
		switch state, declared := t.State(fd); state {
		case sdk.Refused:
			report(Refusal{at, fd, declared})
		case sdk.Supported:
			t.checkValue(fd, v, at, report)
		}
		return true
	})
}

func (t Table) checkValue(fd protoreflect.FieldDescriptor, v protoreflect.Value, path string, report func(Refusal)) {
	switch {
	case fd.IsMap():
		if !enter(fd.MapValue().Message()) {
			return
		}
		v.Map().Range(func(k protoreflect.MapKey, v protoreflect.Value) bool {
			t.Check(v.Message(), path+"["+strconv.Quote(k.String())+"]", report)
			return true
		})
	case !enter(fd.Message()):
	case fd.IsList():
		for i := range v.List().Len() {
			t.Check(v.List().Get(i).Message(), path+"["+strconv.Itoa(i)+"]", report)
		}
	default:
		t.Check(v.Message(), path, report)
	}
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

// enter reports whether a message has fields of its own to be declared: protobuf's
// own types are values.
func enter(md protoreflect.MessageDescriptor) bool {
	return md != nil && md.ParentFile().Package() != "google.protobuf"
}

// Undeclared returns the fields without a state in all messages that can be reached
// from roots through fields that are supported, sorted. A field that is refused or
// has no effect ends the walk, as Check goes no further either.
func (t Table) Undeclared(roots ...protoreflect.MessageDescriptor) []string {
	var missing []string
	for fd := range t.reachable(roots) {
		if _, ok := t.State(fd); !ok {
			missing = append(missing, string(fd.FullName()))
		}
	}
	slices.Sort(missing)
	return missing
}

// Unknown returns the declared names that are no field of a message reachable from
// roots, sorted: misspelt, or of a message that nothing leads to.
func (t Table) Unknown(roots ...protoreflect.MessageDescriptor) []string {
	known := map[string]bool{}
	for fd := range t.reachable(roots) {
		known[string(fd.FullName())] = true
	}
	var extra []string
	for name := range t {
		if !known[name] {
			extra = append(extra, name)
		}
	}
	slices.Sort(extra)
	return extra
}

// reachable iterates over the fields of roots and of what supported fields lead to.
func (t Table) reachable(roots []protoreflect.MessageDescriptor) iter.Seq[protoreflect.FieldDescriptor] {
	return func(yield func(protoreflect.FieldDescriptor) bool) {
		seen := map[protoreflect.FullName]bool{}
		todo := slices.Clone(roots)
		for len(todo) > 0 {
			md := todo[len(todo)-1]
			todo = todo[:len(todo)-1]
			if seen[md.FullName()] || !enter(md) {
				continue
			}
			seen[md.FullName()] = true
			for i := range md.Fields().Len() {
				fd := md.Fields().Get(i)
				if !yield(fd) {
					return
				}
				if state, _ := t.State(fd); state != sdk.Supported {
					continue
				}
				if fd.IsMap() {
					fd = fd.MapValue()
				}
				if next := fd.Message(); next != nil {
					todo = append(todo, next)
				}
			}
		}
	}
}
