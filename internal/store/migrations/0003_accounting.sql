-- +goose Up
-- What the accounting of every message needs: trails, differences, removals, undo, and the sharing out of
-- mailboxes over nodes.

-- parent_id names the mapping with subfolders that a row follows. followed_from is the folder's readable
-- name before it was renamed on the server and found again.
ALTER TABLE mappings ADD COLUMN removal TEXT NOT NULL DEFAULT 'keep';
ALTER TABLE mappings ADD COLUMN subfolders BOOLEAN NOT NULL DEFAULT FALSE;
ALTER TABLE mappings ADD COLUMN parent_id TEXT NOT NULL DEFAULT '';
ALTER TABLE mappings ADD COLUMN object_id TEXT NOT NULL DEFAULT '';
ALTER TABLE mappings ADD COLUMN followed_from TEXT NOT NULL DEFAULT '';
ALTER TABLE mappings ADD COLUMN followed_at BIGINT NOT NULL DEFAULT 0;

-- flags_edge is where the slow scan of a whole folder's flags goes on, downwards. Rates are an hour's mails
-- and a second's octets, of late.
ALTER TABLE progress ADD COLUMN dropped BIGINT NOT NULL DEFAULT 0;
ALTER TABLE progress ADD COLUMN compared_at BIGINT NOT NULL DEFAULT 0;
ALTER TABLE progress ADD COLUMN flags_edge BIGINT NOT NULL DEFAULT 0;
ALTER TABLE progress ADD COLUMN flags_at BIGINT NOT NULL DEFAULT 0;
ALTER TABLE progress ADD COLUMN backfill_bytes BIGINT NOT NULL DEFAULT 0;
ALTER TABLE progress ADD COLUMN backfill_edge BIGINT NOT NULL DEFAULT 0;
ALTER TABLE progress ADD COLUMN rate_mails BIGINT NOT NULL DEFAULT 0;
ALTER TABLE progress ADD COLUMN rate_bytes BIGINT NOT NULL DEFAULT 0;

ALTER TABLE placements ADD COLUMN read_at BIGINT NOT NULL DEFAULT 0;
ALTER TABLE placements ADD COLUMN parsed_at BIGINT NOT NULL DEFAULT 0;
ALTER TABLE placements ADD COLUMN object_id TEXT NOT NULL DEFAULT '';
CREATE INDEX placements_by_object ON placements(mailbox_id, object_id) WHERE object_id <> '';
CREATE INDEX placements_by_mapping ON placements(mapping_id);

-- gone_at: no longer on the server, the raw copy is kept and tried again. dropped_at: a person gave it up.
ALTER TABLE quarantine ADD COLUMN gone_at BIGINT NOT NULL DEFAULT 0;
ALTER TABLE quarantine ADD COLUMN dropped_at BIGINT NOT NULL DEFAULT 0;
ALTER TABLE quarantine ADD COLUMN dropped_by TEXT NOT NULL DEFAULT '';
ALTER TABLE quarantine ADD COLUMN dropped_reason TEXT NOT NULL DEFAULT '';
ALTER TABLE quarantine ADD COLUMN version TEXT NOT NULL DEFAULT '';

-- When a listing first showed UIDs: one row for each listing that showed new ones. The earliest row that
-- spans a UID tells when it was seen.
CREATE TABLE sightings (
  mapping_id   TEXT NOT NULL REFERENCES mappings(id) ON DELETE CASCADE,
  uid_validity BIGINT NOT NULL,
  first_uid    BIGINT NOT NULL,
  last_uid     BIGINT NOT NULL,
  at           BIGINT NOT NULL,
  PRIMARY KEY (mapping_id, uid_validity, first_uid, at)
);

-- Differences between the server and the ledger, as comparisons found them.
CREATE TABLE findings (
  id          TEXT PRIMARY KEY,
  org_id      TEXT NOT NULL,
  mailbox_id  TEXT NOT NULL,
  mapping_id  TEXT NOT NULL REFERENCES mappings(id) ON DELETE CASCADE,
  kind        TEXT NOT NULL,
  at          BIGINT NOT NULL,
  count       BIGINT NOT NULL,
  uids        TEXT NOT NULL DEFAULT '',
  repaired_at BIGINT NOT NULL DEFAULT 0
);
CREATE INDEX findings_by_mapping ON findings(mapping_id, at DESC);
CREATE INDEX findings_by_mailbox ON findings(mailbox_id, at DESC);

-- Mails that left a folder whose mapping says "remove", until it is known that they have not moved to
-- another mapped one.
CREATE TABLE leaving (
  mapping_id  TEXT NOT NULL REFERENCES mappings(id) ON DELETE CASCADE,
  message_seq BIGINT NOT NULL,
  mailbox_id  TEXT NOT NULL,
  at          BIGINT NOT NULL,
  PRIMARY KEY (mapping_id, message_seq)
);
CREATE INDEX leaving_by_mailbox ON leaving(mailbox_id, at);

-- What was removed here because it was removed there, and does not come back as long as its mapping lives.
-- key is the SHA-256 of the message's dedupe_key, message_id_hash that of its Message-ID ('' without one):
-- the message itself may be gone, and whoever has its Message-ID can still be told.
CREATE TABLE tombstones (
  mapping_id      TEXT NOT NULL REFERENCES mappings(id) ON DELETE CASCADE,
  key             TEXT NOT NULL,
  message_id_hash TEXT NOT NULL DEFAULT '',
  at              BIGINT NOT NULL,
  PRIMARY KEY (mapping_id, key)
);
CREATE INDEX tombstones_by_message_id ON tombstones(message_id_hash) WHERE message_id_hash <> '';

-- Mappings that are being taken back. total and done count placements, kept the messages that stay because
-- something else brings them too.
CREATE TABLE undos (
  mapping_id     TEXT PRIMARY KEY,
  org_id         TEXT NOT NULL,
  mailbox_id     TEXT NOT NULL,
  user_id        TEXT NOT NULL,
  otys_folder_id TEXT NOT NULL,
  name           TEXT NOT NULL,
  total          BIGINT NOT NULL,
  done           BIGINT NOT NULL DEFAULT 0,
  kept           BIGINT NOT NULL DEFAULT 0,
  started_at     BIGINT NOT NULL,
  finished_at    BIGINT NOT NULL DEFAULT 0
);
CREATE INDEX undos_by_mailbox ON undos(mailbox_id, started_at DESC);
CREATE INDEX undos_open ON undos(started_at) WHERE finished_at = 0;

-- Nodes that are alive, for sharing out the mailboxes.
CREATE TABLE nodes (
  name    TEXT PRIMARY KEY,
  seen_at BIGINT NOT NULL
);
