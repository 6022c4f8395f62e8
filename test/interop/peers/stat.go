package peers

import (
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"
)

// Stat reads one counter or gauge of a proxy from its admin address; 0 when there is none, as those of a code before its first answer.
func Stat(t testing.TB, p *Process, admin, name string) int {
	t.Helper()
	client := http.Client{Timeout: 5 * time.Second}
	resp, err := client.Get("http://" + admin + "/stats")
	if err != nil {
		t.Fatalf("admin: %v\n%s", err, p.Output())
	}
	defer resp.Body.Close()
	all, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("admin: %v", err)
	}
	for line := range strings.Lines(string(all)) {
		value, ok := strings.CutPrefix(strings.TrimSpace(line), name+": ")
		if !ok {
			continue
		}
		n, err := strconv.Atoi(value)
		if err != nil {
			t.Fatalf("stat %s is %q", name, value)
		}
		return n
	}
	return 0
}
