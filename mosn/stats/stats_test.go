package stats

import (
	"errors"
	"fmt"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"testing"

	"sofamesh.io/sofamesh/sdk"
	"sofamesh.io/sofamesh/sdk/sdktest"
)

// inline is a Collector's call for locals that the test's own goroutine owns.
func inline(_ int, fn func()) error { fn(); return nil }

// scrape returns the text of all metrics but the store's own.
func scrape(t testing.TB, c *Collector, f Filter) string {
	t.Helper()
	v, err := c.Scrape(f)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	if err := v.WriteText(&b, BucketsDefault); err != nil {
		t.Fatal(err)
	}
	var kept []string
	for line := range strings.Lines(b.String()) {
		if !strings.HasPrefix(line, "server.stats_overflow.") {
			kept = append(kept, line)
		}
	}
	return strings.Join(kept, "")
}

func TestSumOverLoopsAndShared(t *testing.T) {
	s := NewStore(Options{})
	scope := s.Root().Scope("cluster").Scope("a")
	total, active := scope.Counter("upstream_rq_total"), scope.Gauge("upstream_rq_active")
	one, two := NewLocal(), NewLocal()
	one.Inc(total)
	two.Add(total, 40)
	s.Shared().Inc(total)
	one.AddGauge(active, 3)
	two.AddGauge(active, -1)
	s.Shared().AddGauge(active, 5)
	got := scrape(t, NewCollector(s, []*Local{one, two}, inline), Filter{})
	want := "cluster.a.upstream_rq_active: 7\ncluster.a.upstream_rq_total: 42\n"
	if got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

func TestNegativeGaugeIsZero(t *testing.T) {
	s := NewStore(Options{})
	g := s.Root().Gauge("g")
	l := NewLocal()
	l.AddGauge(g, -1)
	if got := scrape(t, NewCollector(s, []*Local{l}, inline), Filter{}); got != "g: 0\n" {
		t.Errorf("got %q", got)
	}
}

func TestSetGauge(t *testing.T) {
	s := NewStore(Options{})
	g := s.Root().Gauge("membership_total")
	s.Shared().SetGauge(g, 7)
	s.Shared().SetGauge(g, 3)
	if got := scrape(t, NewCollector(s, nil, inline), Filter{}); got != "membership_total: 3\n" {
		t.Errorf("got %q", got)
	}
}

func TestSameNameSameHandle(t *testing.T) {
	s := NewStore(Options{})
	n := NewNames(List{Gauges: []string{"g"}, Counters: []string{"c"}, Lazy: []string{"l"}, Histograms: []string{"h"}})
	scope := s.Root().Scope("x")
	a, b := BlockOf(scope, n), BlockOf(s.Root().Scope("x"), n)
	if a.Counter(0) != b.Counter(0) || a.Gauge(0) != b.Gauge(0) || a.Histogram(0) != b.Histogram(0) || a.Lazy(0) != b.Lazy(0) {
		t.Error("a block asked for twice differs")
	}
	if scope.Counter("c") != a.Counter(0) || scope.Gauge("g") != a.Gauge(0) || scope.Counter("l") != a.Lazy(0) || scope.Histogram("h") != a.Histogram(0) {
		t.Error("a name of a block asked for alone differs")
	}
	if first, second := scope.Counter("other"), scope.Counter("other"); first != second || first.ID == 0 {
		t.Error("a single name asked for twice differs")
	}
	if scope.Gauge("c").ID != 0 || scope.Gauge("other").ID != 0 || scope.Histogram("other").ID != 0 {
		t.Error("a name got a second kind")
	}
	other := BlockOf(scope, NewNames(List{Counters: []string{"more"}}))
	if other.Counter(0) == a.Counter(0) || BlockOf(scope, n).Counter(0) != a.Counter(0) {
		t.Error("two lists of one prefix are mixed up")
	}
}

func TestBlockOfForeignScope(t *testing.T) {
	s := sdktest.NewScope()
	n := NewNames(List{Gauges: []string{"g"}, Counters: []string{"c0", "c1"}, Lazy: []string{"l"}, Histograms: []string{"h"}})
	b := BlockOf(s.Scope("p"), n)
	for name, id := range map[string]uint32{
		"p.g": b.Gauge(0).ID, "p.c0": b.Counter(0).ID, "p.c1": b.Counter(1).ID, "p.l": b.Lazy(0).ID, "p.h": b.Histogram(0).ID,
	} {
		if id == 0 || s.ID(name) != id {
			t.Errorf("%s has the handle %d, the scope says %d", name, id, s.ID(name))
		}
	}
}

func TestDuplicateInListPanics(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	NewNames(List{Counters: []string{"a"}, Lazy: []string{"a"}})
}

func TestLazyAndUsedOnly(t *testing.T) {
	s := NewStore(Options{})
	b := BlockOf(s.Root().Scope("x"), NewNames(List{
		Gauges: []string{"g0", "g1"}, Counters: []string{"c0", "c1"}, Lazy: []string{"rq_200", "rq_404"}, Histograms: []string{"h0", "h1"},
	}))
	l := NewLocal()
	c := NewCollector(s, []*Local{l}, inline)
	none := "No recorded values"
	want := "x.c0: 0\nx.c1: 0\nx.g0: 0\nx.g1: 0\nx.h0: " + none + "\nx.h1: " + none + "\n"
	if got := scrape(t, c, Filter{}); got != want {
		t.Errorf("untouched: got\n%s", got)
	}
	l.Inc(b.Lazy(1))
	l.Inc(b.Counter(1))
	l.AddGauge(b.Gauge(0), 1)
	l.AddGauge(b.Gauge(0), -1) // used, though 0
	l.Observe(b.Histogram(1), 0)
	got := scrape(t, c, Filter{UsedOnly: true})
	hist := "x.h1: P0(nan,0) P25(nan,0) P50(nan,0) P75(nan,0) P90(nan,0) P95(nan,0) P99(nan,0) P99.5(nan,0) P99.9(nan,0) P100(nan,0)\n"
	if want := "x.c1: 1\nx.g0: 0\nx.rq_404: 1\n" + hist; got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	if got := scrape(t, c, Filter{Name: regexp.MustCompile(`rq_`)}); got != "x.rq_404: 1\n" {
		t.Errorf("filtered: got\n%s", got)
	}
	if got := scrape(t, c, Filter{Kinds: []Kind{KindGauge}}); got != "x.g0: 0\nx.g1: 0\n" {
		t.Errorf("gauges: got\n%s", got)
	}
}

func TestCap(t *testing.T) {
	s := NewStore(Options{MaxNames: 2})
	root := s.Root()
	n := NewNames(List{Counters: []string{"c"}, Histograms: []string{"h"}})
	if root.Counter("a").ID == 0 || BlockOf(root.Scope("b"), n).Counter(0).ID == 0 {
		t.Fatal("a name within the bound was dropped")
	}
	b := BlockOf(root.Scope("c"), n)
	if root.Counter("d").ID != 0 || root.Gauge("e").ID != 0 || root.Histogram("f").ID != 0 || b.Counter(0).ID != 0 || b.Histogram(0).ID != 0 {
		t.Error("a name over the bound was kept")
	}
	if root.Counter("a").ID == 0 {
		t.Error("a known name got lost")
	}
	l := NewLocal()
	l.Inc(b.Counter(0)) // goes nowhere
	l.Observe(b.Histogram(0), 1)
	v, err := NewCollector(s, []*Local{l}, inline).Scrape(Filter{})
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]uint64{"counter": 2, "gauge": 1, "histogram": 1} {
		if got, ok := v.Value("server.stats_overflow." + name); !ok || got != want {
			t.Errorf("overflow of %s is %d, %v, want %d", name, got, ok, want)
		}
	}
	if _, ok := v.Value("none"); ok {
		t.Error("an unknown name has a value")
	}
}

func TestReset(t *testing.T) {
	s := NewStore(Options{})
	c, g := s.Root().Counter("c"), s.Root().Gauge("g")
	l := NewLocal()
	l.Inc(c)
	s.Shared().Inc(c)
	l.AddGauge(g, 2)
	collector := NewCollector(s, []*Local{l}, inline)
	if err := collector.Reset(); err != nil {
		t.Fatal(err)
	}
	if got := scrape(t, collector, Filter{}); got != "c: 0\ng: 2\n" {
		t.Errorf("got\n%s", got)
	}
}

func TestLoopThatDoesNotAnswer(t *testing.T) {
	stopped := errors.New("stopped")
	c := NewCollector(NewStore(Options{}), []*Local{NewLocal()}, func(int, func()) error { return stopped })
	_, err := c.Scrape(Filter{})
	for what, err := range map[string]error{"Scrape": err, "Flush": c.Flush(), "Reset": c.Reset()} {
		if !errors.Is(err, stopped) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// TestConcurrent is for the race detector: loops write while admin scrapes and
// configuration makes names.
func TestConcurrent(t *testing.T) {
	const loops, rounds = 3, 300
	s := NewStore(Options{})
	counter, hist := s.Root().Counter("c"), s.Root().Histogram("h")
	locals := make([]*Local, loops)
	tasks := make([]chan func(), loops)
	var wg sync.WaitGroup
	for i := range loops {
		locals[i], tasks[i] = NewLocal(), make(chan func())
		wg.Go(func() {
			for range rounds {
				locals[i].Inc(counter)
				locals[i].Observe(hist, uint64(i))
				select {
				case fn := <-tasks[i]:
					fn()
				default:
				}
			}
			for fn := range tasks[i] {
				fn()
			}
		})
	}
	c := NewCollector(s, locals, func(loop int, fn func()) error {
		done := make(chan struct{})
		tasks[loop] <- func() { fn(); close(done) }
		<-done
		return nil
	})
	var others sync.WaitGroup
	others.Go(func() {
		for i := range rounds {
			s.Shared().Inc(s.Root().Scope(fmt.Sprint("cluster", i)).Counter("x"))
		}
	})
	for range 20 {
		scrape(t, c, Filter{})
		if err := c.Flush(); err != nil {
			t.Error(err)
		}
	}
	others.Wait()
	for { // the loops may still count
		v, err := c.Scrape(Filter{})
		if err != nil {
			t.Fatal(err)
		}
		if n, _ := v.Value("c"); n == loops*rounds {
			break
		}
	}
	for _, ch := range tasks {
		close(ch)
	}
	wg.Wait()
}

// clusterNames looks like what a cluster has.
func clusterNames() *Names {
	l := List{Gauges: []string{"membership_total", "membership_healthy"}, Lazy: NewCodes().Names("upstream_rq_"), Histograms: []string{"upstream_cx_connect_ms", "upstream_rq_time"}}
	for i := range 60 {
		l.Counters = append(l.Counters, fmt.Sprint("upstream_counter_", i))
	}
	return NewNames(l)
}

func TestTenThousandClustersAreCheap(t *testing.T) {
	const clusters = 10000
	names := clusterNames()
	heap := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := heap()
	s := NewStore(Options{})
	l := NewLocal()
	var last Block
	for i := range clusters {
		last = BlockOf(s.Root().Scope(fmt.Sprint("cluster.service-", i)), names)
	}
	perCluster := (heap() - before) / clusters
	t.Logf("%d bytes for a cluster that is not used", perCluster)
	if perCluster > 256 {
		t.Errorf("a cluster that is not used costs %d bytes", perCluster)
	}
	before = heap()
	l.Inc(last.Counter(0))
	if cost := heap() - before; cost > 2<<20 {
		t.Errorf("touching the last cluster costs %d bytes", cost)
	}
	runtime.KeepAlive(s)
	runtime.KeepAlive(l)
}

func TestNoAllocation(t *testing.T) {
	s := NewStore(Options{})
	b := BlockOf(s.Root(), clusterNames())
	codes := NewCodes()
	l := NewLocal()
	v := uint64(0)
	run := func() {
		l.Inc(b.Counter(3))
		l.Add(b.Counter(4), 10)
		l.AddGauge(b.Gauge(0), -1)
		l.Observe(b.Histogram(0), v%1000)
		if i, ok := codes.Code(200); ok {
			l.Inc(b.Lazy(i))
		}
		v++
	}
	for range 1000 { // touch every bucket
		run()
	}
	if n := testing.AllocsPerRun(100, run); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestCodes(t *testing.T) {
	c := NewCodes()
	names := c.Names("upstream_rq_")
	NewNames(List{Lazy: names}) // no name occurs twice
	for code, want := range map[int]string{100: "upstream_rq_100", 200: "upstream_rq_200", 404: "upstream_rq_404", 503: "upstream_rq_503", 599: "upstream_rq_599"} {
		if i, ok := c.Code(code); !ok || names[i] != want {
			t.Errorf("code %d: %d, %v", code, i, ok)
		}
		if i, ok := c.Class(code); !ok || names[i] != fmt.Sprintf("upstream_rq_%dxx", code/100) {
			t.Errorf("class of %d: %d, %v", code, i, ok)
		}
	}
	for _, code := range []int{-1, 0, 99, 600, 1000} {
		if _, ok := c.Code(code); ok {
			t.Errorf("code %d has a counter", code)
		}
		if _, ok := c.Class(code); ok {
			t.Errorf("code %d has a class", code)
		}
	}
	if _, ok := c.Code(299); ok {
		t.Error("an unregistered code has a counter of its own")
	}
}

func BenchmarkInc(b *testing.B) {
	s := NewStore(Options{})
	c := s.Root().Counter("c")
	l := NewLocal()
	b.ReportAllocs()
	for b.Loop() {
		l.Inc(c)
	}
}

func BenchmarkObserve(b *testing.B) {
	l := NewLocal()
	h := sdk.Histogram{ID: 1}
	v := uint64(0)
	b.ReportAllocs()
	for b.Loop() {
		l.Observe(h, v&0xfff)
		v += 7
	}
}

func BenchmarkScrape10kClusters(b *testing.B) {
	names := clusterNames()
	s := NewStore(Options{})
	l := NewLocal()
	for i := range 10000 {
		l.Inc(BlockOf(s.Root().Scope(fmt.Sprint("cluster.service-", i)), names).Counter(0))
	}
	c := NewCollector(s, []*Local{l}, inline)
	for b.Loop() {
		if _, err := c.Scrape(Filter{UsedOnly: true}); err != nil {
			b.Fatal(err)
		}
	}
}
