package topology

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"
)

// TestSchemaAccepts checks that what Parse accepts is valid by the schema.
func TestSchemaAccepts(t *testing.T) {
	s := readSchema(t)
	n := 0
	for name, data := range topologies(t) {
		if _, err := Parse(name, data); err != nil {
			if strings.HasPrefix(name, "../labs/") {
				t.Error(err)
			}
			continue
		}
		n++
		if err := validate(s, decoded(t, data), ""); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if n < 10 {
		t.Errorf("only %d topologies were looked at", n)
	}
}

// TestSchemaRefuses checks that mistakes in keys and types do not pass.
func TestSchemaRefuses(t *testing.T) {
	s := readSchema(t)
	for _, text := range []string{
		"nodes: {}",
		"{name: a, node: {}}",
		"{name: A}",
		"{name: a, routing: shrotest}",
		"{name: a, nodes: []}",
		"{name: a, nodes: {h1: {knid: host}}}",
		"{name: a, nodes: {h1: {impair: []}}}",
		"{name: a, nodes: {h1: {isolate: [net]}}}",
		"{name: a, nodes: {h1: {isolate: {time: {realtime: 1s}}}}}",
		"{name: a, nodes: {h1: {limits: {memory: 256M}}}}",
		"{name: a, nodes: {h1: {files: {/etc/motd: {contents: x}}}}}",
		"{name: a, nodes: {h1: {run: [{name: web}]}}}",
		"{name: a, nodes: {h1: {run: [{command: web, restart: never}]}}}",
		"{name: a, nodes: {h1: {run: [{command: web, ready: {udp: 53}}]}}}",
		"{name: a, nodes: {h1: {kind: hots}}}",
		"{name: a, nodes: {h1: {interfaces: {eth0: {mtu: 67}}}}}",
		"{name: a, nodes: {h1: {interfaces: {eth0: {type: vlan}}}}}",
		"{name: a, nodes: {h1: {interfaces: {eth0: {mac: 02}}}}}",
		"{name: a, nodes: {h1: {routes: [{too: default}]}}}",
		"{name: a, nodes: {h1: {neighbors: [{adr: 10.0.0.1}]}}}",
		"{name: a, links: [[a]]}",
		"{name: a, links: [{mtu: 1500}]}",
		"{name: a, links: [{endpoints: [a, b], delay: 10ms}]}",
		"{name: a, tests: [{count: 1}]}",
		"{name: a, tests: [{ping: a -> b, tcp: a -> b}]}",
		"{name: a, tests: [{ping: a b}]}",
		"{name: a, tests: [{ping: a -> b, timeout: 5}]}",
	} {
		if err := validate(s, decoded(t, []byte(text)), ""); err == nil {
			t.Errorf("%s passes", text)
		}
		if _, err := Parse("f", []byte(text)); err == nil {
			t.Errorf("%s parses", text)
		}
	}
}

func readSchema(t *testing.T) map[string]any {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(Schema()))
	var s map[string]any
	if err := d.Decode(&s); err != nil {
		t.Fatal(err)
	}
	if s["$schema"] != "https://json-schema.org/draft/2020-12/schema" {
		t.Error("the schema does not name its draft")
	}
	return s
}

func decoded(t *testing.T, data []byte) any {
	t.Helper()
	var v any
	if err := yaml.Unmarshal(data, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

// validate checks a value by those words of JSON Schema that Schema uses, and
// refuses others.
func validate(s map[string]any, v any, path string) error {
	for word, arg := range s {
		var err error
		switch word {
		case "$schema", "title", "description":
		case "type":
			err = validateType(arg, v)
		case "enum":
			if !slices.ContainsFunc(arg.([]any), func(e any) bool { return e == v }) {
				err = fmt.Errorf("%v is none of %v", v, arg)
			}
		case "pattern":
			if text, is := v.(string); is && !regexp.MustCompile(arg.(string)).MatchString(text) {
				err = fmt.Errorf("%q does not match %s", text, arg)
			}
		case "minLength":
			if text, is := v.(string); is && float64(len(text)) < arg.(float64) {
				err = fmt.Errorf("%q is too short", text)
			}
		case "minimum":
			if n, is := v.(int); is && float64(n) < arg.(float64) {
				err = fmt.Errorf("%d is too small", n)
			}
		case "maximum":
			if n, is := v.(int); is && float64(n) > arg.(float64) {
				err = fmt.Errorf("%d is too large", n)
			}
		case "minItems":
			if list, is := v.([]any); is && float64(len(list)) < arg.(float64) {
				err = fmt.Errorf("%d items are too few", len(list))
			}
		case "maxItems":
			if list, is := v.([]any); is && float64(len(list)) > arg.(float64) {
				err = fmt.Errorf("%d items are too many", len(list))
			}
		case "items":
			list, _ := v.([]any)
			for i, item := range list {
				if err := validate(arg.(map[string]any), item, fmt.Sprintf("%s[%d]", path, i)); err != nil {
					return err
				}
			}
		case "anyOf", "oneOf":
			err = validateSome(word, arg.([]any), v, path)
		case "required":
			if m, is := v.(map[string]any); is {
				for _, key := range arg.([]any) {
					if _, has := m[key.(string)]; !has {
						err = fmt.Errorf("%s is missing", key)
					}
				}
			}
		case "properties", "additionalProperties":
			err = validateKeys(s, v, path)
		default:
			err = fmt.Errorf("the schema has the word %s", word)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
	}
	return nil
}

func validateSome(word string, of []any, v any, path string) error {
	valid := 0
	var last error
	for _, s := range of {
		if last = validate(s.(map[string]any), v, path); last == nil {
			valid++
		}
	}
	if valid == 0 || word == "oneOf" && valid != 1 {
		return fmt.Errorf("valid by %d of %s: %v", valid, word, last)
	}
	return nil
}

func validateKeys(s map[string]any, v any, path string) error {
	m, is := v.(map[string]any)
	if !is {
		return nil
	}
	known, _ := s["properties"].(map[string]any)
	for key, value := range m {
		of, is := known[key]
		if !is {
			if of = s["additionalProperties"]; of == nil {
				continue
			}
		}
		if of == false {
			return fmt.Errorf("unknown key %s", key)
		}
		if err := validate(of.(map[string]any), value, path+"."+key); err != nil {
			return err
		}
	}
	return nil
}

func validateType(arg, v any) error {
	names, is := arg.([]any)
	if !is {
		names = []any{arg}
	}
	for _, name := range names {
		ok := false
		switch v.(type) {
		case nil:
			ok = name == "null"
		case string:
			ok = name == "string"
		case bool:
			ok = name == "boolean"
		case int:
			ok = name == "integer" || name == "number"
		case float64:
			ok = name == "number"
		case []any:
			ok = name == "array"
		case map[string]any:
			ok = name == "object"
		}
		if ok {
			return nil
		}
	}
	return fmt.Errorf("%v is not of type %v", v, arg)
}
