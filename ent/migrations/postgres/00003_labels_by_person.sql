-- +goose Up
CREATE INDEX "labelsubmission_submitted_by_id" ON "label_submissions" ("submitted_by", "id");
CREATE INDEX "labelsubmission_label_set_id_id" ON "label_submissions" ("label_set_id", "id");
