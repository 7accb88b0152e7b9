-- +goose Up
CREATE TABLE blob_data (
  org_id TEXT NOT NULL,
  hash   TEXT NOT NULL,
  data   BYTEA NOT NULL,
  at     BIGINT NOT NULL,
  PRIMARY KEY (org_id, hash)
);
-- Compressed already.
ALTER TABLE blob_data ALTER COLUMN data SET STORAGE EXTERNAL;
CREATE TABLE message_fts (
  rowid  BIGINT PRIMARY KEY,
  vector tsvector NOT NULL
);
CREATE INDEX message_fts_gin ON message_fts USING gin(vector);
