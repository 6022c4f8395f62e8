package main

import (
	"fmt"
	"io"
	"os"
	"strings"
)

// skipList holds the tests that may be skipped, by package and test.
type skipList map[testID]string

// has reports whether the test or the one it is a subtest of is listed.
func (l skipList) has(id testID) bool {
	for listed := range l {
		samePackage := id.pkg == listed.pkg || strings.HasSuffix(id.pkg, "/"+listed.pkg)
		if samePackage && (id.test == listed.test || strings.HasPrefix(id.test, listed.test+"/")) {
			return true
		}
	}
	return false
}

// readSkips reads the list: "package test reason..." a line, # begins a
// comment. A line without a reason is an error: it would explain nothing.
func readSkips(name string) (skipList, error) {
	data, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	list := skipList{}
	for i, line := range strings.Split(string(data), "\n") {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		fields := strings.Fields(line)
		if len(fields) < 3 {
			return nil, fmt.Errorf("%s:%d: want: package test reason", name, i+1)
		}
		list[testID{fields[0], fields[1]}] = strings.Join(fields[2:], " ")
	}
	return list, nil
}

// addTally appends the counts of a run to the file.
func addTally(name string, t tally) error {
	f, err := os.OpenFile(name, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintln(f, t); err != nil {
		f.Close()
		return err
	}
	return f.Close()
}

// printTally prints the sums over all runs that added to the file.
func printTally(name string, stdout, stderr io.Writer) int {
	sum, runs, err := sumTally(name)
	if err != nil {
		fmt.Fprintln(stderr, "skipcheck:", err)
		return 2
	}
	fmt.Fprintf(stdout, "total of %d runs: %v\n", runs, sum)
	return 0
}

func sumTally(name string) (sum tally, runs int, err error) {
	data, err := os.ReadFile(name)
	if err != nil {
		return tally{}, 0, err
	}
	for _, line := range strings.Split(strings.TrimSpace(string(data)), "\n") {
		var t tally
		if _, err := fmt.Sscanf(line, "%d passed, %d failed, %d skipped", &t.passed, &t.failed, &t.skipped); err != nil {
			return tally{}, 0, fmt.Errorf("%s: %q: %w", name, line, err)
		}
		sum.passed += t.passed
		sum.failed += t.failed
		sum.skipped += t.skipped
		runs++
	}
	return sum, runs, nil
}
