package probe

import (
	"os"

	"golang.org/x/sys/unix"
)

// fileBudget is how many files each of parallel items may have open: what is
// left under RLIMIT_NOFILE, but for a reserve for the namespaces themselves and
// the rest of the program.
func fileBudget(parallel int) int {
	const reserve, least, most = 128, 32, 1 << 16
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return least
	}
	open := 0
	if list, err := os.ReadDir("/proc/self/fd"); err == nil {
		open = len(list)
	}
	left := int(min(limit.Cur, most*uint64(parallel))) - open - reserve
	return max(left/parallel, least)
}
