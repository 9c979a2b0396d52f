package probe

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
)

// lacking says what of want is not in got, both as package json decodes them; ""
// if all is: of an object every key, of a list every item, in any order, each
// held against an item of its own. path names got, as JSONPath does.
func lacking(got, want any, path string) string {
	switch want := want.(type) {
	case map[string]any:
		m, ok := got.(map[string]any)
		if !ok {
			break
		}
		for _, key := range slices.Sorted(maps.Keys(want)) {
			value, has := m[key]
			if !has {
				return fmt.Sprintf("the output has no %s.%s", path, key)
			}
			if lack := lacking(value, want[key], path+"."+key); lack != "" {
				return lack
			}
		}
		return ""
	case []any:
		list, ok := got.([]any)
		if !ok {
			break
		}
		return lackingItem(list, want, path)
	default:
		if got == want {
			return ""
		}
	}
	return fmt.Sprintf("%s is %s, want %s", path, jsonText(got), jsonText(want))
}

// lackingItem says which wanted item no item of a list is. Items are paired as
// in a matching of a bipartite graph, along augmenting paths: the first that
// would do may be needed for another one.
func lackingItem(list, want []any, path string) string {
	owner := make([]int, len(list)) // of each item the wanted one, from 1
	var place func(w int, tried []bool) bool
	place = func(w int, tried []bool) bool {
		for i, item := range list {
			if tried[i] || lacking(item, want[w], "") != "" {
				continue
			}
			tried[i] = true
			if owner[i] == 0 || place(owner[i]-1, tried) {
				owner[i] = w + 1
				return true
			}
		}
		return false
	}
	for w := range want {
		if place(w, make([]bool, len(list))) {
			continue
		}
		if len(list) == 1 && len(want) == 1 {
			return lacking(list[0], want[0], path+"[0]")
		}
		return fmt.Sprintf("no item of %s has %s", path, jsonText(want[w]))
	}
	return ""
}

// jsonText is a value in a message, cut off where it is long.
func jsonText(v any) string {
	const most = 200
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	if len(b) > most {
		return string(b[:most]) + "…"
	}
	return string(b)
}
