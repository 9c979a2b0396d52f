package probe

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"golang.org/x/net/dns/dnsmessage"
)

// servedTTL is how long what the test's own server says may be remembered, in
// seconds: not at all.
const servedTTL = 0

// serving makes the answer of the test's own server: the records, or the code,
// that the test wants.
func serving(l *lookup, answer []string) (dnsmessage.Message, error) {
	m := dnsmessage.Message{
		Header:    dnsmessage.Header{Response: true, Authoritative: true},
		Questions: []dnsmessage.Question{l.question},
	}
	if l.code {
		for code, name := range answerCodes {
			if name == l.want[0] {
				m.RCode = code
			}
		}
		return m, nil
	}
	for _, text := range answer {
		body, err := recordBody(l.question.Type, text)
		if err != nil {
			return m, fmt.Errorf("answer: %q is not a record %s: %w", text, strings.TrimPrefix(l.question.Type.String(), "Type"), err)
		}
		m.Answers = append(m.Answers, dnsmessage.Resource{
			Header: dnsmessage.ResourceHeader{Name: l.question.Name, Class: l.question.Class, TTL: servedTTL}, Body: body,
		})
	}
	return m, nil
}

// answer is what the server says to a request. To another question it is a
// refusal; to what is no question, nothing that could be taken for an answer.
func (l *lookup) answer(request []byte) []byte {
	var asked dnsmessage.Message
	if err := asked.Unpack(request); err != nil || asked.Response || len(asked.Questions) != 1 {
		return nil
	}
	m := l.served
	m.Answers = slices.Clone(m.Answers) // Pack writes into them
	q := asked.Questions[0]
	if q.Type != l.question.Type || q.Class != l.question.Class || !strings.EqualFold(q.Name.String(), l.question.Name.String()) {
		m = dnsmessage.Message{Header: dnsmessage.Header{Response: true, RCode: dnsmessage.RCodeRefused}, Questions: asked.Questions}
	}
	m.ID, m.RecursionDesired = asked.ID, asked.RecursionDesired
	packed, err := m.Pack()
	if err != nil {
		return nil
	}
	return packed
}

// recordBody reads a record as recordText writes it.
func recordBody(kind dnsmessage.Type, text string) (dnsmessage.ResourceBody, error) {
	name := func(s string) (dnsmessage.Name, error) { return dnsmessage.NewName(strings.TrimSuffix(s, ".") + ".") }
	switch kind {
	case dnsmessage.TypeA, dnsmessage.TypeAAAA:
		a, err := netip.ParseAddr(text)
		switch {
		case err != nil:
			return nil, err
		case a.Is4() && kind == dnsmessage.TypeA:
			return &dnsmessage.AResource{A: a.As4()}, nil
		case a.Is6() && kind == dnsmessage.TypeAAAA:
			return &dnsmessage.AAAAResource{AAAA: a.As16()}, nil
		}
		return nil, errors.New("it is an address of the other family")
	case dnsmessage.TypeCNAME:
		n, err := name(text)
		return &dnsmessage.CNAMEResource{CNAME: n}, err
	case dnsmessage.TypeNS:
		n, err := name(text)
		return &dnsmessage.NSResource{NS: n}, err
	case dnsmessage.TypePTR:
		n, err := name(text)
		return &dnsmessage.PTRResource{PTR: n}, err
	case dnsmessage.TypeTXT:
		const most = 255 // bytes of one string, RFC 1035, 3.3
		var parts []string
		for ; len(text) > most; text = text[most:] {
			parts = append(parts, text[:most])
		}
		return &dnsmessage.TXTResource{TXT: append(parts, text)}, nil
	case dnsmessage.TypeMX:
		var r dnsmessage.MXResource
		var host string
		if _, err := fmt.Sscan(text, &r.Pref, &host); err != nil {
			return nil, errors.New("want a preference and a name, such as `10 mail.example`")
		}
		var err error
		r.MX, err = name(host)
		return &r, err
	}
	var r dnsmessage.SRVResource
	var host string
	if _, err := fmt.Sscan(text, &r.Priority, &r.Weight, &r.Port, &host); err != nil {
		return nil, errors.New("want priority, weight, port and name, such as `0 5 5060 sip.example`")
	}
	var err error
	r.Target, err = name(host)
	return &r, err
}
