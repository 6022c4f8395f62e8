package server

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
)

// TestOneFile: Envoy's profilers share a file. That of the heap does not write over the
// CPU's while that is under way.
func TestOneFile(t *testing.T) {
	p := profiles{path: filepath.Join(t.TempDir(), "prof")}
	ask := func(serve http.HandlerFunc, query string, want int) {
		t.Helper()
		w := httptest.NewRecorder()
		serve(w, httptest.NewRequest(http.MethodPost, "/?"+query, nil))
		if w.Code != want {
			t.Errorf("%s: status %d, %s", query, w.Code, w.Body)
		}
	}
	ask(p.cpuProfiler, "enable=y", 200)
	ask(p.heapProfiler, "enable=n", 500)
	ask(p.cpuProfiler, "enable=n", 200)
	cpu, err := os.ReadFile(p.path)
	if err != nil || len(cpu) < 2 || cpu[0] != 0x1f || cpu[1] != 0x8b {
		t.Errorf("the profile of the CPU is spoilt: %x %v", cpu, err)
	}
	ask(p.heapProfiler, "enable=n", 200)
	if err := p.close(); err != nil {
		t.Error(err)
	}
}
