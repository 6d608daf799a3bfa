package transport

import (
	"bytes"
	"encoding/json"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/99designs/gqlgen/graphql"
)

// readMap reads the part "map", {"0": ["variables.files.0"]}, and returns for each file
// a function that sets the variables of the file. Every path must lead to a null, and
// no two paths may be the same. maxFiles bounds the files and the paths, because a
// resolver reads the file of each path.
func readMap(document []byte, variables map[string]any, maxFiles int) (map[string]func(graphql.Upload), error) {
	var paths map[string][]string
	if err := json.Unmarshal(document, &paths); err != nil || paths == nil {
		return nil, badRequest(`the part "map" must be a JSON object that gives each file a list of paths, such as {"0": ["variables.file"]}`)
	}
	if len(paths) > maxFiles {
		return nil, tooLarge("the map has %d files: the limit is %d", len(paths), maxFiles)
	}
	setters := make(map[string]func(graphql.Upload), len(paths))
	used := make(map[string]bool, len(paths))
	for _, name := range slices.Sorted(maps.Keys(paths)) {
		if len(paths[name]) == 0 {
			return nil, badRequest("the map gives a file 0 paths: give at least one, such as variables.file")
		}
		var set []func(graphql.Upload)
		for _, path := range paths[name] {
			setOne, err := findVariable(variables, path)
			if err != nil {
				return nil, err
			}
			if used[path] {
				return nil, badRequest("the map has the same path twice: each null takes one file")
			}
			used[path] = true
			if len(used) > maxFiles {
				return nil, tooLarge("the map has more than %d paths, the limit", maxFiles)
			}
			set = append(set, setOne)
		}
		setters[name] = setAll(set)
	}
	return setters, nil
}

// setAll returns a function that sets several variables to the same file. Each
// variable gets a File with an offset of its own.
func setAll(set []func(graphql.Upload)) func(graphql.Upload) {
	return func(upload graphql.Upload) {
		file := upload.File
		for n, setOne := range set {
			if n > 0 {
				upload.File = another(file, upload.Size)
			}
			setOne(upload)
		}
	}
}

// another returns a file of the spool with an offset of its own.
func another(file io.ReadSeeker, size int64) io.ReadSeeker {
	switch file := file.(type) {
	case memoryFile:
		return memoryFile{bytes.NewReader(file.content), file.content}
	case io.ReaderAt:
		return io.NewSectionReader(file, 0, size)
	}
	return file
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
