package main

import (
	"os"

	"gopkg.in/yaml.v3"
)

// yamlVerb makes this program the base that `nslab validate` is compared with.
const yamlVerb = "unmarshal"

// unmarshal does what no reader of YAML with positions can do without.
func unmarshal(file string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var node yaml.Node
	return yaml.Unmarshal(text, &node)
}
