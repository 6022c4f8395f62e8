//go:build linux

package load

import (
	"fmt"
	"os"
	"time"

	"sofamesh.io/sofamesh/test/bench/hist"
	"sofamesh.io/sofamesh/test/bench/procfs"
	"sofamesh.io/sofamesh/test/bench/rawsock"
)

// meter is a plan under way, whatever it sends: its time, and what is counted.
type meter struct {
	plan    Plan
	loop    *rawsock.Loop
	epoch   time.Time
	waiting int // exchanges under way, and connections being made
	closing bool
	counted bool // within the window
	hist    hist.H
	faults  [faults]uint64
	pace    pace
	err     error
}

// measure turns the loop through the warm-up and the window. sendDue is called after each turn; only an open loop has anything to do then.
func (m *meter) measure(sendDue func()) (Result, error) {
	m.pace = newPace(m.plan.Rate, m.now())
	if err := m.until(m.now()+int64(m.plan.Warm), sendDue); err != nil {
		return Result{}, err
	}
	return m.window(sendDue)
}

// usage is what the kernel has accounted up to one moment.
type usage struct {
	plan, self procfs.CPU
	processor  procfs.Processors
}

func (m *meter) usage() (u usage, err error) {
	if u.plan, err = procfs.ReadCPU(m.plan.PIDs); err != nil {
		return u, err
	}
	if u.self, err = procfs.ReadCPU([]int{os.Getpid()}); err != nil {
		return u, err
	}
	u.processor, err = procfs.ReadProcessors(m.plan.Processor)
	return u, err
}

// window counts from here to the window's end, and lets the answers still under way come in.
func (m *meter) window(sendDue func()) (Result, error) {
	before, err := m.usage()
	if err != nil {
		return Result{}, err
	}
	begin := m.now()
	m.counted = true
	if err := m.until(begin+int64(m.plan.Window), sendDue); err != nil {
		return Result{}, err
	}
	m.counted = false
	end := m.now()
	after, err := m.usage()
	if err != nil {
		return Result{}, err
	}
	r := Result{
		Requests: m.hist.Count(), Window: time.Duration(end - begin), Unsent: m.pace.due(end),
		CPU: after.plan.Sub(before.plan), Self: after.self.Sub(before.self), Busy: after.processor.Sub(before.processor).BusyShare(),
		P50: m.quantile(0.5), P99: m.quantile(0.99), P999: m.quantile(0.999),
	}
	m.drain()
	r.Connect, r.Cut, r.Malformed = m.faults[faultConnect], m.faults[faultCut], m.faults[faultMalformed]
	r.Status, r.Length, r.Foreign = m.faults[faultStatus], m.faults[faultLength], m.faults[faultForeign]
	return r, m.err
}

func (m *meter) quantile(q float64) time.Duration { return time.Duration(m.hist.Quantile(q)) }

// until turns the loop up to the moment end.
func (m *meter) until(end int64, sendDue func()) error {
	for now := m.now(); now < end; now = m.now() {
		// An open loop spins: a timer of the system would add its own delay to every latency.
		millis := 0
		if m.plan.Rate == 0 {
			millis = int((end-now)/int64(time.Millisecond)) + 1
		}
		if err := m.loop.Turn(millis); err != nil {
			return err
		}
		sendDue()
		if m.err != nil {
			return m.err
		}
	}
	return nil
}

// drain lets the exchanges under way end, so that no proxy is left with an answer nobody takes. Those that do not end are failures.
func (m *meter) drain() {
	m.closing = true
	for end := m.now() + int64(drainTime); m.waiting > 0 && m.now() < end && m.err == nil; {
		if err := m.loop.Turn(10); err != nil {
			m.err = err
		}
	}
	m.faults[faultCut] += uint64(m.waiting)
}

func (m *meter) now() int64 { return int64(time.Since(m.epoch)) }

// right counts a right answer, that came now, to what was due at start.
func (m *meter) right(now, start int64) {
	if m.counted {
		m.hist.Record(now - start)
	}
}

// fault counts a failure and gives up when there are too many.
func (m *meter) fault(f fault) {
	m.faults[f]++
	if total(m.faults) >= maxErrors {
		m.err = fmt.Errorf("gave up after %d failures (connect, cut, malformed, status, length, foreign: %v)", maxErrors, m.faults)
	}
}

func total(counts [faults]uint64) uint64 {
	var sum uint64
	for _, n := range counts {
		sum += n
	}
	return sum
}
