-- +goose Up
ALTER TABLE "images" ADD COLUMN "luminosity" double precision NULL, ADD COLUMN "battery" double precision NULL, ADD COLUMN "button" boolean NULL, ADD COLUMN "orientation" bigint NOT NULL DEFAULT 1, ADD COLUMN "warnings" json NULL;
DROP INDEX "image_weather";
CREATE INDEX "image_weather" ON "images" ("device", "taken_at", "temperature", "humidity", "luminosity") INCLUDE ("id");
