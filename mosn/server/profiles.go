package server

import (
	"fmt"
	"net/http"
	"net/http/pprof"
	"os"
	"runtime"
	rpprof "runtime/pprof"
	"strings"
	"sync"
)

// defaultProfilePath is admin.profile_path when it is not set, as in Envoy.
const defaultProfilePath = "/var/log/envoy/envoy.prof"

// profiles are what admin says of where CPU time and memory go. Envoy's own paths write
// to the file of profile_path; those below /debug/pprof are what "go tool pprof" reads.
type profiles struct {
	path string

	mu  sync.Mutex
	cpu *os.File // the profile that is being written; nil: none
}

func (p *profiles) endpoints() []*endpoint {
	list := []*endpoint{
		{"/allocprofiler", "enable/disable the allocation profiler (if supported)", true, p.alloc},
		{"/contention", "dump current Envoy mutex contention stats (if enabled)", false, contention},
		{"/cpuprofiler", "enable/disable the CPU profiler", true, p.cpuProfiler},
		{"/heap_dump", "dump current Envoy heap (if supported)", false, pprof.Handler("heap").ServeHTTP},
		{"/heapprofiler", "enable/disable the heap profiler", true, p.heapProfiler},
		{"/debug/pprof/", "list the runtime's profiles", false, pprof.Index},
		{"/debug/pprof/profile", "profile the CPU for ?seconds=30", false, pprof.Profile},
		{"/debug/pprof/symbol", "names of addresses", false, pprof.Symbol},
		{"/debug/pprof/trace", "trace the runtime for ?seconds=1", false, pprof.Trace},
	}
	for _, name := range []string{"allocs", "goroutine", "heap", "threadcreate"} { // block and mutex are never sampled
		list = append(list, &endpoint{"/debug/pprof/" + name, "the profile of " + name, false, pprof.Handler(name).ServeHTTP})
	}
	return list
}

// contention says that mutexes are not traced, as Envoy does when they are not; there is
// no flag here that would trace them.
func contention(w http.ResponseWriter, _ *http.Request) {
	fmt.Fprintln(w, "Mutex contention tracing is not enabled: there is none here, as loops take no mutex.")
}

// enable reads ?enable=y or n; ok is false when the request was answered.
func enable(w http.ResponseWriter, r *http.Request) (on, ok bool) {
	if q := r.URL.Query(); len(q) == 1 {
		switch q.Get("enable") {
		case "y":
			return true, true
		case "n":
			return false, true
		}
	}
	w.WriteHeader(http.StatusBadRequest)
	fmt.Fprintln(w, "?enable=<y|n>")
	return false, false
}

func (p *profiles) cpuProfiler(w http.ResponseWriter, r *http.Request) {
	on, valid := enable(w, r)
	if !valid {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	var err error
	switch {
	case on && p.cpu == nil:
		err = p.startCPU()
	case !on && p.cpu != nil:
		err = p.stopCPU()
	}
	if err != nil {
		w.WriteHeader(http.StatusInternalServerError)
		fmt.Fprintf(w, "failure to start the profiler: %v\n", err)
		return
	}
	ok(w)
}

func (p *profiles) startCPU() error {
	f, err := os.OpenFile(p.path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	if err := rpprof.StartCPUProfile(f); err != nil {
		_ = f.Close() // nothing was written
		return err
	}
	p.cpu = f
	return nil
}

func (p *profiles) stopCPU() error {
	rpprof.StopCPUProfile()
	f := p.cpu
	p.cpu = nil
	return f.Close()
}

// heapProfiler: the runtime samples the heap all the time, so enabling has nothing to do;
// disabling writes what lives.
func (p *profiles) heapProfiler(w http.ResponseWriter, r *http.Request) {
	on, valid := enable(w, r)
	if !valid {
		return
	}
	if !on {
		runtime.GC() // the profile is as of the last collection
		if err := p.write("heap"); err != nil {
			w.WriteHeader(http.StatusInternalServerError)
			fmt.Fprintf(w, "the profile cannot be written: %v\n", err)
			return
		}
	}
	ok(w)
}

// write writes a profile to the file, unless that of the CPU is under way there.
func (p *profiles) write(name string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cpu != nil {
		return fmt.Errorf("the profile of the CPU is being written to %s", p.path)
	}
	f, err := os.OpenFile(p.path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	err = rpprof.Lookup(name).WriteTo(f, 0)
	if closed := f.Close(); err == nil {
		err = closed
	}
	return err
}

// alloc: there is nothing to switch, as the runtime samples allocations all the time.
func (p *profiles) alloc(w http.ResponseWriter, r *http.Request) {
	if _, valid := enable(w, r); valid {
		w.WriteHeader(http.StatusNotImplemented)
		fmt.Fprintln(w, "allocations are sampled all the time: see /debug/pprof/allocs")
	}
}

// close ends a profile that nobody has ended.
func (p *profiles) close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cpu == nil {
		return nil
	}
	return p.stopCPU()
}

// profilePath is where Envoy's profilers write.
func profilePath(configured string) string {
	if strings.TrimSpace(configured) == "" {
		return defaultProfilePath
	}
	return configured
}
