package transport

import (
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/99designs/gqlgen/graphql"
)

// readMap reads the part "map", {"0": ["variables.files.0"]}, and returns for each file
// a function that sets the variable of the file. Every path must lead to a null, and
// two files must not have the same path.
func readMap(document []byte, variables map[string]any, maxFiles int) (map[string]func(graphql.Upload), error) {
	var paths map[string][]string
	if err := json.Unmarshal(document, &paths); err != nil || paths == nil {
		return nil, badRequest(`the part "map" must be a JSON object that gives each file a list of one path, such as {"0": ["variables.file"]}`)
	}
	if len(paths) > maxFiles {
		return nil, tooLarge("the map has %d files: the limit is %d", len(paths), maxFiles)
	}
	setters := make(map[string]func(graphql.Upload), len(paths))
	used := make(map[string]bool, len(paths))
	for _, name := range slices.Sorted(maps.Keys(paths)) {
		if len(paths[name]) != 1 {
			return nil, badRequest("the map gives a file %d paths: it must be one", len(paths[name]))
		}
		path := paths[name][0]
		set, err := findVariable(variables, path)
		if err != nil {
			return nil, err
		}
		if used[path] {
			return nil, badRequest("the map gives two files the same path")
		}
		used[path] = true
		setters[name] = set
	}
	return setters, nil
}

// findVariable returns a function that sets the variable at path: "variables", then keys
// of objects and indices of lists, joined by dots. Each variable has exactly one
// path.
func findVariable(variables map[string]any, path string) (func(graphql.Upload), error) {
	wrong := badRequest("a path of the map does not lead to a null among the variables: write it as variables.files.0")
	root, rest, deeper := strings.Cut(path, ".")
	if root != "variables" || !deeper {
		return nil, wrong
	}
	var current any = variables
	var set func(graphql.Upload)
	for step := range strings.SplitSeq(rest, ".") {
		switch parent := current.(type) {
		case map[string]any:
			child, ok := parent[step]
			if !ok {
				return nil, wrong
			}
			current, set = child, func(file graphql.Upload) { parent[step] = file }
		case []any:
			i, err := strconv.Atoi(step)
			if err != nil || i < 0 || i >= len(parent) || strconv.Itoa(i) != step {
				return nil, wrong
			}
			current, set = parent[i], func(file graphql.Upload) { parent[i] = file }
		default:
			return nil, wrong
		}
	}
	if current != nil {
		return nil, wrong
	}
	return set, nil
}
