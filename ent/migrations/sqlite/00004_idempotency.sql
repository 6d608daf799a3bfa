-- +goose Up
CREATE TABLE `keyed_requests` (
  `id` text NOT NULL,
  `sender` text NOT NULL,
  `fingerprint` text NOT NULL,
  `run` text NOT NULL,
  `effective` bool NOT NULL DEFAULT (false),
  `state` text NOT NULL DEFAULT ('RUNNING'),
  `answer` blob NULL,
  `size` integer NOT NULL DEFAULT (0),
  `leased_until` integer NOT NULL,
  `expires_at` integer NOT NULL,
  PRIMARY KEY (`id`)
);
CREATE INDEX `keyedrequest_sender` ON `keyed_requests` (`sender`);
CREATE INDEX `keyedrequest_expires_at` ON `keyed_requests` (`expires_at`);
