//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"sofamesh.io/sofamesh/test/bench/load"
	"sofamesh.io/sofamesh/test/bench/peer"
	"sofamesh.io/sofamesh/test/bench/side"
)

const startLimit = 2 * time.Minute // for a peer to get ready, ten thousand clusters included

// rig is a run under way: the load side, the directory, the samples.
type rig struct {
	o       options
	gear    gear
	dir     string
	files   uint64
	side    *side.Client
	port    uint16 // the next one to try
	results *results
	log     io.Writer // progress
}

func local(port uint16) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), port)
}

// startSide runs the load side as a process of its own; stop ends it.
func startSide(self string, cpu int) (c *side.Client, stop func(), err error) {
	cmd := exec.Command(self, "side", "127.0.0.1:0")
	cmd.Env = peer.SingleThread(os.Environ())
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, nil, err
	}
	if err := peer.Pinned(cmd, cpu); err != nil {
		return nil, nil, err
	}
	stop = func() {
		in.Close() // the end of its input ends it between two commands
		timer := time.AfterFunc(time.Second, func() { _ = cmd.Process.Kill() })
		_ = cmd.Wait()
		timer.Stop()
	}
	if c, err = side.NewClient(in, out); err != nil {
		stop()
		return nil, nil, err
	}
	return c, stop, nil
}

// site makes room for one more instance. Its ports lie below those that the kernel gives to outgoing connections.
func (r *rig) site(name string, clusters int) (peer.Site, error) {
	s := peer.Site{Dir: filepath.Join(r.dir, name), Backend: r.side.Port, Clusters: clusters, Files: r.files}
	for _, port := range []*uint16{&s.Listen, &s.Admin, &s.OneShot} {
		for *port == 0 {
			if r.port++; r.port >= 32000 {
				return s, errors.New("no free port")
			}
			if l, err := net.Listen("tcp4", local(r.port).String()); err == nil {
				l.Close()
				*port = r.port
			}
		}
	}
	return s, nil
}

// launch starts a peer on the proxies' processor.
func (r *rig) launch(ctx context.Context, p peer.Peer, name string, clusters int) (*peer.Process, error) {
	s, err := r.site(name, clusters)
	if err != nil {
		return nil, err
	}
	switch {
	case p.Bolt:
		s.Backend = r.side.Bolt
	case p.HTTP2:
		s.Backend = r.side.HTTP2
	}
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	return peer.Start(ctx, p, s, r.o.proxyCPU)
}

// load runs one plan against a process and adds what the process holds afterwards.
func (r *rig) load(x *peer.Process, p load.Plan) (sample, error) {
	p.Target, p.PIDs, p.Processor = local(x.Site.Listen), x.PIDs, r.o.proxyCPU
	if p.PerRequest && x.Peer.OneShot {
		p.Target = local(x.Site.OneShot)
	}
	p.Warm, p.Window = r.o.warm, r.o.duration
	res, err := r.side.Run(p)
	if err != nil {
		return sample{}, err
	}
	if res.Requests == 0 {
		return sample{}, fmt.Errorf("no request was answered: %+v", res)
	}
	s := fromResult(res)
	m, err := x.Memory()
	if err != nil {
		return sample{}, err
	}
	s.rss, s.anon = megabytes(m.RSS), megabytes(m.Anonymous)
	return s, nil
}

func megabytes(n int64) float64 { return float64(n) / (1 << 20) }

// each runs measure for every case and peer, round by round, the order of peers turning with the round. A peer that fails in a case is
// out of it.
func (r *rig) each(ctx context.Context, cases []benchCase, peers []peer.Peer, measure func(benchCase, peer.Peer) (sample, error)) error {
	if len(cases) == 0 || len(peers) == 0 {
		return nil
	}
	for round := range r.o.rounds {
		for _, c := range cases {
			for i := range peers {
				p := peers[(i+round)%len(peers)]
				if r.results.failed(c.name, p.Name) {
					continue
				}
				if err := ctx.Err(); err != nil {
					return err
				}
				s, err := measure(c, p)
				if err != nil {
					r.results.fail(c.name, p.Name, err.Error())
					continue
				}
				r.results.add(c.name, p.Name, s)
			}
		}
		fmt.Fprintf(r.log, "%s..: round %d of %d\n", cases[0].name, round+1, r.o.rounds)
	}
	return nil
}
