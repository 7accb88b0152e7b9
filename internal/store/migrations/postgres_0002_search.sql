-- +goose Up
CREATE TABLE blob_data (
  org_id TEXT NOT NULL,
  hash   TEXT NOT NULL,
  data   BYTEA NOT NULL,
  PRIMARY KEY (org_id, hash)
);
CREATE TABLE message_fts (
  rowid  BIGINT PRIMARY KEY,
  vector tsvector NOT NULL
);
CREATE INDEX message_fts_gin ON message_fts USING gin(vector);
