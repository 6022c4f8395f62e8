package server

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"

	"sofamesh.io/sofamesh/mosn/accesslog"
	"sofamesh.io/sofamesh/mosn/eventloop"
	"sofamesh.io/sofamesh/mosn/listener"
	"sofamesh.io/sofamesh/mosn/match"
	"sofamesh.io/sofamesh/sdk"
)

// Limits of the admin endpoint.
const (
	adminHeadTimeout  = 10 * time.Second
	adminBodyTimeout  = 30 * time.Second
	adminWriteTimeout = 2 * time.Minute // a large dump to a slow reader
	adminIdleTimeout  = time.Minute
	adminHeadBytes    = 64 << 10
)

// adminSpec is the compiled bootstrap.admin; nil when there is none.
type adminSpec struct {
	addr  eventloop.Addr
	mode  fs.FileMode
	logs  sdk.AccessLogger
	prof  string
	allow []match.String // empty: all paths
}

func compileAdmin(c sdk.Compiler, pb *bootstrapv3.Admin) (*adminSpec, error) {
	if pb.GetAddress() == nil {
		return nil, nil
	}
	c = c.At("admin")
	s := &adminSpec{prof: profilePath(pb.GetProfilePath())}
	var err error
	if s.addr, s.mode, err = listener.CompileAddress(c.At("address"), pb.GetAddress()); err != nil {
		return nil, err
	}
	logs := pb.GetAccessLog()
	//lint:ignore SA1019 deprecated in Envoy too, and in most files that people have
	if path := pb.GetAccessLogPath(); path != "" {
		legacy, err := fileLog(path)
		if err != nil {
			return nil, c.At("access_log_path").Errorf("%w", err)
		}
		logs = append(slices.Clone(logs), legacy)
	}
	if s.logs, err = accesslog.CompileAll(c, logs, accesslog.CompileOptions{}); err != nil {
		return nil, err
	}
	for i, m := range pb.GetAllowPaths() {
		allow, err := match.CompileString(c.At(fmt.Sprintf("allow_paths[%d]", i)), m)
		if err != nil {
			return nil, err
		}
		s.allow = append(s.allow, allow)
	}
	return s, nil
}

// admin serves Envoy's admin endpoints. Its goroutines are net/http's.
type admin struct {
	p      *Proxy
	spec   *adminSpec
	log    *slog.Logger
	server *http.Server
	addr   net.Addr
	routes map[string]*endpoint
	list   []*endpoint // by path
	done   sync.WaitGroup
	counts adminCounts
	prof   profiles
}

// startAdmin listens and serves; a nil spec starts nothing.
func startAdmin(p *Proxy, spec *adminSpec) (*admin, error) {
	if spec == nil {
		p.main.Warn("No admin address given, so no admin HTTP server started.")
		return nil, nil
	}
	a := &admin{p: p, spec: spec, log: p.log.For(compAdmin), routes: map[string]*endpoint{}, prof: profiles{path: spec.prof}}
	a.counts = newAdminCounts(p.names)
	a.list = append(a.endpoints(), a.prof.endpoints()...)
	for _, s := range p.services {
		if s, ok := s.(sdk.AdminService); ok {
			a.list = append(a.list, serviceEndpoint(s))
		}
	}
	slices.SortFunc(a.list, func(x, y *endpoint) int { return strings.Compare(x.path, y.path) })
	for _, e := range a.list {
		a.routes[e.path] = e
	}
	ln, err := a.listen()
	if err != nil {
		return nil, err
	}
	a.addr = ln.Addr()
	if err := a.announce(); err != nil {
		return nil, errors.Join(err, ln.Close())
	}
	a.server = &http.Server{
		Handler: a, ReadHeaderTimeout: adminHeadTimeout, ReadTimeout: adminBodyTimeout, WriteTimeout: adminWriteTimeout,
		IdleTimeout: adminIdleTimeout, MaxHeaderBytes: adminHeadBytes, ConnState: a.counts.connection,
		ErrorLog: slog.NewLogLogger(a.log.Handler(), slog.LevelDebug),
	}
	a.done.Go(func() {
		if err := a.server.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
			a.log.Error("admin ended", "error", err)
		}
	})
	return a, nil
}

func (a *admin) listen() (net.Listener, error) {
	addr := a.spec.addr
	if !addr.IsUnix() {
		if ip := addr.Addr(); !ip.IsLoopback() {
			a.log.Warn("admin listens on an address that others can reach; whoever can, controls this proxy", "address", addr)
		}
		ln, err := net.Listen("tcp", addr.String())
		if err != nil {
			return nil, fmt.Errorf("admin: %w", err)
		}
		return ln, nil
	}
	if st, err := os.Lstat(addr.Path); err == nil && st.Mode()&fs.ModeSocket != 0 {
		if err := os.Remove(addr.Path); err != nil {
			return nil, fmt.Errorf("admin: %w", err)
		}
	}
	ln, err := net.Listen("unix", addr.Path)
	if err != nil {
		return nil, fmt.Errorf("admin: %w", err)
	}
	if a.spec.mode != 0 && !strings.HasPrefix(addr.Path, "@") {
		if err := os.Chmod(addr.Path, a.spec.mode.Perm()); err != nil {
			return nil, errors.Join(fmt.Errorf("admin: %w", err), ln.Close())
		}
	}
	return ln, nil
}

// announce writes the address to the file of --admin-address-path.
func (a *admin) announce() error {
	a.log.Info("admin address", "address", a.addr)
	if a.p.o.AdminAddressPath == "" {
		return nil
	}
	if err := os.WriteFile(a.p.o.AdminAddressPath, []byte(a.addr.String()), 0o644); err != nil {
		return fmt.Errorf("--admin-address-path: %w", err)
	}
	return nil
}

// close ends requests under way after a moment.
func (a *admin) close() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if a.server.Shutdown(ctx) != nil {
		_ = a.server.Close() // some client is slow: it is cut off
	}
	a.done.Wait()
	if err := a.prof.close(); err != nil {
		a.log.Warn("the CPU profile", "error", err)
	}
}

// ServeHTTP finds the endpoint, and counts and logs the request.
func (a *admin) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	w := &adminWriter{ResponseWriter: rw, status: http.StatusOK}
	start := time.Now()
	a.counts.asked()
	h := w.Header()
	h.Set("Content-Type", "text/plain; charset=UTF-8")
	h.Set("Cache-Control", "no-cache, max-age=0")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Server", "envoy")
	switch e := a.routes[r.URL.Path]; {
	case !a.allowed(r.URL.Path):
		w.WriteHeader(http.StatusForbidden)
		fmt.Fprintf(w, "request to path %s not allowed", r.URL.Path)
	case e == nil:
		w.WriteHeader(http.StatusNotFound)
		fmt.Fprint(w, "invalid path. ")
		a.writeHelp(w)
	case e.changes && r.Method != http.MethodPost:
		w.WriteHeader(http.StatusMethodNotAllowed)
		fmt.Fprintf(w, "Method %s not allowed, POST required.", r.Method)
	default:
		e.serve(w, r)
	}
	a.counts.answered(w.status)
	if a.spec.logs != nil {
		a.logRequest(w, r, start)
	}
}

func (a *admin) allowed(path string) bool {
	return len(a.spec.allow) == 0 || slices.ContainsFunc(a.spec.allow, func(m match.String) bool { return m.Match(path) })
}

// adminWriter remembers what was answered.
type adminWriter struct {
	http.ResponseWriter
	status int
	wrote  bool
	bytes  uint64
}

// WriteHeader implements http.ResponseWriter.
func (w *adminWriter) WriteHeader(status int) {
	if !w.wrote {
		w.status, w.wrote = status, true
	}
	w.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (w *adminWriter) Write(p []byte) (int, error) {
	w.wrote = true
	n, err := w.ResponseWriter.Write(p)
	w.bytes += uint64(n)
	return n, err
}

func (a *admin) logRequest(w *adminWriter, r *http.Request, start time.Time) {
	info := &sdk.StreamInfo{
		StartTime: start, Start: 1, End: 1 + int64(time.Since(start)), RequestEnd: 1, ResponseStart: 1 + int64(time.Since(start)),
		Protocol: sdk.HTTP11, ResponseCode: w.status, BytesSent: w.bytes, BytesReceived: uint64(max(r.ContentLength, 0)),
	}
	if ap, err := netip.ParseAddrPort(r.RemoteAddr); err == nil {
		info.DownstreamRemote, info.DownstreamDirectRemote = ap, ap
	}
	req, resp := &sdk.Headers{}, &sdk.Headers{}
	req.Add(":method", r.Method)
	req.Add(":path", r.URL.RequestURI())
	req.Add(":authority", r.Host)
	for name, values := range r.Header {
		for _, v := range values {
			req.Add(strings.ToLower(name), v)
		}
	}
	resp.SetStatus(w.status)
	a.p.logAdmin(a.spec.logs, info, req, resp)
}
