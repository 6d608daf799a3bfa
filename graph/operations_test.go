package graph

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/vektah/gqlparser/v2/ast"
	"pgregory.net/rapid"

	"tagma/graph/generated"
	"tagma/internal/base/page"
)

// drawing is an operation that is being made up.
type drawing struct {
	*rapid.T
	schema    *ast.Schema
	aliases   int
	fields    int // selected so far: a query may not be too long
	fragments []string
}

// The variables that an operation may use, and what it gives for them.
var offered = map[string]struct {
	of     string
	values []any
}{
	"yes":     {"Boolean!", []any{true, false}},
	"no":      {"Boolean = false", []any{false, true}},
	"variant": {"ImageVariant!", []any{"ORIGINAL", "THUMBNAIL", "THUMBNAIL_MINI"}},
	"filter":  {"AlgorithmFilter", []any{nil, map[string]any{}, map[string]any{"name": "det%"}, map[string]any{"name": `%"%`, "version": "1%"}, map[string]any{"name": `\`}}},
	"pattern": {"String", []any{nil, "detector", "%", "\\"}},
	"name":    {"String", []any{nil, "moth", odd[2], odd[5], odd[6]}},
	"first":   {"Int", []any{nil, 0, 1, 3, 100, 101, -1}},
	"keys": {"[ImageKey!]!", []any{
		[]any{}, []any{imageKey(0, 3)}, []any{imageKey(1, 3), imageKey(0, 5), imageKey(1, 3), imageKey(0, 77)}, []any{map[string]any{"device": "x", "takenAt": now}},
		[]any{imageKey(0, 0), imageKey(0, 1), imageKey(0, 2), imageKey(1, 5), imageKey(1, 4), imageKey(1, 2)},
	}},
	"end":   {"DateTime", []any{nil, taken(3), "2020-06-20T23:33:29+02:00", "2020"}},
	"every": {"Duration!", []any{"PT1M", "PT1H", "PT2M5S", "P1D", "PT1S"}},
	"prints": {"[ImageFingerprint!]!", []any{
		[]any{}, []any{print(0, 1, hashed)},
		[]any{print(1, 1, strings.ToUpper(hashed)), print(0, 77, hashed), print(0, 2, hashed), print(1, 1, hashed)},
		[]any{print(0, 1, "no hash")},
	}},
	"series": {"[SeriesInput!]!", []any{
		[]any{oneSeries("%", 0, 100)}, []any{oneSeries("0a%", 1, 5)}, []any{oneSeries("%", 2, 3), oneSeries("1b74105a", 0, 9)}, []any{}, []any{oneSeries(`\`, 0, 1)}, []any{oneSeries("%", 5, 0)},
	}},
}

func imageKey(device, n int) map[string]any {
	return map[string]any{"device": traps[device], "takenAt": taken(n)}
}

func print(device, n int, md5 string) map[string]any {
	return map[string]any{"device": traps[device], "takenAt": taken(n), "md5": md5}
}

func oneSeries(device string, from, to int) map[string]any {
	return map[string]any{"device": device, "start": taken(from), "end": taken(to)}
}

func drawOperation(r *rapid.T) operation {
	d := &drawing{T: r, schema: generated.NewExecutableSchema(generated.Config{}).Schema()}
	var body string
	for range rapid.IntRange(1, 2).Draw(r, "root fields") {
		body += " " + d.root()
	}
	query := " {" + body + " }" + strings.Join(d.fragments, "")
	var head []string
	for _, name := range slices.Sorted(maps.Keys(offered)) {
		if strings.Contains(query, "$"+name) {
			head = append(head, "$"+name+": "+offered[name].of)
		}
	}
	if head != nil {
		query = "(" + strings.Join(head, ", ") + ")" + query
	}
	return operation{query: "query" + query, variables: drawVariables(r, query)}
}

func drawVariables(r *rapid.T, query string) map[string]any {
	variables := map[string]any{}
	for _, name := range slices.Sorted(maps.Keys(offered)) {
		if !strings.Contains(query, "$"+name) {
			continue
		}
		if value := rapid.SampledFrom(offered[name].values).Draw(r, name); value != nil || rapid.Bool().Draw(r, "null") {
			variables[name] = value
		}
	}
	return variables
}

// chance is true once in so many times.
func (d *drawing) chance(of int) bool { return rapid.IntRange(1, of).Draw(d.T, "chance") == of }

func (d *drawing) pick(from ...string) string { return rapid.SampledFrom(from).Draw(d.T, "pick") }

// alias is a name for a field that no other has.
func (d *drawing) alias(name string) string {
	d.aliases++
	return fmt.Sprintf("%s%d: ", name, d.aliases)
}

func (d *drawing) root() string {
	name := d.pick("imageSeries", "imageSeries", "images", "image", "annotations", "annotationSeries", "activity", "diffImages", "devices", "devices", "device")
	var arguments string
	switch name {
	case "imageSeries", "annotationSeries":
		arguments = "series: $series"
		if d.chance(2) {
			arguments += ", first: " + d.pick("$first", "0", "2", "5", "null")
		} else if name == "imageSeries" && d.chance(2) {
			arguments += ", last: " + d.pick("0", "2", "5")
		}
		order := ""
		if name == "imageSeries" {
			order = d.pick("", "", "DEVICE_TIME", "TIME_DEVICE")
		}
		if order != "" {
			arguments += ", orderBy: " + order
		} else if d.chance(3) {
			key := page.Key{traps[0], int64(taken(2))}
			if name == "annotationSeries" {
				key = append(key, int64(3))
			}
			arguments += fmt.Sprintf(", %s: %q", "after", key.Cursor())
		}
		if name == "annotationSeries" {
			arguments += d.pick("", ", algorithm: $filter")
		}
	case "activity":
		arguments = "series: $series, every: " + d.pick("$every", `"PT2S"`, `"PT1M"`, `"PT1H"`) + d.pick("", ", algorithm: $filter")
	case "device":
		arguments = fmt.Sprintf("name: %q", d.pick(traps[0], strings.ToUpper(traps[1]), "00000000", "x"))
	case "devices":
		arguments = "match: " + d.pick(`"%"`, `"0A%"`, `"\\"`) + d.pick("", ", first: $first", ", first: 1", fmt.Sprintf(", after: %q", page.Key{traps[0]}.Cursor()))
	case "diffImages":
		arguments = "images: $prints"
	case "images":
		arguments = "keys: $keys"
	case "annotations":
		arguments = "images: $keys" + d.pick("", ", algorithm: $filter", ", algorithm: null")
	case "image":
		arguments = fmt.Sprintf("device: %q, takenAt: %q", d.pick(traps[0], strings.ToUpper(traps[1]), "00000000", "x"), taken(rapid.IntRange(0, 6).Draw(d.T, "number")))
	}
	return d.alias("root") + name + "(" + arguments + ")" + d.directives() +
		d.selections(d.schema.Query.Fields.ForName(name).Type.Name(), 1)
}

func (d *drawing) directives() string {
	if !d.chance(8) {
		return ""
	}
	return d.pick(" @skip(if: $no)", " @include(if: $yes)", " @include(if: true)", " @skip(if: true)",
		" @skip(if: $no) @include(if: $yes)")
}

// expected are the fields that are drawn. Of others each has a few.
var expected = map[string][]string{
	"User": {"id", "username"},
}

func (d *drawing) selections(of string, depth int) string {
	var all []string
	for range rapid.IntRange(1, min(5, max(1, 30-d.fields))).Draw(d.T, "fields") {
		all = append(all, d.selection(of, depth))
	}
	return " { " + strings.Join(all, " ") + " }"
}

func (d *drawing) selection(of string, depth int) string {
	if d.fields++; d.fields > 40 {
		depth = 100
	}
	switch definition := d.schema.Types[of]; {
	case depth < 9 && d.chance(9):
		return "... on " + of + d.directives() + d.selections(of, depth+1)
	case depth < 9 && d.chance(12):
		return "..." + d.directives() + d.selections(of, depth+1)
	case depth < 9 && d.chance(12) && slices.Contains(definition.Interfaces, "Node"):
		return "... on Node" + d.directives() + " { " + d.pick("id", d.alias("id")+"id", "__typename id") + " }"
	case depth < 9 && d.chance(12):
		selections := d.selections(of, depth+1)
		name := fmt.Sprintf("F%d", len(d.fragments))
		d.fragments = append(d.fragments, " fragment "+name+" on "+of+selections)
		return "..." + name + d.directives() + d.pick("", " ..."+name)
	case d.chance(10):
		return d.pick("", d.alias("t")) + "__typename"
	}
	return d.field(of, depth)
}

func (d *drawing) field(of string, depth int) string {
	names := expected[of]
	if names == nil || d.chance(40) {
		names = nil
		for _, field := range d.schema.Types[of].Fields {
			left := of == "User" || of == "ImageDiff" && field.Name == "image"
			if leaf := d.schema.Types[field.Type.Name()].IsLeafType(); !strings.HasPrefix(field.Name, "__") && (leaf || depth < 7) && (!left || d.chance(20)) {
				names = append(names, field.Name)
			}
		}
	}
	if names == nil {
		return "__typename"
	}
	name := d.pick(names...)
	definition := d.schema.Types[of].Fields.ForName(name)
	arguments := ""
	switch of + "." + name {
	case "Image.file":
		arguments = d.pick("", "(variant: $variant)", "(variant: THUMBNAIL)")
	case "Image.annotations":
		arguments = d.pick("", "(algorithm: $filter)", "(algorithm: null)", `(algorithm: {name: "det%"})`,
			`(algorithm: {name: $pattern, version: "%"})`)
	case "Device.images":
		arguments = d.pick("", "(first: $first)", "(first: 2)", "(first: 0)", fmt.Sprintf("(after: %q)", page.Key{int64(taken(1))}.Cursor()), `(after: "x")`,
			fmt.Sprintf("(start: %q, end: $end)", taken(2)), fmt.Sprintf("(end: %q, first: 1)", taken(4)), `(start: null, first: 3)`)
	case "Annotation.objects":
		arguments = d.pick("", "(name: $name)", `(name: "moth")`, "(name: null)")
	}
	alias := ""
	if arguments != "" || d.chance(5) {
		alias = d.alias("a") // so that fields with other arguments do not meet
	}
	if d.schema.Types[definition.Type.Name()].IsLeafType() {
		return alias + name + arguments + d.directives()
	}
	if depth >= 9 {
		return "__typename"
	}
	if of == "Annotation" && name == "objects" && d.chance(2) {
		return alias + name + arguments + d.directives() + " { name contour fillColour strokeColour value boundingBox { x y width height } area" + d.pick("", " score attributes", " score") + " }"
	}
	return alias + name + arguments + d.directives() + d.selections(definition.Type.Name(), depth+1)
}
