-- +goose Up
-- What is forgotten is found again: publishing reads what is not recorded.
DROP TABLE `bundle_arrivals`;
CREATE TABLE `bundle_arrivals` (
  `id` integer NOT NULL PRIMARY KEY AUTOINCREMENT,
  `md5` text NOT NULL,
  `sha256` text NOT NULL,
  `stored_as` text NOT NULL,
  `upload_id` integer NOT NULL,
  CONSTRAINT `bundle_arrivals_bundle_uploads_arrivals` FOREIGN KEY (`upload_id`) REFERENCES `bundle_uploads` (`id`) ON DELETE CASCADE
);
CREATE UNIQUE INDEX `bundlearrival_upload_id_md5` ON `bundle_arrivals` (`upload_id`, `md5`);
