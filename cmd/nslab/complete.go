package main

import (
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"nslab/labs"
	"nslab/netsetup/proc/supervisor"
)

// completeLab offers labs, running and shipped, and YAML files.
func completeLab(_ *cobra.Command, args []string, word string) ([]cobra.Completion, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return completeLabs(word)
}

func completeLabs(word string) ([]cobra.Completion, cobra.ShellCompDirective) {
	if strings.Contains(word, "/") {
		return []cobra.Completion{"yaml", "yml"}, cobra.ShellCompDirectiveFilterFileExt
	}
	var list []cobra.Completion
	running := published()
	for _, lab := range slices.Sorted(maps.Keys(running)) {
		list = append(list, cobra.CompletionWithDesc(lab, "running"))
	}
	for _, l := range labs.List() {
		if running[l.Name] == nil {
			list = append(list, cobra.CompletionWithDesc(l.Name, l.Summary))
		}
	}
	return list, cobra.ShellCompDirectiveDefault
}

// completeNode offers the nodes of running labs; what follows the node is the
// shell's to complete.
func completeNode(_ *cobra.Command, args []string, word string) ([]cobra.Completion, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveDefault
	}
	var list []cobra.Completion
	running := published()
	for _, lab := range slices.Sorted(maps.Keys(running)) {
		for _, node := range running[lab] {
			if len(running) == 1 {
				list = append(list, node)
			}
			list = append(list, lab+"/"+node)
		}
	}
	return list, cobra.ShellCompDirectiveNoFileComp
}

// completeLabNode offers running labs and their nodes.
func completeLabNode(_ *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var list []cobra.Completion
	running := published()
	for _, lab := range slices.Sorted(maps.Keys(running)) {
		list = append(list, lab)
		for _, node := range running[lab] {
			list = append(list, lab+"/"+node)
		}
	}
	return list, cobra.ShellCompDirectiveNoFileComp
}

// completeProcess offers the nodes of running labs that have processes, and
// those.
func completeProcess(_ *cobra.Command, _ []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
	var list []cobra.Completion
	running := published()
	for _, lab := range slices.Sorted(maps.Keys(running)) {
		prefix := lab + "/"
		if len(running) == 1 {
			prefix = ""
		}
		all, err := supervisor.Find(lab)
		if err != nil {
			continue
		}
		last := ""
		for _, st := range all {
			if st.Node != last {
				list = append(list, prefix+st.Node)
			}
			list, last = append(list, prefix+st.ID()), st.Node
		}
	}
	return list, cobra.ShellCompDirectiveNoFileComp
}
