-- +goose Up
CREATE INDEX "annotation_counts" ON "annotations" ("image_id", "algorithm_name", "algorithm_version", "object_count");
CREATE INDEX "image_weather" ON "images" ("device", "taken_at", "temperature", "humidity") INCLUDE ("id");
