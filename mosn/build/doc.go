// Package build makes a mosn with extensions from outside: "mosn build" compiles one
// with the filters and codecs of other modules, no fork needed, and "mosn new" writes
// a module to begin with.
//
// Both are commands of a tool: they run on the caller's goroutine, use the Go that is
// in PATH and its module cache, and end before anything is served.
package build

import (
	"errors"
	"flag"
	"fmt"
	"io"
)

// Command returns the command of a name, nil when there is none. It takes the
// arguments after the name and returns the exit code.
func Command(name string) func(args []string, stdout, stderr io.Writer) int {
	switch name {
	case "build":
		return command(runBuild)
	case "new":
		return command(runNew)
	}
	return nil
}

func command(run func(args []string, stdout, stderr io.Writer) error) func([]string, io.Writer, io.Writer) int {
	return func(args []string, stdout, stderr io.Writer) int {
		err := run(args, stdout, stderr)
		switch {
		case err == nil || errors.Is(err, flag.ErrHelp):
			return 0
		}
		fmt.Fprintf(stderr, "mosn: %v\n", err)
		return 1
	}
}

// parse reads flags and prints the usage when it is asked for.
func parse(f *flag.FlagSet, args []string, stdout io.Writer, usage string) error {
	f.SetOutput(io.Discard)
	err := f.Parse(args)
	if errors.Is(err, flag.ErrHelp) {
		fmt.Fprint(stdout, usage)
	}
	return err
}
