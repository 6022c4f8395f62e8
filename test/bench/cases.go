//go:build linux

package main

import (
	"fmt"
	"slices"
	"strings"

	"sofamesh.io/sofamesh/test/bench/h2"
	"sofamesh.io/sofamesh/test/bench/load"
)

// kind is how a case is measured.
type kind int

const (
	kindSaturation kind = iota // closed loop, as fast as it goes
	kindEqualRate              // open loop, at a share of the saturation of keep-alive with 64 connections
	kindBolt                   // Bolt, closed loop
	kindBoltRate               // Bolt, open loop, at a share of the saturation of the closed one
	kindHTTP2                  // HTTP/2, closed loop
	kindHTTP2Rate              // HTTP/2, open loop, at a share of the saturation of the closed one of gRPC
	kindHog                    // mosn with a computing goroutine, open loop
	kindStart                  // fresh process: ready time, memory when idle
	kindIdle                   // fresh process: memory with idle connections
	kindClusters               // fresh process with many clusters: ready time, memory
)

// benchCase is one row of the comparison.
type benchCase struct {
	name  string
	title string
	kind  kind
	plan  load.Plan // connections, body, connection per request
	share float64   // of the saturation, for open loops
	base  string    // the case whose saturation that is
	count int       // idle connections, or clusters
}

// The cases whose saturation open loops refer to.
const (
	baseCase = "ka64"
	boltCase = "bolt"
	grpcCase = "grpc"
)

func allCases() []benchCase {
	return []benchCase{
		{name: "start", title: "start: fresh process, no request yet", kind: kindStart},
		{name: "idle10k", title: "10k idle downstream connections, each after one request", kind: kindIdle, count: 10_000},
		{name: "clusters1k", title: "start with 1000 clusters", kind: kindClusters, count: 1000},
		{name: "clusters10k", title: "start with 10000 clusters", kind: kindClusters, count: 10_000},
		{name: "ka8", title: "keep-alive, 8 connections, 128 B bodies", plan: load.Plan{Conns: 8}},
		{name: baseCase, title: "keep-alive, 64 connections, 128 B bodies", plan: load.Plan{Conns: 64}},
		{name: "ka1000", title: "keep-alive, 1000 connections, 128 B bodies", plan: load.Plan{Conns: 1000}},
		{name: "body16k", title: "keep-alive, 64 connections, 16 kB bodies", plan: load.Plan{Conns: 64, Large: true}},
		{name: "close", title: "connection per request, 64 at a time, 128 B bodies", plan: load.Plan{Conns: 64, PerRequest: true}},
		{name: "rate30", title: "open loop at 30% of saturation, 64 connections", kind: kindEqualRate, plan: load.Plan{Conns: 64}, share: 0.3, base: baseCase},
		{name: "rate60", title: "open loop at 60% of saturation, 64 connections", kind: kindEqualRate, plan: load.Plan{Conns: 64}, share: 0.6, base: baseCase},
		{name: boltCase, title: "Bolt, 64 callers on 4 connections, 1 kB contents", kind: kindBolt, plan: load.Plan{Conns: 4, Calls: 64}},
		{name: "boltburst", title: "the same, a write for all of a connection instead of one for each call", kind: kindBolt, plan: load.Plan{Conns: 4, Calls: 64, Gather: true}},
		{name: "bolt60", title: "Bolt, open loop at 60% of saturation", kind: kindBoltRate, plan: load.Plan{Conns: 4, Calls: 64}, share: 0.6, base: boltCase},
		{name: "h2c", title: "HTTP/2 without TLS, GET, 64 connections x 10 streams, 1 kB bodies", kind: kindHTTP2, plan: load.Plan{HTTP2: h2.Get, Conns: 64, Calls: 640}},
		{name: grpcCase, title: "gRPC, calls of one message, 64 connections x 10 streams, 100 B both ways", kind: kindHTTP2, plan: load.Plan{HTTP2: h2.Unary, Conns: 64, Calls: 640}},
		{name: "grpcstream", title: "gRPC, calls that go on, message by message, 64 connections x 10 streams, 100 B both ways", kind: kindHTTP2, plan: load.Plan{HTTP2: h2.Stream, Conns: 64, Calls: 640}},
		{name: "grpc60", title: "gRPC, calls of one message, open loop at 60% of saturation", kind: kindHTTP2Rate, plan: load.Plan{HTTP2: h2.Unary, Conns: 64, Calls: 640}, share: 0.6, base: grpcCase},
		{name: "hog", title: "mosn with one CPU-bound goroutine, open loop at 30% of saturation", kind: kindHog, plan: load.Plan{Conns: 64}, share: 0.3, base: baseCase},
	}
}

func caseNames() []string {
	var names []string
	for _, c := range allCases() {
		names = append(names, c.name)
	}
	return names
}

// selectCases picks from a comma-separated list, in the order of allCases. An open loop brings the case whose saturation it refers to.
func selectCases(list string, quick bool) ([]benchCase, error) {
	var wanted []string
	if list != "" {
		wanted = strings.Split(list, ",")
	}
	for _, name := range wanted {
		if !slices.Contains(caseNames(), name) {
			return nil, fmt.Errorf("no case %q; there are: %s", name, strings.Join(caseNames(), " "))
		}
	}
	var picked []benchCase
	for _, c := range allCases() {
		if slices.Contains(wanted, c.name) || wanted == nil && (!quick || c.name != "clusters10k") {
			picked = append(picked, c)
		}
	}
	for _, c := range picked {
		named := func(b benchCase) bool { return b.name == c.base }
		if c.base != "" && !slices.ContainsFunc(picked, named) {
			picked = append(picked, allCases()[slices.IndexFunc(allCases(), named)])
		}
	}
	return picked, nil
}

// of gives the selected cases of one kind.
func (o options) of(k kind) []benchCase {
	var cases []benchCase
	for _, c := range o.cases {
		if c.kind == k {
			cases = append(cases, c)
		}
	}
	return cases
}
