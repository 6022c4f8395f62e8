// Skipcheck runs "go test" so that nothing is skipped in silence.
//
//	go run ./test/skipcheck [-skips test/skips.txt] [-tally file] -- [go test's arguments]
//
// It prints what go test prints without -v: the output of tests that fail and
// one closing line a package ("ok", "FAIL", "no test files"), then the skipped
// tests with their reasons and a summary "N passed, N failed, N skipped". With
// CI=true in the environment it fails when a test was skipped that the list
// does not name. The list holds a line for each: package (below the module),
// test, and the reason; a line also covers the test's subtests.
//
// It is one process with one goroutine besides those of os/exec, and exits
// with 1 when a test failed or was skipped unlisted, 2 when it could not run.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
)

func main() {
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr, os.Getenv("CI") == "true"))
}

func run(args []string, stdout, stderr io.Writer, ci bool) int {
	flags := flag.NewFlagSet("skipcheck", flag.ContinueOnError)
	flags.SetOutput(stderr)
	skipsFile := flags.String("skips", "test/skips.txt", "the list of tests that may be skipped")
	tallyFile := flags.String("tally", "", "add the counts to this file, and print its sums when no argument follows")
	if err := flags.Parse(args); err != nil {
		return 2
	}
	if *tallyFile != "" && flags.NArg() == 0 {
		return printTally(*tallyFile, stdout, stderr)
	}
	list, err := readSkips(*skipsFile)
	if err != nil {
		fmt.Fprintln(stderr, "skipcheck:", err)
		return 2
	}
	rep, failed, err := goTest(flags.Args(), stdout, stderr)
	if err != nil {
		fmt.Fprintln(stderr, "skipcheck:", err)
		return 2
	}
	unlisted := rep.close(stdout, list)
	if *tallyFile != "" {
		if err := addTally(*tallyFile, rep.count); err != nil {
			fmt.Fprintln(stderr, "skipcheck:", err)
			return 2
		}
	}
	if unlisted > 0 && ci {
		fmt.Fprintf(stdout, "FAIL: %d skipped and not listed in %s\n", unlisted, *skipsFile)
		return 1
	}
	// go test's own exit code counts too: it knows of failures without events.
	if failed || rep.count.failed > 0 {
		return 1
	}
	return 0
}

// goTest runs go test and reports its events as they come.
func goTest(args []string, stdout, stderr io.Writer) (rep *reporter, failed bool, err error) {
	cmd := exec.Command("go", append([]string{"test", "-json"}, args...)...)
	cmd.Stderr = stderr
	events, err := cmd.StdoutPipe()
	if err != nil {
		return nil, false, err
	}
	if err := cmd.Start(); err != nil {
		return nil, false, err
	}
	rep = newReporter(stdout)
	readErr := rep.read(events)
	err = cmd.Wait()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return rep, true, readErr
	}
	return rep, false, errors.Join(readErr, err)
}
