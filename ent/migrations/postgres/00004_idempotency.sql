-- +goose Up
CREATE TABLE "keyed_requests" (
  "id" character varying NOT NULL,
  "sender" character varying NOT NULL,
  "fingerprint" character varying NOT NULL,
  "run" character varying NOT NULL,
  "effective" boolean NOT NULL DEFAULT false,
  "state" character varying NOT NULL DEFAULT 'RUNNING',
  "answer" bytea NULL,
  "size" bigint NOT NULL DEFAULT 0,
  "leased_until" bigint NOT NULL,
  "expires_at" bigint NOT NULL,
  PRIMARY KEY ("id")
);
CREATE INDEX "keyedrequest_sender" ON "keyed_requests" ("sender");
CREATE INDEX "keyedrequest_expires_at" ON "keyed_requests" ("expires_at");
