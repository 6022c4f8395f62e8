package tracing

import (
	"flag"
	"os"
	"regexp"
	"slices"
	"sync"
	"testing"

	"sofamesh.io/sofamesh/test/interop/peers"
)

var (
	show = flag.String("show", "", "write what the proxies did to files with this prefix")
	only = flag.String("case", "", "run only the cases whose name matches this regular expression")
)

var buildDir string

func TestMain(m *testing.M) {
	flag.Parse()
	dir, err := os.MkdirTemp("", "tracing")
	if err != nil {
		panic(err)
	}
	buildDir = dir
	_ = os.Setenv("OTEL_RESOURCE_ATTRIBUTES", "a=1,b=env") // what the proxies inherit
	code := m.Run()
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

// mosnBinary builds mosn at the first call of a run.
var mosnBinary = sync.OnceValues(func() (string, error) { return peers.MosnBinary(buildDir) })

// TestEnvoy runs each case through Envoy and through mosn.
func TestEnvoy(t *testing.T) {
	envoy, err := peers.EnvoyBinary()
	if err != nil {
		t.Skipf("no Envoy to compare with: %v", err)
	}
	mosn, err := mosnBinary()
	if err != nil {
		t.Fatal(err)
	}
	re := regexp.MustCompile(*only)
	list := slices.DeleteFunc(cases(), func(c *testCase) bool { return !re.MatchString(c.name) })
	want, got := runAll(t, envoy, "envoy", list), runAll(t, mosn, "mosn", list)
	for _, c := range list {
		t.Run(c.name, func(t *testing.T) {
			if want[c.name] != got[c.name] {
				t.Errorf("--- Envoy\n%s--- mosn\n%s", want[c.name], got[c.name])
			}
		})
	}
}

// runAll runs all cases through one process, side by side: they mostly wait.
func runAll(t *testing.T, binary, name string, list []*testCase) map[string]string {
	t.Helper()
	r := start(t, binary, name, list, newCollector(t))
	results := map[string]string{}
	var mu sync.Mutex
	var wg sync.WaitGroup
	for _, c := range list {
		wg.Go(func() {
			one := r.run(c)
			mu.Lock()
			defer mu.Unlock()
			results[c.name] = one
		})
	}
	wg.Wait()
	if *show != "" {
		all := ""
		for _, c := range list {
			all += "=== " + c.name + "\n" + results[c.name]
		}
		if err := os.WriteFile(*show+name, []byte(all), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return results
}
