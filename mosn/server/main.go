package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"sofamesh.io/sofamesh/mosn/build"
	"sofamesh.io/sofamesh/mosn/config"
	"sofamesh.io/sofamesh/mosn/eventloop"
)

// Main is the main function of a proxy built with some extensions: it takes the
// process's command line, runs until it is told to end, and exits.
func Main(ext config.Extensions) {
	os.Exit(Run(ext, os.Args, os.Stdout, os.Stderr))
}

// Run is Main for a caller who has a command line of his own, program name first. It
// returns the exit code. The signals that end a proxy are the process's.
func Run(ext config.Extensions, args []string, stdout, stderr io.Writer) int {
	args = args[min(1, len(args)):]
	if len(args) > 0 {
		if command := build.Command(args[0]); command != nil {
			return command(args[1:], stdout, stderr)
		}
	}
	o, err := ParseArgs(args, stdout)
	switch {
	case errors.Is(err, errDone):
		return 0
	case err != nil:
		return fail(stderr, "%v (--help lists the flags)", err)
	}
	registry, err := config.NewRegistry(ext)
	if err != nil {
		return fail(stderr, "%v", err)
	}
	log, err := NewLog(o, stderr)
	if err != nil {
		return fail(stderr, "%v", err)
	}
	defer log.Close()
	for _, w := range o.Warnings {
		log.For(compMain).Warn(w)
	}
	quickStart()
	boot, err := load(o, registry)
	if err != nil {
		return fail(stderr, "error initializing configuration '%s': %v", o.ConfigPath, err)
	}
	if o.Mode == Validate {
		return validate(o, boot, registry, stdout, stderr, log)
	}
	return serve(o, boot, registry, stdout, stderr, log)
}

// quickStart keeps the garbage collector from running over and over while a
// configuration is read, when nearly all that is allocated stays. The loops' HeapTuner
// takes over when they start. GOGC in the environment wins.
func quickStart() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(1000)
	}
}

func fail(stderr io.Writer, format string, args ...any) int {
	fmt.Fprintf(stderr, "mosn: "+format+"\n", args...)
	return 1
}

func load(o *Options, registry *config.Registry) (*config.Bootstrap, error) {
	return config.Load(config.Source{
		Path: o.ConfigPath, YAML: o.ConfigYAML, AllowUnknown: o.AllowUnknownStatic,
		ServiceNode: o.ServiceNode, ServiceCluster: o.ServiceCluster, ServiceZone: o.ServiceZone,
	}, registry)
}

// serve starts a proxy and runs it until a signal or admin ends it.
func serve(o *Options, boot *config.Bootstrap, registry *config.Registry, stdout, stderr io.Writer, log *Log) int {
	main := log.For(compMain)
	plan := eventloop.Procs(o.Concurrency)
	plan.Apply()
	if plan.Warning != "" {
		main.Warn(plan.Warning)
	}
	if limit, err := eventloop.RaiseFileLimit(); err != nil {
		main.Warn("the limit of open files stays", "limit", limit, "error", err)
	}
	eventloop.ApplyMemoryLimit()

	signals := make(chan os.Signal, 4)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGUSR1, syscall.SIGHUP)
	defer signal.Stop(signals)
	defer startReaper().stop()

	p, err := New(o, boot, registry, plan.Loops, Streams{Stdout: stdout, Stderr: stderr}, log)
	if err != nil {
		return fail(stderr, "error initializing configuration '%s': %v", o.ConfigPath, err)
	}
	defer p.Close()
	if err := p.run(signals); err != nil && !errors.Is(err, context.Canceled) {
		return fail(stderr, "%v", err)
	}
	return 0
}
