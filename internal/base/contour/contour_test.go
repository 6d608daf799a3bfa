package contour

import (
	"encoding/json"
	"math"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// decode is JSON as a request brings it: numbers as they were written.
func decode(t testing.TB, text string) any {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		t.Fatal(err)
	}
	return v
}

func TestParse_BothNestingsAreTheSamePolygon(t *testing.T) {
	want := Polygon{{0, 0}, {10, 0.5}, {-3, 1e3}}
	for _, text := range []string{
		`[[0,0],[10,0.5],[-3,1e3]]`,
		`[[[0,0]],[[10,0.5]],[[-3,1000]]]`,
		`[[0,0],[[10,0.5]],[-3,1000.0]]`,
	} {
		if got, err := Parse(decode(t, text)); err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: got %v, error %v, want %v", text, got, err, want)
		}
	}
	literals := []any{[]any{int64(0), 0}, []any{int64(10), 0.5}, []any{-3, 1000.0}}
	if got, err := Parse(literals); err != nil || !slices.Equal(got, want) {
		t.Errorf("as a query's literals: %v, %v", got, err)
	}
}

func TestParse_RefusesWhatIsNoPolygonAndSaysWhere(t *testing.T) {
	for text, want := range map[string]string{
		`null`:                                "is null: a contour is a list of vertices",
		`7`:                                   "is a number: a contour is a list of vertices",
		`true`:                                "is a boolean: ",
		`{}`:                                  "is an object: a contour is a list of vertices",
		`{"counts":"a","size":[1,2]}`:         "is a mask in COCO's run-length form",
		`{"type":"Polygon","coordinates":[]}`: "is a GeoJSON object",
		`"[[0,0],[1,0],[0,1]]"`:               "is a string: a contour is a list of vertices",
		`[]`:                                  "at least 3 vertices, this one has 0",
		`[[0,0],[1,1]]`:                       "this one has 2",
		`[0,0,1,1]`:                           "is a flat list of numbers, as COCO writes",
		`[[0,0,1,0,1,1]]`:                     "has a flat list of 6 numbers, as COCO writes",
		`[[0,0,1,0,1,1],[5,5,6,5,6,6]]`:       "each further part as an object of its own",
		`[[[0,0],[1,0],[0,1]]]`:               "is a list of one ring",
		`[[[0,0],[9,0],[0,9]],[[1,1],[2,1],[1,2]]]`: "has 2 rings: an outline has no holes",
		`[[[[0,0]],[[9,0]],[[0,9]]]]`:               "is a list of one ring",
		`[[0,0],[1,0],[0]]`:                         "vertex 2 is not a pair [x, y]: its length is 1",
		`[[0,0],[1,0],[0,1,2]]`:                     "vertex 2 is not a pair [x, y]: its length is 3",
		`[[0,0],[1,0],{"x":0,"y":1}]`:               "vertex 2 is an object, not a pair",
		`[[0,0],[1,0],7]`:                           "vertex 2 is a number, not a pair",
		`[[0,0],[[1,0],[2,0]],[0,1]]`:               "vertex 1 has a list as a coordinate",
		`[[0,0],[[[1,0]]],[0,1]]`:                   "vertex 1 is not a pair",
		`[[0,0],[1,"0"],[0,1]]`:                     "vertex 1 has a string as a coordinate: a coordinate is a number of pixels",
		`[[0,0],[1,null],[0,1]]`:                    "has null as a coordinate",
		`[[0,0],[1,true],[0,1]]`:                    "has a boolean as a coordinate",
		`[[0,0],[1,1e400],[0,1]]`:                   "not a finite number",
		`[[0,0],[1,-1e400],[0,1]]`:                  "not a finite number",
		`[[0,0],[1,-1e10],[0,1]]`:                   "not a finite number",
	} {
		if _, err := Parse(decode(t, text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got error %v, want one that contains %q", text, err, want)
		}
	}
	for _, n := range []float64{math.NaN(), math.Inf(1), math.Inf(-1)} {
		if _, err := Parse([]any{[]any{0.0, 0.0}, []any{1.0, n}, []any{0.0, 1.0}}); err == nil {
			t.Errorf("%g is taken", n)
		}
	}
	many := make([]any, MaxVertices+1)
	if _, err := Parse(many); err == nil || !strings.Contains(err.Error(), "at most") {
		t.Errorf("too many vertices: %v", err)
	}
}

func TestCheck_RefusesAPolygonWithoutAnInterior(t *testing.T) {
	for text, want := range map[string]string{
		`[[7,8],[7,8],[7,8]]`:                               "has 3 vertices at one point",
		`[[7,8],[7,8],[9,8]]`:                               "has 3 vertices on one line",
		`[[0,0],[1,1],[2,2],[1,1]]`:                         "has 4 vertices on one line",
		`[[[0.1,0.1]],[[0.2,0.2]],[[0.3,0.3]]]`:             "has 3 vertices on one line",
		`[[2000.1,1000.1],[2000.4,1000.7],[2000.3,1000.5]]`: "has 3 vertices on one line",
	} {
		if _, err := NewInput(decode(t, text)).Check(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got error %v, want one that contains %q", text, err, want)
		}
		if _, err := Parse(decode(t, text)); err != nil { // older servers stored such contours
			t.Errorf("parsing the stored contour %s: got error %v, want none", text, err)
		}
	}
	for _, text := range []string{
		`[[0,0],[1000,0],[500,0.001]]`, `[[7,8],[7,8],[9,8],[7,9]]`, `[[0,0],[1,1],[1,0],[0,1]]`, `[[0,0],[1e-6,0],[0,1e-6]]`,
		`[[1e8,1e8],[100000001,1e8],[100000001,100000001]]`,
	} {
		if _, err := NewInput(decode(t, text)).Check(); err != nil {
			t.Errorf("%s: got error %v, want none", text, err)
		}
	}
}

func TestBoxAndArea_HaveNoBinaryNoise(t *testing.T) {
	for text, want := range map[string]string{
		`[[13.3,7.1],[409.1,7.1],[409.1,8.2],[13.3,8.2]]`:               "[13.3,7.1,395.8,1.1] 435.38",
		`[[100.1,200.2],[122.1,200.2],[122.1,218.2],[100.1,218.2]]`:     "[100.1,200.2,22,18] 396",
		`[[-0.3,0.1],[0.6,0.1],[0.6,0.7]]`:                              "[-0.3,0.1,0.9,0.6] 0.27",
		`[[2591.999,1943.001],[2592.003,1943.001],[2592.003,1943.006]]`: "[2591.999,1943.001,0.004,0.005] 0.00001",
		`[[0,0],[3,0],[3,1.5]]`:                                         "[0,0,3,1.5] 2.25",
		`[[1,2],[30,2],[30,40.5]]`:                                      "[1,2,29,38.5] 558.25",
		`[[0,0],[123456789,0],[123456789,3]]`:                           "[0,0,123456789,3] 185185183.5",
	} {
		polygon, err := NewInput(decode(t, text)).Check()
		if err != nil {
			t.Fatal(err)
		}
		got := []byte{'['}
		for n, v := range polygon.Box() {
			if n > 0 {
				got = append(got, ',')
			}
			got = AppendNumber(got, v)
		}
		got = AppendNumber(append(got, "] "...), polygon.Area())
		if string(got) != want {
			t.Errorf("box and area of %s: got %s, want %s", text, got, want)
		}
	}
	third := Polygon{{100.0 / 3, 50}, {100.0/3 + 22, 50}, {100.0/3 + 22, 68}, {100.0 / 3, 68}}
	if box := third.Box(); box[2] != 22 || third.Area() != 396 {
		t.Errorf("a rectangle from 100/3 on: got width %v and area %v, want 22 and 396", box[2], third.Area())
	}
}

func TestBoxAndArea_OfShapesThatAreKnown(t *testing.T) {
	circle := make(Polygon, 10_000)
	for n := range circle {
		sin, cos := math.Sincos(2 * math.Pi * float64(n) / float64(len(circle)))
		circle[n] = Point{1000 + 10*cos, 2000 + 10*sin}
	}
	for name, c := range map[string]struct {
		polygon Polygon
		box     [4]float64
		area    float64
	}{
		"a rectangle":                {Polygon{{1, 2}, {5, 2}, {5, 12}, {1, 12}}, [4]float64{1, 2, 4, 10}, 40},
		"the other way round":        {Polygon{{1, 12}, {5, 12}, {5, 2}, {1, 2}}, [4]float64{1, 2, 4, 10}, 40},
		"a triangle":                 {Polygon{{0, 0}, {4, 0}, {0, 3}}, [4]float64{0, 0, 4, 3}, 6},
		"an L":                       {Polygon{{0, 0}, {3, 0}, {3, 1}, {1, 1}, {1, 3}, {0, 3}}, [4]float64{0, 0, 3, 3}, 5},
		"a line":                     {Polygon{{0, 0}, {1, 1}, {2, 2}}, [4]float64{0, 0, 2, 2}, 0},
		"one point":                  {Polygon{{7, 8}, {7, 8}, {7, 8}}, [4]float64{7, 8, 0, 0}, 0},
		"an eight, whose halves are": {Polygon{{0, 0}, {1, 1}, {1, 0}, {0, 1}}, [4]float64{0, 0, 1, 1}, 0},
		"beyond the edge":            {Polygon{{-2, -2}, {2, -2}, {2, 2}, {-2, 2}}, [4]float64{-2, -2, 4, 4}, 16},
		"a circle":                   {circle, [4]float64{990, 1990, 20, 20}, math.Pi * 100},
		"small and far away":         {Polygon{{1e8, 1e8}, {1e8 + 1, 1e8}, {1e8 + 1, 1e8 + 1}}, [4]float64{1e8, 1e8, 1, 1}, 0.5},
	} {
		box := c.polygon.Box()
		for i := range box {
			if math.Abs(box[i]-c.box[i]) > 1e-9 {
				t.Errorf("%s: the box is %v, want %v", name, box, c.box)
				break
			}
		}
		if area := c.polygon.Area(); math.Abs(area-c.area) > 1e-4 {
			t.Errorf("%s: the area is %v, want %v", name, area, c.area)
		}
	}
}

// A star around its middle is cut into triangles from there, and their areas
// added by Heron's formula, which shares nothing with the shoelace's.
func TestArea_OfAStarIsThatOfItsTriangles(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		x, y := rapid.Float64Range(-1e4, 1e4).Draw(r, "x"), rapid.Float64Range(-1e4, 1e4).Draw(r, "y")
		corners := rapid.IntRange(3, 40).Draw(r, "corners")
		star := make(Polygon, corners)
		for n := range star {
			radius := rapid.Float64Range(1, 1000).Draw(r, "radius")
			sin, cos := math.Sincos(2 * math.Pi * float64(n) / float64(corners))
			star[n] = Point{x + radius*cos, y + radius*sin}
		}
		sum := 0.0
		for n, p := range star {
			q := star[(n+1)%corners]
			a, b, c := math.Hypot(p[0]-x, p[1]-y), math.Hypot(q[0]-x, q[1]-y), math.Hypot(p[0]-q[0], p[1]-q[1])
			half := (a + b + c) / 2
			sum += math.Sqrt(math.Max(0, half*(half-a)*(half-b)*(half-c)))
		}
		area := star.Area()
		if math.Abs(area-sum) > 1e-6*sum {
			r.Errorf("%v, its triangles have %v", area, sum)
		}
		// From whichever vertex it begins, and whichever way it goes.
		turn := rapid.IntRange(0, corners-1).Draw(r, "turn")
		turned := slices.Concat(star[turn:], star[:turn])
		slices.Reverse(turned)
		if other := turned.Area(); math.Abs(area-other) > 1e-9*area {
			r.Errorf("%v, turned %v", area, other)
		}
		if turned.Box() != star.Box() {
			r.Errorf("%v, turned %v", star.Box(), turned.Box())
		}
		for _, p := range star {
			if box := star.Box(); p[0] < box[0] || p[1] < box[1] || p[0] > box[0]+box[2]+1e-9 || p[1] > box[1]+box[3]+1e-9 {
				r.Errorf("%v is outside %v", p, box)
			}
		}
	})
}

func checkNumber(t interface {
	Helper()
	Errorf(string, ...any)
}, n float64) {
	t.Helper()
	text := string(AppendNumber([]byte("x"), n))
	want, err := json.Marshal(n)
	if err != nil || text != "x"+string(want) {
		t.Errorf("%g is written as %s, encoding/json writes %s (%v)", n, text, want, err)
	}
	if n == math.Trunc(n) && math.Abs(n) < 1e21 && strings.ContainsAny(text, ".e") {
		t.Errorf("the whole number %g is written as %s", n, text)
	}
}

func TestAppendNumber_WritesHugeTinyAndWholeNumbersAsEncodingJSONDoes(t *testing.T) {
	for _, n := range []float64{
		0, math.Copysign(0, -1), 1, -1, 1600, 0.1, 1e-6, 9.99e-7, 1e-7, -1e-7, 1e-10, 1e-100, 5e-324,
		1e20, 1e21, -1e21, 1e22, 1e100, math.MaxFloat64, 1 << 53, 1<<53 + 2, 1.0 / 3,
	} {
		checkNumber(t, n)
	}
}

func TestAppendNumber_WritesAnyNumberAsEncodingJSONDoes(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		checkNumber(r, rapid.OneOf(rapid.Float64(), rapid.Map(rapid.Int32(), func(n int32) float64 { return float64(n) })).Draw(r, "n"))
	})
}

func FuzzAppendNumber(f *testing.F) {
	f.Add(uint64(0))
	f.Add(math.Float64bits(1e-7))
	f.Fuzz(func(t *testing.T, bits uint64) {
		if n := math.Float64frombits(bits); !math.IsNaN(n) && !math.IsInf(n, 0) {
			checkNumber(t, n)
		}
	})
}

func TestAppend_EitherNestingIsReadBackAsItWas(t *testing.T) {
	vertex := rapid.Custom(func(r *rapid.T) Point {
		coordinate := rapid.Float64Range(-maxCoordinate, maxCoordinate)
		return Point{coordinate.Draw(r, "x"), coordinate.Draw(r, "y")}
	})
	rapid.Check(t, func(r *rapid.T) {
		polygon := Polygon(rapid.SliceOfN(vertex, 3, 20).Draw(r, "polygon"))
		for _, text := range []string{string(polygon.AppendJSON(nil)), string(polygon.AppendOpenCV(nil))} {
			got, err := Parse(decode(t, text))
			if err != nil || !slices.Equal(got, polygon) {
				r.Errorf("%s is read as %v: %v", text, got, err)
			}
		}
		box, area := polygon.Box(), polygon.Area()
		if limit := box[2] * box[3] * float64(len(polygon)); math.IsInf(limit, 0) || !(area >= 0 && area <= limit*1.01) {
			r.Errorf("the box is %v and the area %v", box, area)
		}
	})
	square := Polygon{{0, 0}, {2, 0}, {2, 2.5}}
	if got := string(square.AppendJSON([]byte("c="))); got != "c=[[0,0],[2,0],[2,2.5]]" {
		t.Errorf("AppendJSON: got %s, want c=[[0,0],[2,0],[2,2.5]]", got)
	}
	if got := string(square.AppendOpenCV(nil)); got != "[[[0,0]],[[2,0]],[[2,2.5]]]" {
		t.Errorf("AppendOpenCV: got %s, want [[[0,0]],[[2,0]],[[2,2.5]]]", got)
	}
}

func TestUnchecked_HoldsAnyValueAndPassesItOn(t *testing.T) {
	var u Input
	if err := u.UnmarshalGQL("no contour"); err != nil {
		t.Errorf("UnmarshalGQL: got error %v, want nil", err)
	}
	if _, err := u.Check(); err == nil {
		t.Error("it was checked, and taken")
	}
	var text strings.Builder
	NewInput(decode(t, "[[0,0],[1,0.50],[0,1]]")).MarshalGQL(&text)
	if strings.TrimSpace(text.String()) != "[[0,0],[1,0.50],[0,1]]" {
		t.Errorf("MarshalGQL: got %s, want [[0,0],[1,0.50],[0,1]]", text.String())
	}
}
