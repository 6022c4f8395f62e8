package config

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

func TestLoadFormats(t *testing.T) {
	const yaml, json = "node: {id: a}\n", `{"node": {"id": "a"}}`
	for name, text := range map[string]string{"b.yaml": yaml, "b.yml": yaml, "b.json": json, "b.conf": yaml, "b": json,
		"b.pb_text": `node { id: "a" }`, "b.pb": "\x0a\x03\x0a\x01a"} {
		b, err := Load(Source{Path: write(t, name, text)}, newRegistry(t))
		if err != nil || b.Proto.GetNode().GetId() != "a" {
			t.Errorf("%s: %v, %v", name, b, err)
		}
	}
	if _, err := Load(Source{Path: write(t, "b.json", yaml)}, newRegistry(t)); err == nil {
		t.Error("YAML is read as JSON")
	}
}

func TestLoadMissing(t *testing.T) {
	for path, want := range map[string]string{
		"":                                    "at least one of --config-path and --config-yaml",
		"/no/such.yml":                        "/no/such.yml",
		os.TempDir():                          "is a folder",
		write(t, "empty.yaml", "# nothing\n"): "empty.yaml: is empty",
	} {
		if _, err := Load(Source{Path: path}, newRegistry(t)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", path, err)
		}
	}
}

// TestOverlay: --config-yaml is merged as protobuf merges.
func TestOverlay(t *testing.T) {
	path := write(t, "b.yaml", `
node: {id: file, cluster: file, metadata: {a: 1}}
static_resources:
  clusters:
  - {name: one, connect_timeout: 1s}
`)
	b, err := Load(Source{Path: path, YAML: `
node: {id: over}
static_resources: {clusters: [{name: two, connect_timeout: 1s}]}
`}, newRegistry(t))
	if err != nil {
		t.Fatal(err)
	}
	if n := b.Proto.GetNode(); n.GetId() != "over" || n.GetCluster() != "file" || len(n.GetMetadata().GetFields()) != 1 {
		t.Errorf("node is %v", n)
	}
	if c := b.Proto.GetStaticResources().GetClusters(); len(c) != 2 || c[1].GetName() != "two" {
		t.Errorf("clusters are %v", c)
	}
	for where, want := range map[string]string{
		"node.id": "--config-yaml:2", "node.cluster": path + ":2",
		"static_resources.clusters[0].name":  path + ":5",
		"static_resources.clusters[1].name":  "--config-yaml:3",
		"static_resources.clusters[1].other": "--config-yaml:3",
		"nowhere":                            "",
	} {
		if got := b.Where(where); got != want {
			t.Errorf("%s stands at %q, want %q", where, got, want)
		}
	}
	b.Forget()
	if got := b.Where("node.id"); got != "" {
		t.Errorf("forgotten, node.id stands at %q", got)
	}
}

func TestNodeFromCommandLine(t *testing.T) {
	b, err := Load(Source{YAML: "node: {id: a, cluster: b, locality: {zone: c, region: r}}",
		ServiceNode: "x", ServiceCluster: "y", ServiceZone: "z"}, newRegistry(t))
	if err != nil {
		t.Fatal(err)
	}
	n := b.Proto.GetNode()
	if got := fmt.Sprint(n.GetId(), n.GetCluster(), n.GetLocality().GetZone(), n.GetLocality().GetRegion()); got != "xyzr" {
		t.Errorf("node is %v", n)
	}
	b, err = Load(Source{YAML: "admin: {}", ServiceZone: "z"}, newRegistry(t))
	if err != nil || b.Proto.GetNode().GetLocality().GetZone() != "z" {
		t.Errorf("%v, %v", b, err)
	}
}

func TestUnknownFieldsAllowed(t *testing.T) {
	path := write(t, "b.yaml", "nodee: {id: a}\nnode: {idd: a}\n")
	_, err := Load(Source{Path: path}, newRegistry(t))
	for _, want := range []string{path + ":1: nodee: unknown field", path + ":2: node.idd: unknown field"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v\nwant %s", err, want)
		}
	}
	b, err := Load(Source{Path: path, AllowUnknown: true}, newRegistry(t))
	if err != nil || b.UnknownFields != 2 || len(b.Warnings) != 2 {
		t.Errorf("%v, %v", b, err)
	}
}

func TestRuntimeLayers(t *testing.T) {
	b, err := Load(Source{YAML: `
layered_runtime:
  layers:
  - {name: base, static_layer: {a: {b: 1}, c: 2}}
  - {name: over, static_layer: {a.b: 3}}
  - {name: admin, admin_layer: {}}
`}, newRegistry(t))
	if err != nil {
		t.Fatal(err)
	}
	if b.Runtime.Values().Uint("a.b", 0) != 3 || b.Runtime.Values().Uint("c", 0) != 2 || b.Runtime.Values().Uint("d", 7) != 7 {
		t.Errorf("runtime is %v", b.Runtime)
	}
}

// TestBootstrapRefuses: each error names file, line and field.
func TestBootstrapRefuses(t *testing.T) {
	for yaml, want := range map[string]string{
		"node: {}\ndynamic_resources: {ads_config: {}}":                        "b.yaml:2: bootstrap: dynamic_resources.ads_config: envoy.config.bootstrap.v3.Bootstrap.DynamicResources.ads_config is not built yet",
		"node: {}\ndynamic_resources: {lds_config: {ads: {}}}":                 "b.yaml:2: bootstrap: dynamic_resources.lds_config.ads",
		"overload_manager: {}":                                                 "overload_manager",
		"layered_runtime:\n  layers:\n  - {name: a, rtds_layer: {}}":           "b.yaml:3: bootstrap: layered_runtime.layers[0].rtds_layer",
		"layered_runtime:\n  layers:\n  - {static_layer: {}}":                  "layered_runtime.layers[0].name: value length must be at least 1",
		"stats_flush_interval: 0s":                                             "stats_flush_interval: value must be inside range",
		"admin:\n  address: {socket_address: {address: x, port_value: 70000}}": "b.yaml:2: bootstrap: admin.address.socket_address.port_value: value must be less than or equal to 65535",
		"admin:\n  address: {socket_address: {port_value: 1}}":                 "admin.address.socket_address.address: value length must be at least 1",
		"admin: {address: {}}":                                                 "admin.address.address: value is required",
		"bootstrap_extensions: [{name: x, typed_config: {'@type': type.googleapis.com/envoy.extensions.wasm.v3.WasmService}}]": "envoy.bootstrap.wasm (envoy.extensions.wasm.v3.WasmService) is known but not built yet",
		"bootstrap_extensions: [{name: x, typed_config: {'@type': type.googleapis.com/acme.Thing}}]":                           "the type acme.Thing is not known",
		"bootstrap_extensions: [{name: x, typed_config: {'@type': acme.Thing}}]":                                               `"@type" must be a URL`,
	} {
		refused(t, yaml, want)
	}
}
