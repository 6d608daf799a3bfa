-- +goose Up
ALTER TABLE `images` ADD COLUMN `thumbnail_sha256` blob NULL;
ALTER TABLE `images` ADD COLUMN `thumbnail_mini_sha256` blob NULL;
