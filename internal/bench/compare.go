package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"reflect"
)

// compared is how many requests of each kind are compared.
const compared = 3

// compare fails unless all contestants give the same answers. Numbers may
// differ in the last digits: means are summed up in any order.
func compare(ctx context.Context, contestants []*contestant, requests [][]request) error {
	for variant := range min(compared, len(requests[0])) {
		var want any
		for n, c := range contestants {
			got, err := c.answer(ctx, requests[n][variant])
			if err != nil {
				return err
			}
			if n == 0 {
				want = got
			} else if where := differ("", want, got); where != "" {
				return fmt.Errorf("%s and %s do not give the same answer at %s", contestants[0].name, c.name, where)
			}
		}
	}
	return nil
}

// answer is what a contestant answers, in the words of Tagma's answers.
func (c *contestant) answer(ctx context.Context, r request) (any, error) {
	var body bytes.Buffer
	if err := c.send(ctx, r, &body); err != nil {
		return nil, err
	}
	var got any
	err := json.Unmarshal(body.Bytes(), &got)
	if err == nil && c.meaning != nil {
		got, err = c.meaning(got)
	}
	nameBoxes(got)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", c.name, err)
	}
	return got, nil
}

// nameBoxes turns the bounding boxes in an answer from lists into objects. Tagma
// answers with objects, while contestants that copy stored objects answer with
// lists.
func nameBoxes(answer any) {
	switch v := answer.(type) {
	case map[string]any:
		if list, ok := v["boundingBox"].([]any); ok && len(list) == 4 {
			v["boundingBox"] = map[string]any{"x": list[0], "y": list[1], "width": list[2], "height": list[3]}
		}
		for _, value := range v {
			nameBoxes(value)
		}
	case []any:
		for _, value := range v {
			nameBoxes(value)
		}
	}
}

// differ is where two values of JSON differ, or nothing.
func differ(at string, a, b any) string {
	switch a := a.(type) {
	case map[string]any:
		b, ok := b.(map[string]any)
		if !ok || len(a) != len(b) {
			return at + ": an object"
		}
		for key := range a {
			if where := differ(at+"."+key, a[key], b[key]); where != "" {
				return where
			}
		}
		return ""
	case []any:
		b, ok := b.([]any)
		if !ok || len(a) != len(b) {
			return at + ": a list"
		}
		for n := range a {
			if where := differ(fmt.Sprintf("%s[%d]", at, n), a[n], b[n]); where != "" {
				return where
			}
		}
		return ""
	case float64:
		if b, ok := b.(float64); ok && math.Abs(a-b) <= 1e-9*math.Max(1, math.Abs(a)) {
			return ""
		}
	default:
		if reflect.DeepEqual(a, b) {
			return ""
		}
	}
	return fmt.Sprintf("%s: %v and %v", at, a, b)
}
