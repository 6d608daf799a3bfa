-- +goose Up
ALTER TABLE `images` ADD COLUMN `luminosity` real NULL;
ALTER TABLE `images` ADD COLUMN `battery` real NULL;
ALTER TABLE `images` ADD COLUMN `button` bool NULL;
ALTER TABLE `images` ADD COLUMN `orientation` integer NOT NULL DEFAULT 1;
ALTER TABLE `images` ADD COLUMN `warnings` json NULL;
DROP INDEX `image_weather`;
CREATE INDEX `image_weather` ON `images` (`device`, `taken_at`, `temperature`, `humidity`, `luminosity`);
