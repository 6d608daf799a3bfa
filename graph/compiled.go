package graph

import (
	"fmt"

	"entgo.io/ent/dialect/sql"

	ent "tagma/ent/generated"
	annotationtable "tagma/ent/generated/annotation"
	devicetable "tagma/ent/generated/device"
	imagetable "tagma/ent/generated/image"
	usertable "tagma/ent/generated/user"
	"tagma/internal/base/instant"
	"tagma/internal/base/rawjson"
	"tagma/internal/domain/annotations"
	"tagma/internal/domain/images"
	"tagma/internal/gql/selection"
	"tagma/internal/storage/database"
)

// known is what package selection answers without the resolvers. Whatever it
// leaves out is theirs.
func (r *Resolver) known() selection.Known {
	return selection.Known{
		Types: []selection.Type{r.imageRows(), annotationRows(), r.deviceRows(), userRows(), bucketRows(), differenceRows()},
		Roots: map[string]selection.Root{
			"Query.image":            root("Image", decodeImage, oneImage),
			"Query.images":           root("Image", decodeImages, imagesByKeys),
			"Query.device":           root("Device", decodeDevice, oneDevice),
			"Query.devices":          root("Device", decodeDevices, r.devices),
			"Query.imageSeries":      root("Image", decodeImageSeries, r.imageSeries),
			"Query.annotations":      root("Annotation", decodeAnnotations, annotationsByKeys),
			"Query.annotationSeries": root("Annotation", decodeAnnotationSeries, r.annotationSeries),
			"Query.activity":         root("ActivityBucket", decodeActivity, r.activity),
			"Query.diffImages":       root("ImageDiff", decodeDiffImages, r.diffImages),
		},
	}
}

func (r *Resolver) imageRows() selection.Type {
	column := selection.Column
	return selection.Type{Name: "Image", Table: imagetable.Table, Fields: map[string]selection.Field{
		"id":                  column(imagetable.FieldID),
		"device":              toDevice(imagetable.FieldDeviceID),
		"takenAt":             column(imagetable.FieldTakenAt),
		"md5":                 column(imagetable.FieldMd5),
		"sha256":              column(imagetable.FieldSha256),
		"size":                column(imagetable.FieldSize),
		"width":               column(imagetable.FieldWidth),
		"height":              column(imagetable.FieldHeight),
		"deviceVersion":       column(imagetable.FieldDeviceVersion),
		"altitude":            column(imagetable.FieldAltitude),
		"latitude":            column(imagetable.FieldLatitude),
		"longitude":           column(imagetable.FieldLongitude),
		"temperature":         column(imagetable.FieldTemperature),
		"humidity":            column(imagetable.FieldHumidity),
		"noFlashShutterSpeed": column(imagetable.FieldNoFlashShutterSpeed),
		"noFlashExposureTime": column(imagetable.FieldNoFlashExposureTime),
		"noFlashBrightness":   column(imagetable.FieldNoFlashBrightness),
		"noFlashIso":          column(imagetable.FieldNoFlashIso),
		"metadata":            column(imagetable.FieldMetadata),
		"createdAt":           column(imagetable.FieldCreatedAt),
		"uploadedBy":          toUser(imagetable.FieldUploadedByID),
		"previous":            toNeighbour(false),
		"next":                toNeighbour(true),
		"file": {
			Columns:   []string{imagetable.FieldDeviceID, imagetable.FieldTakenAt, imagetable.FieldFileID},
			Arguments: []string{"variant"},
			Fields:    []string{"url", "expiresAt"},
			Bind:      r.writeFile,
		},
		"annotations": {
			Columns:   []string{imagetable.FieldID},
			Arguments: []string{"algorithm"},
			Edge: &selection.Edge{
				To: "Annotation", Back: annotationtable.FieldImageID,
				Select: func(keys []any, arguments map[string]any) (func(*sql.Selector), error) {
					filter, err := decodeFilter(arguments["algorithm"])
					if err != nil {
						return nil, err
					}
					return annotations.WantOfImages(as[int64](keys), filter)
				},
				Join: func(arguments map[string]any) (func(*sql.Selector), error) {
					filter, err := decodeFilter(arguments["algorithm"])
					if err != nil {
						return nil, err
					}
					return annotations.JoinToImage(filter)
				},
			},
		},
	}}
}

func annotationRows() selection.Type {
	ofImage := imagetable.Table + "."
	return selection.Type{Name: "Annotation", Table: annotationtable.Table, Join: annotations.Join, Fields: map[string]selection.Field{
		"id":          selection.Column(annotationtable.FieldID),
		"objectCount": selection.Column(annotationtable.FieldObjectCount),
		"createdAt":   selection.Column(annotationtable.FieldCreatedAt),
		"createdBy":   toUser(annotationtable.FieldCreatedByID),
		"image": {
			Columns: []string{annotationtable.FieldImageID},
			Edge:    &selection.Edge{To: "Image", Back: imagetable.FieldID, Select: amongNumbers(imagetable.FieldID)},
		},
		"algorithm": {
			Columns: []string{annotationtable.FieldAlgorithmName, annotationtable.FieldAlgorithmVersion},
			Fields:  []string{"name", "version"},
			Bind:    writeAlgorithm,
		},
		"objects": {
			Columns:   []string{annotationtable.FieldObjects, annotationtable.FieldObjectCount},
			Arguments: []string{"name"},
			Fields:    annotations.Fields[:],
			Bind:      writeObjects,
		},
		"document": {
			Columns: []string{
				annotationtable.FieldAlgorithmName, annotationtable.FieldAlgorithmVersion, annotationtable.FieldObjects,
				ofImage + imagetable.FieldDeviceID, ofImage + imagetable.FieldTakenAt, ofImage + imagetable.FieldMd5,
			},
			Bind: writeDocument,
		},
	}}
}

func (r *Resolver) deviceRows() selection.Type {
	return selection.Type{Name: "Device", Table: devicetable.Table, Expressions: images.StatisticsColumns(), Fields: map[string]selection.Field{
		"id":           selection.Column(devicetable.FieldID),
		"name":         selection.Column(devicetable.FieldID),
		"imageCount":   selection.Column(images.ImageCount),
		"firstTakenAt": selection.Column(images.FirstTakenAt),
		"lastTakenAt":  selection.Column(images.LastTakenAt),
		"images": {
			Columns:   []string{devicetable.FieldID},
			Arguments: []string{"start", "end", "first", "after"},
			Edge:      &selection.Edge{To: "Image", Back: imagetable.FieldDeviceID, Pages: r.imagesOfDevices},
		},
	}}
}

func userRows() selection.Type {
	return selection.Type{Name: "User", Table: usertable.Table, Fields: map[string]selection.Field{
		"id":       selection.Column(usertable.FieldID),
		"username": selection.Column(usertable.FieldUsername),
	}}
}

func toDevice(column string) selection.Field {
	return selection.Field{Columns: []string{column}, Edge: &selection.Edge{
		To: "Device", Back: devicetable.FieldID,
		Select: func(keys []any, _ map[string]any) (func(*sql.Selector), error) {
			return database.AmongTexts(devicetable.FieldID, as[string](keys)), nil
		},
	}}
}

func toNeighbour(after bool) selection.Field {
	return selection.Field{Columns: []string{imagetable.FieldID}, Edge: &selection.Edge{
		To: "Image", Back: images.Origin + "." + imagetable.FieldID, Joined: true,
		Select: func(keys []any, _ map[string]any) (func(*sql.Selector), error) {
			return images.WantNeighbours(as[int64](keys), after), nil
		},
	}}
}

func toUser(column string) selection.Field {
	return selection.Field{Columns: []string{column}, Edge: &selection.Edge{
		To: "User", Back: usertable.FieldID, Select: amongNumbers(usertable.FieldID),
	}}
}

func amongNumbers(column string) func([]any, map[string]any) (func(*sql.Selector), error) {
	return func(keys []any, _ map[string]any) (func(*sql.Selector), error) {
		return database.AmongNumbers(column, as[int64](keys)), nil
	}
}

// The roots.

func (r *Resolver) imagesOfDevices(keys []any, arguments map[string]any) (pages selection.Pages, err error) {
	args, err := decodeDeviceImages(arguments)
	if err == nil {
		pages.Plan, pages.Order, pages.Select, pages.Count, err = r.Images.WantOfDevices(as[string](keys), args.within, args.page)
	}
	return pages, err
}

func oneImage(_ selection.Asked, key images.Key) (selection.Query, error) {
	narrow, _, err := images.WantKeys("image", []images.Key{key})
	return selection.Query{Select: narrow, Arguments: []any{key.Device, int64(key.TakenAt)}}, err
}

func oneDevice(_ selection.Asked, args deviceArguments) (selection.Query, error) {
	narrow, err := images.WantDevice(args.name)
	return selection.Query{Select: narrow}, err
}

func (r *Resolver) devices(_ selection.Asked, args devicesArguments) (selection.Query, error) {
	wanted, narrow, err := r.Images.WantDevices(args.match, args.page)
	return selection.Query{Select: narrow, Page: wanted}, err
}

func imagesByKeys(_ selection.Asked, args imagesArguments) (selection.Query, error) {
	narrow, places, err := images.WantKeys("keys", args.keys)
	return selection.Query{
		Select: narrow, None: len(places) == 0,
		Place: placeOf(places), PlaceBy: []string{imagetable.FieldDeviceID, imagetable.FieldTakenAt},
	}, err
}

func (r *Resolver) imageSeries(_ selection.Asked, args imageSeriesArguments) (selection.Query, error) {
	wanted, narrow, err := r.Images.WantSeries(args.series, args.order, args.page)
	return selection.Query{Select: narrow, Page: wanted}, err
}

func annotationsByKeys(_ selection.Asked, args annotationsArguments) (selection.Query, error) {
	narrow, places, err := annotations.WantKeys(args.images, args.algorithm)
	ofImage := imagetable.Table + "."
	return selection.Query{
		Select: narrow, Joined: true, None: len(places) == 0,
		Place: placeOf(places), PlaceBy: []string{ofImage + imagetable.FieldDeviceID, ofImage + imagetable.FieldTakenAt},
	}, err
}

func (r *Resolver) annotationSeries(_ selection.Asked, args annotationSeriesArguments) (selection.Query, error) {
	wanted, narrow, err := r.Annotations.WantSeries(args.series, args.algorithm, args.page)
	return selection.Query{Select: narrow, Joined: true, Page: wanted}, err
}

func placeOf(places map[images.Key]int) func(selection.Row) (int, error) {
	return func(row selection.Row) (int, error) {
		key, err := keyOf(row, 0)
		return places[key], err
	}
}

// keyOf reads device and time from a row's columns.
func keyOf(row selection.Row, from int) (images.Key, error) {
	device, err := row.Text(from)
	if err != nil {
		return images.Key{}, err
	}
	taken, err := row.Number(from + 1)
	return images.Key{Device: device, TakenAt: instant.Instant(taken)}, err
}

// The fields that are more than a column.

func (r *Resolver) writeFile(request selection.Request) (selection.Writer, error) {
	variant, ok := request.Arguments["variant"].(string)
	if !ok {
		return nil, fmt.Errorf("a variant that is a %T", request.Arguments["variant"])
	}
	return func(b []byte, row selection.Row) ([]byte, error) {
		key, err := keyOf(row, 0)
		if err != nil {
			return b, err
		}
		id, err := row.Text(2)
		if err != nil {
			return b, err
		}
		path, expiresAt, err := r.Links.Get(request.Context, images.FileKeyOf(key, id, images.Variant(variant)), "")
		if err != nil {
			return b, err
		}
		return selection.AppendObject(b, request.Fields, func(b []byte, name string) ([]byte, error) {
			if name == "url" {
				return rawjson.AppendText(b, path), nil
			}
			return expiresAt.AppendJSON(b), nil
		})
	}, nil
}

func writeAlgorithm(request selection.Request) (selection.Writer, error) {
	return func(b []byte, row selection.Row) ([]byte, error) {
		return selection.AppendObject(b, request.Fields, func(b []byte, name string) ([]byte, error) {
			column := 0
			if name == "version" {
				column = 1
			}
			text, err := row.Text(column)
			return rawjson.AppendText(b, text), err
		})
	}, nil
}

func writeObjects(request selection.Request) (selection.Writer, error) {
	name, named := request.Arguments["name"].(string)
	if !named && request.Arguments["name"] != nil {
		return nil, fmt.Errorf("a name that is a %T", request.Arguments["name"])
	}
	whole := !named && request.Is(annotations.Fields[:]...)
	at := make([]int, len(request.Fields))
	for n, field := range request.Fields {
		at[n] = annotations.FieldNumber(field.Name) // -1 for a __typename
	}
	return func(b []byte, row selection.Row) ([]byte, error) {
		kept, err := row.Bytes(0)
		if err != nil {
			return b, err
		}
		if whole && annotations.Verbatim(kept) {
			count, err := row.Number(1)
			request.Count(int(count))
			return append(b, kept...), err
		}
		b = append(b, '[')
		some := 0
		err = annotations.Scan(kept, func(members *annotations.Members) (err error) {
			if named && !members.Named(name) {
				return nil
			}
			if some > 0 {
				b = append(b, ',')
			}
			some++
			b = append(b, '{')
			for n, field := range request.Fields {
				b = field.AppendKey(b)
				if at[n] >= 0 && err == nil {
					b, err = members.Append(b, at[n])
				}
			}
			b = append(b, '}')
			return err
		})
		request.Count(some)
		return append(b, ']'), err
	}, nil
}

func writeDocument(selection.Request) (selection.Writer, error) {
	return func(b []byte, row selection.Row) ([]byte, error) {
		var texts [6]string
		for _, n := range []int{0, 1, 5} {
			var err error
			if texts[n], err = row.Text(n); err != nil {
				return b, err
			}
		}
		kept, err := row.Bytes(2)
		if err != nil {
			return b, err
		}
		key, err := keyOf(row, 3)
		if err != nil {
			return b, err
		}
		document, err := annotations.Document(
			&ent.Annotation{AlgorithmName: texts[0], AlgorithmVersion: texts[1]},
			&ent.Image{DeviceID: key.Device, TakenAt: key.TakenAt, Md5: texts[5]}, kept)
		return append(b, document...), err
	}, nil
}
