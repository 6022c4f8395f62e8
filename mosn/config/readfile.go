package config

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"

	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	"sofamesh.io/sofamesh/mosn/config/yamlpb"
)

// message is a file that was read into a message. doc is nil when its format has no
// lines to name.
type message struct {
	doc  *yamlpb.Document
	errs []*yamlpb.Error // of single fields
	sum  [sha256.Size]byte
}

// readMessage fills m from a file, by the format that its name tells, as Envoy does:
// .pb is binary, .pb_text protobuf's text, .json, and all else YAML (which JSON is a
// part of). Faults of single fields are in errs, m holding the rest.
func readMessage(path string, m proto.Message, ext *Registry, o yamlpb.Options) (message, error) {
	var out message
	text, err := readBounded(path)
	if err != nil {
		return out, err
	}
	out.sum = sha256.Sum256(text)
	parse := yamlpb.ParseYAML
	switch strings.ToLower(filepath.Ext(path)) {
	case ".pb":
		if err := proto.Unmarshal(text, m); err != nil {
			return out, fmt.Errorf("%s: unable to parse file as a binary %s: %w", path, m.ProtoReflect().Descriptor().FullName(), err)
		}
		return out, nil
	case ".pb_text":
		if err := (prototext.UnmarshalOptions{Resolver: ext.discovery}).Unmarshal(text, m); err != nil {
			return out, fmt.Errorf("%s: unable to parse file as a text %s: %w", path, m.ProtoReflect().Descriptor().FullName(), err)
		}
		return out, nil
	case ".json":
		parse = yamlpb.ParseJSON
	}
	if out.doc, err = parse(path, text); err != nil {
		return out, err
	}
	return out, out.fieldErrors(out.doc.Decode(m, o))
}

// fieldErrors keeps the faults that Decode found apart.
func (f *message) fieldErrors(err error) error {
	if err == nil {
		return nil
	}
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return err
	}
	for _, e := range joined.Unwrap() {
		at, ok := errors.AsType[*yamlpb.Error](e)
		if !ok {
			return err
		}
		f.errs = append(f.errs, at)
	}
	return nil
}

// readUpdate reads a file with a DiscoveryResponse. A resource with a fault is among
// Failed, the others are good; with strict one with a field that nobody knows has a
// fault. It also returns the hash of the file's text.
func readUpdate(path string, ext *Registry, strict bool) (*Update, [sha256.Size]byte) {
	u, response := &Update{}, ext.discovery.response.New()
	o := yamlpb.Options{Resolve: ext.messageType}
	if !strict {
		o.Unknown = func(e *yamlpb.Error) { u.Unknown = append(u.Unknown, e.Error()) }
	}
	file, err := readMessage(path, response.Interface(), ext, o)
	if err != nil {
		return &Update{Err: err}, file.sum
	}
	faults, err := byResource(file.errs)
	if err != nil {
		return &Update{Err: err}, file.sum
	}
	u.Version = fieldText(response, "version_info")
	for i, a := range ext.discovery.resources(response) {
		base := "resources[" + strconv.Itoa(i) + "]"
		r := Resource{Where: func(path string) string { return file.where(joinPath(base, path)) }}
		err := r.take(ext.discovery, a, &base)
		switch {
		case len(faults[i]) > 0:
			u.Failed = append(u.Failed, Failure{r.key(), placed(r.key(), base, faults[i])})
		case err != nil:
			u.Failed = append(u.Failed, Failure{r.key(), &FieldError{Where: r.Where(""), Resource: label(r.key()), Err: err}})
		default:
			u.Resources = append(u.Resources, r)
		}
	}
	return u, file.sum
}

// take fills r from an Any, which may be wrapped.
func (r *Resource) take(d discovery, a *anypb.Any, base *string) error {
	a, version, wrapped, err := d.unwrap(a)
	if wrapped {
		*base += ".resource"
		r.Version = version
	}
	if err != nil {
		return err
	}
	r.Type, r.Raw = "type.googleapis.com/"+typeName(a.GetTypeUrl()), a.GetValue()
	if a.GetTypeUrl() == "" {
		return errors.New(`lacks "@type"`)
	}
	r.Name, err = rawName(r.Type, r.Raw)
	return err
}

// rawName finds the name of a resource without decoding it: it is field 1 of all
// messages that are resources. A listener may have none but its address.
func rawName(typ string, raw []byte) (string, error) {
	name := ""
	for b := raw; len(b) > 0; {
		num, wire, n := protowire.ConsumeTag(b)
		if n < 0 {
			return "", protowire.ParseError(n)
		}
		b = b[n:]
		if num == 1 && wire == protowire.BytesType {
			v, n := protowire.ConsumeBytes(b)
			if n < 0 {
				return "", protowire.ParseError(n)
			}
			name, b = string(v), b[n:]
			continue
		}
		if n = protowire.ConsumeFieldValue(num, wire, b); n < 0 {
			return "", protowire.ParseError(n)
		}
		b = b[n:]
	}
	if name == "" && typ == ListenerType {
		m, err := unmarshal(typ, raw)
		if err != nil {
			return "", err
		}
		return resourceName(m), nil
	}
	return name, nil
}

// where finds the place of a path, "" when the format has none.
func (f *message) where(path string) string {
	if f.doc == nil {
		return ""
	}
	line, steps := f.doc.Line(path)
	if steps == 0 {
		return ""
	}
	return fmt.Sprintf("%s:%d", f.doc.Name(), line)
}

// byResource sorts faults by the resource that has them. One of the response itself
// spoils it as a whole; so do as many as are reported at all, for there may be more.
func byResource(errs []*yamlpb.Error) (map[int][]*yamlpb.Error, error) {
	out := map[int][]*yamlpb.Error{}
	for _, e := range errs {
		rest, ok := strings.CutPrefix(e.Path, "resources[")
		digits, _, closed := strings.Cut(rest, "]")
		i, err := strconv.Atoi(digits)
		if !ok || !closed || err != nil || len(errs) >= yamlpb.MaxErrors {
			return nil, join(errs)
		}
		out[i] = append(out[i], e)
	}
	return out, nil
}

// placed turns faults of a file into those of the resource at base.
func placed(k Key, base string, errs []*yamlpb.Error) error {
	list := make([]error, len(errs))
	for i, e := range errs {
		path := strings.TrimPrefix(strings.TrimPrefix(e.Path, base), ".")
		list[i] = &FieldError{Where: fmt.Sprintf("%s:%d", e.File, e.Line), Resource: label(k), Path: path, Err: errors.New(e.Msg)}
	}
	return errors.Join(list...)
}

func join(errs []*yamlpb.Error) error {
	list := make([]error, len(errs))
	for i, e := range errs {
		list[i] = e
	}
	return errors.Join(list...)
}
