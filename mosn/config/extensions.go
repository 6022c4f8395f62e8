package config

import (
	_ "embed"
	"errors"
	"fmt"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	"sofamesh.io/sofamesh/mosn/fields"
	"sofamesh.io/sofamesh/mosn/stream"
	"sofamesh.io/sofamesh/sdk"
)

// Extensions are what a proxy is built with: data, put together by mosn/builtin or
// by whoever builds a proxy of his own.
type Extensions struct {
	Codecs         []*sdk.Codec
	HTTPFilters    []*sdk.HTTPFilter
	NetworkFilters []stream.NetworkFilter
	AccessLogs     []sdk.AccessLog
	Tracers        []sdk.Tracer
	// Fields declares messages that belong to no single extension.
	Fields []sdk.FieldStatus
}

// With returns e and the extensions of others, for proxies with a few more.
func (e Extensions) With(others ...Extensions) Extensions {
	out := Extensions{}
	for _, o := range append([]Extensions{e}, others...) {
		out.Codecs = append(out.Codecs, o.Codecs...)
		out.HTTPFilters = append(out.HTTPFilters, o.HTTPFilters...)
		out.NetworkFilters = append(out.NetworkFilters, o.NetworkFilters...)
		out.AccessLogs = append(out.AccessLogs, o.AccessLogs...)
		out.Tracers = append(out.Tracers, o.Tracers...)
		out.Fields = append(out.Fields, o.Fields...)
	}
	return out
}

// The categories of extensions, as Envoy names them.
const (
	categoryHTTP    = "envoy.filters.http"
	categoryNetwork = "envoy.filters.network"
	categoryLog     = "envoy.access_loggers"
	categoryTracer  = "envoy.tracers"
)

//go:embed extensions.txt
var knownText string

// Registry finds extensions and knows the names of those that are not here.
type Registry struct {
	codecs  []*sdk.Codec // in the order of the list, which is that of detection
	http    finder[*sdk.HTTPFilter]
	network finder[stream.NetworkFilter]
	logs    finder[sdk.AccessLog]
	tracers finder[sdk.Tracer]
	table   fields.Table
	known   map[string]string // category+" "+name or type -> name
	types   map[string]string // type -> name, of any category
}

// finder finds the extensions of one category by name or type of configuration.
type finder[T any] struct {
	byName, byType map[string]T
}

// NewRegistry makes a registry; an error is a mistake in the list: a name or a field
// declared twice.
func NewRegistry(e Extensions) (*Registry, error) {
	r := &Registry{
		codecs: e.Codecs, known: map[string]string{}, types: map[string]string{},
		http: newFinder[*sdk.HTTPFilter](), network: newFinder[stream.NetworkFilter](), logs: newFinder[sdk.AccessLog](),
		tracers: newFinder[sdk.Tracer](),
	}
	tables := append(coreFields(), e.Fields...)
	var errs []error
	for i, c := range e.Codecs {
		if slices.ContainsFunc(e.Codecs[:i], func(o *sdk.Codec) bool { return o.Name == c.Name }) {
			errs = append(errs, fmt.Errorf("codec %q is listed twice", c.Name))
		}
		tables = append(tables, c.Fields)
	}
	for _, f := range e.HTTPFilters {
		errs = append(errs, r.http.add(f, f.Name, f.Config, f.Route))
		tables = append(tables, f.Fields)
	}
	for _, f := range e.NetworkFilters {
		errs = append(errs, r.network.add(f, f.Name, f.Config))
		tables = append(tables, f.Fields)
	}
	for _, l := range e.AccessLogs {
		errs = append(errs, r.logs.add(l, l.Name, l.Config))
		tables = append(tables, l.Fields)
	}
	for _, t := range e.Tracers {
		errs = append(errs, r.tracers.add(t, t.Name, t.Config))
		tables = append(tables, t.Fields)
	}
	var err error
	r.table, err = fields.Merge(tables...)
	r.readKnown()
	if err := errors.Join(append(errs, err)...); err != nil {
		return nil, fmt.Errorf("extensions: %w", err)
	}
	return r, nil
}

// codec returns the first codec of a name, nil when there is none.
func (r *Registry) codec(name string) *sdk.Codec {
	for _, c := range r.codecs {
		if c.Name == name {
			return c
		}
	}
	return nil
}

func newFinder[T any]() finder[T] { return finder[T]{map[string]T{}, map[string]T{}} }

func (f finder[T]) add(ext T, name string, configs ...proto.Message) error {
	if _, dup := f.byName[name]; dup {
		return fmt.Errorf("extension %q is listed twice", name)
	}
	f.byName[name] = ext
	for _, m := range configs {
		if m != nil {
			f.byType[string(m.ProtoReflect().Descriptor().FullName())] = ext
		}
	}
	return nil
}

// find looks by type first, as Envoy does: the name is the user's to choose.
func (f finder[T]) find(name, typ string) (T, bool) {
	if ext, ok := f.byType[typ]; ok {
		return ext, true
	}
	if typ != "" {
		var none T
		return none, false
	}
	ext, ok := f.byName[name]
	return ext, ok
}

func (r *Registry) readKnown() {
	for line := range strings.Lines(knownText) {
		words := strings.Fields(line)
		if len(words) < 2 || words[0] == "#" {
			continue
		}
		category, name := words[0], words[1]
		r.known[category+" "+name] = name
		for _, typ := range words[2:] {
			r.known[category+" "+typ] = name
			r.types[typ] = name
		}
	}
}

// missing says why an extension of a category cannot be had.
func (r *Registry) missing(category, name, typ string) error {
	key := typ
	if typ == "" {
		key = name
	}
	if known := r.known[category+" "+key]; known != "" {
		return fmt.Errorf("%s is known but not built yet", known)
	}
	if typ == "" {
		return fmt.Errorf("there is no %s extension named %q, and typed_config is missing", category, name)
	}
	return fmt.Errorf("there is no %s extension named %q with configuration of type %s", category, name, typ)
}

// messageType resolves the type of an Any for the loader.
func (r *Registry) messageType(url string) (protoreflect.MessageType, error) {
	name := typeName(url)
	if name == url {
		return nil, fmt.Errorf(`"@type" must be a URL such as "type.googleapis.com/%s"`, url)
	}
	if t, err := protoregistry.GlobalTypes.FindMessageByName(protoreflect.FullName(name)); err == nil {
		return t, nil
	}
	if ext := r.types[name]; ext != "" {
		return nil, fmt.Errorf("%s (%s) is known but not built yet", ext, name)
	}
	return nil, fmt.Errorf("the type %s is not known", name)
}

// typeName is what follows the last slash of a type URL.
func typeName(url string) string { return url[strings.LastIndexByte(url, '/')+1:] }
