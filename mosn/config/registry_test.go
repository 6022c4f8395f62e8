package config

import (
	"slices"
	"strings"
	"testing"

	"sofamesh.io/sofamesh/sdk"
)

// TestKnown: what is here has its messages, all others of Envoy's only a name.
func TestKnown(t *testing.T) {
	r := newRegistry(t)
	here := map[string]int{}
	all := r.Known()
	for _, e := range all {
		if e.Here {
			here[e.Category+" "+e.Name] = len(e.Messages)
		} else if len(e.Messages) > 0 {
			t.Errorf("%s is not here, but has messages", e.Name)
		}
	}
	for _, name := range []string{"envoy.filters.http envoy.filters.http.router", "envoy.filters.network envoy.filters.network.http_connection_manager",
		"envoy.access_loggers envoy.access_loggers.file", "envoy.upstream_options envoy.extensions.upstreams.http.v3.HttpProtocolOptions"} {
		if here[name] != 1 {
			t.Errorf("%s has %d messages", name, here[name])
		}
	}
	if len(all) < 500 || len(r.Messages()) < 8 || len(r.Table()) != len(r.table) {
		t.Errorf("%d extensions, %d messages, %d fields", len(all), len(r.Messages()), len(r.Table()))
	}
}

func TestRegistryRefusesDoubles(t *testing.T) {
	e := extensions()
	for _, double := range []Extensions{
		{Codecs: e.Codecs}, {HTTPFilters: e.HTTPFilters}, {NetworkFilters: e.NetworkFilters}, {AccessLogs: e.AccessLogs}, {Tracers: e.Tracers},
	} {
		if _, err := NewRegistry(e.With(double)); err == nil || !strings.Contains(err.Error(), "is listed twice") {
			t.Errorf("%+v: %v", double, err)
		}
	}
	contradiction := Extensions{Fields: []sdk.FieldStatus{{"envoy.config.core.v3.Node.id": sdk.Refused}}}
	if _, err := NewRegistry(e.With(contradiction)); err == nil || !strings.Contains(err.Error(), "envoy.config.core.v3.Node.id") {
		t.Errorf("a contradiction gives %v", err)
	}
}

// TestKnownNames tries the table on extensions of every category that has a place
// in today's messages.
func TestKnownNames(t *testing.T) {
	r := newRegistry(t)
	for _, c := range []struct{ category, name, typ, want string }{
		{categoryHTTP, "x", "envoy.extensions.filters.http.ext_authz.v3.ExtAuthz", "envoy.filters.http.ext_authz is known but not built yet"},
		{categoryHTTP, "envoy.filters.http.ext_authz", "", "envoy.filters.http.ext_authz is known but not built yet"},
		{categoryHTTP, "x", "envoy.extensions.filters.http.golang.v3alpha.Config", "envoy.filters.http.golang is known but not built yet"},
		{categoryHTTP, "envoy.filters.http.dynamo", "", "envoy.filters.http.dynamo is known but not built yet"},
		{categoryNetwork, "envoy.filters.network.redis_proxy", "", "envoy.filters.network.redis_proxy is known but not built yet"},
		{categoryNetwork, "x", "envoy.extensions.filters.network.mysql_proxy.v3.MySQLProxy", "envoy.filters.network.mysql_proxy is known but not built yet"},
		{categoryLog, "envoy.access_loggers.open_telemetry", "", "envoy.access_loggers.open_telemetry is known but not built yet"},
		{categoryLog, "envoy.filters.http.ext_authz", "", "there is no envoy.access_loggers extension named \"envoy.filters.http.ext_authz\""},
		{categoryLog, "envoy.access_logger.file", "", "(did you mean envoy.access_loggers.file?)"},
		{"envoy.matching.http.input", "x", "envoy.extensions.matching.common_inputs.ssl.v3.UriSanInput", "envoy.matching.inputs.uri_san is known but not built yet"},
		{"envoy.matching.input_matchers", "x", "envoy.extensions.matching.input_matchers.dynamic_modules.v3.DynamicModuleMatcher", "envoy.matching.matchers.dynamic_modules is known but not built yet"},
		{categoryHTTP, "x", "acme.Filter", "of type acme.Filter"},
		{categoryHTTP, "x", "envoy.extensions.filters.http.rooter.v3.Router", "(did you mean envoy.extensions.filters.http.router.v3.Router?)"},
	} {
		if err := r.missing(c.category, c.name, c.typ); !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v", c, err)
		}
	}
	if len(r.known) < 1000 || len(r.types) < 430 {
		t.Errorf("the table knows %d names and %d types", len(r.known), len(r.types))
	}
}

// TestEveryKnownExtensionIsRefusedByName holds for each name and each type of
// Envoy's.
func TestEveryKnownExtensionIsRefusedByName(t *testing.T) {
	r := newRegistry(t)
	for key, name := range r.known {
		category, word, _ := strings.Cut(key, " ")
		typ := strings.TrimSuffix(word, "*")
		if word == name {
			typ = ""
		}
		if err := r.missing(category, name, typ); err.Error() != name+" is known but not built yet" {
			t.Errorf("%s: %v", key, err)
		}
	}
	for typ, name := range r.types {
		if err := r.missingType(typ); err.Error() != name+" ("+typ+") is known but not built yet" {
			t.Errorf("%s: %v", typ, err)
		}
	}
}

func TestDidYouMean(t *testing.T) {
	known := []string{"envoy.filters.http.cors", "envoy.filters.http.csrf", "envoy.filters.http.router"}
	for name, want := range map[string]string{
		"envoy.filters.http.cor":        " (did you mean envoy.filters.http.cors?)",
		"envoy.filter.http.rooter":      " (did you mean envoy.filters.http.router?)",
		"acme":                          "",
		strings.Repeat("envoy.", 1<<15): "",
		"":                              "",
	} {
		if got := didYouMean(name, slices.Values(known)); got != want {
			t.Errorf("%.40q: got %q, want %q", name, got, want)
		}
	}
	for _, c := range []struct {
		a, b  string
		limit int
		want  int
	}{{"", "", 3, 0}, {"abc", "abd", 3, 1}, {"abc", "bc", 3, 1}, {"abc", "xyz", 3, 3}, {"abc", "xyz", 1, 2}, {"a", "abcdef", 3, 4}, {"kitten", "sitting", 5, 3}} {
		if got := distance(c.a, c.b, c.limit); got != c.want {
			t.Errorf("distance(%q, %q, %d) = %d, want %d", c.a, c.b, c.limit, got, c.want)
		}
	}
}

func TestTypeURLs(t *testing.T) {
	r := newRegistry(t)
	mt, err := r.messageType("type.googleapis.com/envoy.config.core.v3.Node")
	if err != nil || mt.Descriptor().Name() != "Node" {
		t.Errorf("%v, %v", mt, err)
	}
	if typeName("a/b/c.D") != "c.D" || typeName("c.D") != "c.D" || typeName("") != "" {
		t.Error("typeName")
	}
}

// TestGoNames: the names that validation reports are found in the descriptors.
func TestGoNames(t *testing.T) {
	for proto, want := range map[string]string{
		"name": "Name", "port_value": "PortValue", "ipv4_compat": "Ipv4Compat", "a_1": "A_1", "http_100": "Http_100", "x_": "X_",
		"use_http2": "UseHttp2",
	} {
		if got := goName(proto); got != want {
			t.Errorf("%s is %s in Go, want %s", proto, got, want)
		}
	}
}
