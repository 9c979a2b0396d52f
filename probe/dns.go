package probe

import (
	"cmp"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"nslab/topology"
)

// recordTypes are the types that the verb dns asks for.
var recordTypes = map[string]dnsmessage.Type{
	"A": dnsmessage.TypeA, "AAAA": dnsmessage.TypeAAAA, "CNAME": dnsmessage.TypeCNAME, "MX": dnsmessage.TypeMX,
	"NS": dnsmessage.TypeNS, "PTR": dnsmessage.TypePTR, "SRV": dnsmessage.TypeSRV, "TXT": dnsmessage.TypeTXT,
}

// answerCodes are the codes that can stand for an answer, RFC 1035, 4.1.1; and
// NODATA: the name is there and has no record of the type, RFC 2308, 2.2.
var answerCodes = map[dnsmessage.RCode]string{
	dnsmessage.RCodeFormatError: "FORMERR", dnsmessage.RCodeServerFailure: "SERVFAIL", dnsmessage.RCodeNameError: "NXDOMAIN",
	dnsmessage.RCodeNotImplemented: "NOTIMP", dnsmessage.RCodeRefused: "REFUSED",
}

const noData = "NODATA"

// lookup is what the verb dns asks for.
type lookup struct {
	question dnsmessage.Question
	want     []string           // sorted, as recordText has them, or one code; nil: any record
	code     bool               // want is a code
	served   dnsmessage.Message // what the test's own server answers
}

// newDNS is the verb dns: a datagram to a server that has to be there, or that
// the test serves itself.
func newDNS(r *runner, t *topology.Test) (verb, error) {
	name, err := dnsmessage.NewName(strings.TrimSuffix(t.Query, ".") + ".")
	if err != nil {
		return nil, fmt.Errorf("the name %q: %w", t.Query, err)
	}
	kind, ok := recordTypes[t.Type]
	if !ok {
		return nil, fmt.Errorf("the type %q is not supported yet", t.Type)
	}
	l := &lookup{question: dnsmessage.Question{Name: name, Type: kind, Class: dnsmessage.ClassINET}}
	if len(t.Answer) == 1 {
		l.code = t.Answer[0] == noData
		for _, name := range answerCodes {
			l.code = l.code || t.Answer[0] == name
		}
	}
	for _, a := range t.Answer {
		if !l.code {
			a = asRecord(kind, a)
		}
		l.want = append(l.want, a)
	}
	slices.Sort(l.want)
	s := newStream(r, t)
	s.tcp, s.serve, s.ask = false, cmp.Or(t.Listen, new(bool)), l.ask
	if *s.serve {
		if l.served, err = serving(l, t.Answer); err != nil {
			return nil, err
		}
		s.service = service{answer: l.answer}
	}
	return s, nil
}

// asRecord brings a record of the file into the form of recordText.
func asRecord(kind dnsmessage.Type, text string) string {
	switch kind {
	case dnsmessage.TypeTXT:
		return text
	case dnsmessage.TypeA, dnsmessage.TypeAAAA:
		if a, err := netip.ParseAddr(text); err == nil {
			return a.String()
		}
	}
	return strings.ToLower(strings.TrimSuffix(strings.Join(strings.Fields(text), " "), "."))
}

// ask sends the question and judges the first answer to it.
func (l *lookup) ask(c *client) result {
	began := time.Now()
	id := uint16(rand.Uint32())
	query := dnsmessage.Message{
		Header:    dnsmessage.Header{ID: id, RecursionDesired: true},
		Questions: []dnsmessage.Question{l.question},
	}
	packed, err := query.Pack()
	if err != nil {
		return broken("%v", err)
	}
	if _, err := c.Write(packed); err != nil {
		return c.failure(err)
	}
	buffer := make([]byte, 1<<16)
	for {
		n, err := c.file.Read(buffer)
		if err != nil {
			return c.failure(err)
		}
		var answer dnsmessage.Message
		if err := answer.Unpack(buffer[:n]); err != nil {
			return c.unanswered(fmt.Sprintf("what came back is not DNS: %v", err))
		}
		if answer.ID != id || !answer.Response {
			continue // to another question, RFC 5452, 9.1
		}
		rtt := time.Since(began)
		if wrong := l.wrong(&answer); wrong != "" {
			return c.unanswered(wrong)
		}
		return result{seen: answered, rtt: rtt, what: "in " + rtt.Round(time.Microsecond).String()}
	}
}

// wrong says what of an answer is not as it should be.
func (l *lookup) wrong(m *dnsmessage.Message) string {
	kind := strings.TrimPrefix(l.question.Type.String(), "Type")
	want := "a record " + kind
	if l.want != nil {
		want = strings.Join(l.want, ", ")
	}
	if m.Truncated {
		return "the answer does not fit into a datagram (it is truncated)"
	}
	var got []string
	for _, r := range m.Answers {
		if r.Header.Type != l.question.Type {
			continue // the aliases on the way
		}
		text, err := recordText(r.Body)
		if err != nil {
			return err.Error()
		}
		got = append(got, text)
	}
	slices.Sort(got)
	got = slices.Compact(got)
	code, failed := answerCodes[m.RCode]
	switch {
	case m.RCode != dnsmessage.RCodeSuccess && !failed:
		code = fmt.Sprintf("code %d", m.RCode)
	case m.RCode == dnsmessage.RCodeSuccess && len(got) == 0:
		code = noData
	}
	switch {
	case code != "" && l.code && code == l.want[0]:
		return ""
	case code != "":
		return fmt.Sprintf("the answer is %s, want %s", code, want)
	case l.want == nil, !l.code && slices.Equal(got, slices.Compact(slices.Clone(l.want))):
		return ""
	}
	return fmt.Sprintf("the answer is %s, want %s", printable(clipped(strings.Join(got, ", "))), want)
}

// recordText is a record as a file has it, names in lower case and without the
// last dot.
func recordText(body dnsmessage.ResourceBody) (string, error) {
	name := func(n dnsmessage.Name) string { return strings.ToLower(strings.TrimSuffix(n.String(), ".")) }
	switch r := body.(type) {
	case *dnsmessage.AResource:
		return netip.AddrFrom4(r.A).String(), nil
	case *dnsmessage.AAAAResource:
		return netip.AddrFrom16(r.AAAA).String(), nil
	case *dnsmessage.CNAMEResource:
		return name(r.CNAME), nil
	case *dnsmessage.NSResource:
		return name(r.NS), nil
	case *dnsmessage.PTRResource:
		return name(r.PTR), nil
	case *dnsmessage.MXResource:
		return fmt.Sprintf("%d %s", r.Pref, name(r.MX)), nil
	case *dnsmessage.SRVResource:
		return fmt.Sprintf("%d %d %d %s", r.Priority, r.Weight, r.Port, name(r.Target)), nil
	case *dnsmessage.TXTResource:
		return strings.Join(r.TXT, ""), nil
	}
	return "", errors.New("the answer has a record of another type")
}
