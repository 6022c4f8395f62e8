package http2

import (
	"encoding/xml"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// h2specCases is how many cases h2spec 2.2.1 has, the strict ones included.
const h2specCases = 146

// TestH2spec lets h2spec (RFC 7540 and 7541) check a listener for HTTP/2 alone, in front of backends of both versions. Every case must pass.
// One that takes HTTP/1 too would answer the case of an invalid preface by HTTP/1's 400.
func TestH2spec(t *testing.T) {
	h2spec := built(t, "h2spec")
	for _, http1 := range []bool{false, true} {
		t.Run(fmt.Sprintf("http1 backend %v", http1), func(t *testing.T) {
			t.Parallel()
			p := startProxy(t, setup{Backend: origin(t), HTTP1: http1, HCM: "codec_type: HTTP2"})
			report := filepath.Join(t.TempDir(), "report.xml")
			out, err := exec.Command(h2spec, "--strict", "-h", "127.0.0.1", "-p", fmt.Sprint(p.port), "-o", "3", "-j", report).CombinedOutput()
			cases, failed := readReport(t, report)
			for _, f := range failed {
				t.Errorf("failed: %s", f)
			}
			if cases < h2specCases || err != nil && len(failed) == 0 {
				t.Errorf("%d cases, want %d; %v\n%s", cases, h2specCases, err, out)
			}
			p.quiet(t)
		})
	}
}

// readReport reads h2spec's JUnit report: how many cases ran, and what failed.
func readReport(t *testing.T, file string) (cases int, failed []string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatalf("no report of h2spec: %v", err)
	}
	var report struct {
		Suites []struct {
			Name  string `xml:"name,attr"`
			Cases []struct {
				Package string    `xml:"package,attr"`
				Class   string    `xml:"classname,attr"`
				Failure *struct{} `xml:"failure"`
				Error   *struct {
					Text string `xml:",chardata"`
				} `xml:"error"`
				Skipped *struct{} `xml:"skipped"`
			} `xml:"testcase"`
		} `xml:"testsuite"`
	}
	if err := xml.Unmarshal(text, &report); err != nil {
		t.Fatalf("report of h2spec: %v\n%s", err, text)
	}
	for _, s := range report.Suites {
		for _, c := range s.Cases {
			cases++
			if c.Failure != nil || c.Error != nil || c.Skipped != nil {
				failed = append(failed, c.Package+" "+c.Class)
			}
		}
	}
	return cases, failed
}
