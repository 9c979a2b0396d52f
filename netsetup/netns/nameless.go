package netns

import (
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// Nameless gives, as Open takes it, a process ("pid:N") in each network namespace
// that has an inode number other than those known, and that the calling process
// may look at. Its own is not given.
func Nameless(known map[uint64]bool) ([]string, error) {
	own, err := home()
	if err != nil {
		return nil, err
	}
	seen := map[uint64]bool{own.inode: true}
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, err
	}
	var list []string
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		var st unix.Stat_t
		if unix.Stat(fmt.Sprintf("/proc/%d/ns/net", pid), &st) != nil || known[st.Ino] || seen[st.Ino] {
			continue
		}
		seen[st.Ino] = true
		list = append(list, fmt.Sprintf("pid:%d", pid))
	}
	return list, nil
}
