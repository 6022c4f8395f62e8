//go:build linux || darwin

package eventloop

import (
	"fmt"
	"syscall"
)

// RaiseFileLimit raises the soft limit of descriptors to the hard one and
// returns the limit in force.
func RaiseFileLimit() (uint64, error) {
	var lim syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &lim); err != nil {
		return 0, fmt.Errorf("getrlimit: %w", err)
	}
	if lim.Cur >= lim.Max {
		return lim.Cur, nil
	}
	raised := lim
	raised.Cur = lim.Max
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &raised); err != nil {
		return lim.Cur, fmt.Errorf("setrlimit: %w", err)
	}
	return raised.Cur, nil
}
