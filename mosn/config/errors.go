package config

import (
	"errors"
	"strconv"
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"
)

// FieldError is a fault of one resource at one field.
type FieldError struct {
	Where    string // "bootstrap.yaml:12", "" when it is not known
	Resource string // `listener "http"`, "bootstrap"
	Path     string // below the resource: "filter_chains[0].filters[0]"
	Err      error
}

// Error returns "where: resource: path: message".
func (e *FieldError) Error() string {
	var parts []string
	for _, p := range []string{e.Where, e.Resource, e.Path, e.Err.Error()} {
		if p != "" {
			parts = append(parts, p)
		}
	}
	return strings.Join(parts, ": ")
}

// Unwrap returns the message alone.
func (e *FieldError) Unwrap() error { return e.Err }

// violation is what protoc-gen-validate's generated code reports.
type violation interface {
	error
	Field() string // a Go name, "Clusters[0]"
	Reason() string
	Cause() error
}

// validate applies the rules that Envoy's protos carry (validate.rules). It yields
// the path of each violated field, in the proto's own names, and the reason.
func validate(m protoreflect.ProtoMessage, report func(path, reason string)) {
	v, ok := m.(interface{ ValidateAll() error })
	if !ok {
		return
	}
	if err := v.ValidateAll(); err != nil {
		explain(err, m.ProtoReflect().Descriptor(), "", report)
	}
}

// explain walks from an error to its causes, and the descriptors along.
func explain(err error, md protoreflect.MessageDescriptor, path string, report func(path, reason string)) {
	if many, ok := errors.AsType[interface {
		error
		AllErrors() []error
	}](err); ok {
		for _, e := range many.AllErrors() {
			explain(e, md, path, report)
		}
		return
	}
	v, ok := errors.AsType[violation](err)
	if !ok {
		report(path, err.Error())
		return
	}
	name, index := v.Field(), ""
	if i := strings.IndexByte(name, '['); i >= 0 {
		name, index = name[:i], name[i:]
	}
	fd := goField(md, name)
	if fd != nil {
		name = string(fd.Name())
	} else {
		name = oneofName(md, name)
	}
	if path != "" {
		name = path + "." + name
	}
	if fd == nil || v.Cause() == nil {
		report(name+index, v.Reason())
		return
	}
	next := fd.Message()
	if fd.IsMap() {
		next = fd.MapValue().Message()
		index = "[" + strconv.Quote(strings.TrimSuffix(index[1:], "]")) + "]"
	}
	explain(v.Cause(), next, name+index, report)
}

// goField finds a field by its name in generated Go code.
func goField(md protoreflect.MessageDescriptor, name string) protoreflect.FieldDescriptor {
	if md == nil {
		return nil
	}
	for i := range md.Fields().Len() {
		if fd := md.Fields().Get(i); goName(string(fd.Name())) == name {
			return fd
		}
	}
	return nil
}

// oneofName finds the name of a oneof, of which "value is required" is said.
func oneofName(md protoreflect.MessageDescriptor, name string) string {
	for i := range md.Oneofs().Len() {
		if o := md.Oneofs().Get(i); goName(string(o.Name())) == name {
			return string(o.Name())
		}
	}
	return name
}

// goName is protoc-gen-go's name of a field: "port_value" becomes "PortValue",
// "ipv4_compat" "Ipv4Compat", "a_1" "A_1".
func goName(s string) string {
	var b strings.Builder
	up := true
	for i := range len(s) {
		c := s[i]
		switch {
		case c == '_' && i+1 < len(s) && s[i+1] >= 'a' && s[i+1] <= 'z':
			up = true
		case up && c >= 'a' && c <= 'z':
			b.WriteByte(c - 'a' + 'A')
			up = false
		default:
			b.WriteByte(c)
			up = false
		}
	}
	return b.String()
}
