package arch

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// layer is a line of the import table: what the packages of from may import of
// ours. A package may always import its own unit (see pattern.go), the standard
// library, and third-party modules unless a ban says otherwise. The first line
// that fits decides.
type layer struct {
	from []string
	may  []string
	why  string
}

// leaves are packages with no way up: anyone above may import them.
func leaves() []string {
	return []string{
		"mosn/stats/...", "mosn/match/...", "mosn/format/...", "mosn/edit/...", "mosn/runtime/...", "mosn/fields/...", "mosn/metadata/...",
		"mosn/idtable", "mosn/service", "mosn/shared/...", "mosn/secret/...", "mosn/accesslog", "mosn/trace", "mosn/report",
	}
}

// rung is a step of the data plane's ladder.
type rung struct {
	packages []string
	extra    []string // what it may import beside sdk, api, leaves and the rungs below
	why      string
}

// ladder is the data plane from the bottom up. A rung may import what stands
// before it, never a package of its own rung.
func ladder() []rung {
	return []rung{
		{[]string{"mosn/eventloop/...", "mosn/route/..."}, nil,
			"the loop moves bytes and the route table is compiled data: neither knows of streams or clusters, so both are tested alone"},
		{[]string{"mosn/transport/*"}, nil, "a transport socket turns bytes into bytes on a connection of a loop"},
		{[]string{"mosn/cluster/..."}, nil, "hosts and pools use connections; they do not know what a stream is"},
		{[]string{"mosn/callout/..."}, nil, "a call of the proxy's own is an attempt at a cluster without a stream: streams hand their filters a way to it"},
		{[]string{"mosn/stream/..."}, nil, "one life cycle for all protocols: codecs come as sdk.Codec, filters as sdk values"},
		{[]string{"mosn/network/*", "mosn/listener/..."}, nil, "what a listener accepts is handed to streams or clusters, never the other way"},
		{[]string{"mosn/config/..."}, nil, "configuration compiles everything below it and is known to none of it"},
		{[]string{"mosn/xds/..."}, nil, "xDS is a source for the store of config"},
		{[]string{"mosn/agent/..."}, []string{"registry/..."}, "the node agent uses xDS and the registries; without it the proxy still runs"},
		{[]string{"mosn/build/..."}, nil, "a command of its own, which knows the proxy by its import path only"},
		{[]string{"mosn/server/..."}, nil, "the server owns the process: it injects upwards what lower packages may not import"},
		{[]string{"mosn/builtin/..."}, []string{"mosn/protocol/*", "mosn/filter/*", "mosn/accesslog/*", "mosn/trace/*", "mosn/report/*"},
			"THE list of extensions is the one place that knows them all"},
	}
}

// layers is the whole table.
func layers() []layer {
	low := append([]string{"sdk/..."}, leaves()...)
	table := []layer{
		{[]string{"sdk/..."}, []string{"sdk/..."}, "extension authors import sdk alone: it must not drag in the proxy"},
		{[]string{"api/..."}, []string{"api/..."}, "wire contracts stand alone"},
		{leaves(), low, "leaves import sdk and leaves only, so anyone may import them without a cycle"},
		{[]string{"mosn/accesslog/*", "mosn/trace/*", "mosn/report/*"}, low,
			"a sink is an extension: what it needs comes through sdk.Compiler, never from a sibling"},
		{[]string{"mosn/protocol/bolt/..."}, []string{"sdk/..."}, "Bolt proves that sdk is enough to write a codec"},
		{[]string{"mosn/protocol/*"}, low, "a codec is a pure state machine; it runs in the proxy, in registries' clients and in tests"},
		{[]string{"mosn/filter/*"}, low, "a filter also runs inside Envoy and in tests: the rest of the proxy comes through sdk.Compiler"},
	}
	below := append([]string{"api/..."}, low...)
	for _, r := range ladder() {
		may := append(slices.Clone(below), r.extra...)
		table = append(table, layer{r.packages, may, r.why})
		below = append(below, r.packages...)
	}
	registry := []string{"sdk/...", "api/...", "mosn/protocol/*", "registry/model/...", "registry/merge/..."}
	return append(table,
		layer{[]string{"registry/builtin/..."}, append([]string{"registry/*"}, registry...), "THE list of registries knows them all"},
		layer{[]string{"registry/*"}, registry, "registries are neutral ground between mosn and pilot: clients, the model and pure merge rules"},
		layer{[]string{"pilot/..."}, []string{"sdk/...", "api/...", "registry/..."}, "the control plane feeds proxies by xDS; it holds no part of one"},
		layer{[]string{"meshctl/..."}, []string{"sdk/...", "api/...", "registry/..."}, "meshctl talks to proxies by their admin port and starts sofapilot as a process"},
		layer{[]string{"cmd/mosn/..."}, []string{"mosn/server/...", "mosn/builtin/..."}, "cmd holds main functions only: it hands builtin's list to the server"},
		layer{[]string{"cmd/sofapilot/..."}, []string{"pilot/..."}, "cmd holds main functions only"},
		layer{[]string{"cmd/meshctl/..."}, []string{"meshctl/..."}, "cmd holds main functions only"},
		layer{[]string{"examples/..."}, []string{"sdk/..."}, "an example shows what an outsider can do"},
		layer{[]string{"test/..."}, []string{"api/...", "cmd/...", "examples/...", "meshctl/...", "mosn/...", "pilot/...", "registry/...", "sdk/...", "test/..."},
			"tests may import anything"},
	)
}

// ban forbids imports that the table of our own packages does not reach.
type ban struct {
	from, except []string // patterns of our packages
	imports      []string // import paths, each with everything below
	spare        []string // import paths below those that are fine
	why          string
}

func bans() []ban {
	return []ban{
		{from: []string{"mosn/...", "sdk/...", "registry/..."},
			imports: []string{"k8s.io", "sigs.k8s.io", "istio.io"}, spare: []string{"istio.io/api/envoy"},
			why: "the data plane is one small static binary; Kubernetes and Istio belong to the control plane"},
		{from: []string{"api/...", "cmd/...", "meshctl/...", "pilot/..."}, except: []string{"pilot/istiod/..."},
			imports: []string{"istio.io/istio"},
			why:     "Istio's packages move and carry global state: one package holds the seam"},
		{from: []string{"sdk/..."}, imports: []string{"github.com", "golang.org", "go.uber.org", "gopkg.in", "google.golang.org"},
			spare: []string{"google.golang.org/protobuf"},
			why:   "extension authors import sdk alone: protobuf and nothing else comes with it, no Envoy type in a signature"},
		{from: []string{"sdk/...", "mosn/..."}, imports: []string{"C", "plugin"},
			why: "mosn is one static binary that cross-compiles"},
		{from: []string{"mosn/protocol/*"},
			imports: []string{"net", "os", "syscall", "golang.org/x/sys", "golang.org/x/net/http2/h2c"}, spare: []string{"net/netip", "net/url", "net/textproto"},
			why: "a codec is sans-IO: no socket, no file, no clock, no goroutine"},
	}
}

// CheckImports holds the tree against the table, the bans, and the rule that
// test kits (packages named ...test) are imported by tests alone. Test files
// are free.
func CheckImports(t *Tree) []Finding {
	var found []Finding
	table, banned := layers(), bans()
	covered := map[string]bool{}
	t.code(func(p *Package, f *File) {
		l, unit, ok := lookup(table, p.Path)
		if !ok {
			if !covered[p.Path] {
				found = append(found, Finding{p.Path, "no line of the import table covers this package", "a package without a place is a package without rules: see layers()"})
			}
			covered[p.Path] = true
			return
		}
		for _, spec := range f.AST.Imports {
			imported, _ := strconv.Unquote(spec.Path.Value)
			what, why := judge(t.Module, p.Path, unit, imported, l, banned)
			if what != "" {
				found = append(found, Finding{t.at(spec.Pos()), what, why})
			}
		}
	})
	return found
}

func lookup(table []layer, p string) (layer, string, bool) {
	for _, l := range table {
		for _, pattern := range l.from {
			if unit, ok := match(pattern, p); ok {
				return l, unit, true
			}
		}
	}
	return layer{}, "", false
}

// judge says what is wrong with one import, or "".
func judge(module, p, unit, imported string, l layer, banned []ban) (what, why string) {
	ours, isOurs := strings.CutPrefix(imported, module+"/")
	if !isOurs {
		for _, b := range banned {
			if b.hits(p, imported) {
				return fmt.Sprintf("%s must not import %s", p, imported), b.why
			}
		}
		return "", ""
	}
	if strings.HasSuffix(ours, "test") && !within("test", p) && !strings.HasSuffix(p, "test") {
		return fmt.Sprintf("%s imports the test kit %s outside a test", p, ours), "test kits are not made for production"
	}
	if within(unit, ours) || matchAny(l.may, ours) {
		return "", ""
	}
	return fmt.Sprintf("%s must not import %s", p, ours), l.why
}

func (b ban) hits(p, imported string) bool {
	if !matchAny(b.from, p) || matchAny(b.except, p) {
		return false
	}
	under := func(base string) bool { return within(base, imported) }
	return slices.ContainsFunc(b.imports, under) && !slices.ContainsFunc(b.spare, under)
}
