package envoy

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"sofamesh.io/sofamesh/test/interop/peers"
)

var (
	update  = flag.Bool("update", false, "rewrite testdata/golden from what the proxies do")
	only    = flag.String("case", "", "run only the cases whose name matches this regular expression")
	details = flag.Bool("details", false, "also compare the response code details")
	stats   = flag.Bool("stats", false, "also compare counters")
	alone   = flag.Bool("envoy-only", false, "do not run mosn: check Envoy against the golden files")
)

// mosnBinary builds mosn at the first call of a run.
var mosnBinary = sync.OnceValues(func() (string, error) { return peers.MosnBinary(buildDir) })

var buildDir string

func TestMain(m *testing.M) {
	flag.Parse()
	dir, err := os.MkdirTemp("", "interop")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	buildDir = dir
	code := m.Run()
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

const differencesDoc = "../../../docs/differences.md"

// The first pass is quick; a case that fails it runs again with a patience that a loaded machine needs.
const (
	quick   = 250 * time.Millisecond
	patient = 1500 * time.Millisecond
)

// TestEnvoy runs all cases through Envoy and through mosn and compares.
func TestEnvoy(t *testing.T) {
	envoy, err := peers.EnvoyBinary()
	if err != nil {
		t.Skipf("no Envoy to compare with: %v", err)
	}
	cases := selected(t)
	golden := readGolden(t, "envoy")
	want := (&runner{name: "Envoy", binary: envoy, details: true, stats: true}).passes(t, cases, golden)
	if *update {
		maps.Copy(golden, want)
		writeGolden(t, "envoy", golden)
	}
	nothingSmuggled(t, want)
	t.Run("golden", func(t *testing.T) { compareAll(t, cases, golden, want, "golden file", "Envoy") })
	t.Run("mosn", func(t *testing.T) { testMosn(t, cases, want) })
}

func testMosn(t *testing.T, cases []*testCase, envoy map[string]string) {
	if *alone {
		t.Skip("-envoy-only was given: mosn was not compared")
	}
	mosn, err := mosnBinary()
	if err != nil {
		t.Skipf("no mosn to compare: %v", err)
	}
	want := map[string]string{}
	for id, result := range envoy {
		want[id] = compared(result)
	}
	differs := differences(t)
	ours := readGolden(t, "mosn")
	expected := maps.Clone(want)
	for id := range differs {
		expected[id] = ours[id]
	}
	got := (&runner{name: "mosn", binary: mosn, details: *details, stats: *stats, view: compared}).passes(t, cases, expected)
	if *update {
		for id := range differs {
			if g, ran := got[id]; ran {
				ours[id], expected[id] = g, g
			}
		}
		maps.DeleteFunc(ours, func(id, _ string) bool { return !differs[id] })
		writeGolden(t, "mosn", ours)
	}
	for id := range differs {
		if g, ran := got[id]; ran && g == want[id] {
			t.Errorf("%s is listed in docs/differences.md, but no longer differs from Envoy", id)
		}
	}
	nothingSmuggled(t, got)
	compareAll(t, cases, expected, got, "Envoy", "mosn")
}

// nothingSmuggled checks that no backend saw the second request that hostile cases hide inside a first one.
func nothingSmuggled(t *testing.T, results map[string]string) {
	t.Helper()
	for id, r := range results {
		if strings.Contains(id, "hostile/") && strings.Contains(r, "/smuggled") {
			t.Errorf("%s: a smuggled request went through:\n%s", id, r)
		}
	}
}

func selected(t *testing.T) []*testCase {
	t.Helper()
	re, err := regexp.Compile(*only)
	if err != nil {
		t.Fatal(err)
	}
	return slices.DeleteFunc(loadCases(t), func(c *testCase) bool { return !re.MatchString(c.ID) })
}

// passes runs all cases quickly and those that are not as expected once more with patience.
func (r *runner) passes(t *testing.T, cases []*testCase, expected map[string]string) map[string]string {
	t.Helper()
	got := r.start(t, cases, quick)
	again := slices.DeleteFunc(slices.Clone(cases), func(c *testCase) bool { return got[c.ID] == expected[c.ID] })
	if len(again) > 0 {
		maps.Copy(got, r.start(t, again, patient))
	}
	return got
}

// start runs the cases in one process. When a proxy refuses the common bootstrap, each configuration is tried by itself, so that a field that
// is not supported fails its own cases only.
func (r *runner) start(t *testing.T, cases []*testCase, quiet time.Duration) map[string]string {
	t.Helper()
	got, err := r.run(t, cases, quiet)
	if err == nil {
		return got
	}
	t.Logf("%s: all cases in one process: %v", r.name, err)
	got = map[string]string{}
	for _, group := range byConfig(cases) {
		some, err := r.run(t, group, quiet)
		for _, c := range group {
			got[c.ID] = some[c.ID]
			if err != nil {
				got[c.ID] = fmt.Sprintf("%s failed: %v\n", r.name, err)
			}
		}
	}
	return got
}

func byConfig(cases []*testCase) [][]*testCase {
	var groups [][]*testCase
	index := map[string]int{}
	for _, c := range cases {
		topic, _, _ := strings.Cut(c.ID, "/")
		key := topic + c.Config
		i, ok := index[key]
		if !ok {
			i = len(groups)
			index[key] = i
			groups = append(groups, nil)
		}
		groups[i] = append(groups[i], c)
	}
	return groups
}

func compareAll(t *testing.T, cases []*testCase, want, got map[string]string, wantName, gotName string) {
	for _, c := range cases {
		t.Run(c.ID, func(t *testing.T) {
			if want[c.ID] != got[c.ID] {
				t.Errorf("covers: %s\n--- %s\n%s--- %s\n%s", c.Covers, wantName, want[c.ID], gotName, got[c.ID])
			}
		})
	}
}

// differences reads the first column of the table in docs/differences.md: the cases in which mosn differs from Envoy on purpose.
func differences(t *testing.T) map[string]bool {
	t.Helper()
	b, err := os.ReadFile(differencesDoc)
	if err != nil {
		t.Fatal(err)
	}
	row := regexp.MustCompile("(?m)^\\| `([^`]+/[^`]+)` \\|")
	listed := map[string]bool{}
	for _, m := range row.FindAllStringSubmatch(string(b), -1) {
		listed[m[1]] = true
	}
	return listed
}

var blockStart = regexp.MustCompile(`(?m)^== `)

// Golden files hold one block a case: a line `== id`, then the result.
func readGolden(t *testing.T, name string) map[string]string {
	t.Helper()
	golden := map[string]string{}
	for _, f := range goldenFiles(t, name) {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		for _, block := range blockStart.Split(string(b), -1) {
			id, result, ok := strings.Cut(block, "\n")
			if ok {
				golden[id] = strings.TrimSuffix(result, "\n")
			}
		}
	}
	return golden
}

func goldenFiles(t *testing.T, name string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("testdata", "golden", name, "*.txt"))
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func writeGolden(t *testing.T, name string, golden map[string]string) {
	t.Helper()
	known := map[string]bool{}
	for _, c := range loadCases(t) {
		known[c.ID] = true
	}
	topics := map[string]*strings.Builder{}
	for _, id := range slices.Sorted(maps.Keys(golden)) {
		topic, _, _ := strings.Cut(id, "/")
		if topics[topic] == nil {
			topics[topic] = &strings.Builder{}
		}
		if known[id] {
			fmt.Fprintf(topics[topic], "== %s\n%s\n", id, golden[id])
		}
	}
	if err := os.MkdirAll(filepath.Join("testdata", "golden", name), 0o755); err != nil {
		t.Fatal(err)
	}
	for topic, b := range topics {
		if err := os.WriteFile(filepath.Join("testdata", "golden", name, topic+".txt"), []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
