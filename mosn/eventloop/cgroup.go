package eventloop

import (
	"io/fs"
	"math"
	"path"
	"strconv"
	"strings"
)

// cgroupCPU returns the CPU limit of this process's cgroup, v1 or v2, in CPUs,
// or 0 when there is none. Root is the file system's root.
func cgroupCPU(root fs.FS) float64 {
	limit := math.Inf(1)
	for dir := range cgroupDirs(root, "", "") {
		quota, period, _ := strings.Cut(readLine(root, path.Join(dir, "cpu.max")), " ")
		limit = min(limit, cpus(quota, period))
	}
	for _, mount := range []string{"cpu,cpuacct", "cpu"} {
		for dir := range cgroupDirs(root, "cpu", mount) {
			limit = min(limit, cpus(readLine(root, path.Join(dir, "cpu.cfs_quota_us")),
				readLine(root, path.Join(dir, "cpu.cfs_period_us"))))
		}
	}
	if math.IsInf(limit, 1) {
		return 0
	}
	return limit
}

// cpus returns +Inf for "max", "-1" and anything unreadable.
func cpus(quota, period string) float64 {
	q, err1 := strconv.ParseFloat(quota, 64)
	p, err2 := strconv.ParseFloat(period, 64)
	if err1 != nil || err2 != nil || q <= 0 || p <= 0 {
		return math.Inf(1)
	}
	return q / p
}

// cgroupMemory returns the memory limit in bytes, 0 when there is none.
func cgroupMemory(root fs.FS) int64 {
	limit := int64(math.MaxInt64)
	read := func(file string) {
		n, err := strconv.ParseInt(readLine(root, file), 10, 64)
		if err == nil && n > 0 {
			limit = min(limit, n)
		}
	}
	for dir := range cgroupDirs(root, "", "") {
		read(path.Join(dir, "memory.max"))
	}
	for dir := range cgroupDirs(root, "memory", "memory") {
		read(path.Join(dir, "memory.limit_in_bytes"))
	}
	if limit > 1<<60 { // v1 says "none" by a huge number
		return 0
	}
	return limit
}

// cgroupDirs yields the directories whose limits hold for this process, from
// its own cgroup up to the mount: those of v2, or of a v1 controller. In a
// container the path may name a directory of the host; then the mount itself is
// the process's cgroup, and it is always yielded.
func cgroupDirs(root fs.FS, controller, mount string) func(yield func(string) bool) {
	base := path.Join("sys/fs/cgroup", mount)
	return func(yield func(string) bool) {
		dir := path.Join(base, cgroupPath(root, controller))
		for ; strings.HasPrefix(dir, base+"/"); dir = path.Dir(dir) {
			if !yield(dir) {
				return
			}
		}
		yield(base)
	}
}

// cgroupPath reads the process's path in the hierarchy of a controller from
// /proc/self/cgroup ("" is v2's), whose lines are id:controllers:path.
func cgroupPath(root fs.FS, controller string) string {
	data, err := fs.ReadFile(root, "proc/self/cgroup")
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(data)) {
		parts := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(parts) != 3 {
			continue
		}
		if controller == "" && parts[1] == "" {
			return parts[2]
		}
		for name := range strings.SplitSeq(parts[1], ",") {
			if controller != "" && name == controller {
				return parts[2]
			}
		}
	}
	return ""
}

// readLine returns the first line of a file, "" when it cannot be read.
func readLine(root fs.FS, name string) string {
	data, err := fs.ReadFile(root, name)
	if err != nil {
		return ""
	}
	line, _, _ := strings.Cut(string(data), "\n")
	return strings.TrimSpace(line)
}
