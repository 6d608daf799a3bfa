package graph

import (
	"errors"
	"fmt"
	"time"

	"tagma/graph/scalar"
	"tagma/internal/base/instant"
	"tagma/internal/base/page"
	"tagma/internal/domain/annotations"
	"tagma/internal/domain/images"
	"tagma/internal/domain/series"
	"tagma/internal/gql/selection"
)

// This file decodes the arguments of the fields of package selection. Each field has
// a struct and a decode function. gqlgen has decoded the arguments of roots; the
// arguments of other fields are values of gqlparser.

// root returns a Root whose query function takes decoded arguments.
func root[A any](typ string, decode func(*argumentReader) A, query func(selection.RootArgs, A) (selection.RootQuery, error)) selection.Root {
	return selection.Root{Type: typ, Query: func(rootArgs selection.RootArgs) (selection.RootQuery, error) {
		reader := &argumentReader{values: rootArgs.Arguments}
		args := decode(reader)
		if err := errors.Join(reader.errs...); err != nil {
			return selection.RootQuery{}, err
		}
		return query(rootArgs, args)
	}}
}

// argumentReader reads the arguments of one field and collects the errors.
type argumentReader struct {
	values map[string]any
	errs   []error
}

// argument returns the argument with the name. An argument of another type than
// T is an error of the reader: gqlgen and the decode function disagree.
func argument[T any](r *argumentReader, name string) T {
	value, ok := r.values[name].(T)
	if !ok {
		r.errs = append(r.errs, fmt.Errorf("the argument %s is a %T, want a %T", name, r.values[name], value))
	}
	return value
}

func decodeImage(r *argumentReader) images.Key {
	return images.Key{Device: argument[string](r, "device"), TakenAt: argument[instant.Instant](r, "takenAt")}
}

type imagesArguments struct{ keys []images.Key }

func decodeImages(r *argumentReader) imagesArguments {
	return imagesArguments{keys: values(argument[[]*images.Key](r, "keys"))}
}

type deviceArguments struct{ name string }

func decodeDevice(r *argumentReader) deviceArguments {
	return deviceArguments{name: argument[string](r, "name")}
}

type devicesArguments struct {
	match string
	page  page.Request
}

func decodeDevices(r *argumentReader) devicesArguments {
	return devicesArguments{match: argument[string](r, "match"), page: forwards(r)}
}

type imageSeriesArguments struct {
	series []series.Series
	order  series.Order
	page   page.Request
}

func decodeImageSeries(r *argumentReader) imageSeriesArguments {
	args := imageSeriesArguments{series: listOfSeries(r), order: series.DeviceTime, page: forwards(r)}
	if order := argument[*series.Order](r, "orderBy"); order != nil {
		args.order = *order
	}
	args.page.Last, args.page.Before = argument[*int](r, "last"), argument[*string](r, "before")
	return args
}

type annotationsArguments struct {
	images    []images.Key
	algorithm *annotations.Filter
}

func decodeAnnotations(r *argumentReader) annotationsArguments {
	return annotationsArguments{images: values(argument[[]*images.Key](r, "images")), algorithm: argument[*annotations.Filter](r, "algorithm")}
}

type annotationSeriesArguments struct {
	series    []series.Series
	algorithm *annotations.Filter
	page      page.Request
}

func decodeAnnotationSeries(r *argumentReader) annotationSeriesArguments {
	return annotationSeriesArguments{series: listOfSeries(r), algorithm: argument[*annotations.Filter](r, "algorithm"), page: forwards(r)}
}

type activityArguments struct {
	series    []series.Series
	every     time.Duration
	algorithm *annotations.Filter
}

func decodeActivity(r *argumentReader) activityArguments {
	return activityArguments{
		series: listOfSeries(r), every: argument[time.Duration](r, "every"), algorithm: argument[*annotations.Filter](r, "algorithm"),
	}
}

type diffImagesArguments struct{ images []*images.Fingerprint }

func decodeDiffImages(r *argumentReader) diffImagesArguments {
	return diffImagesArguments{images: argument[[]*images.Fingerprint](r, "images")}
}

func listOfSeries(r *argumentReader) []series.Series {
	return values(argument[[]*series.Series](r, "series"))
}

// forwards returns the arguments of a page with first and after.
func forwards(r *argumentReader) page.Request {
	return page.Request{First: argument[*int](r, "first"), After: argument[*string](r, "after")}
}

type deviceImagesArguments struct {
	within images.Range
	page   page.Request
}

func decodeDeviceImages(values map[string]any) (args deviceImagesArguments, err error) {
	err = errors.Join(
		decodeOptional(values["start"], &args.within.Start, decodeInstant),
		decodeOptional(values["end"], &args.within.End, decodeInstant),
		decodeOptional(values["first"], &args.page.First, scalar.UnmarshalInt),
		decodeOptional(values["after"], &args.page.After, scalar.UnmarshalString),
	)
	return args, err
}

// decodeOptional sets into, unless the value is null.
func decodeOptional[T any](value any, into **T, decode func(any) (T, error)) error {
	if value == nil {
		return nil
	}
	decoded, err := decode(value)
	*into = &decoded
	return err
}

func decodeInstant(value any) (decoded instant.Instant, err error) {
	err = decoded.UnmarshalGQL(value)
	return decoded, err
}

// decodeFilter returns the filter of an argument `algorithm`, or nil for null.
func decodeFilter(value any) (*annotations.Filter, error) {
	if value == nil {
		return nil, nil //nolint:nilnil // a nil filter selects all
	}
	fields, ok := value.(map[string]any)
	if !ok {
		return nil, fmt.Errorf("a filter is a %T, want an object", value)
	}
	filter := &annotations.Filter{}
	for name, pattern := range map[string]**string{"name": &filter.Name, "version": &filter.Version} {
		text, ok := fields[name].(string)
		if ok {
			*pattern = &text
		} else if fields[name] != nil {
			return nil, fmt.Errorf("the pattern %s is a %T, want a string", name, fields[name])
		}
	}
	return filter, nil
}

// typedKeys returns the Narrow or the Pages of an edge whose keys have the type K.
func typedKeys[K int64 | string, R any](query func(keys []K, arguments map[string]any) (R, error)) func([]any, map[string]any) (R, error) {
	return func(keys []any, arguments map[string]any) (result R, err error) {
		typed := make([]K, len(keys))
		for n, key := range keys {
			var ok bool
			if typed[n], ok = key.(K); !ok {
				return result, fmt.Errorf("a key of an edge is a %T, want a %T", key, typed[n])
			}
		}
		return query(typed, arguments)
	}
}
