//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"sofamesh.io/sofamesh/test/bench/load"
	"sofamesh.io/sofamesh/test/bench/peer"
	"sofamesh.io/sofamesh/test/bench/procfs"
)

// measureFresh takes the cases that start a process for each sample: start, idle connections, clusters.
func (r *rig) measureFresh(ctx context.Context) error {
	for _, k := range []kind{kindStart, kindIdle, kindClusters} { // the clusters' memory is told from that at start
		m := r.atRest
		if k == kindIdle {
			m = r.withIdle
		}
		for _, c := range r.o.of(k) {
			err := r.each(ctx, []benchCase{c}, r.able(c), func(c benchCase, p peer.Peer) (sample, error) {
				n := 0
				if c.kind == kindClusters {
					n = c.count
				}
				x, err := r.launch(ctx, p, p.Name+"-"+c.name, n)
				if err != nil {
					return sample{}, err
				}
				defer x.Stop()
				return m(ctx, c, x)
			})
			if err != nil {
				return err
			}
			r.perCluster(c)
		}
	}
	return nil
}

// able gives the peers that a case can be asked of; the floor pairs connections, so that 10k idle ones would need 20k at the load side.
func (r *rig) able(c benchCase) []peer.Peer {
	var peers []peer.Peer
	for _, p := range r.gear.peers {
		switch {
		case c.kind == kindClusters && !p.Admin:
		case c.kind == kindIdle && p.Name == "floor":
			r.results.fail(c.name, p.Name, "not asked: it holds an upstream connection for each downstream one")
		default:
			peers = append(peers, p)
		}
	}
	return peers
}

// atRest reads the memory of a process that has served nothing but the request that found it ready.
func (r *rig) atRest(ctx context.Context, _ benchCase, x *peer.Process) (sample, error) {
	m, err := r.settled(ctx, x)
	return sample{ready: millis(x.Ready.Seconds()), rss: megabytes(m.RSS), anon: megabytes(m.Anonymous)}, err
}

// withIdle compares the memory with and without idle connections, in a process that has been under load.
func (r *rig) withIdle(ctx context.Context, c benchCase, x *peer.Process) (sample, error) {
	if _, err := r.load(x, load.Plan{Conns: 64}); err != nil {
		return sample{}, err
	}
	before, err := r.settled(ctx, x)
	if err != nil {
		return sample{}, err
	}
	if err := r.side.Hold(local(x.Site.Listen), c.count); err != nil {
		return sample{}, err
	}
	with, err := r.settled(ctx, x)
	if err := errors.Join(err, r.side.Drop()); err != nil {
		return sample{}, err
	}
	return sample{
		ready: millis(x.Ready.Seconds()), rss: megabytes(with.RSS), anon: megabytes(with.Anonymous),
		each: float64(with.Anonymous-before.Anonymous) / float64(c.count),
	}, nil
}

// settled reads the memory after a quiet while.
func (r *rig) settled(ctx context.Context, x *peer.Process) (procfs.Memory, error) {
	select {
	case <-ctx.Done():
		return procfs.Memory{}, ctx.Err()
	case <-time.After(r.o.settle):
	}
	return x.Memory()
}

// perCluster charges what a process with clusters holds beyond one without, as far as the case start was measured.
func (r *rig) perCluster(c benchCase) {
	if c.kind != kindClusters {
		return
	}
	for name, samples := range r.results.samples[c.name] {
		base := r.results.figure("start", name, func(s sample) float64 { return s.anon })
		for i := range samples {
			samples[i].each = (samples[i].anon - base.median) * (1 << 20) / float64(c.count) // NaN without a base
		}
	}
}

// measureLoad asks HTTP.
func (r *rig) measureLoad(ctx context.Context) error {
	return r.loaded(ctx, r.gear.peers, "load", r.o.of(kindSaturation), r.o.of(kindEqualRate))
}

// measureBolt asks Bolt.
func (r *rig) measureBolt(ctx context.Context) error {
	return r.loaded(ctx, r.gear.bolt, "bolt", r.o.of(kindBolt), r.o.of(kindBoltRate))
}

// measureHTTP2 asks HTTP/2.
func (r *rig) measureHTTP2(ctx context.Context) error {
	return r.loaded(ctx, r.gear.http2, "h2", r.o.of(kindHTTP2), r.o.of(kindHTTP2Rate))
}

// loaded starts all peers once and loads one at a time, first to saturation, then at equal rates.
func (r *rig) loaded(ctx context.Context, from []peer.Peer, name string, closed, open []benchCase) error {
	running := map[string]*peer.Process{}
	defer func() {
		for _, x := range running {
			x.Stop()
		}
	}()
	if len(closed) == 0 {
		return nil // open loops bring their base case
	}
	var peers []peer.Peer
	for _, p := range from {
		x, err := r.launch(ctx, p, p.Name+"-"+name, 0)
		if err != nil {
			for _, c := range append(closed, open...) {
				r.results.fail(c.name, p.Name, err.Error())
			}
			continue
		}
		running[p.Name] = x
		peers = append(peers, p)
	}
	err := r.each(ctx, closed, peers, func(c benchCase, p peer.Peer) (sample, error) {
		return r.load(running[p.Name], c.plan)
	})
	if err != nil {
		return err
	}
	return r.each(ctx, open, peers, func(c benchCase, p peer.Peer) (sample, error) {
		return r.paced(running[p.Name], c)
	})
}

// paced loads a process at a share of saturation.
func (r *rig) paced(x *peer.Process, c benchCase) (sample, error) {
	base, err := r.baseRate(c.base, x.Peer.Name)
	if err != nil {
		return sample{}, err
	}
	plan := c.plan
	plan.Rate = math.Round(base * c.share)
	return r.load(x, plan)
}

// baseRate is the saturation that a peer's open loop refers to: the slowest proxy's, or its own.
func (r *rig) baseRate(base, name string) (float64, error) {
	rps := func(s sample) float64 { return s.rps }
	if r.o.rateOf == "own" {
		if own := r.results.figure(base, name, rps); own.rounds > 0 {
			return own.median, nil
		}
		return 0, fmt.Errorf("its saturation is not known")
	}
	slowest := math.Inf(1)
	for _, p := range r.gear.peers {
		if s := r.results.figure(base, p.Name, rps); s.rounds > 0 {
			slowest = min(slowest, s.median)
		}
	}
	if math.IsInf(slowest, 1) {
		return 0, fmt.Errorf("no peer's saturation is known")
	}
	return slowest, nil
}

// measureHog asks the build of mosn that computes beside its work, at the rate of the open loops.
func (r *rig) measureHog(ctx context.Context) error {
	cases := r.o.of(kindHog)
	if len(cases) == 0 || r.gear.hog.Path == "" {
		return nil
	}
	x, err := r.launch(ctx, r.gear.hog, "hog", 0)
	if err != nil {
		r.results.fail(cases[0].name, "mosn", err.Error())
		return nil
	}
	defer x.Stop()
	return r.each(ctx, cases, []peer.Peer{r.gear.hog}, func(c benchCase, _ peer.Peer) (sample, error) {
		return r.paced(x, c)
	})
}
