//go:build linux

// Package procfs reads what the kernel accounts to a process: CPU time, memory, children. It keeps no state; the runner and the load
// generator call it, each about processes that it knows to be alive.
package procfs

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// CPU is the processor time that a group of processes has used since they started, over all threads, those that have ended included.
type CPU struct {
	Nanos  int64  // user and system, from the scheduler's own clock: exact
	User   uint64 // ticks that found the process in user space: a sample, good for a share
	System uint64 // ticks that found it in the kernel
}

// Sub is the time used between before and c.
func (c CPU) Sub(before CPU) CPU {
	return CPU{Nanos: c.Nanos - before.Nanos, User: c.User - before.User, System: c.System - before.System}
}

// UserShare is the part (0..1) of the time that was spent in user space; 0 when no tick hit the process.
func (c CPU) UserShare() float64 {
	if c.User+c.System == 0 {
		return 0
	}
	return float64(c.User) / float64(c.User+c.System)
}

// ReadCPU adds up the times of all pids.
func ReadCPU(pids []int) (CPU, error) {
	var sum CPU
	for _, pid := range pids {
		var ts unix.Timespec
		// clock_getcpuclockid(3): the CPU-time clock of another process is its complemented pid above three bits that say
		// "process-wide, scheduler time".
		if err := unix.ClockGettime(int32(^pid<<3|2), &ts); err != nil {
			return CPU{}, fmt.Errorf("CPU clock of process %d: %w", pid, err)
		}
		sum.Nanos += ts.Nano()
		f, err := stat(pid)
		if err != nil {
			return CPU{}, err
		}
		sum.User += f.user
		sum.System += f.system
	}
	return sum, nil
}

// Memory is what a group of processes holds, in bytes.
type Memory struct {
	RSS       int64 // resident, shared files included; a page two processes share counts twice
	Anonymous int64 // resident and not backed by a file; a page shared after a fork is split between its owners
}

// ReadMemory adds up the memory of all pids (/proc/PID/smaps_rollup: Rss, Pss_Anon).
func ReadMemory(pids []int) (Memory, error) {
	var sum Memory
	for _, pid := range pids {
		data, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
		if err != nil {
			return Memory{}, err
		}
		m, err := parseRollup(data)
		if err != nil {
			return Memory{}, fmt.Errorf("process %d: %w", pid, err)
		}
		sum.RSS += m.RSS
		sum.Anonymous += m.Anonymous
	}
	return sum, nil
}

func parseRollup(data []byte) (Memory, error) {
	rss, err := kilobytes(data, "Rss:")
	if err != nil {
		return Memory{}, err
	}
	anon, err := kilobytes(data, "Pss_Anon:")
	return Memory{RSS: rss, Anonymous: anon}, err
}

func kilobytes(data []byte, key string) (int64, error) {
	for line := range bytes.Lines(data) {
		fields := strings.Fields(string(line))
		if len(fields) == 3 && fields[0] == key && fields[2] == "kB" {
			n, err := strconv.ParseInt(fields[1], 10, 64)
			return n << 10, err
		}
	}
	return 0, fmt.Errorf("smaps_rollup has no %s", key)
}

// Tree is pid and all its living descendants, pid first.
func Tree(pid int) ([]int, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, err
	}
	children := make(map[int][]int)
	for _, e := range entries {
		id, err := strconv.Atoi(e.Name())
		if err != nil {
			continue // not a process
		}
		if f, err := stat(id); err == nil { // else: it ended meanwhile
			children[f.parent] = append(children[f.parent], id)
		}
	}
	tree := []int{pid}
	for i := 0; i < len(tree); i++ {
		tree = append(tree, children[tree[i]]...)
	}
	return tree, nil
}

type statFields struct {
	parent       int
	user, system uint64
}

func stat(pid int) (statFields, error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return statFields{}, err
	}
	return parseStat(string(data))
}

// parseStat reads proc_pid_stat(5). The command name, in parentheses, may itself hold spaces and parentheses.
func parseStat(line string) (statFields, error) {
	end := strings.LastIndexByte(line, ')')
	fields := strings.Fields(line[end+1:])
	if end < 0 || len(fields) < 13 {
		return statFields{}, fmt.Errorf("stat line %q is too short", line)
	}
	parent, err1 := strconv.Atoi(fields[1])             // field 4 of the manual page
	user, err2 := strconv.ParseUint(fields[11], 10, 64) // field 14
	system, err3 := strconv.ParseUint(fields[12], 10, 64)
	if err1 != nil || err2 != nil || err3 != nil {
		return statFields{}, fmt.Errorf("stat line %q is malformed", line)
	}
	return statFields{parent, user, system}, nil
}

// Processors is the time that one processor, or all together, spent since boot, in ticks of the kernel's accounting (USER_HZ).
type Processors struct {
	Total uint64
	Busy  uint64 // running something: user, nice, system, interrupts
	Steal uint64 // taken by the hypervisor for somebody else
}

// Sub is the time between before and p.
func (p Processors) Sub(before Processors) Processors {
	return Processors{Total: p.Total - before.Total, Busy: p.Busy - before.Busy, Steal: p.Steal - before.Steal}
}

// BusyShare is the part (0..1) of the time that was busy; 0 when no time has passed.
func (p Processors) BusyShare() float64 { return share(p.Busy, p.Total) }

// StealShare is the part (0..1) of the time that was stolen.
func (p Processors) StealShare() float64 { return share(p.Steal, p.Total) }

func share(part, whole uint64) float64 {
	if whole == 0 {
		return 0
	}
	return float64(part) / float64(whole)
}

// ReadProcessors reads the times of processor cpu, or of all together when cpu is negative.
func ReadProcessors(cpu int) (Processors, error) {
	data, err := os.ReadFile("/proc/stat")
	if err != nil {
		return Processors{}, err
	}
	name := "cpu"
	if cpu >= 0 {
		name += strconv.Itoa(cpu)
	}
	return parseProcessors(string(data), name)
}

func parseProcessors(text, name string) (Processors, error) {
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		if len(fields) < 9 || fields[0] != name {
			continue
		}
		var t [8]uint64 // user nice system idle iowait irq softirq steal; what follows is part of user and nice
		var p Processors
		for i := range t {
			n, err := strconv.ParseUint(fields[i+1], 10, 64)
			if err != nil {
				return Processors{}, fmt.Errorf("/proc/stat: %w", err)
			}
			t[i] = n
			p.Total += n
		}
		p.Steal = t[7]
		p.Busy = p.Total - t[3] - t[4] - t[7]
		return p, nil
	}
	return Processors{}, fmt.Errorf("/proc/stat has no processor %q", name)
}
