package main

import (
	"bufio"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
)

// event is a line of go test -json (go doc cmd/test2json).
type event struct {
	Action  string
	Package string
	Test    string
	Output  string
}

type testID struct{ pkg, test string }

// skip is a test that said it could not run.
type skip struct {
	testID
	reason string
}

// tally counts tests, subtests included.
type tally struct{ passed, failed, skipped int }

// reporter turns events into what a reader of the log wants to see. Used by one
// goroutine.
type reporter struct {
	out   io.Writer
	held  map[testID][]string // output of tests that have not ended
	skips []skip
	count tally
}

func newReporter(out io.Writer) *reporter {
	return &reporter{out: out, held: map[testID][]string{}}
}

// read consumes events to their end. Lines that are not events are printed.
func (r *reporter) read(events io.Reader) error {
	lines := bufio.NewReader(events)
	for {
		line, err := lines.ReadBytes('\n')
		if len(line) > 0 {
			var e event
			if json.Unmarshal(line, &e) == nil && e.Action != "" {
				r.event(e)
			} else {
				fmt.Fprint(r.out, string(line))
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func (r *reporter) event(e event) {
	id := testID{e.Package, e.Test}
	switch {
	case e.Action == "build-output":
		fmt.Fprint(r.out, e.Output)
	case e.Test == "":
		r.packageEvent(e)
	case e.Action == "output":
		r.held[id] = append(r.held[id], e.Output)
	case e.Action == "pass":
		r.count.passed++
		delete(r.held, id)
	case e.Action == "skip":
		r.count.skipped++
		r.skips = append(r.skips, skip{id, skipReason(r.held[id])})
		delete(r.held, id)
	case e.Action == "fail":
		r.count.failed++
		r.print(id)
	}
}

// packageEvent handles what concerns a package as a whole. A "skip" there means
// that it has no tests.
func (r *reporter) packageEvent(e event) {
	switch e.Action {
	case "output":
		// A bare PASS precedes each "ok" line; go test shows it with -v only.
		if e.Output != "PASS\n" {
			fmt.Fprint(r.out, e.Output)
		}
	case "fail":
		// A panic or a timeout ends tests without an event of their own.
		var cut []testID
		for id := range r.held {
			if id.pkg == e.Package {
				cut = append(cut, id)
			}
		}
		slices.SortFunc(cut, func(a, b testID) int { return cmp.Compare(a.test, b.test) })
		for _, id := range cut {
			r.count.failed++
			r.print(id)
		}
	}
}

func (r *reporter) print(id testID) {
	for _, line := range r.held[id] {
		if !strings.HasPrefix(line, "=== ") {
			fmt.Fprint(r.out, line)
		}
	}
	delete(r.held, id)
}

// skipReason is the text given to Skip: the lines before "--- SKIP", without
// the position that the testing package puts before it.
func skipReason(output []string) string {
	var text []string
	for _, line := range output {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "=== ") || strings.HasPrefix(line, "--- ") || line == "" {
			continue
		}
		if at := strings.Index(line, ".go:"); at > 0 {
			if _, rest, found := strings.Cut(line[at+len(".go:"):], ": "); found {
				line = rest
			}
		}
		text = append(text, line)
	}
	if len(text) == 0 {
		return "no reason given"
	}
	return strings.Join(text, " ")
}

// close prints the skipped tests and the summary, and returns how many skips
// the list does not name.
func (r *reporter) close(out io.Writer, list skipList) (unlisted int) {
	for _, s := range r.skips {
		note := ""
		if !list.has(s.testID) {
			unlisted++
			note = " (not listed)"
		}
		fmt.Fprintf(out, "skipped%s: %s %s: %s\n", note, s.pkg, s.test, s.reason)
	}
	fmt.Fprintln(out, r.count)
	return unlisted
}

func (t tally) String() string {
	return fmt.Sprintf("%d passed, %d failed, %d skipped", t.passed, t.failed, t.skipped)
}
