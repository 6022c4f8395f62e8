package server

import (
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
)

// run opens the listeners and waits for the end. SIGTERM and SIGINT drain; a second
// one, or admin's quitquitquit, ends at once. SIGUSR1 reopens the logs, SIGHUP reads
// the configuration again.
func (p *Proxy) run(signals <-chan os.Signal) error {
	stop, hurry, over := make(chan struct{}), make(chan struct{}), make(chan struct{})
	var listening sync.WaitGroup
	listening.Go(func() { p.listen(signals, stop, hurry, over) })
	listening.Go(func() { p.reloader(over) })
	defer listening.Wait()
	defer close(over)
	stopped, err := p.open(stop)
	if err != nil || stopped || p.o.Mode == InitOnly {
		return err
	}
	notify(p.main, daemon.SdNotifyReady)
	p.main.Info("ready", "after", time.Since(p.started).Round(100*time.Microsecond))
	<-stop
	notify(p.main, daemon.SdNotifyStopping)
	select {
	case <-hurry:
	default:
		p.main.Info("draining", "at most", p.o.DrainTime)
		p.drain(p.o.DrainTime, hurry)
	}
	p.main.Info("exiting")
	return nil
}

// listen turns signals and quitquitquit into closed channels: stop to drain, hurry
// to end now. It ends with hurry, or when over is closed.
func (p *Proxy) listen(signals <-chan os.Signal, stop, hurry, over chan struct{}) {
	asked := false
	for {
		select {
		case <-over:
			return
		case <-p.quit:
			close(hurry)
			if !asked {
				close(stop)
			}
			return
		case s := <-signals:
			switch s {
			case syscall.SIGUSR1:
				p.reopenLogs()
			case syscall.SIGHUP:
				select {
				case p.hups <- struct{}{}:
				default: // it is going to be read anyway
				}
			case syscall.SIGTERM, syscall.SIGINT:
				p.main.Warn("caught " + s.String())
				if asked {
					close(hurry)
					return
				}
				asked = true
				close(stop)
			}
		}
	}
}

// reloader reads the configuration again when a signal has come, until over is closed.
func (p *Proxy) reloader(over <-chan struct{}) {
	for {
		select {
		case <-p.hups:
			_ = p.reload() // the log has it
		case <-over:
			return
		}
	}
}

func (p *Proxy) reopenLogs() {
	if err := p.log.Reopen(); err != nil {
		p.main.Error("reopening the log", "error", err)
	}
	p.outputs.Reopen()
}
