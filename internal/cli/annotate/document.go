package annotate

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"tagma/internal/base/instant"
	"tagma/internal/cli/client/generated"
)

// parse parses a document of the Sticky Pi API, the form of the field
// Annotation.document.
func parse(text json.RawMessage) (generated.AnnotationInput, error) {
	var d struct {
		Annotations []struct {
			Contour      json.RawMessage `json:"contour"`
			Name         string          `json:"name"`
			StrokeColour *string         `json:"stroke_colour"`
			FillColour   *string         `json:"fill_colour"`
			Value        *int            `json:"value"`
		} `json:"annotations"`
		Metadata *struct {
			AlgoName    string `json:"algo_name"`
			AlgoVersion string `json:"algo_version"`
			Device      string `json:"device"`
			Datetime    string `json:"datetime"`
			MD5         string `json:"md5"`
		} `json:"metadata"`
	}
	if err := json.Unmarshal(text, &d); err != nil {
		return generated.AnnotationInput{}, explain(err)
	}
	if d.Metadata == nil || d.Annotations == nil {
		return generated.AnnotationInput{}, errors.New(`it is no annotation: {"annotations": […], "metadata": {…}}`)
	}
	takenAt, err := instant.Parse(d.Metadata.Datetime)
	if err != nil {
		return generated.AnnotationInput{}, fmt.Errorf("metadata.datetime: %w", err)
	}
	input := generated.AnnotationInput{
		Image:     generated.ImageKey{Device: d.Metadata.Device, TakenAt: takenAt},
		Md5:       d.Metadata.MD5,
		Algorithm: generated.AlgorithmInput{Name: d.Metadata.AlgoName, Version: d.Metadata.AlgoVersion},
		Objects:   make([]generated.AnnotatedObjectInput, len(d.Annotations)),
	}
	for n, o := range d.Annotations {
		if len(o.Contour) == 0 || bytes.Equal(o.Contour, []byte("null")) {
			return generated.AnnotationInput{}, fmt.Errorf("annotations.%d.contour is missing", n)
		}
		input.Objects[n] = generated.AnnotatedObjectInput{
			Name: o.Name, Contour: o.Contour, FillColour: o.FillColour, StrokeColour: o.StrokeColour, Value: o.Value,
		}
	}
	return input, nil
}

// explain returns an error that describes invalid JSON in terms of the file.
func explain(err error) error {
	if typeErr, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return fmt.Errorf("%s is a %s, which is not taken there", typeErr.Field, typeErr.Value)
	}
	if syntaxErr, ok := errors.AsType[*json.SyntaxError](err); ok {
		return fmt.Errorf("it is no JSON from byte %d on: %w", syntaxErr.Offset, err)
	}
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return errors.New("it is cut short")
	}
	return err
}
