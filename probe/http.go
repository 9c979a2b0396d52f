package probe

import (
	"bufio"
	"cmp"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"nslab/topology"
)

// maxBody is how much of a body is read and searched, in bytes.
const maxBody = 1 << 20

// web is what the verb http asks for. Redirections are not followed: they are
// answers.
type web struct {
	status  int
	body    *regexp.Regexp // nil: anything
	headers []wantedHeader
}

type wantedHeader struct {
	name  string
	value *regexp.Regexp
}

// newHTTP is the verb http: a stream to a server that has to be there, or that
// the test serves itself.
func newHTTP(r *runner, t *topology.Test) (verb, error) {
	w := &web{status: t.Status}
	var err error
	if t.Body != "" {
		if w.body, err = regexp.Compile("(?m)" + t.Body); err != nil {
			return nil, err
		}
	}
	for _, h := range t.Headers {
		value, err := regexp.Compile("(?m)" + h.Value)
		if err != nil {
			return nil, err
		}
		w.headers = append(w.headers, wantedHeader{h.Name, value})
	}
	s := newStream(r, t)
	s.tcp, s.serve, s.ask = true, cmp.Or(t.Listen, new(bool)), w.ask
	s.service = service{talk: w.talk}
	return s, nil
}

// talk is the test's own server: it answers one request with the status that is
// wanted, and tells in the body what it saw of the request.
func (w *web) talk(conn io.ReadWriter, from netip.AddrPort) {
	request, err := http.ReadRequest(bufio.NewReader(conn))
	if err != nil {
		return // a connection without a request
	}
	body := fmt.Sprintf("%s %s\nhost %s\nfrom %s\n", request.Method, request.RequestURI, request.Host, from.Addr())
	answer := &http.Response{
		StatusCode: w.status, ProtoMajor: 1, ProtoMinor: 1, Request: request, Close: true,
		Header:        http.Header{"Server": {"nslab"}, "Content-Type": {"text/plain; charset=utf-8"}},
		ContentLength: int64(len(body)), Body: io.NopCloser(strings.NewReader(body)),
	}
	if w.status < 200 || w.status == http.StatusNoContent || w.status == http.StatusNotModified {
		answer.ContentLength, answer.Body = 0, nil // RFC 9110, 6.4.1
	}
	answer.Write(conn) // the client sees if it fails
}

// ask sends one request over a connection and judges its answer.
func (w *web) ask(c *client) result {
	began := time.Now()
	to, err := url.ParseRequestURI(c.job.to.url)
	if err != nil {
		return broken("%v", err)
	}
	request := &http.Request{
		Method: http.MethodGet, URL: to, Host: c.job.webHost(), Close: true,
		Header: http.Header{"User-Agent": {"nslab"}},
	}
	if err := request.Write(c); err != nil {
		return c.unanswered("the connection was accepted, but sending failed: " + ioText(err))
	}
	response, err := http.ReadResponse(bufio.NewReader(c.file), request)
	if err != nil {
		return c.unanswered("the connection was accepted, but no answer of HTTP came: " + ioText(err))
	}
	defer response.Body.Close()
	rtt := time.Since(began)
	body, err := io.ReadAll(io.LimitReader(response.Body, maxBody))
	if err != nil {
		return c.unanswered("the body did not come whole: " + ioText(err))
	}
	if wrong := w.wrong(response, body); len(wrong) > 0 {
		return c.unanswered(strings.Join(wrong, "; "))
	}
	return result{seen: answered, rtt: rtt, what: "in " + rtt.Round(time.Microsecond).String()}
}

// webHost is the Host of a request: the node's name, or the address.
func (j *job) webHost() string {
	if j.to.node != nil {
		return fmt.Sprintf("%s:%d", j.to.node.name, j.to.port)
	}
	return netip.AddrPortFrom(j.to.addr.WithZone(""), uint16(j.to.port)).String()
}

// wrong says what of an answer is not as it should be.
func (w *web) wrong(r *http.Response, body []byte) []string {
	var wrong []string
	if r.StatusCode != w.status {
		wrong = append(wrong, fmt.Sprintf("the status is %s, want %d", printable(clipped(r.Status)), w.status))
	}
	for _, h := range w.headers {
		values := r.Header.Values(h.name)
		switch {
		case len(values) == 0:
			wrong = append(wrong, "there is no header "+h.name)
		case !slices.ContainsFunc(values, h.value.MatchString):
			wrong = append(wrong, fmt.Sprintf("the header %s is %q, want a match of %q", h.name, clipped(strings.Join(values, ", ")), trimFlags(h.value)))
		}
	}
	if w.body != nil && !w.body.Match(body) {
		wrong = append(wrong, fmt.Sprintf("the body %q does not match %q", clipped(string(body)), trimFlags(w.body)))
	}
	return wrong
}

func trimFlags(r *regexp.Regexp) string { return strings.TrimPrefix(r.String(), "(?m)") }

// clipped is as much of a text as a message shows.
func clipped(s string) string {
	const most = 200 // bytes
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}
