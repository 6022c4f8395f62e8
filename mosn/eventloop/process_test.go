package eventloop

import (
	"io/fs"
	"math"
	"os"
	"runtime"
	"runtime/debug"
	"syscall"
	"testing"
	"testing/fstest"
)

func files(kv ...string) fs.FS {
	m := fstest.MapFS{}
	for i := 0; i < len(kv); i += 2 {
		m[kv[i]] = &fstest.MapFile{Data: []byte(kv[i+1])}
	}
	return m
}

// Rule R1.
func TestPlan(t *testing.T) {
	v2 := func(max string) fs.FS {
		return files("proc/self/cgroup", "0::/a/b\n", "sys/fs/cgroup/a/b/cpu.max", max)
	}
	tests := []struct {
		name        string
		concurrency int
		cpus        int
		env         string
		root        fs.FS
		want        Plan
	}{
		{"one CPU", 0, 1, "", files(), Plan{Loops: 1, MaxProcs: 2}},
		{"three CPUs", 0, 3, "", files(), Plan{Loops: 3, MaxProcs: 4}},
		{"sixteen CPUs", 0, 16, "", files(), Plan{Loops: 16, MaxProcs: 20}},
		{"given", 5, 16, "", v2("100000 100000"), Plan{Loops: 5, MaxProcs: 6}},
		{"limit", 0, 16, "", v2("250000 100000"), Plan{Loops: 3, MaxProcs: 4}},
		{"limit below one", 0, 16, "", v2("10000 100000"), Plan{Loops: 1, MaxProcs: 2}},
		{"limit above the CPUs", 0, 2, "", v2("800000 100000"), Plan{Loops: 2, MaxProcs: 3}},
		{"no limit", 0, 2, "", v2("max 100000"), Plan{Loops: 2, MaxProcs: 3}},
		{"environment", 4, 16, "8", files(), Plan{Loops: 4, MaxProcs: 8, FromEnv: true}},
		{"bad environment", 4, 16, "many", files(), Plan{Loops: 4, MaxProcs: 5}},
	}
	for _, tt := range tests {
		if got := plan(tt.concurrency, tt.cpus, tt.env, tt.root); got != tt.want {
			t.Errorf("%s: %+v, want %+v", tt.name, got, tt.want)
		}
	}
	for _, env := range []string{"1", "4"} {
		if got := plan(4, 16, env, files()); got.Warning == "" || !got.FromEnv {
			t.Errorf("GOMAXPROCS=%s with 4 loops is not warned about: %+v", env, got)
		}
	}
}

func TestPlanApply(t *testing.T) {
	before := runtime.GOMAXPROCS(0)
	defer runtime.GOMAXPROCS(before)
	Plan{Loops: 1, MaxProcs: 3}.Apply()
	if got := runtime.GOMAXPROCS(0); got != 3 {
		t.Errorf("GOMAXPROCS is %d", got)
	}
	Plan{Loops: 1, MaxProcs: 7, FromEnv: true}.Apply()
	if got := runtime.GOMAXPROCS(0); got != 3 {
		t.Errorf("the environment's value was set again: %d", got)
	}
	if p := Procs(0); p.Loops < 1 || p.Loops > runtime.NumCPU() {
		t.Errorf("here: %+v", p)
	}
}

func TestCgroupCPU(t *testing.T) {
	tests := []struct {
		name string
		root fs.FS
		want float64
	}{
		{"nothing", files(), 0},
		{"v2, a parent is tighter", files("proc/self/cgroup", "0::/pod/box\n",
			"sys/fs/cgroup/pod/cpu.max", "150000 100000\n", "sys/fs/cgroup/pod/box/cpu.max", "400000 100000\n"), 1.5},
		{"v2, in a container", files("proc/self/cgroup", "0::/\n", "sys/fs/cgroup/cpu.max", "200000 100000\n"), 2},
		{"v2, the path is the host's", files("proc/self/cgroup", "0::/../../x\n", "sys/fs/cgroup/cpu.max", "200000 100000\n"), 2},
		{"v1", files("proc/self/cgroup", "4:memory:/m\n3:cpu,cpuacct:/box\n",
			"sys/fs/cgroup/cpu,cpuacct/box/cpu.cfs_quota_us", "50000\n", "sys/fs/cgroup/cpu,cpuacct/box/cpu.cfs_period_us", "100000\n"), 0.5},
		{"v1, none", files("proc/self/cgroup", "3:cpu:/\n",
			"sys/fs/cgroup/cpu/cpu.cfs_quota_us", "-1\n", "sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n"), 0},
		{"rubbish", files("proc/self/cgroup", "what\n0::/\n", "sys/fs/cgroup/cpu.max", "a b c\n"), 0},
	}
	for _, tt := range tests {
		if got := cgroupCPU(tt.root); math.Abs(got-tt.want) > 1e-9 {
			t.Errorf("%s: %v CPUs, want %v", tt.name, got, tt.want)
		}
	}
}

// Rule R8.
func TestMemoryLimit(t *testing.T) {
	tests := []struct {
		name string
		root fs.FS
		want int64
	}{
		{"nothing", files(), 0},
		{"v2", files("proc/self/cgroup", "0::/a\n", "sys/fs/cgroup/a/memory.max", "1000000\n"), 900000},
		{"v2, none", files("proc/self/cgroup", "0::/a\n", "sys/fs/cgroup/a/memory.max", "max\n"), 0},
		{"v2, a parent is tighter", files("proc/self/cgroup", "0::/a/b\n",
			"sys/fs/cgroup/a/memory.max", "500000\n", "sys/fs/cgroup/a/b/memory.max", "1000000\n"), 450000},
		{"v1", files("proc/self/cgroup", "2:memory:/x\n", "sys/fs/cgroup/memory/x/memory.limit_in_bytes", "2000000\n"), 1800000},
		{"v1, none", files("proc/self/cgroup", "2:memory:/\n", "sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n"), 0},
	}
	for _, tt := range tests {
		if got := memoryLimit(tt.root); got != tt.want {
			t.Errorf("%s: %d, want %d", tt.name, got, tt.want)
		}
	}
	before := debug.SetMemoryLimit(-1)
	defer debug.SetMemoryLimit(before)
	t.Setenv("GOMEMLIMIT", "1GiB")
	if got := ApplyMemoryLimit(); got != 0 || debug.SetMemoryLimit(-1) != before {
		t.Errorf("the environment does not win: %d", got)
	}
}

func TestPercentFor(t *testing.T) {
	const mb = 1 << 20
	tests := []struct {
		live, floor int64
		want        int
	}{
		{0, 64 * mb, 3200}, // as if the live heap were the runtime's smallest
		{4 * mb, 64 * mb, 1600},
		{32 * mb, 64 * mb, 200},
		{64 * mb, 64 * mb, 100},
		{500 * mb, 64 * mb, 100},
		{2 * mb, 1 << 40, 10000},
	}
	for _, tt := range tests {
		if got := percentFor(tt.live, tt.floor, 100); got != tt.want {
			t.Errorf("live %d MB, floor %d MB: %d, want %d", tt.live/mb, tt.floor/mb, got, tt.want)
		}
	}
}

// TestHeapTuner: with a floor of 64 MB, 40 MB of garbage run no collection,
// whatever the live heap; without a tuner they run several.
func TestHeapTuner(t *testing.T) {
	if os.Getenv("GOGC") != "" {
		t.Skip("GOGC in the environment wins")
	}
	runtime.GC()
	tuner := NewHeapTuner(64 << 20)
	defer tuner.Close()
	tuner.Tune()
	collections := func() uint32 {
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.NumGC
	}
	before := collections()
	for range 40 {
		sink = make([]byte, 1<<20)
	}
	if n := collections() - before; n != 0 {
		t.Errorf("%d collections within the floor", n)
	}
	tuner.Close()
	if got := debug.SetGCPercent(100); got != 100 {
		t.Errorf("GOGC is %d after Close", got)
	}
	if NewHeapTuner(0).Tune(); debug.SetGCPercent(100) != 100 {
		t.Error("a tuner without a floor changes GOGC")
	}
}

var sink []byte

func TestRaiseFileLimit(t *testing.T) {
	n, err := RaiseFileLimit()
	if err != nil {
		t.Fatal(err)
	}
	var lim syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &lim); err != nil || lim.Cur != n || lim.Cur != lim.Max {
		t.Fatalf("raised to %d, the limits are %+v, %v", n, lim, err)
	}
}
