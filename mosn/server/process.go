package server

import (
	"log/slog"
	"os"
	"os/signal"
	"sync"
	"syscall"

	"github.com/coreos/go-systemd/v22/daemon"
)

// notify tells the service manager that has started us how we are (sd_notify(3)); it
// does nothing when there is none.
func notify(log *slog.Logger, state string) {
	if _, err := daemon.SdNotify(false, state); err != nil {
		log.Warn("the service manager was not told", "state", state, "error", err)
	}
}

// reaper waits for children that nobody else waits for. The first process of a container
// inherits the orphans of the others; without it they stay as zombies.
type reaper struct {
	signals chan os.Signal
	done    sync.WaitGroup
}

// startReaper starts one when this is the first process, and returns nil otherwise.
func startReaper() *reaper {
	if os.Getpid() != 1 {
		return nil
	}
	r := &reaper{signals: make(chan os.Signal, 1)} // one that waits stands for all: reap takes all
	signal.Notify(r.signals, syscall.SIGCHLD)
	r.done.Go(func() {
		for range r.signals {
			reap()
		}
	})
	return r
}

func reap() {
	for {
		pid, err := syscall.Wait4(-1, nil, syscall.WNOHANG, nil)
		if err == syscall.EINTR {
			continue
		}
		if pid <= 0 || err != nil {
			return
		}
	}
}

func (r *reaper) stop() {
	if r == nil {
		return
	}
	signal.Stop(r.signals)
	close(r.signals)
	r.done.Wait()
}
