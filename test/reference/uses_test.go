package reference

import (
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/known/anypb"
	"gopkg.in/yaml.v3"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"

	"sofamesh.io/sofamesh/mosn/config/yamlpb"
)

// rank orders tests by what they prove: lower is better.
type rank int

const (
	differential rank = iota // compared with Envoy
	script                   // the binary, by script
	unit
)

// use is a test that sets a field.
type use struct {
	rank rank
	test string
}

// uses are the tests that set each field, by the field's full name.
type uses map[protoreflect.FullName]use

func (u uses) add(field protoreflect.FullName, by use) {
	if old, known := u[field]; !known || by.rank < old.rank || by.rank == old.rank && by.test < old.test {
		u[field] = by
	}
}

// message notes all fields that are set in m and below, configurations of extensions included.
func (u uses) message(m protoreflect.Message, by use) {
	if a, ok := m.Interface().(*anypb.Any); ok {
		if inner, err := a.UnmarshalNew(); err == nil {
			u.message(inner.ProtoReflect(), by)
		}
		return
	}
	m.Range(func(fd protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		u.add(fd.FullName(), by)
		switch {
		case fd.IsMap():
			if fd.MapValue().Message() != nil {
				v.Map().Range(func(_ protoreflect.MapKey, v protoreflect.Value) bool {
					u.message(v.Message(), by)
					return true
				})
			}
		case fd.Message() == nil:
		case fd.IsList():
			for i := range v.List().Len() {
				u.message(v.List().Get(i).Message(), by)
			}
		default:
			u.message(v.Message(), by)
		}
		return true
	})
}

// yaml notes the fields of a message that is written in YAML; what is no such message has none.
func (u uses) yaml(text string, m proto.Message, by use) {
	doc, err := yamlpb.ParseYAML("", []byte(text))
	if err != nil {
		return
	}
	if doc.Decode(m, yamlpb.Options{Resolve: resolve, Unknown: func(*yamlpb.Error) {}}) == nil {
		u.message(m.ProtoReflect(), by)
	}
}

func resolve(url string) (protoreflect.MessageType, error) {
	return protoregistry.GlobalTypes.FindMessageByURL(url)
}

// gather reads the configurations of all tests.
func gather(t *testing.T, root string, known byField) uses {
	t.Helper()
	u := uses{}
	for _, f := range files(t, root, "test/interop/envoy/testdata/*.txtar") {
		u.differential(t, f)
	}
	for _, f := range files(t, root, "test/script/testdata/*/*.txtar") {
		u.script(t, f)
	}
	u.unitTests(t, root, known)
	return u
}

func files(t *testing.T, root, pattern string) []string {
	t.Helper()
	list, err := filepath.Glob(filepath.Join(root, pattern))
	if err != nil || len(list) == 0 {
		t.Fatalf("no files %s: %v", pattern, err)
	}
	return list
}

// fragments are the keys of the configuration of a case in test/interop/envoy.
func fragments() map[string]func() proto.Message {
	return map[string]func() proto.Message{
		"hcm":           func() proto.Message { return &hcmv3.HttpConnectionManager{} },
		"route_config":  func() proto.Message { return &routev3.RouteConfiguration{} },
		"virtual_hosts": func() proto.Message { return &routev3.VirtualHost{} },
		"routes":        func() proto.Message { return &routev3.Route{} },
		"clusters":      func() proto.Message { return &clusterv3.Cluster{} },
		"listener":      func() proto.Message { return &listenerv3.Listener{} },
	}
}

var configOf = regexp.MustCompile(`(?m)^config: (.*)$`)

// differential reads a file of cases: each case names one of the file's configurations, or has the one without a name.
func (u uses) differential(t *testing.T, file string) {
	topic := strings.TrimSuffix(filepath.Base(file), ".txtar")
	configs := map[string]string{}
	for _, f := range archive(t, file) {
		kind, name, _ := strings.Cut(f.Name, " ")
		switch kind {
		case "config":
			configs[name] = string(f.Data)
		case "case":
			which := ""
			if m := configOf.FindSubmatch(f.Data); m != nil {
				which = strings.TrimSpace(string(m[1]))
			}
			u.fragment(t, configs[which], use{differential, topic + "/" + name})
		}
	}
}

func (u uses) fragment(t *testing.T, text string, by use) {
	var parts map[string]any
	if err := yaml.Unmarshal([]byte(text), &parts); err != nil {
		t.Fatalf("%s: %v", by.test, err)
	}
	for key, message := range fragments() {
		var elements []any
		switch part := parts[key].(type) {
		case []any:
			elements = part
		case map[string]any:
			elements = []any{part}
			if key == "clusters" { // by name
				elements = slices.Collect(maps.Values(part))
			}
		}
		for _, e := range elements {
			out, err := yaml.Marshal(e)
			if err != nil {
				t.Fatalf("%s: %v", by.test, err)
			}
			u.yaml(string(out), message(), by)
		}
	}
}

var variable = regexp.MustCompile(`\$\w+`)

// script reads the bootstraps of a script.
func (u uses) script(t *testing.T, file string) {
	name := "script " + filepath.Base(filepath.Dir(file)) + "/" + strings.TrimSuffix(filepath.Base(file), ".txtar")
	for _, f := range archive(t, file) {
		if strings.HasSuffix(f.Name, ".yaml") {
			text := variable.ReplaceAllString(string(f.Data), "1")
			u.yaml(text, &bootstrapv3.Bootstrap{}, use{script, name})
			u.resources(text, use{script, name})
		}
	}
}

// resources notes the fields of a file that resources come from.
func (u uses) resources(text string, by use) {
	var file struct{ Resources []yaml.Node }
	if yaml.Unmarshal([]byte(text), &file) != nil {
		return
	}
	for i := range file.Resources {
		if one, err := yaml.Marshal(&file.Resources[i]); err == nil {
			u.yaml(string(one), &anypb.Any{}, by)
		}
	}
}

func archive(t *testing.T, file string) []txtar.File {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return txtar.Parse(b).Files
}
