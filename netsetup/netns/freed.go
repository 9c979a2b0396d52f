package netns

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// WaitFreed waits until the kernel has torn down every network namespace that
// nobody held any more before the call: their interfaces and the other ends of
// those are gone, and they no longer count against user.max_net_namespaces.
// ctx bounds the waiting, not the teardown.
//
// The kernel puts dropped namespaces on one list and a single worker takes the
// whole list at a time (net/core/net_namespace.c, cleanup_net). So a namespace
// dropped now goes together with the earlier ones or after them, and when its
// interface is gone, so are theirs. A second one, dropped thereafter, is in a
// later batch: when that one's interface goes, the earlier batch is finished.
func WaitFreed(ctx context.Context) error {
	err := waitFreed(ctx)
	if err != nil {
		return fmt.Errorf("wait for the kernel to free network namespaces: %w", err)
	}
	return nil
}

func waitFreed(ctx context.Context) error {
	watch, routes, err := watchtower()
	if err != nil {
		return err
	}
	defer watch.Close()
	defer routes.Close()
	for _, name := range []string{"canary0", "canary1"} {
		if err := dropCanary(watch, name); err != nil {
			return err
		}
		if err := awaitGone(ctx, routes, name); err != nil {
			return err
		}
	}
	return nil
}

// watchtower makes a namespace that is published nowhere, and a socket in it.
func watchtower() (watch *Handle, routes *netlink.Handle, err error) {
	err = onThread(func() error {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return unshareError(err)
		}
		if watch, err = openPath("/proc/thread-self/ns/net", 0); err != nil {
			return err
		}
		if routes, err = netlink.NewHandle(unix.NETLINK_ROUTE); err != nil {
			watch.Close()
		}
		return err
	})
	return watch, routes, err
}

// dropCanary makes a namespace with one end of a veth, whose other end is in
// watch, and drops it: its thread is all that holds it.
func dropCanary(watch *Handle, name string) error {
	return onThread(func() error {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return unshareError(err)
		}
		routes, err := netlink.NewHandle(unix.NETLINK_ROUTE)
		if err != nil {
			return err
		}
		defer routes.Close()
		attrs := netlink.NewLinkAttrs()
		attrs.Name, attrs.NumTxQueues, attrs.NumRxQueues = name, 1, 1
		err = routes.LinkAdd(&netlink.Veth{
			LinkAttrs:     attrs,
			PeerName:      name,
			PeerNamespace: netlink.NsFd(watch.fd),
		})
		if err != nil {
			return fmt.Errorf("add link %s: %w", name, err)
		}
		return nil
	})
}

func awaitGone(ctx context.Context, routes *netlink.Handle, name string) error {
	for pause := time.Millisecond; ; pause = min(2*pause, 20*time.Millisecond) {
		_, err := routes.LinkByName(name)
		if errors.As(err, new(netlink.LinkNotFoundError)) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("look for link %s: %w", name, err)
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(pause):
		}
	}
}
