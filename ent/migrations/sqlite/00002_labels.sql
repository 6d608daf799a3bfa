-- +goose Up
CREATE TABLE `checkpoints` (
  `id` text NOT NULL,
  `value` text NOT NULL,
  PRIMARY KEY (`id`)
);
CREATE TABLE `label_sets` (
  `id` integer NOT NULL PRIMARY KEY AUTOINCREMENT,
  `name` text NOT NULL,
  `version` integer NOT NULL,
  `labels` json NOT NULL,
  `created_at` integer NOT NULL
);
CREATE UNIQUE INDEX `labelset_name_version` ON `label_sets` (`name`, `version`);
CREATE TABLE `label_submissions` (
  `id` integer NOT NULL PRIMARY KEY AUTOINCREMENT,
  `frame_index` integer NOT NULL,
  `timestamp` integer NOT NULL,
  `filename` text NOT NULL,
  `revision` integer NOT NULL,
  `content` text NOT NULL,
  `status` text NOT NULL DEFAULT ('QUEUED'),
  `commit_sha` text NULL,
  `pushed_at` integer NULL,
  `failure` text NULL,
  `created_at` integer NOT NULL,
  `author` text NOT NULL,
  `label_set_id` integer NOT NULL,
  `submitted_by` integer NULL,
  `video_id` integer NOT NULL,
  CONSTRAINT `label_submissions_label_sets_label_set` FOREIGN KEY (`label_set_id`) REFERENCES `label_sets` (`id`) ON DELETE NO ACTION,
  CONSTRAINT `label_submissions_users_submitted_by` FOREIGN KEY (`submitted_by`) REFERENCES `users` (`id`) ON DELETE SET NULL,
  CONSTRAINT `label_submissions_videos_submissions` FOREIGN KEY (`video_id`) REFERENCES `videos` (`id`) ON DELETE NO ACTION
);
CREATE UNIQUE INDEX `labelsubmission_filename_revision` ON `label_submissions` (`filename`, `revision`);
CREATE INDEX `labelsubmission_video_id_id` ON `label_submissions` (`video_id`, `id`);
CREATE INDEX `labelsubmission_video_id_frame_index` ON `label_submissions` (`video_id`, `frame_index`);
CREATE INDEX `labelsubmission_status_id` ON `label_submissions` (`status`, `id`);
CREATE INDEX `labelsubmission_created_at_id` ON `label_submissions` (`created_at`, `id`);
CREATE TABLE `videos` (
  `id` integer NOT NULL PRIMARY KEY AUTOINCREMENT,
  `url` text NOT NULL,
  `hash` text NOT NULL,
  `total_frames` integer NOT NULL,
  `fps` real NOT NULL,
  `frame_width` integer NOT NULL,
  `frame_height` integer NOT NULL,
  `created_at` integer NOT NULL
);
CREATE UNIQUE INDEX `videos_url_key` ON `videos` (`url`);
CREATE INDEX `labelsubmission_submitted_by_id` ON `label_submissions` (`submitted_by`, `id`);
CREATE INDEX `labelsubmission_label_set_id_id` ON `label_submissions` (`label_set_id`, `id`);
