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

// registry lists the types and root fields of package selection. All
// other fields go to the resolvers.
func (r *Resolver) registry() selection.Registry {
	return selection.Registry{
		Types: []selection.Type{r.imageType(), annotationType(), r.deviceType(), userType(), bucketType(), differenceType()},
		Roots: map[string]selection.Root{
			"Query.image":            root("Image", decodeImage, imageQuery),
			"Query.images":           root("Image", decodeImages, imagesQuery),
			"Query.device":           root("Device", decodeDevice, deviceQuery),
			"Query.devices":          root("Device", decodeDevices, r.devicesQuery),
			"Query.imageSeries":      root("Image", decodeImageSeries, r.imageSeriesQuery),
			"Query.annotations":      root("Annotation", decodeAnnotations, annotationsQuery),
			"Query.annotationSeries": root("Annotation", decodeAnnotationSeries, r.annotationSeriesQuery),
			"Query.activity":         root("ActivityBucket", decodeActivity, r.activityQuery),
			"Query.diffImages":       root("ImageDiff", decodeDiffImages, r.diffImagesQuery),
		},
	}
}

func (r *Resolver) imageType() selection.Type {
	column := selection.Column
	return selection.Type{Name: "Image", Table: imagetable.Table, Fields: map[string]selection.Field{
		"id":                  column(imagetable.FieldID),
		"device":              deviceEdge(imagetable.FieldDeviceID),
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
		"luminosity":          column(imagetable.FieldLuminosity),
		"battery":             column(imagetable.FieldBattery),
		"button":              column(imagetable.FieldButton),
		"orientation":         column(imagetable.FieldOrientation),
		"warnings":            {Columns: []string{imagetable.FieldWarnings}, Bind: bindWarnings},
		"noFlashShutterSpeed": column(imagetable.FieldNoFlashShutterSpeed),
		"noFlashExposureTime": column(imagetable.FieldNoFlashExposureTime),
		"noFlashBrightness":   column(imagetable.FieldNoFlashBrightness),
		"noFlashIso":          column(imagetable.FieldNoFlashIso),
		"metadata":            column(imagetable.FieldMetadata),
		"createdAt":           column(imagetable.FieldCreatedAt),
		"uploadedBy":          userEdge(imagetable.FieldUploadedByID),
		"previous":            neighbourEdge(false),
		"next":                neighbourEdge(true),
		"file": {
			Columns:   []string{imagetable.FieldDeviceID, imagetable.FieldTakenAt, imagetable.FieldFileID},
			Arguments: []string{"variant"},
			Fields:    []string{"url", "expiresAt"},
			Bind:      r.bindFile,
		},
		"annotations": {
			Columns:   []string{imagetable.FieldID},
			Arguments: []string{"algorithm"},
			Edge: &selection.Edge{
				Type: "Annotation", ChildKey: annotationtable.FieldImageID,
				Narrow: typedKeys(func(ids []int64, arguments map[string]any) (func(*sql.Selector), error) {
					filter, err := decodeFilter(arguments["algorithm"])
					if err != nil {
						return nil, err
					}
					return annotations.NarrowToImages(ids, filter)
				}),
				Join: func(arguments map[string]any) (func(*sql.Selector), error) {
					filter, err := decodeFilter(arguments["algorithm"])
					if err != nil {
						return nil, err
					}
					return annotations.JoinAnnotations(filter)
				},
			},
		},
	}}
}

func annotationType() selection.Type {
	ofImage := imagetable.Table + "."
	return selection.Type{Name: "Annotation", Table: annotationtable.Table, Join: annotations.JoinImages, Fields: map[string]selection.Field{
		"id":          selection.Column(annotationtable.FieldID),
		"objectCount": selection.Column(annotationtable.FieldObjectCount),
		"createdAt":   selection.Column(annotationtable.FieldCreatedAt),
		"createdBy":   userEdge(annotationtable.FieldCreatedByID),
		"image": {
			Columns: []string{annotationtable.FieldImageID},
			Edge:    &selection.Edge{Type: "Image", ChildKey: imagetable.FieldID, Narrow: narrowToIDs(imagetable.FieldID)},
		},
		"algorithm": {
			Columns: []string{annotationtable.FieldAlgorithmName, annotationtable.FieldAlgorithmVersion},
			Fields:  []string{"name", "version"},
			Bind:    bindAlgorithm,
		},
		"objects": {
			Columns:   []string{annotationtable.FieldObjects, annotationtable.FieldObjectCount},
			Arguments: []string{"name"},
			Fields:    annotations.Fields[:],
			Objects:   map[string][]string{annotations.BoxField: annotations.BoxFields[:]},
			Bind:      bindObjects,
		},
		"document": {
			Columns: []string{
				annotationtable.FieldAlgorithmName, annotationtable.FieldAlgorithmVersion, annotationtable.FieldObjects,
				ofImage + imagetable.FieldDeviceID, ofImage + imagetable.FieldTakenAt, ofImage + imagetable.FieldMd5,
			},
			Bind: bindDocument,
		},
	}}
}

func (r *Resolver) deviceType() selection.Type {
	return selection.Type{Name: "Device", Table: devicetable.Table, Expressions: images.StatisticsColumns(), Fields: map[string]selection.Field{
		"id":           selection.Column(devicetable.FieldID),
		"name":         selection.Column(devicetable.FieldID),
		"imageCount":   selection.Column(images.ImageCount),
		"firstTakenAt": selection.Column(images.FirstTakenAt),
		"lastTakenAt":  selection.Column(images.LastTakenAt),
		"images": {
			Columns:   []string{devicetable.FieldID},
			Arguments: []string{"start", "end", "first", "after"},
			Edge:      &selection.Edge{Type: "Image", ChildKey: imagetable.FieldDeviceID, Pages: typedKeys(r.deviceImagePages)},
		},
	}}
}

func userType() selection.Type {
	return selection.Type{Name: "User", Table: usertable.Table, Fields: map[string]selection.Field{
		"id":       selection.Column(usertable.FieldID),
		"username": selection.Column(usertable.FieldUsername),
	}}
}

func deviceEdge(column string) selection.Field {
	return selection.Field{Columns: []string{column}, Edge: &selection.Edge{
		Type: "Device", ChildKey: devicetable.FieldID,
		Narrow: typedKeys(func(names []string, _ map[string]any) (func(*sql.Selector), error) {
			return database.AmongTexts(devicetable.FieldID, names), nil
		}),
	}}
}

// neighbourEdge is the edge to the next image of the device, or to the previous
// image if after is false.
func neighbourEdge(after bool) selection.Field {
	return selection.Field{Columns: []string{imagetable.FieldID}, Edge: &selection.Edge{
		Type: "Image", ChildKey: images.Origin + "." + imagetable.FieldID, NarrowJoins: true,
		Narrow: typedKeys(func(ids []int64, _ map[string]any) (func(*sql.Selector), error) {
			return images.NarrowToNeighbours(ids, after), nil
		}),
	}}
}

func userEdge(column string) selection.Field {
	return selection.Field{Columns: []string{column}, Edge: &selection.Edge{
		Type: "User", ChildKey: usertable.FieldID, Narrow: narrowToIDs(usertable.FieldID),
	}}
}

// narrowToIDs returns a Narrow of an edge whose children have the keys as ids.
func narrowToIDs(column string) func([]any, map[string]any) (func(*sql.Selector), error) {
	return typedKeys(func(ids []int64, _ map[string]any) (func(*sql.Selector), error) {
		return database.AmongNumbers(column, ids), nil
	})
}

// The pages and the queries of the roots.

func (r *Resolver) deviceImagePages(names []string, arguments map[string]any) (pages selection.Pages, err error) {
	args, err := decodeDeviceImages(arguments)
	if err == nil {
		pages.Plan, pages.Order, pages.Narrow, pages.CountByKey, err = r.Images.NarrowToPagesOfDevices(names, args.within, args.page)
	}
	return pages, err
}

func imageQuery(_ selection.RootArgs, key images.Key) (selection.RootQuery, error) {
	narrow, _, err := images.NarrowToKeys("image", []images.Key{key})
	return selection.RootQuery{Narrow: narrow, Arguments: []any{key.Device, int64(key.TakenAt)}}, err
}

func deviceQuery(_ selection.RootArgs, args deviceArguments) (selection.RootQuery, error) {
	narrow, err := images.NarrowToDevice(args.name)
	return selection.RootQuery{Narrow: narrow}, err
}

func (r *Resolver) devicesQuery(_ selection.RootArgs, args devicesArguments) (selection.RootQuery, error) {
	keyset, narrow, err := r.Images.NarrowToDevices(args.match, args.page)
	return selection.RootQuery{Narrow: narrow, Page: keyset}, err
}

func imagesQuery(_ selection.RootArgs, args imagesArguments) (selection.RootQuery, error) {
	narrow, positions, err := images.NarrowToKeys("keys", args.keys)
	return selection.RootQuery{
		Narrow: narrow, Empty: len(positions) == 0,
		Position: positionOf(positions), PositionColumns: []string{imagetable.FieldDeviceID, imagetable.FieldTakenAt},
	}, err
}

func (r *Resolver) imageSeriesQuery(_ selection.RootArgs, args imageSeriesArguments) (selection.RootQuery, error) {
	keyset, narrow, err := r.Images.NarrowToSeries(args.series, args.order, args.page)
	return selection.RootQuery{Narrow: narrow, Page: keyset}, err
}

func annotationsQuery(_ selection.RootArgs, args annotationsArguments) (selection.RootQuery, error) {
	narrow, positions, err := annotations.NarrowToKeys(args.images, args.algorithm)
	ofImage := imagetable.Table + "."
	return selection.RootQuery{
		Narrow: narrow, NarrowJoins: true, Empty: len(positions) == 0,
		Position: positionOf(positions), PositionColumns: []string{ofImage + imagetable.FieldDeviceID, ofImage + imagetable.FieldTakenAt},
	}, err
}

func (r *Resolver) annotationSeriesQuery(_ selection.RootArgs, args annotationSeriesArguments) (selection.RootQuery, error) {
	keyset, narrow, err := r.Annotations.NarrowToSeries(args.series, args.algorithm, args.page)
	return selection.RootQuery{Narrow: narrow, NarrowJoins: true, Page: keyset}, err
}

// positionOf returns a function that maps a row to the position of the image key.
func positionOf(positions map[images.Key]int) func(selection.Row) (int, error) {
	return func(row selection.Row) (int, error) {
		key, err := keyOf(row, 0)
		return positions[key], err
	}
}

// keyOf returns the image key in the columns first (the device) and first+1 (the
// time) of the row.
func keyOf(row selection.Row, first int) (images.Key, error) {
	device, err := row.Text(first)
	if err != nil {
		return images.Key{}, err
	}
	takenAt, err := row.Number(first + 1)
	return images.Key{Device: device, TakenAt: instant.Instant(takenAt)}, err
}

// The fields with an encoder of their own.

func (r *Resolver) bindFile(request selection.BindRequest) (selection.FieldEncoder, error) {
	variant, ok := request.Arguments["variant"].(string)
	if !ok {
		return nil, fmt.Errorf("the argument variant is a %T, want a string", request.Arguments["variant"])
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
		url, expiresAt, err := r.Links.Get(request.Context, images.FileKeyOf(key, id, images.Variant(variant)), "")
		if err != nil {
			return b, err
		}
		return selection.AppendObject(b, request.Fields, func(b []byte, name string) ([]byte, error) {
			if name == "url" {
				return rawjson.AppendText(b, url), nil
			}
			return expiresAt.AppendJSON(b), nil
		})
	}, nil
}

// bindWarnings encodes the names of warnings. The column is null if there are none.
func bindWarnings(selection.BindRequest) (selection.FieldEncoder, error) {
	return func(b []byte, row selection.Row) ([]byte, error) {
		if row.Value(0) == nil {
			return append(b, "[]"...), nil
		}
		names, err := row.Bytes(0)
		return append(b, names...), err
	}, nil
}

func bindAlgorithm(request selection.BindRequest) (selection.FieldEncoder, error) {
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

func bindObjects(request selection.BindRequest) (selection.FieldEncoder, error) {
	name, hasName := request.Arguments["name"].(string)
	if !hasName && request.Arguments["name"] != nil {
		return nil, fmt.Errorf("the argument name is a %T, want a string", request.Arguments["name"])
	}
	fields := len(annotations.Fields)
	if !request.SelectsExactly(annotations.Fields[:]...) {
		fields = annotations.RequiredFields
	}
	copyStored := !hasName && request.SelectsExactly(annotations.Fields[:fields]...)
	numbers, objectsPerItem := make([]int, len(request.Fields)), 1
	for n, field := range request.Fields {
		numbers[n] = annotations.FieldNumber(field.Name) // -1 for a __typename
		if field.Name == annotations.BoxField {
			objectsPerItem++
			copyStored = copyStored && field.SelectsExactly(annotations.BoxFields[:]...)
		}
	}
	return func(b []byte, row selection.Row) ([]byte, error) {
		stored, err := row.Bytes(0)
		if err != nil {
			return b, err
		}
		if copyStored {
			count, err := row.Number(1)
			if err != nil {
				return b, err
			}
			if all, ok := annotations.AppendAll(b, stored, int(count), fields); ok {
				request.CountObjects(objectsPerItem * int(count))
				return all, nil
			}
		}
		b = append(b, '[')
		objects := 0
		err = annotations.Scan(stored, func(members *annotations.Members) (err error) {
			if hasName && !members.HasName(name) {
				return nil
			}
			if objects > 0 {
				b = append(b, ',')
			}
			objects++
			b = append(b, '{')
			for n, field := range request.Fields {
				b = field.AppendKey(b)
				switch {
				case numbers[n] < 0 || err != nil:
				case field.Fields != nil:
					b, err = appendBox(b, field.Fields, members)
				default:
					b, err = members.Append(b, numbers[n])
				}
			}
			b = append(b, '}')
			return err
		})
		request.CountObjects(objectsPerItem * objects)
		return append(b, ']'), err
	}, nil
}

// appendBox appends the selected fields of an object's bounding box.
func appendBox(b []byte, fields []selection.SelectedField, members *annotations.Members) ([]byte, error) {
	numbers, err := members.Box()
	if err != nil {
		return b, err
	}
	return selection.AppendObject(b, fields, func(b []byte, name string) ([]byte, error) {
		return append(b, numbers[annotations.BoxFieldNumber(name)]...), nil
	})
}

func bindDocument(selection.BindRequest) (selection.FieldEncoder, error) {
	return func(b []byte, row selection.Row) ([]byte, error) {
		var texts [6]string
		for _, n := range []int{0, 1, 5} {
			var err error
			if texts[n], err = row.Text(n); err != nil {
				return b, err
			}
		}
		stored, err := row.Bytes(2)
		if err != nil {
			return b, err
		}
		key, err := keyOf(row, 3)
		if err != nil {
			return b, err
		}
		document, err := annotations.Document(
			&ent.Annotation{AlgorithmName: texts[0], AlgorithmVersion: texts[1]},
			&ent.Image{DeviceID: key.Device, TakenAt: key.TakenAt, Md5: texts[5]}, stored)
		return append(b, document...), err
	}, nil
}
