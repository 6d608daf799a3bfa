-- +goose Up
CREATE INDEX "annotation_counts" ON "annotations" ("image_id", "algorithm_name", "algorithm_version", "object_count");
CREATE INDEX "image_weather" ON "images" ("device", "taken_at", "temperature", "humidity") INCLUDE ("id");
-- Objects are read far more often than written, and lz4 is read several times as
-- fast as PostgreSQL's own. Not every server has it.
-- +goose StatementBegin
DO $$
BEGIN
  EXECUTE 'ALTER TABLE "annotations" ALTER COLUMN "objects" SET COMPRESSION lz4';
EXCEPTION WHEN feature_not_supported OR syntax_error THEN
  NULL;
END
$$;
-- +goose StatementEnd
