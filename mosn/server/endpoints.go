package server

import (
	"bytes"
	"fmt"
	"html"
	"io"
	"net/http"
	"runtime"
	"strconv"
	"strings"

	adminv3 "github.com/envoyproxy/go-control-plane/envoy/admin/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"

	"sofamesh.io/sofamesh/mosn/eventloop"
	"sofamesh.io/sofamesh/mosn/listener"
	"sofamesh.io/sofamesh/mosn/stats"
	"sofamesh.io/sofamesh/sdk"
)

// endpoint is one admin path.
type endpoint struct {
	path, help string
	changes    bool // needs a POST
	serve      func(w http.ResponseWriter, r *http.Request)
}

// endpoints returns all of them, by path.
func (a *admin) endpoints() []*endpoint {
	numbers := stats.Handler(a.p.collector)
	scrape := func(w http.ResponseWriter, r *http.Request) {
		a.p.flusher.Load().beforeStats(r.Context())
		a.p.stats.update()
		numbers.ServeHTTP(w, r)
	}
	return []*endpoint{
		{"/", "Admin home page", false, a.home},
		{"/certs", "print certs on machine", false, a.certs},
		{"/clusters", "upstream cluster status", false, a.clusters},
		{"/config_dump", "dump current configs", false, a.configDump},
		{"/drain_listeners", "drain listeners", true, a.drainListeners},
		{"/healthcheck/fail", "cause the server to fail health checks", true, a.health(true)},
		{"/healthcheck/ok", "cause the server to pass health checks", true, a.health(false)},
		{"/help", "print out list of admin commands", false, func(w http.ResponseWriter, _ *http.Request) { a.writeHelp(w) }},
		{"/hot_restart_version", "print the hot restart compatibility version", false,
			func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "disabled") }},
		{"/init_dump", "dump current Envoy init manager information (experimental)", false, a.initDump},
		{"/listeners", "print listener info", false, a.listeners},
		{"/logging", "query/change logging levels", true, a.logging},
		{"/memory", "print current allocation/heap usage", false, a.memory},
		{"/quitquitquit", "exit the server", true, a.quit},
		{"/ready", "print server state, return 200 if LIVE, otherwise return 503", false, a.ready},
		{"/reload", "read configuration files again (not Envoy's)", true, a.reloadNow},
		{"/reopen_logs", "reopen access logs", true, a.reopen},
		{"/reset_counters", "reset all counters to zero", true, a.resetCounters},
		{"/runtime", "print runtime values", false, a.runtimeValues},
		{"/runtime_modify", "Adds or modifies runtime values as passed in query parameters. To delete a previously added key, use an empty string as the value.", true, a.modifyRuntime},
		{"/server_info", "print server version/status information", false, a.serverInfo},
		{"/stats", "print server stats", false, scrape},
		{"/stats/recentlookups", "Show recent stat-name lookups", false, a.lookups},
		{"/stats/recentlookups/clear", "clear list of stat-name lookups and counter", true, a.changeLookups((*stats.Store).ClearLookups)},
		{"/stats/recentlookups/disable", "disable recording of reset stat-name lookup names", true,
			a.changeLookups(func(s *stats.Store) { s.TrackLookups(false) })},
		{"/stats/recentlookups/enable", "enable recording of reset stat-name lookup names", true,
			a.changeLookups(func(s *stats.Store) { s.TrackLookups(true) })},
		{"/stats/prometheus", "print server stats in prometheus format", false, scrape},
	}
}

// serviceEndpoint is the admin path of a bootstrap extension.
func serviceEndpoint(s sdk.AdminService) *endpoint {
	path, help := s.AdminPath()
	return &endpoint{path, help, false, func(w http.ResponseWriter, r *http.Request) {
		var out bytes.Buffer
		if err := s.Admin(&out, r.URL.Query(), r.Method == http.MethodPost); err != nil {
			w.WriteHeader(http.StatusBadRequest)
			fmt.Fprintln(w, err)
			return
		}
		_, _ = w.Write(out.Bytes()) // the client may have gone
	}}
}

func (a *admin) lookups(w http.ResponseWriter, _ *http.Request) {
	_ = a.p.names.WriteLookups(w) // the client may have gone
}

func (a *admin) changeLookups(change func(*stats.Store)) func(http.ResponseWriter, *http.Request) {
	return func(w http.ResponseWriter, _ *http.Request) {
		change(a.p.names)
		ok(w)
	}
}

func ok(w io.Writer) { fmt.Fprintln(w, "OK") }

func (a *admin) writeHelp(w io.Writer) {
	fmt.Fprintln(w, "admin commands are:")
	for _, e := range a.list {
		post := ""
		if e.changes {
			post = " (POST)"
		}
		fmt.Fprintf(w, "  %s%s: %s\n", e.path, post, e.help)
	}
}

func (a *admin) home(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/html; charset=UTF-8")
	var b bytes.Buffer
	b.WriteString("<!DOCTYPE html>\n<title>mosn admin</title>\n<h1>mosn admin</h1>\n<table>\n")
	for _, e := range a.list[1:] {
		link := fmt.Sprintf(`<a href="%s">%s</a>`, strings.TrimPrefix(e.path, "/"), html.EscapeString(e.path))
		if e.changes {
			link = fmt.Sprintf(`<form action="%s" method="post"><button>%s</button></form>`,
				strings.TrimPrefix(e.path, "/"), html.EscapeString(e.path))
		}
		fmt.Fprintf(&b, "<tr><td>%s<td>%s\n", link, html.EscapeString(e.help))
	}
	b.WriteString("</table>\n")
	_, _ = w.Write(b.Bytes()) // the client may have gone
}

func (a *admin) ready(w http.ResponseWriter, _ *http.Request) {
	s := a.p.current()
	if s != stateLive {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	fmt.Fprintln(w, s)
}

func (a *admin) certs(w http.ResponseWriter, _ *http.Request) { writeProto(w, &adminv3.Certificates{}) }

func (a *admin) clusters(w http.ResponseWriter, r *http.Request) {
	if r.URL.Query().Get("format") == "json" {
		writeProto(w, a.p.clusters.Status())
		return
	}
	_ = a.p.clusters.WriteClusters(w) // the client may have gone
}

func (a *admin) listeners(w http.ResponseWriter, r *http.Request) {
	status := a.p.listeners.Status()
	if r.URL.Query().Get("format") == "json" {
		writeProto(w, &adminv3.Listeners{ListenerStatuses: status})
		return
	}
	for _, s := range status {
		for _, addr := range append([]*corev3.Address{s.GetLocalAddress()}, s.GetAdditionalLocalAddresses()...) {
			fmt.Fprintf(w, "%s::%s\n", s.GetName(), addressText(addr))
		}
	}
}

// initDump lists the resources that wait, and what for; ?mask=listener those of
// listeners alone.
func (a *admin) initDump(w http.ResponseWriter, r *http.Request) {
	dump := &adminv3.UnreadyTargetsDumps{}
	for _, u := range a.p.store.Unready() {
		if strings.HasPrefix(u.Name, r.URL.Query().Get("mask")) {
			dump.UnreadyTargetsDumps = append(dump.UnreadyTargetsDumps,
				&adminv3.UnreadyTargetsDumps_UnreadyTargetsDump{Name: "init manager " + u.Name, TargetNames: u.Missing})
		}
	}
	writeProto(w, dump)
}

func addressText(a *corev3.Address) string {
	if p := a.GetPipe(); p != nil {
		return p.GetPath()
	}
	host, port := a.GetSocketAddress().GetAddress(), strconv.Itoa(int(a.GetSocketAddress().GetPortValue()))
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	return host + ":" + port
}

func (a *admin) memory(w http.ResponseWriter, _ *http.Request) {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	writeProto(w, &adminv3.Memory{
		Allocated: m.HeapAlloc, HeapSize: m.HeapSys - m.HeapReleased, PageheapUnmapped: m.HeapReleased,
		PageheapFree: m.HeapIdle - m.HeapReleased, TotalThreadCache: m.MCacheInuse, TotalPhysicalBytes: residentBytes(),
	})
}

func (a *admin) health(fail bool) func(http.ResponseWriter, *http.Request) {
	return func(w http.ResponseWriter, _ *http.Request) {
		a.p.failed.Store(fail)
		ok(w)
	}
}

func (a *admin) quit(w http.ResponseWriter, _ *http.Request) {
	select {
	case a.p.quit <- struct{}{}:
	default: // asked before
	}
	ok(w)
}

func (a *admin) reopen(w http.ResponseWriter, _ *http.Request) {
	a.p.outputs.Reopen()
	ok(w)
}

func (a *admin) resetCounters(w http.ResponseWriter, _ *http.Request) {
	if err := a.p.collector.Reset(); err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	ok(w)
}

// drainListeners closes the listeners' sockets; with graceful, connections that are
// there are asked to end first, and with skip_exit the sockets stay open.
func (a *admin) drainListeners(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	var only func(*listener.Config) bool
	inbound := q.Has("inboundonly")
	if inbound {
		only = func(c *listener.Config) bool {
			return c.Proto().GetTrafficDirection() == corev3.TrafficDirection_INBOUND
		}
	}
	// The workers drain whole loops, so inboundonly only closes sockets.
	if (q.Has("graceful") || q.Has("skip_exit")) && !inbound {
		for _, worker := range a.p.workers {
			_ = worker.Loop().Call(func(*eventloop.Loop) { worker.Drain() }) // fails only when all has stopped
		}
	}
	if !q.Has("skip_exit") {
		if err := a.p.listeners.Stop(only); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
	}
	ok(w)
}

const loggingUsage = `usage: /logging?<name>=<level> (change single level)
usage: /logging?paths=name1:level1,name2:level2,... (change multiple levels)
usage: /logging?level=<level> (change all levels)
levels: trace debug info warning error critical off
`

// logging changes levels, all or none of those named, and lists them.
func (a *admin) logging(w http.ResponseWriter, r *http.Request) {
	var err error
	for name, values := range r.URL.Query() {
		value := values[len(values)-1]
		switch name {
		case "level":
			err = a.p.log.SetLevel("", value)
		case "paths":
			for pair := range strings.SplitSeq(value, ",") {
				component, level, _ := strings.Cut(pair, ":")
				if err = a.p.log.SetLevel(component, level); err != nil {
					break
				}
			}
		default:
			err = a.p.log.SetLevel(name, value)
		}
		if err != nil {
			w.WriteHeader(http.StatusBadRequest)
			fmt.Fprintf(w, "error: %v\n\n%s", err, loggingUsage)
			break
		}
	}
	a.p.log.WriteLevels(w)
}
