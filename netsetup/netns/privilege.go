package netns

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// Privileged says whether this process may make namespaces and links: nil, or a
// *PrivilegeError. It looks at its capabilities and makes nothing: freeing a
// namespace made to try would slow down what comes next. Where something else
// forbids it (seccomp, a security module), that is what Make reports, likewise
// as a *PrivilegeError.
func Privileged() error {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData // 64 capabilities
	if err := unix.Capget(&header, &data[0]); err != nil {
		return fmt.Errorf("read the capabilities of this process: %w", err)
	}
	const needed = 1<<unix.CAP_SYS_ADMIN | 1<<unix.CAP_NET_ADMIN // both in the first word
	if data[0].Effective&needed == needed {
		return nil
	}
	return needRoot("making network namespaces needs CAP_SYS_ADMIN and CAP_NET_ADMIN", nil)
}
