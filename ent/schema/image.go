package schema

import (
	"entgo.io/ent"
	"entgo.io/ent/dialect/entsql"
	"entgo.io/ent/schema/edge"
	"entgo.io/ent/schema/field"
	"entgo.io/ent/schema/index"

	"tagma/internal/base/rawjson"
)

// Image is a photograph taken by a trap. The bucket holds the bytes; the
// row holds the properties.
type Image struct{ ent.Schema }

// Fields of an image.
func (Image) Fields() []ent.Field {
	return []ent.Field{
		id(),
		field.String("device_id").StorageKey("device").Immutable().Comment("The trap that took the image."),
		moment("taken_at", "When it was taken, to the second, from the file's name."),
		field.String("md5").Comment("MD5 of the file, 32 hex digits."),
		field.String("sha256").Comment("SHA-256 of the file, 64 hex digits."),
		field.Int64("size").Comment("Bytes of the file."),
		field.Int("width").Comment("Pixels."),
		field.Int("height").Comment("Pixels."),
		field.Bytes("thumbnail_sha256").Optional().Comment("SHA-256 of the thumbnail, 32 bytes. Null: not known yet, in rows from before the column."),
		field.Bytes("thumbnail_mini_sha256").Optional().Comment("SHA-256 of the smaller thumbnail, 32 bytes, or null as above."),
		field.String("file_id").Comment("Names this upload's files in the store; another upload of the same image has another."),
		field.String("device_version").Optional().Nillable().Comment("The version of the trap's software, as the file says."),
		measurement("altitude", "Metres above sea level."),
		measurement("latitude", "Degrees north."),
		measurement("longitude", "Degrees east."),
		measurement("temperature", "Degrees Celsius."),
		measurement("humidity", "Percent relative humidity."),
		measurement("luminosity", "Ambient light, in the unit of the trap's software."),
		measurement("battery", "Percent of the battery's charge."),
		field.Bool("button").Optional().Nillable().Comment("Whether the trap's button was pressed."),
		field.Int("orientation").Default(1).Comment("EXIF orientation, 1 to 8. 1 in rows from before the column."),
		field.JSON("warnings", []string{}).Optional().SchemaType(plainJSON).
			Comment("The deviations of the file from the JPEG standard: an array of names, or null if there are none."),
		measurement("no_flash_shutter_speed", "APEX value of the exposure without flash."),
		measurement("no_flash_exposure_time", "Seconds of the exposure without flash."),
		measurement("no_flash_brightness", "APEX brightness of the exposure without flash."),
		measurement("no_flash_iso", "ISO speed of the exposure without flash."),
		field.JSON("metadata", rawjson.Value{}).SchemaType(plainJSON).Comment("The metadata of the file: an object."),
		moment("created_at", "When these bytes came."),
		field.Int64("uploaded_by_id").StorageKey("uploaded_by").Optional().Nillable().Comment("The person who sent the file."),
	}
}

// Edges of an image.
func (Image) Edges() []ent.Edge {
	return []ent.Edge{
		edge.From("device", Device.Type).Ref("images").Field("device_id").Unique().Required().Immutable(),
		edge.To("uploaded_by", User.Type).Field("uploaded_by_id").Unique(),
		edge.To("annotations", Annotation.Type).Annotations(entsql.OnDelete(entsql.Cascade)),
	}
}

// Indexes of images: a series is read in either order, and the weather is summed up
// from an index alone, a tenth of the table. On PostgreSQL the index includes the
// row's number explicitly, because the number finds the annotations.
func (Image) Indexes() []ent.Index {
	return []ent.Index{
		index.Fields("device_id", "taken_at").Unique(),
		index.Fields("taken_at", "device_id"),
		index.Fields("device_id", "taken_at", "temperature", "humidity", "luminosity").StorageKey("image_weather").
			Annotations(entsql.IncludeColumns("id")),
	}
}
