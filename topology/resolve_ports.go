package topology

import (
	neturl "net/url"
	"strconv"
	"strings"
)

// splitURL splits the URL of http into host with port, and path with query. It
// gives no path where there is a mistake.
func (s *testSides) splitURL(w Text) (host Text, url string) {
	rest, is := strings.CutPrefix(w.Value, "http://")
	if !is {
		hint := "write http://" + w.Value
		if strings.Contains(w.Value, "://") {
			hint = "only http:// is supported"
		}
		s.errorf(w.Pos, hint, "%q is not a URL such as http://b:8080/", w.Value)
		return w, ""
	}
	at := strings.IndexAny(rest, "/?")
	if at < 0 {
		return Text{w.Pos, rest}, "/"
	}
	url = rest[at:]
	if url[0] == '?' {
		url = "/" + url
	}
	if _, err := neturl.ParseRequestURI(url); err != nil {
		s.errorf(w.Pos, "escape what is not allowed in it, as %20 for a space", "%q is not a URL such as http://b:8080/", w.Value)
		return w, ""
	}
	return Text{w.Pos, rest[:at]}, url
}

// defaultPorts are those of the verbs whose target need not say one.
var defaultPorts = map[string]int{HTTP: 80, DNS: 53}

// splitPort takes the port off a word, and checks that there is one where there
// must be and none elsewhere.
func (s *testSides) splitPort(w Text, target bool) (word string, port int, ok bool) {
	word, number, has := cutPort(w.Value)
	standard := defaultPorts[s.test.Verb]
	needs := target && (s.test.Verb == TCP || s.test.Verb == UDP || standard != 0)
	if has && !needs {
		// An interface may have a number as its name.
		if at, found := s.resolver.byName[word]; found {
			if _, is := s.find(&s.nodes[at], number); is {
				return w.Value, 0, true
			}
		}
		what := "who sends"
		if target {
			what = "the target of " + s.test.Verb
		}
		s.errorf(w.Pos, "write "+word, "%q: %s has no port", w.Value, what)
		return "", 0, false
	}
	if !needs {
		return word, 0, true
	}
	if !has && standard != 0 {
		return word, standard, true
	}
	if !has {
		example := word + ":80"
		if strings.Contains(word, "::") {
			example = "[" + word + "]:80"
		}
		s.errorf(w.Pos, "write "+example, "%q: %s needs a port", w.Value, s.test.Verb)
		return "", 0, false
	}
	port, err := strconv.Atoi(number)
	if err != nil || port < 1 || port > 65535 {
		s.errorf(w.Pos, "", "%q: a port is 1 to 65535", w.Value)
		return "", 0, false
	}
	return word, port, true
}

// cutPort cuts :PORT off, where there is one. An IPv6 address with a port is in
// brackets.
func cutPort(w string) (word, port string, has bool) {
	if inner, is := strings.CutPrefix(w, "["); is {
		word, rest, closed := strings.Cut(inner, "]")
		if port, has = strings.CutPrefix(rest, ":"); closed && (has || rest == "") {
			return word, port, has
		}
		return w, "", false
	}
	if _, is := literal(w); is {
		return w, "", false
	}
	at := strings.LastIndexByte(w, ':')
	if at < 0 || at+1 == len(w) || strings.Trim(w[at+1:], "0123456789") != "" {
		return w, "", false
	}
	return w[:at], w[at+1:], true
}
