package config

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// TestSeedsReachDeep guards the fuzzer's corpus: those seeds that are meant to
// compile do, or mutations of them would all die at the first field.
func TestSeedsReachDeep(t *testing.T) {
	for _, name := range []string{"hcm", "routes", "log", "timeouts", "ring", "dns", "proto", "runtime"} {
		raw, err := os.ReadFile(filepath.Join("testdata/fuzz/FuzzBootstrap", name))
		if err != nil {
			t.Fatal(err)
		}
		_, quoted, _ := strings.Cut(strings.TrimSpace(string(raw)), "string(")
		text, err := strconv.Unquote(strings.TrimSuffix(quoted, ")"))
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := compileText(t, text); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
