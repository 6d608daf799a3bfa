package jpegscan_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"tagma/internal/photo/jpegscan"
)

func TestAppSegments_TheSegmentsOfAHeaderInOrder(t *testing.T) {
	plain := sketch{width: 40, height: 30, components: 3}.write(t, scenery(rand.New(rand.NewPCG(21, 22)), 9))
	const jfif, first, second, comment = "\xFF\xE0\x00\x06JFIF", "\xFF\xE1\x00\x05one", "\xFF\xE1\x00\x05two", "\xFF\xFE\x00\x04no"
	for name, c := range map[string]struct {
		header string // between SOI and DQT
		cut    int    // offset at which the file ends, or 0
		want   string
	}{
		"none":                         {"", 0, ""},
		"some":                         {jfif + first + comment + second, 0, "0:JFIF 1:one 1:two"},
		"fill bytes before markers":    {jfif + "\xFF\xFF\xFF" + first + "\xFF" + second, 0, "0:JFIF 1:one 1:two"},
		"bytes outside of segments":    {first + "\x00\x01" + second, 0, "1:one 1:two"},
		"an empty one":                 {"\xFF\xE1\x00\x02" + first, 0, "1: 1:one"},
		"a frame that no reader reads": {"\xFF\xC9\x00\x04\x01\x02" + first, 0, "1:one"},
		"an impossible length":         {first + "\xFF\xE1\x00\x01" + second, 0, "1:one"},
		"a second SOI":                 {first + "\xFF\xD8" + second, 0, "1:one"},
		"cut off in a segment":         {first + second, 2 + len(first) + 4, "1:one"},
	} {
		data := slices.Insert(slices.Clone(plain.data), 2, []byte(c.header)...)
		if c.cut > 0 {
			data = data[:c.cut]
		}
		var got []string
		for n, body := range jpegscan.AppSegments(data) {
			got = append(got, fmt.Sprintf("%d:%s", n, body))
		}
		if got := strings.Join(got, " "); got != c.want {
			t.Errorf("%s: got %q, want %q", name, got, c.want)
		}
	}
	for range jpegscan.AppSegments([]byte("\x89PNG" + first)) {
		t.Error("a PNG: got a segment, want none")
	}
}
