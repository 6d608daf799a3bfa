-- +goose Up
CREATE TABLE `bundles` (
  `id` integer NOT NULL PRIMARY KEY AUTOINCREMENT,
  `name` text NOT NULL,
  `created_at` integer NOT NULL
);
CREATE UNIQUE INDEX `bundles_name_key` ON `bundles` (`name`);
CREATE TABLE `bundle_arrivals` (
  `id` integer NOT NULL PRIMARY KEY AUTOINCREMENT,
  `md5` text NOT NULL,
  `sha256` text NOT NULL,
  `upload_id` integer NOT NULL,
  CONSTRAINT `bundle_arrivals_bundle_uploads_arrivals` FOREIGN KEY (`upload_id`) REFERENCES `bundle_uploads` (`id`) ON DELETE CASCADE
);
CREATE UNIQUE INDEX `bundlearrival_upload_id_md5` ON `bundle_arrivals` (`upload_id`, `md5`);
CREATE TABLE `bundle_contents` (
  `id` integer NOT NULL PRIMARY KEY AUTOINCREMENT,
  `sha256` text NOT NULL,
  `md5` text NOT NULL,
  `size` integer NOT NULL,
  `stored_as` text NOT NULL,
  `created_at` integer NOT NULL
);
CREATE UNIQUE INDEX `bundle_contents_sha256_key` ON `bundle_contents` (`sha256`);
CREATE INDEX `bundlecontent_md5_size` ON `bundle_contents` (`md5`, `size`);
CREATE INDEX `bundlecontent_stored_as` ON `bundle_contents` (`stored_as`);
CREATE TABLE `bundle_files` (
  `id` integer NOT NULL PRIMARY KEY AUTOINCREMENT,
  `key` text NOT NULL,
  `modified_at` integer NOT NULL,
  `content_id` integer NOT NULL,
  `version_id` integer NOT NULL,
  CONSTRAINT `bundle_files_bundle_contents_content` FOREIGN KEY (`content_id`) REFERENCES `bundle_contents` (`id`) ON DELETE NO ACTION,
  CONSTRAINT `bundle_files_bundle_versions_files` FOREIGN KEY (`version_id`) REFERENCES `bundle_versions` (`id`) ON DELETE NO ACTION
);
CREATE UNIQUE INDEX `bundlefile_version_id_key` ON `bundle_files` (`version_id`, `key`);
CREATE INDEX `bundlefile_content_id` ON `bundle_files` (`content_id`);
CREATE TABLE `bundle_uploads` (
  `id` integer NOT NULL PRIMARY KEY AUTOINCREMENT,
  `name` text NOT NULL,
  `manifest` json NOT NULL,
  `manifest_sha256` text NOT NULL,
  `file_id` text NOT NULL,
  `created_at` integer NOT NULL,
  `expires_at` integer NOT NULL,
  `created_by` integer NOT NULL,
  `version_id` integer NULL,
  CONSTRAINT `bundle_uploads_users_created_by` FOREIGN KEY (`created_by`) REFERENCES `users` (`id`) ON DELETE NO ACTION,
  CONSTRAINT `bundle_uploads_bundle_versions_version` FOREIGN KEY (`version_id`) REFERENCES `bundle_versions` (`id`) ON DELETE SET NULL
);
CREATE UNIQUE INDEX `bundle_uploads_file_id_key` ON `bundle_uploads` (`file_id`);
CREATE INDEX `bundleupload_created_by_manifest_sha256` ON `bundle_uploads` (`created_by`, `manifest_sha256`);
CREATE INDEX `bundleupload_expires_at` ON `bundle_uploads` (`expires_at`);
CREATE TABLE `bundle_versions` (
  `id` integer NOT NULL PRIMARY KEY AUTOINCREMENT,
  `number` integer NOT NULL,
  `md5` text NOT NULL,
  `created_at` integer NOT NULL,
  `bundle_id` integer NOT NULL,
  `created_by` integer NULL,
  CONSTRAINT `bundle_versions_bundles_versions` FOREIGN KEY (`bundle_id`) REFERENCES `bundles` (`id`) ON DELETE NO ACTION,
  CONSTRAINT `bundle_versions_users_created_by` FOREIGN KEY (`created_by`) REFERENCES `users` (`id`) ON DELETE SET NULL
);
CREATE UNIQUE INDEX `bundleversion_bundle_id_number` ON `bundle_versions` (`bundle_id`, `number`);
CREATE INDEX `bundleversion_md5` ON `bundle_versions` (`md5`);
