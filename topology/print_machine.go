package topology

import (
	"fmt"
	"strconv"
	"strings"
)

// machine writes what a node is beside its network.
func (p *printer) machine(n *Node) {
	if list := isolateList(n.Isolate); len(list) > 0 {
		p.printf("    isolate: [%s]\n", strings.Join(list, ", "))
	}
	if n.Hostname != n.Name && n.Hostname != "" {
		p.printf("    hostname: %s\n", scalar(n.Hostname))
	}
	if n.DNS != nil {
		p.printf("    dns: %s\n", resolverFields(n.DNS))
	}
	section(p, "hosts", n.Hosts, func(h HostLine) string { return quoted(h.Address + " " + strings.Join(h.Names, " ")) })
	if limits := limitsFields(n.Limits); limits != "{}" {
		p.printf("    limits: %s\n", limits)
	}
	if n.RootFS.Value != "" {
		p.printf("    rootfs: %s\n", quoted(n.RootFS.Value))
	}
	if len(n.Files) > 0 {
		p.printf("    files:\n")
	}
	for _, f := range n.Files {
		p.printf("      %s: %s\n", quoted(f.Path), nodeFileFields(f))
	}
	section(p, "private", n.Private, func(t Text) string { return quoted(t.Value) })
	if len(n.Env) > 0 {
		p.printf("    env: %s\n", variableFields(n.Env))
	}
	section(p, "setup", n.Setup, func(c CommandLine) string { return quotedList(c.Argv) })
	section(p, "run", n.Run, processFields)
}

func isolateList(i Isolate) []string {
	var list []string
	for at, on := range i.flags() {
		if !*on {
			continue
		}
		word := isolateWords[at]
		var f fields
		switch word {
		case "time":
			if i.Boottime != 0 {
				f.add("boottime", i.Boottime.String())
			}
			if i.Monotonic != 0 {
				f.add("monotonic", i.Monotonic.String())
			}
		case "user":
			f.list("uids", idMapList(i.UIDs))
			f.list("gids", idMapList(i.GIDs))
		}
		if f.b.Len() > 0 {
			word = "{" + word + ": " + f.String() + "}"
		}
		list = append(list, word)
	}
	return list
}

func idMapList(maps []IDMap) []string {
	list := make([]string, len(maps))
	for i, m := range maps {
		list[i] = quoted(fmt.Sprintf("%d %d %d", m.Inside, m.Outside, m.Count))
	}
	return list
}

// quotedList writes a list of texts.
func quotedList(texts []string) string {
	list := make([]string, len(texts))
	for i, t := range texts {
		list[i] = quoted(t)
	}
	return "[" + strings.Join(list, ", ") + "]"
}

func resolverFields(r *Resolver) string {
	var f fields
	if len(r.Servers) > 0 {
		f.add("servers", textList(r.Servers))
	}
	if len(r.Search) > 0 {
		f.add("search", quotedList(r.Search))
	}
	if len(r.Options) > 0 {
		f.add("options", quotedList(r.Options))
	}
	return f.String()
}

func textList(texts []Text) string {
	list := make([]string, len(texts))
	for i, t := range texts {
		list[i] = t.Value
	}
	return quotedList(list)
}

func limitsFields(l Limits) string {
	var f fields
	if l.CPU != 0 {
		f.add("cpu", strconv.FormatFloat(l.CPU, 'f', -1, 64))
	}
	if l.Memory != 0 {
		f.add("memory", strconv.FormatInt(l.Memory, 10))
	}
	if l.PIDs != 0 {
		f.add("pids", strconv.FormatInt(l.PIDs, 10))
	}
	return f.String()
}

func nodeFileFields(n NodeFile) string {
	var f fields
	if n.Source.Value != "" {
		f.add("source", quoted(n.Source.Value))
	} else {
		f.add("content", quoted(n.Content))
	}
	if n.Mode != 0 {
		f.add("mode", fmt.Sprintf(`"%04o"`, n.Mode))
	}
	return f.String()
}

func variableFields(env []Variable) string {
	var f fields
	for _, v := range env {
		f.add(quoted(v.Name), quoted(v.Value))
	}
	return f.String()
}

func processFields(x *Process) string {
	var f fields
	f.add("name", quoted(x.Name))
	f.add("command", quotedList(x.Command.Argv))
	if len(x.Env) > 0 {
		f.add("env", variableFields(x.Env))
	}
	if x.User != "" {
		f.add("user", quoted(x.User))
	}
	if x.Ready != nil {
		f.add("ready", readyFields(x.Ready))
	}
	f.add("restart", quoted(x.Restart))
	if len(x.After) > 0 {
		f.add("after", textList(x.After))
	}
	f.add("stop_signal", x.StopSignal)
	f.add("stop_timeout", x.StopTimeout.String())
	return f.String()
}

func readyFields(r *Ready) string {
	var f fields
	f.int("tcp", r.TCP)
	if r.File != "" {
		f.add("file", quoted(r.File))
	}
	if r.Exec != nil {
		f.add("exec", quotedList(r.Exec.Argv))
	}
	if r.Log != "" {
		f.add("log", quoted(r.Log))
	}
	f.add("within", r.Within.String())
	return f.String()
}
