package config

import (
	"cmp"
	_ "embed"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/structpb"

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
	StatsSinks     []sdk.StatsSink
	Tracers        []sdk.Tracer
	Bootstrap      []sdk.BootstrapExtension
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
		out.StatsSinks = append(out.StatsSinks, o.StatsSinks...)
		out.Tracers = append(out.Tracers, o.Tracers...)
		out.Bootstrap = append(out.Bootstrap, o.Bootstrap...)
		out.Fields = append(out.Fields, o.Fields...)
	}
	return out
}

// Add returns e and the extensions of modules from outside.
func (e Extensions) Add(modules ...sdk.Extensions) Extensions {
	for _, m := range modules {
		e = e.With(Extensions{
			Codecs: m.Codecs, HTTPFilters: m.HTTPFilters, AccessLogs: m.AccessLogs, Tracers: m.Tracers, StatsSinks: m.StatsSinks,
			Bootstrap: m.Bootstrap, Fields: m.Fields,
		})
	}
	return e
}

// The categories of extensions, as Envoy names them.
const (
	categoryHTTP      = "envoy.filters.http"
	categoryNetwork   = "envoy.filters.network"
	categoryLog       = "envoy.access_loggers"
	categoryBootstrap = "envoy.bootstrap"
	categorySink      = "envoy.stats_sinks"
	categoryTracer    = "envoy.tracers"
)

//go:embed extensions.txt
var knownText string

// Registry finds extensions and knows the names of those that are not here.
type Registry struct {
	codecs    []*sdk.Codec // in the order of the list, which is that of detection
	http      finder[*sdk.HTTPFilter]
	network   finder[stream.NetworkFilter]
	logs      finder[sdk.AccessLog]
	sinks     finder[sdk.StatsSink]
	boot      finder[sdk.BootstrapExtension]
	tracers   finder[sdk.Tracer]
	table     fields.Table
	discovery discovery
	known     map[string]string // category+" "+name or type -> name
	types     map[string]string // type -> name, of any category
	opaque    map[string]bool   // names of extensions that take a Struct
}

// finder finds the extensions of one category by name or type of configuration.
type finder[T any] struct {
	byName, byType map[string]T
}

// NewRegistry makes a registry; an error is a mistake in the list: a name or a field
// declared twice.
func NewRegistry(e Extensions) (*Registry, error) {
	r := &Registry{
		codecs: e.Codecs, known: map[string]string{}, types: map[string]string{}, opaque: map[string]bool{},
		http: newFinder[*sdk.HTTPFilter](), network: newFinder[stream.NetworkFilter](), logs: newFinder[sdk.AccessLog](),
		sinks: newFinder[sdk.StatsSink](), tracers: newFinder[sdk.Tracer](),
		boot: newFinder[sdk.BootstrapExtension](),
	}
	tables := append(coreFields(), e.Fields...)
	var errs []error
	for i, c := range e.Codecs {
		if slices.ContainsFunc(e.Codecs[:i], func(o *sdk.Codec) bool { return o.Name == c.Name }) {
			errs = append(errs, fmt.Errorf("codec %q is listed twice", c.Name))
		}
		tables = append(tables, c.Fields)
	}
	// took notes an extension that finder.add has taken, or its error.
	took := func(err error, name string, config proto.Message, status sdk.FieldStatus) {
		if _, is := config.(*structpb.Struct); is {
			r.opaque[name] = true
		}
		errs, tables = append(errs, err), append(tables, status)
	}
	for _, f := range e.HTTPFilters {
		took(r.http.add(f, f.Name, f.Config, f.Route), f.Name, f.Config, f.Fields)
	}
	for _, f := range e.NetworkFilters {
		took(r.network.add(f, f.Name, f.Config), f.Name, f.Config, f.Fields)
	}
	for _, l := range e.AccessLogs {
		took(r.logs.add(l, l.Name, l.Config), l.Name, l.Config, l.Fields)
	}
	for _, s := range e.StatsSinks {
		took(r.sinks.add(s, s.Name, s.Config), s.Name, s.Config, s.Fields)
	}
	for _, t := range e.Tracers {
		took(r.tracers.add(t, t.Name, t.Config), t.Name, t.Config, t.Fields)
	}
	for _, b := range e.Bootstrap {
		took(r.boot.add(b, b.Name, b.Config), b.Name, b.Config, b.Fields)
	}
	var err error
	r.table, err = fields.Merge(tables...)
	r.readKnown()
	var bad error
	r.discovery, bad = newDiscovery()
	errs = append(errs, bad)
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
		if m == nil {
			continue
		}
		typ := string(m.ProtoReflect().Descriptor().FullName())
		if typ == structType {
			typ = name // a TypedStruct names the extension
		}
		f.byType[typ] = ext
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

// extensionOf returns the name of Envoy's extension that a type of configuration
// belongs to, "" for none.
func (r *Registry) extensionOf(typ string) string {
	return cmp.Or(r.types[typ], r.types[anyOf(typ)])
}

// anyOf stands in extensions.txt for all types of a package.
func anyOf(typ string) string { return typ[:strings.LastIndexByte(typ, '.')+1] + "*" }

// missing says why an extension of a category cannot be had.
func (r *Registry) missing(category, name, typ string) error {
	if typ == "" {
		if r.known[category+" "+name] != "" {
			return fmt.Errorf("%s is known but not built yet", name)
		}
		return fmt.Errorf("there is no %s extension named %q%s", category, name, didYouMean(name, r.names(category, false)))
	}
	if known := cmp.Or(r.known[category+" "+typ], r.known[category+" "+anyOf(typ)]); known != "" {
		return fmt.Errorf("%s is known but not built yet", known)
	}
	return fmt.Errorf("there is no %s extension named %q with configuration of type %s%s",
		category, name, typ, didYouMean(typ, r.names(category, true)))
}

// names yields what Envoy knows in a category: names, or types of configuration.
func (r *Registry) names(category string, types bool) iter.Seq[string] {
	return func(yield func(string) bool) {
		for key, name := range r.known {
			in, word, _ := strings.Cut(key, " ")
			if in == category && (word != name) == types && !yield(word) {
				return
			}
		}
	}
}

// messageType resolves the type of an Any for the loader.
func (r *Registry) messageType(url string) (protoreflect.MessageType, error) {
	name := typeName(url)
	if name == url {
		return nil, fmt.Errorf(`"@type" must be a URL such as "type.googleapis.com/%s"`, url)
	}
	if t, err := r.discovery.FindMessageByName(protoreflect.FullName(name)); err == nil {
		return t, nil
	}
	return nil, r.missingType(name)
}

// missingType says why a type that is not linked in cannot be had.
func (r *Registry) missingType(name string) error {
	if ext := r.extensionOf(name); ext != "" {
		return fmt.Errorf("%s (%s) is known but not built yet", ext, name)
	}
	return fmt.Errorf("the type %s is not known%s", name, didYouMean(name, maps.Keys(r.types)))
}

// typeName is what follows the last slash of a type URL.
func typeName(url string) string { return url[strings.LastIndexByte(url, '/')+1:] }
