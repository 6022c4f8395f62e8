package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestFormats: files in all forms that Envoy reads.
func TestFormats(t *testing.T) {
	for name, text := range map[string]string{
		"cds.json": `{"version_info": "v", "resources": [{"@type": "type.googleapis.com/envoy.config.cluster.v3.Cluster", "name": "a", "connect_timeout": "1s"}]}`,
		"cds.pb_text": `version_info: "v" resources { [type.googleapis.com/envoy.config.cluster.v3.Cluster] { name: "a" connect_timeout { seconds: 1 } } }
			nonce: "n"`,
		"cds.pb":   "\n\x01v\x12\x3a\n\x33type.googleapis.com/envoy.config.cluster.v3.Cluster\x12\x03\n\x01a",
		"cds.conf": clusters("v", "name: a, connect_timeout: 1s"),
		"wrap.yaml": `version_info: v
resources: [{"@type": type.googleapis.com/envoy.service.discovery.v3.Resource, name: a, version: w, resource: {"@type": type.googleapis.com/envoy.config.cluster.v3.Cluster, name: a}}]`,
		"wrap.pb_text": `version_info: "v" resources { [type.googleapis.com/envoy.service.discovery.v3.Resource] { name: "a" resource {
			[type.googleapis.com/envoy.config.cluster.v3.Cluster] { name: "a" } } } }`,
	} {
		d := newDir(t)
		d.put(name, text)
		if err := d.follow("dynamic_resources: {cds_config: {path: $DIR/" + name + "}}"); err != nil {
			t.Fatal(err)
		}
		d.warm()
		d.states(ClusterType, "a")
		if v, _ := d.store.FeedVersion(ClusterType); v != "v" {
			t.Errorf("%s: version %q", name, v)
		}
	}
}

func TestSourcesRefused(t *testing.T) {
	d := newDir(t)
	d.put("cds.yaml", "")
	for source, want := range map[string]string{
		"path: $DIR/none":                       "boot.yaml:2: bootstrap: dynamic_resources.cds_config.path: paths must refer to an existing path in the system: '",
		"path_config_source: {path: $DIR/none}": "dynamic_resources.cds_config.path_config_source: paths must refer",
		"path_config_source: {path: $DIR/cds.yaml, poll_interval: 1s, watched_directory: {path: $DIR}}": "exclude each other",
		"ads: {}": "dynamic_resources.cds_config.ads",
	} {
		err := d.follow("dynamic_resources: {cds_config: {" + source + "}}")
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", source, err, want)
		}
	}
}

// TestPoll: a polled file is read again and again, and told of when it differs.
func TestPoll(t *testing.T) {
	d := newDir(t)
	d.put("cds.yaml", clusters("1", "name: a, connect_timeout: 1s"))
	if err := d.follow("dynamic_resources: {cds_config: {path_config_source: {path: $DIR/cds.yaml, poll_interval: 0.002s}}}"); err != nil {
		t.Fatal(err)
	}
	d.warm()
	if err := os.WriteFile(filepath.Join(d.path, "cds.yaml"), []byte(clusters("2", "name: b, connect_timeout: 1s")), 0o600); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(10 * time.Second); d.state(ClusterType) != "b"; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("still %s", d.state(ClusterType))
		}
	}
	if n := d.count("cluster_manager.cds.update_attempt"); n > 3 {
		t.Errorf("told %d times", n)
	}
}

// TestUnknownFields are warned about, or refused when that is wanted.
func TestUnknownFields(t *testing.T) {
	for _, strict := range []bool{false, true} {
		d := newDir(t)
		d.put("cds.yaml", clusters("1", "name: a, connect_timeout: 1s, brand_new: 3", "name: b, connect_timeout: 1s"))
		d.unknown = WarnUnknown
		if strict {
			d.unknown = RejectUnknown
		}
		if err := d.follow(cdsOnly); err != nil {
			t.Fatal(err)
		}
		d.warm()
		if strict {
			d.states(ClusterType, "a! b")
			if err := d.store.Refused(); err == nil || !strings.Contains(err.Error(), `cds.yaml:3: cluster "a": brand_new`) {
				t.Error(err)
			}
			continue
		}
		d.states(ClusterType, "a b")
		if n := d.count("server.dynamic_unknown_fields"); n != 1 {
			t.Errorf("%d unknown fields", n)
		}
	}
}

// TestNodeIsRequired, as in Envoy, though files have no use for it.
func TestNodeIsRequired(t *testing.T) {
	d := newDir(t)
	d.put("cds.yaml", "")
	b, err := Load(Source{YAML: strings.ReplaceAll(cdsOnly, "$DIR", d.path)}, newRegistry(t))
	if err != nil {
		t.Fatal(err)
	}
	s := newStore(t, b)
	t.Cleanup(s.Close)
	err = s.Follow(s.Compiler("bootstrap", b.Where), b.Proto.GetDynamicResources())
	if err == nil || !strings.Contains(err.Error(), "dynamic_resources.cds_config: node 'id' and 'cluster' are required.") {
		t.Error(err)
	}
}
