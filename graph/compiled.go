package graph

import (
	"errors"
	"fmt"

	"entgo.io/ent/dialect/sql"

	ent "tagma/ent/generated"
	annotationtable "tagma/ent/generated/annotation"
	devicetable "tagma/ent/generated/device"
	imagetable "tagma/ent/generated/image"
	usertable "tagma/ent/generated/user"
	"tagma/graph/scalar"
	"tagma/internal/base/instant"
	"tagma/internal/base/page"
	"tagma/internal/base/rawjson"
	"tagma/internal/domain/annotations"
	"tagma/internal/domain/images"
	"tagma/internal/domain/series"
	"tagma/internal/gql/selection"
	"tagma/internal/storage/database"
)

// known is what package selection answers without the resolvers. Whatever it
// leaves out is theirs.
func (r *Resolver) known() selection.Known {
	return selection.Known{
		Types: []selection.Type{r.imageRows(), annotationRows(), r.deviceRows(), userRows(), bucketRows(), differenceRows()},
		Roots: map[string]selection.Root{
			"Query.image":            {To: "Image", Query: oneImage},
			"Query.images":           {To: "Image", Query: imagesByKeys},
			"Query.device":           {To: "Device", Query: oneDevice},
			"Query.devices":          {To: "Device", Query: r.devices},
			"Query.imageSeries":      {To: "Image", Query: r.imageSeries},
			"Query.annotations":      {To: "Annotation", Query: annotationsByKeys},
			"Query.annotationSeries": {To: "Annotation", Query: r.annotationSeries},
			"Query.activity":         {To: "ActivityBucket", Query: r.activity},
			"Query.diffImages":       {To: "ImageDiff", Query: r.diffImages},
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
					filter, err := filterOf(arguments["algorithm"])
					if err != nil {
						return nil, err
					}
					return annotations.NarrowToImages(as[int64](keys), filter)
				},
				Join: func(arguments map[string]any) (func(*sql.Selector), error) {
					filter, err := filterOf(arguments["algorithm"])
					if err != nil {
						return nil, err
					}
					return annotations.JoinAnnotations(filter)
				},
			},
		},
	}}
}

func annotationRows() selection.Type {
	ofImage := imagetable.Table + "."
	return selection.Type{Name: "Annotation", Table: annotationtable.Table, Join: annotations.JoinImages, Fields: map[string]selection.Field{
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
	// One step in an index for each of the moments.
	ofImages := func(what string) string {
		return "(SELECT " + what + " FROM images i WHERE i.device = devices.id)"
	}
	return selection.Type{Name: "Device", Table: devicetable.Table, Expressions: map[string]string{
		"images": ofImages("COUNT(*)"), "first": ofImages("MIN(i.taken_at)"), "last": ofImages("MAX(i.taken_at)"),
	}, Fields: map[string]selection.Field{
		"id":           selection.Column(devicetable.FieldID),
		"name":         selection.Column(devicetable.FieldID),
		"imageCount":   selection.Column("images"),
		"firstTakenAt": selection.Column("first"),
		"lastTakenAt":  selection.Column("last"),
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
			return images.NarrowToNeighbours(as[int64](keys), after), nil
		},
	}}
}

func (r *Resolver) imagesOfDevices(keys []any, arguments map[string]any) (pages selection.Pages, err error) {
	var within images.Range
	var request page.Request
	err = errors.Join(
		optional(arguments["start"], &within.Start, moment),
		optional(arguments["end"], &within.End, moment),
		optional(arguments["first"], &request.First, scalar.UnmarshalInt),
		optional(arguments["after"], &request.After, scalar.UnmarshalString),
	)
	if err == nil {
		pages.Plan, pages.Order, pages.Select, pages.Count, err = r.Images.NarrowToPagesOfDevices(as[string](keys), within, request)
	}
	return pages, err
}

// optional reads an argument as it came, unless it is null.
func optional[T any](argument any, into **T, read func(any) (T, error)) error {
	if argument == nil {
		return nil
	}
	value, err := read(argument)
	*into = &value
	return err
}

func moment(argument any) (value instant.Instant, err error) {
	err = value.UnmarshalGQL(argument)
	return value, err
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

// as is keys by their own type, which is that of their column.
func as[T int64 | string](keys []any) []T {
	list := make([]T, len(keys))
	for n, key := range keys {
		list[n] = key.(T)
	}
	return list
}

// filterOf is a filter as it came.
func filterOf(argument any) (*annotations.Filter, error) {
	if argument == nil {
		return nil, nil //nolint:nilnil // which selects all
	}
	fields, ok := argument.(map[string]any)
	if !ok {
		return nil, fmt.Errorf("a filter that is a %T", argument)
	}
	filter := &annotations.Filter{}
	for name, pattern := range map[string]**string{"name": &filter.Name, "version": &filter.Version} {
		text, ok := fields[name].(string)
		if ok {
			*pattern = &text
		} else if fields[name] != nil {
			return nil, fmt.Errorf("a pattern that is a %T", fields[name])
		}
	}
	return filter, nil
}

// The roots.

func oneImage(asked selection.Asked) (selection.Query, error) {
	key := images.Key{Device: asked.Arguments["device"].(string), TakenAt: asked.Arguments["takenAt"].(instant.Instant)}
	narrow, _, err := images.NarrowToKeys("image", []images.Key{key})
	return selection.Query{Select: narrow, Arguments: []any{key.Device, int64(key.TakenAt)}}, err
}

func oneDevice(asked selection.Asked) (selection.Query, error) {
	narrow, err := images.NarrowToDevice(asked.Arguments["name"].(string))
	return selection.Query{Select: narrow}, err
}

func (r *Resolver) devices(asked selection.Asked) (selection.Query, error) {
	wanted, narrow, err := r.Images.NarrowToDevices(asked.Arguments["match"].(string),
		page.Request{First: asked.Arguments["first"].(*int), After: asked.Arguments["after"].(*string)})
	return selection.Query{Select: narrow, Page: wanted}, err
}

func imagesByKeys(asked selection.Asked) (selection.Query, error) {
	narrow, places, err := images.NarrowToKeys("keys", values(asked.Arguments["keys"].([]*images.Key)))
	return selection.Query{
		Select: narrow, None: len(places) == 0,
		Place: placeOf(places), PlaceBy: []string{imagetable.FieldDeviceID, imagetable.FieldTakenAt},
	}, err
}

func (r *Resolver) imageSeries(asked selection.Asked) (selection.Query, error) {
	order := series.DeviceTime
	if given := asked.Arguments["orderBy"].(*series.Order); given != nil {
		order = *given
	}
	wanted, narrow, err := r.Images.NarrowToSeries(values(asked.Arguments["series"].([]*series.Series)), order, page.Request{
		First: asked.Arguments["first"].(*int), After: asked.Arguments["after"].(*string),
		Last: asked.Arguments["last"].(*int), Before: asked.Arguments["before"].(*string),
	})
	return selection.Query{Select: narrow, Page: wanted}, err
}

func annotationsByKeys(asked selection.Asked) (selection.Query, error) {
	narrow, places, err := annotations.NarrowToKeys(values(asked.Arguments["images"].([]*images.Key)), asked.Arguments["algorithm"].(*annotations.Filter))
	ofImage := imagetable.Table + "."
	return selection.Query{
		Select: narrow, Joined: true, None: len(places) == 0,
		Place: placeOf(places), PlaceBy: []string{ofImage + imagetable.FieldDeviceID, ofImage + imagetable.FieldTakenAt},
	}, err
}

func (r *Resolver) annotationSeries(asked selection.Asked) (selection.Query, error) {
	wanted, narrow, err := r.Annotations.NarrowToSeries(values(asked.Arguments["series"].([]*series.Series)), asked.Arguments["algorithm"].(*annotations.Filter),
		page.Request{First: asked.Arguments["first"].(*int), After: asked.Arguments["after"].(*string)})
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
			if named && !members.HasName(name) {
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
