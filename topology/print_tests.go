package topology

import "strings"

// eventFields writes an item of the scenario.
func eventFields(e *Event) string {
	if e.Test != nil {
		return testFields(e.Test, e.At.String())
	}
	var f fields
	f.add("at", e.At.String())
	if e.Do == LinkDown || e.Do == LinkUp {
		f.add("link", scalar(e.Link.Node+":"+e.Link.Interface))
		f.flag(e.Do, true)
	} else {
		f.add(e.Do, scalar(e.Process.Value))
	}
	return f.String()
}

// testFields writes a test, with its time where it has one.
func testFields(t *Test, at string) string {
	var f fields
	if at != "" {
		f.add("at", at)
	}
	side := func(words []Text) string {
		list := make([]string, len(words))
		for i, w := range words {
			list[i] = scalar(w.Value)
		}
		return "[" + strings.Join(list, ", ") + "]"
	}
	if t.Verb == Exec {
		f.add(t.Verb, side(t.From))
	} else {
		f.add(t.Verb, "{from: "+side(t.From)+", to: "+side(t.To)+"}")
	}
	if t.Verb == DNS {
		f.add("name", quoted(t.Query))
	} else {
		f.add("name", quoted(t.Name))
	}
	if t.Expect != "pass" {
		f.text("expect", t.Expect)
	}
	f.text("family", t.Family)
	f.add("timeout", t.Timeout.String())
	if t.Within != 0 {
		f.add("within", t.Within.String())
	}
	if t.Stable != 0 {
		f.add("stable", t.Stable.String())
	}
	f.flag("stop_on_fail", t.StopOnFail)
	if t.Verb == Ping {
		f.int("count", t.Count)
		f.int("size", t.Size)
		f.flag("df", t.DF)
		f.int("ttl", t.TTL)
		f.add("interval", t.Interval.String())
	}
	if t.Loss != nil {
		f.add("loss", quoted(t.Loss.Text))
	}
	if t.RTT != nil {
		f.add("rtt", quoted(t.RTT.Text))
	}
	if t.Payload != "" {
		f.add("payload", quoted(t.Payload))
	}
	f.choice("listen", t.Listen)
	f.int("status", t.Status)
	if t.Body != "" {
		f.add("body", quoted(t.Body))
	}
	if len(t.Headers) > 0 {
		var h fields
		for _, x := range t.Headers {
			h.add(quoted(x.Name), quoted(x.Value))
		}
		f.add("headers", h.String())
	}
	f.text("type", t.Type)
	if len(t.Answer) > 0 {
		answer := make([]string, len(t.Answer))
		for i, a := range t.Answer {
			answer[i] = quoted(a)
		}
		f.list("answer", answer)
	}
	if t.Verb == Path {
		f.add("via", side(t.Hops))
	}
	f.int("bytes", t.Bytes)
	if t.Verb == Bandwidth {
		f.add("rate", quoted(t.Rate.Text))
		f.add("for", t.For.String())
		f.flag("udp", t.OverUDP)
	}
	if t.Verb == Exec {
		argv := make([]string, len(t.Command))
		for i, a := range t.Command {
			argv[i] = quoted(a)
		}
		f.list("command", argv)
		f.int("exit", t.Exit)
	}
	if t.Stdout != "" {
		f.add("stdout", quoted(t.Stdout))
	}
	if t.Stderr != "" {
		f.add("stderr", quoted(t.Stderr))
	}
	if t.JSON != "" {
		f.add("json", t.JSON)
	}
	if t.Via.IsValid() {
		f.add("via", quoted(t.Via.String()))
	}
	f.text("dev", t.Dev)
	f.int("table", t.Table)
	return f.String()
}
