package config

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	tracev3 "github.com/envoyproxy/go-control-plane/envoy/config/trace/v3"
	"google.golang.org/protobuf/proto"

	"sofamesh.io/sofamesh/mosn/config/yamlpb"
	"sofamesh.io/sofamesh/mosn/runtime"
)

// Source is what a bootstrap is read from.
type Source struct {
	Path string // -c; "" for none
	YAML string // --config-yaml, laid over the file
	// AllowUnknown is --allow-unknown-static-fields: unknown fields are warned about.
	AllowUnknown bool
	// ServiceNode, ServiceCluster and ServiceZone win over the file's node.
	ServiceNode, ServiceCluster, ServiceZone string
}

// Bootstrap is a configuration that was read and checked, but for its resources:
// those are checked when they are compiled.
type Bootstrap struct {
	Proto    *bootstrapv3.Bootstrap
	Runtime  *runtime.Loader
	Warnings []string
	// UnknownFields is how many fields were skipped under AllowUnknown.
	UnknownFields int

	docs []*yamlpb.Document
}

// yamlName stands for the file's name in errors about --config-yaml.
const yamlName = "--config-yaml"

// Load reads a bootstrap.
func Load(src Source, ext *Registry) (*Bootstrap, error) {
	if src.Path == "" && src.YAML == "" {
		return nil, errors.New("at least one of --config-path and --config-yaml must be given")
	}
	b := &Bootstrap{Proto: &bootstrapv3.Bootstrap{}}
	if src.Path != "" {
		if err := b.readFile(src.Path, ext); err != nil {
			return nil, err
		}
	}
	if src.YAML != "" {
		doc, err := yamlpb.ParseYAML(yamlName, []byte(src.YAML))
		if err != nil {
			return nil, err
		}
		b.docs = append(b.docs, doc)
	}
	if err := b.decode(ext, src.AllowUnknown); err != nil {
		return nil, err
	}
	b.identify(src)
	return b, b.check(ext)
}

// readFile reads a file by the format that its name tells. One without lines is decoded
// at once.
func (b *Bootstrap) readFile(path string, ext *Registry) error {
	parse := yamlpb.ParseYAML
	switch strings.ToLower(filepath.Ext(path)) {
	case ".pb", ".pb_text":
		_, err := readMessage(path, b.Proto, ext, yamlpb.Options{})
		return err
	case ".json":
		parse = yamlpb.ParseJSON
	}
	text, err := readBounded(path)
	if err != nil {
		return err
	}
	doc, err := parse(path, text)
	if err != nil {
		return err
	}
	if doc.Empty() {
		return fmt.Errorf("%s: is empty", path)
	}
	b.docs = append(b.docs, doc)
	return nil
}

func readBounded(path string) ([]byte, error) {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return nil, fmt.Errorf("unable to read file: %w", err)
	case info.IsDir():
		return nil, fmt.Errorf("unable to read file: %s is a folder", path)
	case info.Size() > yamlpb.MaxBytes:
		return nil, fmt.Errorf("%s has %d bytes, over the limit of %d", path, info.Size(), yamlpb.MaxBytes)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("unable to read file: %w", err)
	}
	return text, nil
}

// decode merges the documents: single values of a later one win, lists are joined.
func (b *Bootstrap) decode(ext *Registry, allowUnknown bool) error {
	o := yamlpb.Options{Resolve: ext.messageType}
	if allowUnknown {
		o.Unknown = func(e *yamlpb.Error) {
			b.UnknownFields++
			b.Warnings = append(b.Warnings, e.Error())
		}
	}
	for _, doc := range b.docs {
		part := &bootstrapv3.Bootstrap{}
		if err := doc.Decode(part, o); err != nil {
			return err
		}
		proto.Merge(b.Proto, part)
	}
	return nil
}

// identify applies the command line to the node, as Envoy's LocalInfo does.
func (b *Bootstrap) identify(src Source) {
	if b.Proto.Node == nil {
		b.Proto.Node = &corev3.Node{}
	}
	n := b.Proto.Node
	if src.ServiceNode != "" {
		n.Id = src.ServiceNode
	}
	if src.ServiceCluster != "" {
		n.Cluster = src.ServiceCluster
	}
	if src.ServiceZone != "" {
		if n.Locality == nil {
			n.Locality = &corev3.Locality{}
		}
		n.Locality.Zone = src.ServiceZone
	}
}

// check holds everything but the resources against fields and rules.
func (b *Bootstrap) check(ext *Registry) error {
	rest := &bootstrapv3.Bootstrap{}
	for fd, v := range b.Proto.ProtoReflect().Range {
		if fd.Name() != "static_resources" {
			rest.ProtoReflect().Set(fd, v)
		}
	}
	c := compiler{unit: &unit{store: &Store{ext: ext}, name: "bootstrap", where: b.Where}}
	if err := c.check(rest); err != nil {
		return err
	}
	return b.loadRuntime(c.at("layered_runtime"))
}

func (b *Bootstrap) loadRuntime(c compiler) error {
	if err := checkLayers(c, b.Proto.GetLayeredRuntime().GetLayers()); err != nil {
		return err
	}
	loader, err := runtime.NewLoader(b.Proto.GetLayeredRuntime(), b.Proto.GetNode().GetCluster())
	if err != nil {
		return c.fault(err)
	}
	b.Runtime = loader
	return nil
}

// checkLayers refuses layers of one name, and more than one of the administrator's.
func checkLayers(c compiler, layers []*bootstrapv3.RuntimeLayer) error {
	names, admin := map[string]bool{}, false
	for i, l := range layers {
		at := c.at(fmt.Sprintf("layers[%d]", i))
		if names[l.GetName()] {
			return at.at("name").Errorf("duplicate layer name %q", l.GetName())
		}
		names[l.GetName()] = true
		if l.GetAdminLayer() != nil && admin {
			return at.at("admin_layer").Errorf("at most one layer is the administrator's")
		}
		admin = admin || l.GetAdminLayer() != nil
	}
	return nil
}

// Tracing returns the provider for connection managers that trace and name none, nil for
// none.
func (b *Bootstrap) Tracing() *tracev3.Tracing_Http {
	//lint:ignore SA1019 deprecated, and still obeyed by Envoy
	return b.Proto.GetTracing().GetHttp()
}

// Where returns where a field was written, as "file:line", or the deepest field
// above it that was; "" when none was. Where several documents have it, the later
// one counts, as its value does.
func (b *Bootstrap) Where(path string) string {
	where, deepest := "", 0
	for i, doc := range b.docs {
		line, steps := doc.Line(b.local(path, i))
		if steps > 0 && steps >= deepest {
			where, deepest = fmt.Sprintf("%s:%d", doc.Name(), line), steps
		}
	}
	return where
}

// local turns a path of the merged bootstrap into one of document i: the lists of
// resources were joined, so that indexes differ.
func (b *Bootstrap) local(path string, i int) string {
	for _, list := range []string{"static_resources.clusters", "static_resources.listeners", "static_resources.secrets"} {
		rest, ok := strings.CutPrefix(path, list+"[")
		if !ok {
			continue
		}
		digits, rest, _ := strings.Cut(rest, "]")
		index, err := strconv.Atoi(digits)
		if err != nil {
			return path
		}
		for _, before := range b.docs[:i] {
			index -= before.Len(list)
		}
		return fmt.Sprintf("%s[%d]%s", list, index, rest)
	}
	return path
}

// Resources returns the static resources as a batch.
func (b *Bootstrap) Resources() Batch {
	var batch Batch
	add := func(typ, list string, i int, m proto.Message) {
		base := fmt.Sprintf("static_resources.%s[%d]", list, i)
		where := func(path string) string { return b.Where(joinPath(base, path)) }
		batch.Set = append(batch.Set, Resource{Type: typ, Proto: m, Where: where, Static: true})
	}
	for i, s := range b.Proto.GetStaticResources().GetSecrets() {
		add(SecretType, "secrets", i, s)
	}
	for i, c := range b.Proto.GetStaticResources().GetClusters() {
		add(ClusterType, "clusters", i, c)
	}
	for i, l := range b.Proto.GetStaticResources().GetListeners() {
		add(ListenerType, "listeners", i, l)
	}
	return batch
}

// Forget lets go of the texts: Where answers "" from then on.
func (b *Bootstrap) Forget() { b.docs = nil }
