package envoy

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/txtar"

	"sofamesh.io/sofamesh/test/interop/peers"
)

const (
	brokenCases  = "testdata/broken/cases.txtar"
	brokenGolden = "testdata/broken/golden.txt"
	acceptedDoc  = "testdata/broken/accepted.txtar"
)

// broken is a bootstrap that nobody must accept.
type broken struct{ id, text string }

// TestBroken gives each broken bootstrap to both proxies. What they say is golden; what mosn says names the file, the line, the resource and
// the field.
func TestBroken(t *testing.T) {
	envoy, err := peers.EnvoyBinary()
	if err != nil {
		t.Skipf("no Envoy to compare with: %v", err)
	}
	mosn, err := mosnBinary()
	if err != nil {
		t.Skipf("no mosn to compare: %v", err)
	}
	good, cases := loadBroken(t, brokenCases, "")
	for _, binary := range []string{envoy, mosn} {
		if said, refused := validate(t, binary, good); refused {
			t.Fatalf("the good one is refused by %s: %s", binary, said)
		}
	}
	answers := make([]string, len(cases))
	var wg sync.WaitGroup
	slots := make(chan struct{}, 2)
	for i, c := range cases {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			ours, _ := validate(t, mosn, c.text)
			theirs, refused := validate(t, envoy, c.text)
			if !refused {
				theirs = "accepted"
			}
			answers[i] = fmt.Sprintf("mosn: %s\nenvoy: %s\n", ours, theirs)
		})
	}
	wg.Wait()
	if *update {
		writeBroken(t, cases, answers)
	}
	want := readBroken(t)
	for i, c := range cases {
		t.Run(c.id, func(t *testing.T) { checkBroken(t, c, answers[i], want[c.id]) })
	}
}

var (
	// A fault that the reader of YAML finds names the place in the file, and the path where there is one; all others name the resource.
	syntaxFault = regexp.MustCompile(`^mosn: bootstrap\.yaml:\d+: \S`)
	fault       = regexp.MustCompile(`^mosn: bootstrap\.yaml:\d+: (bootstrap|(listener|cluster) ".*?"|(node|admin|static_resources|layered_runtime|bootstrap_extensions)\S*): \S`)
)

func checkBroken(t *testing.T, c broken, got, want string) {
	if got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	shape := fault
	if strings.HasPrefix(c.id, "syntax/") {
		shape = syntaxFault
	}
	for line := range strings.Lines(got) {
		if strings.HasPrefix(line, "mosn: ") && !shape.MatchString(line) {
			t.Errorf("does not name file, line, resource and field: %s", line)
		}
	}
	if strings.Contains(got, "\nenvoy: accepted\n") {
		t.Error("Envoy takes it")
	}
}

// TestAccepted gives both proxies what the documentation of Envoy shows. A case named later/ is one that mosn refuses so far.
func TestAccepted(t *testing.T) {
	envoy, err := peers.EnvoyBinary()
	if err != nil {
		t.Skipf("no Envoy to compare with: %v", err)
	}
	mosn, err := mosnBinary()
	if err != nil {
		t.Skipf("no mosn to compare: %v", err)
	}
	good, _ := loadBroken(t, brokenCases, "")
	_, cases := loadBroken(t, acceptedDoc, good)
	for _, c := range cases {
		t.Run(c.id, func(t *testing.T) {
			t.Parallel()
			if said, refused := validate(t, envoy, c.text); refused {
				t.Errorf("Envoy refuses it: %s", said)
			}
			said, refused := validate(t, mosn, c.text)
			later := strings.HasPrefix(c.id, "later/")
			if refused && !later {
				t.Errorf("mosn refuses it: %s", said)
			}
			if !refused && later {
				t.Error("mosn takes it now: give it another name")
			}
		})
	}
}

// loadBroken reads the cases of a file: the good bootstrap, which the file may hold, with some text replaced.
func loadBroken(t *testing.T, file, base string) (good string, cases []broken) {
	t.Helper()
	good = base
	archive, err := txtar.ParseFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range archive.Files {
		if f.Name == "base" {
			good = string(f.Data)
			continue
		}
		text, err := replaced(good, string(f.Data))
		if err != nil {
			t.Fatalf("%s: %v", f.Name, err)
		}
		cases = append(cases, broken{f.Name, text})
	}
	return good, cases
}

// replaced applies hunks: lines "-old", then the lines "+new" that take their place.
func replaced(text, hunks string) (string, error) {
	var before, after []string
	flush := func() error {
		if before == nil {
			return nil
		}
		old := strings.Join(before, "\n")
		if n := strings.Count(text, old); n != 1 {
			return fmt.Errorf("%q stands there %d times", old, n)
		}
		text = strings.Replace(text, old, strings.Join(after, "\n"), 1)
		before, after = nil, nil
		return nil
	}
	for line := range strings.Lines(hunks) {
		line = strings.TrimSuffix(line, "\n")
		switch {
		case strings.HasPrefix(line, "-"):
			if after != nil {
				if err := flush(); err != nil {
					return "", err
				}
			}
			before = append(before, line[1:])
		case strings.HasPrefix(line, "+") && before != nil:
			after = append(after, line[1:])
		default:
			return "", fmt.Errorf("line %q", line)
		}
	}
	return text, flush()
}

// validate runs a proxy with --mode validate and returns what it said last.
func validate(t *testing.T, binary, text string) (said string, refused bool) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "bootstrap.yaml"), []byte(text), 0o644); err != nil {
		t.Error(err)
		return "", false
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, binary, "--mode", "validate", "-c", "bootstrap.yaml", "-l", "critical")
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	return lastWords(string(out)), err != nil
}

var (
	heading  = regexp.MustCompile(`(?s)^.*?error initializing configuration 'bootstrap.yaml': `)
	violated = regexp.MustCompile(`(?s)^.*Proto constraint validation failed `)
	// Envoy shows the message, in an order of its own, or where in its JSON form the fault stands.
	dumped = regexp.MustCompile(`(?s)(: \{"|goo\.gle/debug).*|,\s+near\s+1:\d+\s+\(offset\s+\d+\)`)
	space  = regexp.MustCompile(`[ \t]+`)
)

// already tells which of two fields of a oneof came last, which chance decides.
var already = regexp.MustCompile(`\.\w+:\s+\w+:\s+'\w+'\s+has\s+already\s+been\s+set`)

// lastWords keeps the reason, line by line, and drops the heading and dumps of the configuration.
func lastWords(out string) string {
	out = violated.ReplaceAllString(heading.ReplaceAllString(out, ""), "")
	out = space.ReplaceAllString(already.ReplaceAllString(dumped.ReplaceAllString(out, ""), ": set already"), " ")
	var lines []string
	for line := range strings.Lines(out) {
		if line = strings.TrimSpace(line); line != "" {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "\nmosn: ")
}

func readBroken(t *testing.T) map[string]string {
	t.Helper()
	b, err := os.ReadFile(brokenGolden)
	if err != nil {
		t.Fatal(err)
	}
	golden := map[string]string{}
	for _, block := range blockStart.Split(string(b), -1) {
		if id, answer, ok := strings.Cut(block, "\n"); ok {
			golden[id] = strings.TrimSuffix(answer, "\n")
		}
	}
	return golden
}

func writeBroken(t *testing.T, cases []broken, answers []string) {
	t.Helper()
	var out strings.Builder
	for i, c := range cases {
		fmt.Fprintf(&out, "== %s\n%s\n", c.id, answers[i])
	}
	if err := os.WriteFile(brokenGolden, []byte(out.String()), 0o644); err != nil {
		t.Fatal(err)
	}
}
