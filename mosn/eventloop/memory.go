package eventloop

import (
	"io/fs"
	"math"
	"os"
	"runtime/debug"
	"runtime/metrics"
)

// HeapTuner keeps the garbage collector from running until about floor bytes
// were allocated since its last run, however small the live heap is (rule R8).
// It reserves nothing: while nobody allocates, the heap does not grow. It sets
// GOGC, so there must be one in a process; GOGC in the environment wins.
type HeapTuner struct {
	floor   int64
	base    int // percent to fall back to
	percent int
	cycles  uint64
	samples [2]metrics.Sample
}

// NewHeapTuner returns a tuner; floor 0 makes one that does nothing.
func NewHeapTuner(floor int64) *HeapTuner {
	t := &HeapTuner{floor: floor, base: 100, cycles: math.MaxUint64}
	if os.Getenv("GOGC") != "" {
		t.floor = 0
	}
	t.samples[0].Name = "/gc/cycles/total:gc-cycles"
	t.samples[1].Name = "/gc/heap/live:bytes"
	return t
}

// Tune adapts GOGC when a collection has run since the last call.
func (t *HeapTuner) Tune() {
	if t.floor <= 0 {
		return
	}
	metrics.Read(t.samples[:])
	cycles := t.samples[0].Value.Uint64()
	if cycles == t.cycles {
		return
	}
	t.cycles = cycles
	if p := percentFor(int64(t.samples[1].Value.Uint64()), t.floor, t.base); p != t.percent {
		t.percent = p
		debug.SetGCPercent(p)
	}
}

// Close restores the percentage.
func (t *HeapTuner) Close() {
	if t.percent != 0 {
		debug.SetGCPercent(t.base)
		t.percent = 0
	}
}

// minHeap is what the runtime scales by GOGC/100 to get its smallest heap.
const minHeap = 4 << 20

// percentFor returns the GOGC at which the next collection comes after floor
// new bytes, or at base when that is later.
func percentFor(live, floor int64, base int) int {
	live = max(live, minHeap/2) // before the first collection nothing is known
	return max(base, int(min(floor*100/live, 10000)))
}

// ApplyMemoryLimit sets the runtime's memory limit to 0.9 of the cgroup's and
// returns it in bytes, 0 when there is none. GOMEMLIMIT in the environment wins.
func ApplyMemoryLimit() int64 {
	if os.Getenv("GOMEMLIMIT") != "" {
		return 0
	}
	limit := memoryLimit(os.DirFS("/"))
	if limit > 0 {
		debug.SetMemoryLimit(limit)
	}
	return limit
}

func memoryLimit(root fs.FS) int64 {
	n := cgroupMemory(root)
	if n <= 0 {
		return 0
	}
	return n / 10 * 9
}
