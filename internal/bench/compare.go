package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"reflect"
)

// comparedVariants is the number of requests of each job whose answers are compared.
const comparedVariants = 3

// compare returns an error unless all targets give the same answers. Numbers may differ
// in the last digits, because the order of a sum is not fixed.
func compare(ctx context.Context, targets []*target, requests [][]request) error {
	for variant := range min(comparedVariants, len(requests[0])) {
		var want any
		for n, c := range targets {
			got, err := c.answer(ctx, requests[n][variant])
			if err != nil {
				return err
			}
			if n == 0 {
				want = got
			} else if path := firstDifference("", want, got); path != "" {
				return fmt.Errorf("%s and %s do not give the same answer at %s", targets[0].name, c.name, path)
			}
		}
	}
	return nil
}

// answer returns the target's answer to a request, in the form of Tagma's answers.
func (c *target) answer(ctx context.Context, r request) (any, error) {
	var body bytes.Buffer
	if err := c.send(ctx, r, &body); err != nil {
		return nil, err
	}
	var got any
	err := json.Unmarshal(body.Bytes(), &got)
	if err == nil && c.translate != nil {
		got, err = c.translate(got)
	}
	nameBoxes(got)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", c.name, err)
	}
	return got, nil
}

// nameBoxes turns the bounding boxes in an answer from lists into objects. Tagma answers
// with objects. The baseline and PostGraphile copy stored objects, and answer with lists.
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

// firstDifference returns the path of the first difference between two JSON values, or an
// empty text.
func firstDifference(at string, a, b any) string {
	switch a := a.(type) {
	case map[string]any:
		b, ok := b.(map[string]any)
		if !ok || len(a) != len(b) {
			return at + ": an object"
		}
		for key := range a {
			if path := firstDifference(at+"."+key, a[key], b[key]); path != "" {
				return path
			}
		}
		return ""
	case []any:
		b, ok := b.([]any)
		if !ok || len(a) != len(b) {
			return at + ": a list"
		}
		for n := range a {
			if path := firstDifference(fmt.Sprintf("%s[%d]", at, n), a[n], b[n]); path != "" {
				return path
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
