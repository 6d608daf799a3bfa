-- +goose Up
CREATE TABLE `access_tokens` (
  `id` integer NOT NULL PRIMARY KEY AUTOINCREMENT,
  `kind` text NOT NULL,
  `name` text NOT NULL,
  `hash` text NOT NULL,
  `role` text NOT NULL,
  `device` text NULL,
  `created_at` integer NOT NULL,
  `expires_at` integer NULL,
  `last_used_at` integer NULL,
  `user_id` integer NOT NULL,
  CONSTRAINT `access_tokens_users_tokens` FOREIGN KEY (`user_id`) REFERENCES `users` (`id`) ON DELETE CASCADE
);
CREATE UNIQUE INDEX `access_tokens_hash_key` ON `access_tokens` (`hash`);
CREATE INDEX `accesstoken_user_id` ON `access_tokens` (`user_id`);
CREATE TABLE `annotations` (
  `id` integer NOT NULL PRIMARY KEY AUTOINCREMENT,
  `algorithm_name` text NOT NULL,
  `algorithm_version` text NOT NULL,
  `object_count` integer NOT NULL,
  `objects` json NOT NULL,
  `created_at` integer NOT NULL,
  `created_by` integer NULL,
  `image_id` integer NOT NULL,
  CONSTRAINT `annotations_users_created_by` FOREIGN KEY (`created_by`) REFERENCES `users` (`id`) ON DELETE SET NULL,
  CONSTRAINT `annotations_images_annotations` FOREIGN KEY (`image_id`) REFERENCES `images` (`id`) ON DELETE CASCADE
);
CREATE UNIQUE INDEX `annotation_image_id_algorithm_name_algorithm_version` ON `annotations` (`image_id`, `algorithm_name`, `algorithm_version`);
CREATE TABLE `devices` (
  `id` text NOT NULL,
  `created_at` integer NOT NULL,
  PRIMARY KEY (`id`)
);
CREATE TABLE `images` (
  `id` integer NOT NULL PRIMARY KEY AUTOINCREMENT,
  `taken_at` integer NOT NULL,
  `md5` text NOT NULL,
  `sha256` text NOT NULL,
  `size` integer NOT NULL,
  `width` integer NOT NULL,
  `height` integer NOT NULL,
  `file_id` text NOT NULL,
  `device_version` text NULL,
  `altitude` real NULL,
  `latitude` real NULL,
  `longitude` real NULL,
  `temperature` real NULL,
  `humidity` real NULL,
  `no_flash_shutter_speed` real NULL,
  `no_flash_exposure_time` real NULL,
  `no_flash_brightness` real NULL,
  `no_flash_iso` real NULL,
  `metadata` json NOT NULL,
  `created_at` integer NOT NULL,
  `device` text NOT NULL,
  `uploaded_by` integer NULL,
  CONSTRAINT `images_devices_images` FOREIGN KEY (`device`) REFERENCES `devices` (`id`) ON DELETE NO ACTION,
  CONSTRAINT `images_users_uploaded_by` FOREIGN KEY (`uploaded_by`) REFERENCES `users` (`id`) ON DELETE SET NULL
);
CREATE UNIQUE INDEX `image_device_taken_at` ON `images` (`device`, `taken_at`);
CREATE INDEX `image_taken_at_device` ON `images` (`taken_at`, `device`);
CREATE TABLE `secrets` (
  `id` text NOT NULL,
  `value` blob NOT NULL,
  `created_at` integer NOT NULL,
  PRIMARY KEY (`id`)
);
CREATE TABLE `users` (
  `id` integer NOT NULL PRIMARY KEY AUTOINCREMENT,
  `username` text NOT NULL,
  `email` text NULL,
  `role` text NOT NULL,
  `password_hash` text NOT NULL,
  `disabled` bool NOT NULL DEFAULT (false),
  `created_at` integer NOT NULL
);
CREATE UNIQUE INDEX `users_username_key` ON `users` (`username`);
