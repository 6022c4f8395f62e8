//go:build linux

package peer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"sofamesh.io/sofamesh/test/bench/bolt"
	"sofamesh.io/sofamesh/test/bench/procfs"
)

const (
	pollEvery = time.Millisecond // readiness is as exact as this
	dialTime  = time.Second
	askTime   = 5 * time.Second // for an answer
	stopWait  = 5 * time.Second // between the polite and the final signal
)

// Process is one running peer.
type Process struct {
	Peer Peer
	Site Site
	// Ready is the time from before the exec until the peer was ready.
	Ready time.Duration
	// PIDs are the peer's processes, found when it was ready.
	PIDs []int

	cmd  *exec.Cmd
	done chan struct{} // closed when the process has ended
}

// Pinned starts cmd on one processor, and tells it to end with the runner. cpu < 0 leaves the choice to the kernel.
func Pinned(cmd *exec.Cmd, cpu int) error {
	// The child inherits the affinity of the thread that forks it, and dies with that thread: a locked thread that is given
	// back lives as long as the process.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM, Setpgid: true}
	if cpu < 0 {
		return cmd.Start()
	}
	var before, one unix.CPUSet
	if err := unix.SchedGetaffinity(0, &before); err != nil {
		return fmt.Errorf("affinity: %w", err)
	}
	one.Set(cpu)
	if err := unix.SchedSetaffinity(0, &one); err != nil {
		return fmt.Errorf("affinity to processor %d: %w", cpu, err)
	}
	err := cmd.Start()
	return errors.Join(err, unix.SchedSetaffinity(0, &before))
}

// Start configures p at s, runs it on processor cpu and waits until it is ready. The peer's output goes to a file in s.Dir.
func Start(ctx context.Context, p Peer, s Site, cpu int) (*Process, error) {
	if err := os.MkdirAll(s.Dir, 0o755); err != nil {
		return nil, err
	}
	conf, err := p.Configure(s)
	if err != nil {
		return nil, err
	}
	log, err := os.Create(filepath.Join(s.Dir, p.Name+".out"))
	if err != nil {
		return nil, err
	}
	defer log.Close()
	x := &Process{Peer: p, Site: s, cmd: exec.Command(p.Path, p.args(s, conf)...), done: make(chan struct{})}
	x.cmd.Stdout, x.cmd.Stderr = log, log
	if p.env != nil {
		x.cmd.Env = p.env(os.Environ())
	}
	begin := time.Now()
	if err := Pinned(x.cmd, cpu); err != nil {
		return nil, fmt.Errorf("%s: %w", p.Name, err)
	}
	go func() {
		_ = x.cmd.Wait() // how it ended is told by its log
		close(x.done)
	}()
	if err := x.await(ctx); err != nil {
		x.Stop()
		return nil, fmt.Errorf("%s: %w; it said: %s", p.Name, err, tail(log.Name()))
	}
	x.Ready = time.Since(begin)
	if err := x.proxies(ctx); err != nil {
		x.Stop()
		return nil, fmt.Errorf("%s: %w; it said: %s", p.Name, err, tail(log.Name()))
	}
	if x.PIDs, err = procfs.Tree(x.cmd.Process.Pid); err != nil {
		x.Stop()
		return nil, err
	}
	return x, nil
}

// await polls what says that the peer is ready: Envoy's /ready, else the listener itself.
func (x *Process) await(ctx context.Context) error {
	if x.Peer.Admin {
		return x.pollHTTP(ctx, fmt.Sprintf("http://127.0.0.1:%d/ready", x.Site.Admin), nil)
	}
	return x.proxies(ctx)
}

// proxies waits until a request comes back through the peer.
func (x *Process) proxies(ctx context.Context) error {
	if x.Peer.Bolt {
		return x.poll(ctx, func() error { return call(ctx, fmt.Sprintf("127.0.0.1:%d", x.Site.Listen)) })
	}
	var protocols http.Protocols
	protocols.SetHTTP1(!x.Peer.HTTP2)
	protocols.SetUnencryptedHTTP2(x.Peer.HTTP2)
	return x.pollHTTP(ctx, fmt.Sprintf("http://127.0.0.1:%d/", x.Site.Listen), &protocols)
}

// pollHTTP asks by the given protocols; nil is HTTP/1.1.
func (x *Process) pollHTTP(ctx context.Context, url string, protocols *http.Protocols) error {
	dialer := net.Dialer{Timeout: dialTime}
	transport := &http.Transport{DialContext: dialer.DialContext, DisableKeepAlives: true, Protocols: protocols}
	defer transport.CloseIdleConnections()
	client := http.Client{Timeout: askTime, Transport: transport}
	return x.poll(ctx, func() error { return get(ctx, &client, url) })
}

// poll asks until there is a right answer.
func (x *Process) poll(ctx context.Context, ask func() error) error {
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		last := ask()
		if last == nil {
			return nil
		}
		select {
		case <-x.done:
			return errors.New("ended at once")
		case <-ctx.Done():
			return fmt.Errorf("not ready: %w", last)
		case <-tick.C:
		}
	}
}

func get(ctx context.Context, client *http.Client, url string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return err
	}
	res, err := client.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if _, err := io.Copy(io.Discard, res.Body); err != nil {
		return err
	}
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", url, res.Status)
	}
	return nil
}

// call makes one Bolt call.
func call(ctx context.Context, addr string) error {
	dialer := net.Dialer{Timeout: dialTime}
	c, err := dialer.DialContext(ctx, "tcp4", addr)
	if err != nil {
		return err
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(askTime)); err != nil {
		return err
	}
	return bolt.Ask(c)
}

// Memory is what the peer holds now.
func (x *Process) Memory() (procfs.Memory, error) { return procfs.ReadMemory(x.PIDs) }

// Stop ends the peer: politely, after a while by force, its whole process group.
func (x *Process) Stop() {
	group := -x.cmd.Process.Pid
	_ = syscall.Kill(group, syscall.SIGTERM)
	select {
	case <-x.done:
	case <-time.After(stopWait):
	}
	_ = syscall.Kill(group, syscall.SIGKILL) // a worker that outlived its master
	<-x.done
}

// tail is the end of a log, in one line.
func tail(path string) string {
	data, err := os.ReadFile(path)
	if err != nil || len(data) == 0 {
		return "nothing"
	}
	return fmt.Sprintf("%q", data[max(0, len(data)-500):])
}
