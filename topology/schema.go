package topology

import (
	"bytes"
	"encoding/json"
	"maps"
)

// schema is a JSON Schema, or a part of one.
type schema map[string]any

// Parts of which the tables of keys are made. Booleans take on and off, and
// texts may look like numbers: editors that go by YAML 1.2 read them as such.
var (
	textSchema     = schema{"type": []string{"string", "number"}}
	scalarSchema   = schema{"type": []string{"string", "number", "boolean"}}
	nullSchema     = schema{"type": "null"}
	boolSchema     = schema{"enum": []any{true, false, "on", "off", "yes", "no"}}
	nameSchema     = schema{"type": []string{"string", "number"}, "minLength": 1, "description": "Name of an interface."}
	addressSchema  = pattern(`^[0-9A-Fa-f:.\[\],-]+$`)
	macSchema      = pattern(`^([0-9A-Fa-f]{2}[:-]){5}[0-9A-Fa-f]{2}$`)
	durationSchema = pattern(`^([0-9.]+(ns|us|µs|ms|s|m|h))+$|^0$`)
	tableSchema    = anyOf(between(1, maxUint32), textSchema)
	subnetSchema   = listOrOne(schema{"type": "string", "description": "A prefix, or auto."})
	pairSchema     = schema{"type": "array", "items": textSchema, "minItems": 2, "maxItems": 2}
)

func pattern(p string) schema { return schema{"type": "string", "pattern": p} }

func enum(words ...string) schema { return schema{"enum": words} }

func between(least, most int) schema {
	return schema{"type": "integer", "minimum": least, "maximum": most}
}

func listOf(item schema) schema { return schema{"type": []string{"array", "null"}, "items": item} }

func listOrOne(item schema) schema { return anyOf(item, listOf(item)) }

func mapOf(value schema) schema {
	return schema{"type": []string{"object", "null"}, "additionalProperties": value}
}

func anyOf(of ...schema) schema { return schema{"anyOf": of} }

// ofObject is the schema of a map with the keys of a table.
func ofObject[T any](o *object[T], required ...string) schema {
	s := schema{"type": "object", "properties": properties(o), "additionalProperties": false}
	if len(required) > 0 {
		s["required"] = required
	}
	return s
}

// properties are the keys of a table that this version supports.
func properties[T any](o *object[T]) schema {
	keys := schema{}
	for _, f := range o.fields {
		if f.schema != nil {
			key := maps.Clone(f.schema)
			key["description"] = f.doc
			keys[f.name] = key
		}
	}
	return keys
}

// testSchema is that of an item of `tests`: one verb, and the keys of all.
func testSchema() schema {
	words := listOrOne(textSchema)
	sides := anyOf(schema{"type": "string", "pattern": "->"}, schema{
		"type": "object", "properties": schema{"from": words, "to": words}, "required": []string{"from", "to"}, "additionalProperties": false,
	})
	keys := properties(testObject)
	var one []schema
	for _, v := range verbs {
		this := schema{"required": []string{v}}
		if v == UDP { // a key of bandwidth too
			this["properties"] = schema{UDP: sides}
			keys[v] = anyOf(sides, boolSchema)
		} else {
			keys[v] = sides
		}
		one = append(one, this)
	}
	keys[Exec] = words
	return schema{"type": "object", "properties": keys, "additionalProperties": false, "oneOf": one}
}

// Schema gives the JSON Schema (draft 2020-12) of the topology file, for editors
// that complete and check by one. It is made of the tables that Parse goes by;
// what only Parse and Resolve can know, such as the sense of addresses and
// names, it leaves to them.
func Schema() []byte {
	s := ofObject(fileObject, "name")
	s["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	s["title"] = "nslab topology"
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(s); err != nil {
		panic(err) // there is nothing in it that cannot be encoded
	}
	return b.Bytes()
}
