package netns_test

import (
	"fmt"
	"testing"

	"nslab/netsetup/netns"
)

func BenchmarkMake1000(b *testing.B) {
	names := make([]string, 1000)
	for i := range names {
		names[i] = fmt.Sprintf("bench%d", i)
	}
	for _, workers := range []int{1, 2} {
		b.Run(fmt.Sprint("workers=", workers), func(b *testing.B) {
			for b.Loop() {
				hs, err := netns.MakeEach(names, workers, nil)
				if err != nil {
					b.Fatal(err)
				}
				b.StopTimer()
				for _, h := range hs {
					h.Close()
				}
				if err := netns.Delete(names...); err != nil {
					b.Fatal(err)
				}
				if err := netns.WaitFreed(b.Context()); err != nil {
					b.Fatal(err)
				}
				b.StartTimer()
			}
		})
	}
}

func BenchmarkDo(b *testing.B) {
	h := make1(b, "bench")
	for b.Loop() {
		if err := netns.Do(h, func() error { return nil }); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkList1000(b *testing.B) {
	names := make([]string, 1000)
	for i := range names {
		names[i] = fmt.Sprintf("bench%d", i)
	}
	hs, err := netns.MakeEach(names, 2, nil)
	if err != nil {
		b.Fatal(err)
	}
	for _, h := range hs {
		h.Close()
	}
	for b.Loop() {
		if got, err := netns.List(""); err != nil || len(got) != len(names) {
			b.Fatal(len(got), err)
		}
	}
	if err := netns.Delete(names...); err != nil {
		b.Fatal(err)
	}
}
