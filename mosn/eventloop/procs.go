package eventloop

import (
	"fmt"
	"io/fs"
	"math"
	"os"
	"runtime"
	"strconv"
)

// Plan says how many loops to run and how many processors the Go runtime gets
// (rule R1): beside the loops there must be one for everything else, also on a
// machine with one CPU, or a busy goroutine takes a loop's place.
type Plan struct {
	Loops    int
	MaxProcs int
	FromEnv  bool   // MaxProcs is the environment's GOMAXPROCS
	Warning  string // not empty when MaxProcs leaves no room beside the loops
}

// Procs returns the plan for a --concurrency of that value; 0 or less means one
// loop for each CPU that the cgroup and the affinity of the process allow.
func Procs(concurrency int) Plan {
	return plan(concurrency, runtime.NumCPU(), os.Getenv("GOMAXPROCS"), os.DirFS("/"))
}

func plan(concurrency, cpus int, env string, root fs.FS) Plan {
	p := Plan{Loops: concurrency}
	if p.Loops <= 0 {
		p.Loops = max(cpus, 1)
		if limit := cgroupCPU(root); limit > 0 {
			p.Loops = min(p.Loops, max(int(math.Ceil(limit)), 1))
		}
	}
	p.MaxProcs = p.Loops + max(1, p.Loops/4)
	if n, err := strconv.Atoi(env); err == nil && n > 0 {
		p.MaxProcs, p.FromEnv = n, true
		if n <= p.Loops {
			p.Warning = fmt.Sprintf("GOMAXPROCS=%d leaves no processor beside %d event loops: "+
				"other work in the process will delay requests", n, p.Loops)
		}
	}
	return p
}

// Apply sets GOMAXPROCS, unless the environment did.
func (p Plan) Apply() {
	if !p.FromEnv {
		runtime.GOMAXPROCS(p.MaxProcs)
	}
}
