-- +goose Up
-- One text for SQLite and PostgreSQL. Times are UTC microseconds since 1970 (0 = never), ids are text
-- with a kind prefix. {{bytes}} and {{serial}} are the only words that the engines spell differently.
-- Every table below organizations carries org_id where a person can reach it: the wall between agencies.

CREATE TABLE organizations (
  id                  TEXT PRIMARY KEY,
  name                TEXT NOT NULL,
  share_linked_mail   BOOLEAN NOT NULL DEFAULT FALSE,
  allow_private_hosts BOOLEAN NOT NULL DEFAULT FALSE,
  created_at          BIGINT NOT NULL
);

CREATE TABLE users (
  id            TEXT PRIMARY KEY,
  org_id        TEXT NOT NULL REFERENCES organizations(id),
  email         TEXT NOT NULL UNIQUE,
  name          TEXT NOT NULL,
  role          TEXT NOT NULL,
  password_hash TEXT NOT NULL,
  language      TEXT NOT NULL DEFAULT '',
  disabled_at   BIGINT NOT NULL DEFAULT 0,
  session_epoch BIGINT NOT NULL DEFAULT 1,
  created_at    BIGINT NOT NULL
);
CREATE INDEX users_by_org ON users(org_id, name);

-- Web sessions as scs keeps them.
CREATE TABLE sessions (
  token  TEXT PRIMARY KEY,
  data   {{bytes}} NOT NULL,
  expiry BIGINT NOT NULL
);
CREATE INDEX sessions_by_expiry ON sessions(expiry);

-- Small facts of the installation: hash of the one-time setup token, and the like.
CREATE TABLE settings (
  name  TEXT PRIMARY KEY,
  value TEXT NOT NULL
);

-- A user has one mailbox that is not retired. wanted/done, owner, epoch and lease_until are the job:
-- a node that holds the lease reads the mailbox, and every write of its carries the epoch. claimed_wanted
-- is wanted as it was when claimed: what a failing run has answered. data_key_id names the key-encryption
-- key that seals the data key; password_key, and access_key and refresh_key of grants, name the data key.
CREATE TABLE mailboxes (
  id                TEXT PRIMARY KEY,
  org_id            TEXT NOT NULL REFERENCES organizations(id),
  user_id           TEXT NOT NULL REFERENCES users(id),
  address           TEXT NOT NULL,
  account           TEXT NOT NULL DEFAULT '',
  provider_id       TEXT NOT NULL DEFAULT '',
  host              TEXT NOT NULL DEFAULT '',
  port              INTEGER NOT NULL DEFAULT 0,
  tls               TEXT NOT NULL DEFAULT '',
  password_key      TEXT NOT NULL DEFAULT '',
  password_sealed   {{bytes}},
  data_key_id       TEXT NOT NULL DEFAULT '',
  data_key_sealed   {{bytes}},
  paused            BOOLEAN NOT NULL DEFAULT FALSE,
  problem           TEXT NOT NULL DEFAULT '',
  mappings_version  BIGINT NOT NULL DEFAULT 0,
  folders_listed_at BIGINT NOT NULL DEFAULT 0,
  wanted            BIGINT NOT NULL DEFAULT 0,
  done              BIGINT NOT NULL DEFAULT 0,
  claimed_wanted    BIGINT NOT NULL DEFAULT 0,
  owner             TEXT NOT NULL DEFAULT '',
  epoch             BIGINT NOT NULL DEFAULT 0,
  lease_until       BIGINT NOT NULL DEFAULT 0,
  retry_at          BIGINT NOT NULL DEFAULT 0,
  failures          BIGINT NOT NULL DEFAULT 0,
  created_at        BIGINT NOT NULL,
  retired_at        BIGINT NOT NULL DEFAULT 0
);
CREATE UNIQUE INDEX mailboxes_one_per_user ON mailboxes(user_id) WHERE retired_at = 0;
CREATE INDEX mailboxes_by_org ON mailboxes(org_id);
CREATE INDEX mailboxes_by_lease ON mailboxes(lease_until) WHERE retired_at = 0;
CREATE INDEX mailboxes_by_node ON mailboxes(owner) WHERE owner <> '';

CREATE TABLE grants (
  id           TEXT PRIMARY KEY,
  org_id       TEXT NOT NULL REFERENCES organizations(id),
  mailbox_id   TEXT NOT NULL UNIQUE REFERENCES mailboxes(id) ON DELETE CASCADE,
  provider_id  TEXT NOT NULL,
  subject      TEXT NOT NULL,
  account      TEXT NOT NULL,
  tenant_id    TEXT NOT NULL DEFAULT '',
  scopes       TEXT NOT NULL,
  granted_by   TEXT NOT NULL,
  granted_at   BIGINT NOT NULL,
  refreshed_at BIGINT NOT NULL,
  expires_at   BIGINT NOT NULL,
  access_key   TEXT NOT NULL,
  access_data  {{bytes}} NOT NULL,
  refresh_key  TEXT NOT NULL DEFAULT '',
  refresh_data {{bytes}},
  version      BIGINT NOT NULL DEFAULT 1,
  lease_owner  TEXT NOT NULL DEFAULT '',
  lease_until  BIGINT NOT NULL DEFAULT 0
);

CREATE TABLE auth_requests (
  state_hash    TEXT PRIMARY KEY,
  binding       TEXT NOT NULL,
  org_id        TEXT NOT NULL,
  user_id       TEXT NOT NULL REFERENCES users(id),
  mailbox_id    TEXT NOT NULL REFERENCES mailboxes(id) ON DELETE CASCADE,
  provider_id   TEXT NOT NULL,
  verifier_key  TEXT NOT NULL,
  verifier_data {{bytes}} NOT NULL,
  nonce         TEXT NOT NULL,
  forced        BOOLEAN NOT NULL DEFAULT FALSE,
  created_at    BIGINT NOT NULL,
  expires_at    BIGINT NOT NULL
);

CREATE TABLE folders (
  mailbox_id   TEXT NOT NULL REFERENCES mailboxes(id) ON DELETE CASCADE,
  raw_name     TEXT NOT NULL,
  name         TEXT NOT NULL,
  path         TEXT NOT NULL,
  delimiter    TEXT NOT NULL DEFAULT '',
  role         TEXT NOT NULL DEFAULT '',
  selectable   BOOLEAN NOT NULL,
  messages     BIGINT NOT NULL DEFAULT -1,
  unseen       BIGINT NOT NULL DEFAULT -1,
  size         BIGINT NOT NULL DEFAULT -1,
  uid_validity BIGINT NOT NULL DEFAULT 0,
  uid_next     BIGINT NOT NULL DEFAULT 0,
  object_id    TEXT NOT NULL DEFAULT '',
  listed_at    BIGINT NOT NULL,
  gone_at      BIGINT NOT NULL DEFAULT 0,
  PRIMARY KEY (mailbox_id, raw_name)
);

CREATE TABLE otys_folders (
  id         TEXT PRIMARY KEY,
  org_id     TEXT NOT NULL REFERENCES organizations(id),
  user_id    TEXT NOT NULL REFERENCES users(id),
  name       TEXT NOT NULL,
  role       TEXT NOT NULL DEFAULT '',
  total      BIGINT NOT NULL DEFAULT 0,
  unread     BIGINT NOT NULL DEFAULT 0,
  created_at BIGINT NOT NULL
);
CREATE UNIQUE INDEX otys_folders_by_name ON otys_folders(user_id, name);

CREATE TABLE mappings (
  id             TEXT PRIMARY KEY,
  org_id         TEXT NOT NULL REFERENCES organizations(id),
  mailbox_id     TEXT NOT NULL REFERENCES mailboxes(id) ON DELETE CASCADE,
  raw_name       TEXT NOT NULL,
  name           TEXT NOT NULL,
  otys_folder_id TEXT NOT NULL REFERENCES otys_folders(id),
  since          BIGINT NOT NULL DEFAULT 0,
  paused         BOOLEAN NOT NULL DEFAULT FALSE,
  created_at     BIGINT NOT NULL
);
CREATE UNIQUE INDEX mappings_by_folder ON mappings(mailbox_id, raw_name);

CREATE TABLE progress (
  mapping_id       TEXT PRIMARY KEY REFERENCES mappings(id) ON DELETE CASCADE,
  mailbox_id       TEXT NOT NULL,
  stage            TEXT NOT NULL DEFAULT 'idle',
  uid_validity     BIGINT NOT NULL DEFAULT 0,
  uid_next         BIGINT NOT NULL DEFAULT 0,
  highest_modseq   BIGINT NOT NULL DEFAULT 0,
  backlog          TEXT NOT NULL DEFAULT '',
  skipped          TEXT NOT NULL DEFAULT '',
  on_server        BIGINT NOT NULL DEFAULT 0,
  stored           BIGINT NOT NULL DEFAULT 0,
  quarantined      BIGINT NOT NULL DEFAULT 0,
  checked_at       BIGINT NOT NULL DEFAULT 0,
  problem          TEXT NOT NULL DEFAULT '',
  failures         BIGINT NOT NULL DEFAULT 0,
  retry_at         BIGINT NOT NULL DEFAULT 0,
  backfill_total   BIGINT NOT NULL DEFAULT 0,
  backfill_started BIGINT NOT NULL DEFAULT 0
);
CREATE INDEX progress_by_mailbox ON progress(mailbox_id);

-- Raw mail: identical bytes once per organization. pack is '' where blob_data holds the bytes.
CREATE TABLE blobs (
  org_id     TEXT NOT NULL,
  hash       TEXT NOT NULL,
  pack       TEXT NOT NULL,
  pos        BIGINT NOT NULL,
  length     BIGINT NOT NULL,
  size       BIGINT NOT NULL,
  codec      TEXT NOT NULL,
  PRIMARY KEY (org_id, hash)
);
CREATE INDEX blobs_by_pack ON blobs(pack, pos);

CREATE TABLE messages (
  seq         {{serial}},
  id          TEXT NOT NULL UNIQUE,
  org_id      TEXT NOT NULL REFERENCES organizations(id),
  dedupe_key  TEXT NOT NULL,
  message_id  TEXT NOT NULL DEFAULT '',
  raw_hash    TEXT NOT NULL,
  size        BIGINT NOT NULL,
  subject     TEXT NOT NULL,
  headers     TEXT NOT NULL,
  date        BIGINT NOT NULL,
  received_at BIGINT NOT NULL,
  snippet     TEXT NOT NULL DEFAULT '',
  has_html    BOOLEAN NOT NULL DEFAULT FALSE,
  attachments TEXT NOT NULL DEFAULT '',
  created_at  BIGINT NOT NULL
);
CREATE UNIQUE INDEX messages_by_key ON messages(org_id, dedupe_key);
CREATE INDEX messages_by_message_id ON messages(org_id, message_id);

-- The addresses by which a message can be linked, per owner's point of view: late linking looks here.
CREATE TABLE message_addresses (
  org_id      TEXT NOT NULL,
  address     TEXT NOT NULL,
  message_seq BIGINT NOT NULL,
  role        TEXT NOT NULL,
  PRIMARY KEY (org_id, address, message_seq)
);

CREATE TABLE placements (
  mailbox_id   TEXT NOT NULL,
  raw_name     TEXT NOT NULL,
  uid_validity BIGINT NOT NULL,
  uid          BIGINT NOT NULL,
  mapping_id   TEXT NOT NULL,
  message_seq  BIGINT NOT NULL,
  raw_hash     TEXT NOT NULL,
  seen         BOOLEAN NOT NULL DEFAULT FALSE,
  flagged      BOOLEAN NOT NULL DEFAULT FALSE,
  answered     BOOLEAN NOT NULL DEFAULT FALSE,
  modseq       BIGINT NOT NULL DEFAULT 0,
  created_at   BIGINT NOT NULL,
  gone_at      BIGINT NOT NULL DEFAULT 0,
  PRIMARY KEY (mailbox_id, raw_name, uid_validity, uid)
);
CREATE INDEX placements_by_message ON placements(message_seq);

-- A message as it lies in one OTYS folder of one user: what the OTYS mailbox lists.
CREATE TABLE deliveries (
  otys_folder_id TEXT NOT NULL,
  message_seq    BIGINT NOT NULL,
  org_id         TEXT NOT NULL,
  user_id        TEXT NOT NULL,
  received_at    BIGINT NOT NULL,
  unread         BOOLEAN NOT NULL,
  sent           BOOLEAN NOT NULL DEFAULT FALSE,
  created_at     BIGINT NOT NULL,
  PRIMARY KEY (otys_folder_id, message_seq)
);
CREATE INDEX deliveries_newest ON deliveries(otys_folder_id, received_at DESC, message_seq DESC);
CREATE INDEX deliveries_by_message ON deliveries(message_seq, user_id);
CREATE INDEX deliveries_unread ON deliveries(user_id, received_at DESC, message_seq DESC) WHERE unread;
CREATE INDEX deliveries_by_user ON deliveries(user_id, received_at DESC, message_seq DESC);

-- search is name, company, reference and addresses in lower case without diacritics: what people are
-- sorted by and found by.
CREATE TABLE persons (
  id         TEXT PRIMARY KEY,
  org_id     TEXT NOT NULL REFERENCES organizations(id),
  kind       TEXT NOT NULL,
  name       TEXT NOT NULL,
  company    TEXT NOT NULL DEFAULT '',
  reference  TEXT NOT NULL DEFAULT '',
  search     TEXT NOT NULL,
  created_at BIGINT NOT NULL
);
CREATE INDEX persons_by_name ON persons(org_id, name);
CREATE INDEX persons_in_order ON persons(org_id, search);
CREATE UNIQUE INDEX persons_by_reference ON persons(org_id, kind, reference) WHERE reference <> '';

CREATE TABLE person_addresses (
  org_id    TEXT NOT NULL,
  address   TEXT NOT NULL,
  person_id TEXT NOT NULL REFERENCES persons(id) ON DELETE CASCADE,
  PRIMARY KEY (org_id, address, person_id)
);
CREATE INDEX person_addresses_by_person ON person_addresses(person_id);

CREATE TABLE links (
  org_id      TEXT NOT NULL,
  message_seq BIGINT NOT NULL,
  person_id   TEXT NOT NULL REFERENCES persons(id) ON DELETE CASCADE,
  address     TEXT NOT NULL,
  role        TEXT NOT NULL,
  reason      TEXT NOT NULL,
  made_by     TEXT NOT NULL DEFAULT '',
  received_at BIGINT NOT NULL,
  created_at  BIGINT NOT NULL,
  removed_at  BIGINT NOT NULL DEFAULT 0,
  removed_by  TEXT NOT NULL DEFAULT '',
  PRIMARY KEY (message_seq, person_id)
);
CREATE INDEX links_by_person ON links(person_id, received_at DESC, message_seq DESC);

-- An address that belongs to several persons: a person decides. decided_at <> 0 keeps the machine from asking again.
CREATE TABLE choices (
  org_id      TEXT NOT NULL,
  message_seq BIGINT NOT NULL,
  address     TEXT NOT NULL,
  role        TEXT NOT NULL,
  created_at  BIGINT NOT NULL,
  decided_at  BIGINT NOT NULL DEFAULT 0,
  decided_by  TEXT NOT NULL DEFAULT '',
  PRIMARY KEY (message_seq, address)
);
CREATE INDEX choices_open ON choices(org_id, address) WHERE decided_at = 0;

CREATE TABLE quarantine (
  id           TEXT PRIMARY KEY,
  org_id       TEXT NOT NULL,
  mailbox_id   TEXT NOT NULL,
  mapping_id   TEXT NOT NULL,
  raw_name     TEXT NOT NULL,
  uid_validity BIGINT NOT NULL,
  uid          BIGINT NOT NULL,
  raw_hash     TEXT NOT NULL DEFAULT '',
  size         BIGINT NOT NULL DEFAULT 0,
  reason       TEXT NOT NULL,
  attempts     BIGINT NOT NULL DEFAULT 1,
  retry_at     BIGINT NOT NULL DEFAULT 0,
  created_at   BIGINT NOT NULL
);
CREATE UNIQUE INDEX quarantine_by_uid ON quarantine(mailbox_id, raw_name, uid_validity, uid);
CREATE INDEX quarantine_by_mapping ON quarantine(mapping_id, retry_at);

CREATE TABLE runs (
  id          TEXT PRIMARY KEY,
  org_id      TEXT NOT NULL,
  mailbox_id  TEXT NOT NULL,
  mapping_id  TEXT NOT NULL,
  started_at  BIGINT NOT NULL,
  ended_at    BIGINT NOT NULL DEFAULT 0,
  stored      BIGINT NOT NULL DEFAULT 0,
  quarantined BIGINT NOT NULL DEFAULT 0,
  bytes       BIGINT NOT NULL DEFAULT 0,
  problem     TEXT NOT NULL DEFAULT ''
);
CREATE INDEX runs_by_mapping ON runs(mapping_id, started_at DESC);

CREATE TABLE audit (
  id       TEXT PRIMARY KEY,
  org_id   TEXT NOT NULL,
  at       BIGINT NOT NULL,
  actor_id TEXT NOT NULL DEFAULT '',
  action   TEXT NOT NULL,
  subject  TEXT NOT NULL DEFAULT '',
  details  TEXT NOT NULL DEFAULT ''
);
CREATE INDEX audit_by_org ON audit(org_id, at DESC);
