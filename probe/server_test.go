package probe

import (
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"

	"golang.org/x/net/dns/dnsmessage"

	"nslab/netsetup/netns"
	"nslab/topology"
)

// inNode runs f in a node's namespace.
func (l *testLab) inNode(node string, f func() error) {
	l.t.Helper()
	h, err := l.open(node)
	if err != nil {
		l.t.Fatal(err)
	}
	defer h.Close()
	if err := netns.Do(h, f); err != nil {
		l.t.Fatal(err)
	}
}

// serveWeb has a server of HTTP on port 8080 of a node.
func (l *testLab) serveWeb(node string) {
	l.t.Helper()
	l.inNode(node, func() error {
		s, err := net.Listen("tcp", ":8080")
		if err != nil {
			return err
		}
		l.t.Cleanup(func() { s.Close() })
		go http.Serve(s, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/none" {
				http.NotFound(w, r)
				return
			}
			w.Header().Set("X-Kind", "test")
			fmt.Fprintf(w, "host %s\nquery %s\n", r.Host, r.URL.RawQuery)
		}))
		return nil
	})
}

// serveNames has a server of DNS on port 53 of a node, which knows www.example.
func (l *testLab) serveNames(node string) {
	l.t.Helper()
	l.inNode(node, func() error {
		s, err := net.ListenPacket("udp", ":53")
		if err != nil {
			return err
		}
		l.t.Cleanup(func() { s.Close() })
		go func() {
			b := make([]byte, 1500)
			for {
				n, from, err := s.ReadFrom(b)
				if err != nil {
					return
				}
				var m dnsmessage.Message
				if m.Unpack(b[:n]) != nil {
					continue
				}
				m.Response = true
				answerFor(&m)
				packed, err := m.Pack()
				if err != nil {
					panic(err)
				}
				s.WriteTo(packed, from)
			}
		}()
		return nil
	})
}

func answerFor(m *dnsmessage.Message) {
	q := m.Questions[0]
	add := func(name dnsmessage.Name, body dnsmessage.ResourceBody, kind dnsmessage.Type) {
		m.Answers = append(m.Answers, dnsmessage.Resource{Header: dnsmessage.ResourceHeader{Name: name, Type: kind, Class: q.Class}, Body: body})
	}
	www := dnsmessage.MustNewName("www.example.")
	switch {
	case q.Name.String() == "alias.example.":
		add(q.Name, &dnsmessage.CNAMEResource{CNAME: www}, dnsmessage.TypeCNAME)
	case strings.ToLower(q.Name.String()) != "www.example.":
		m.RCode = dnsmessage.RCodeNameError
		return
	}
	switch q.Type {
	case dnsmessage.TypeA:
		add(www, &dnsmessage.AResource{A: [4]byte{10, 0, 0, 9}}, q.Type)
		add(www, &dnsmessage.AResource{A: [4]byte{10, 0, 0, 8}}, q.Type)
	case dnsmessage.TypeAAAA:
		add(www, &dnsmessage.AAAAResource{AAAA: mustAddr("fd00::9").As16()}, q.Type)
	case dnsmessage.TypeMX:
		add(www, &dnsmessage.MXResource{Pref: 10, MX: dnsmessage.MustNewName("Mail.example.")}, q.Type)
	case dnsmessage.TypeTXT:
		add(www, &dnsmessage.TXTResource{TXT: []string{"a ", "b"}}, q.Type)
	}
}

func TestHTTP(t *testing.T) {
	l := routedLab(t)
	l.serveWeb("b")
	check := func(port int, url string, change func(*topology.Test), want Outcome, text string) {
		t.Helper()
		x := testItem("http", "a", "b", port, func(x *topology.Test) {
			x.Status = 200
			if change != nil {
				change(x)
			}
		})
		x.Targets[0].URL = url
		r := l.run(x)
		if len(r.Cases) != 2 {
			t.Fatal(len(r.Cases), "cases, want one of each family")
		}
		for _, c := range r.Cases {
			c.mustBe(t, want, text)
		}
	}
	header := func(name, value string) func(x *topology.Test) {
		return func(x *topology.Test) { x.Headers = []topology.Header{{Name: name, Value: value}} }
	}
	expect := func(e string) func(x *topology.Test) { return func(x *topology.Test) { x.Expect = e } }
	check(8080, "/", nil, Pass, "")
	check(8080, "/x?q=1", func(x *topology.Test) { x.Body = `^host b:8080$(.|\n)*^query q=1$` }, Pass, "")
	check(8080, "/", func(x *topology.Test) { x.Body = "nothing" }, Fail, "does not match")
	check(8080, "/none", nil, Fail, "the status is 404 Not Found, want 200")
	check(8080, "/none", func(x *topology.Test) { x.Status = 404 }, Pass, "")
	check(8080, "/", header("X-Kind", "^test$"), Pass, "")
	check(8080, "/", header("X-Kind", "other"), Fail, "the header X-Kind is")
	check(8080, "/", header("X-None", ""), Fail, "there is no header X-None")
	check(8080, "/none", expect(expectFail), Fail, "it should not reach the target")
	check(8081, "/", nil, Fail, "refused the connection")
	check(8081, "/", expect(expectReject), Pass, "")
	l.nft("r", "table inet t { chain f { type filter hook forward priority 0; tcp dport 8080 drop; }; }")
	check(8080, "/", expect(expectDrop), Pass, "")
	check(8080, "/", nil, Fail, "no answer within")
}

func TestDNS(t *testing.T) {
	l := routedLab(t)
	l.serveNames("b")
	check := func(name, kind string, answer []string, want Outcome, text string) {
		t.Helper()
		r := l.run(testItem("dns", "a", "b", 53, func(x *topology.Test) { x.Query, x.Type, x.Answer = name, kind, answer }))
		if len(r.Cases) != 2 {
			t.Fatal(len(r.Cases), "cases, want one of each family")
		}
		for _, c := range r.Cases {
			c.mustBe(t, want, text)
		}
	}
	check("www.example", "A", nil, Pass, "")
	check("WWW.example.", "A", []string{"10.0.0.8", "10.0.0.9"}, Pass, "")
	check("www.example", "A", []string{"10.0.0.8"}, Fail, "the answer is 10.0.0.8, 10.0.0.9, want 10.0.0.8")
	check("www.example", "AAAA", []string{"fd00:0::9"}, Pass, "")
	check("www.example", "MX", []string{"10  mail.example."}, Pass, "")
	check("www.example", "TXT", []string{"a b"}, Pass, "")
	check("alias.example", "A", []string{"10.0.0.9", "10.0.0.8"}, Pass, "")
	check("alias.example", "CNAME", []string{"www.example"}, Pass, "")
	check("none.example", "A", nil, Fail, "the answer is NXDOMAIN, want a record A")
	check("none.example", "A", []string{"NXDOMAIN"}, Pass, "")
	check("www.example", "NS", []string{"NODATA"}, Pass, "")
	check("www.example", "A", []string{"NXDOMAIN"}, Fail, "want NXDOMAIN")
	// No server runs in r.
	for expect, want := range map[string]Outcome{expectReject: Pass, expectFail: Fail} {
		r := l.run(testItem("dns", "a", "r", 53, func(i *topology.Test) { i.Query, i.Type, i.Expect = "www.example", "A", expect }))
		for _, c := range r.Cases {
			c.mustBe(t, want, "")
		}
	}
	l.nft("r", "table inet t { chain f { type filter hook forward priority 0; udp dport 53 drop; }; }")
	check("www.example", "A", nil, Fail, "no answer within")
}

// TestOwnServers has http and dns served by the tests themselves, at the same
// time on the same port too.
func TestOwnServers(t *testing.T) {
	l := routedLab(t)
	yes := true
	web := func(port int, status int, body string) *topology.Test {
		return testItem("http", "a", "b", port, func(x *topology.Test) {
			x.Listen, x.Status, x.Body = &yes, status, body
			x.Targets[0].URL = "/x?y=1"
		})
	}
	lookup := func(port int, kind string, answer ...string) *topology.Test {
		return testItem("dns", "a", "b", port, func(x *topology.Test) {
			x.Listen, x.Query, x.Type, x.Answer = &yes, "www.example", kind, answer
		})
	}
	expect := func(x *topology.Test, expect string) *topology.Test { x.Expect = expect; return x }
	for _, x := range []*topology.Test{
		web(80, 200, `^GET /x\?y=1$`), web(80, 200, `^host b:80$`), web(80, 200, `^from (10\.0\.1\.2|fd00:1::2)$`),
		web(80, 404, ""), web(80, 204, ""), web(80, 304, ""),
		lookup(53, "A", "10.0.0.8", "10.0.0.9"), lookup(53, "AAAA", "fd00::1"), lookup(53, "CNAME", "a.example."),
		lookup(53, "NS", "a.example"), lookup(53, "PTR", "a.example"), lookup(53, "MX", "10 a.example", "20 ."),
		lookup(53, "SRV", "0 5 5060 a.example"), lookup(53, "TXT", strings.Repeat("a b", 100)), lookup(53, "A", "NXDOMAIN"),
		lookup(53, "A", "NODATA"), lookup(53, "A", "SERVFAIL"),
	} {
		for _, c := range l.run(x).Cases {
			c.mustBe(t, Pass, "")
		}
	}
	for _, c := range l.run(web(80, 200, "^host a$")).Cases {
		c.mustBe(t, Fail, "does not match")
		if c.Explanation == nil || c.Explanation.SecondTry != "" || len(c.Explanation.Back) == 0 {
			t.Errorf("the second try was not served: %s", c.text())
		}
	}
	for _, kind := range []string{"A", "AAAA", "MX", "SRV", "NS"} {
		for _, c := range l.run(lookup(53, kind, strings.Repeat("x", 300))).Cases {
			c.mustBe(t, Error, "is not a record "+kind)
		}
	}
	// What arrives and is not answered is not `fail`, as its sender has no way back.
	l.nft("r", "table inet t { chain f { type filter hook forward priority 0; th sport { 53, 80 } drop; th dport { 54, 81 } drop; }; }")
	for _, x := range []*topology.Test{expect(web(80, 200, ""), expectFail), expect(lookup(53, "A", "10.0.0.8"), expectFail)} {
		for _, c := range l.run(x).Cases {
			c.mustBe(t, Fail, "reached b")
		}
	}
	for _, x := range []*topology.Test{expect(web(81, 200, ""), expectDrop), expect(lookup(54, "A", "10.0.0.8"), expectDrop)} {
		for _, c := range l.run(x).Cases {
			c.mustBe(t, Pass, "")
		}
	}
}
