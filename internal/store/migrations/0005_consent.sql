-- +goose Up
-- What consent needs: an organization's own providers and credentials, grants that wait for a choice, links
-- for an IT administrator, tenants and what is known of their consent, the doctor's reports, outages of a
-- provider, and who was told what.

-- via says how the account that granted relates to the mailbox: '' itself, alias, shared.
ALTER TABLE grants ADD COLUMN via TEXT NOT NULL DEFAULT '';
CREATE INDEX grants_by_age ON grants(refreshed_at);
CREATE INDEX grants_by_tenant ON grants(org_id, provider_id, tenant_id, refreshed_at);

-- A provider as an organization has it: a JSON object of the fields that it sets over a shipped one, or all
-- of one that it added. No secret stands in it.
CREATE TABLE providers (
  org_id     TEXT NOT NULL REFERENCES organizations(id),
  id         TEXT NOT NULL,
  data       TEXT NOT NULL,
  created_at BIGINT NOT NULL,
  changed_at BIGINT NOT NULL,
  PRIMARY KEY (org_id, id)
);

-- With what a registration proves itself. Of each use the newest that is proved is tried first.
CREATE TABLE credentials (
  id          TEXT PRIMARY KEY,
  org_id      TEXT NOT NULL REFERENCES organizations(id),
  provider_id TEXT NOT NULL,
  use         TEXT NOT NULL,
  kind        TEXT NOT NULL,
  client_id   TEXT NOT NULL,
  certificate TEXT NOT NULL DEFAULT '',
  thumbprint  TEXT NOT NULL DEFAULT '',
  expires_at  BIGINT NOT NULL DEFAULT 0,
  created_by  TEXT NOT NULL,
  created_at  BIGINT NOT NULL,
  proved_at   BIGINT NOT NULL DEFAULT 0,
  problem     TEXT NOT NULL DEFAULT '',
  sealed_key  TEXT NOT NULL,
  sealed_data {{bytes}} NOT NULL
);
CREATE INDEX credentials_by_provider ON credentials(org_id, provider_id, use);

-- A grant that came back for another address than was typed and waits for an explicit choice. data is the
-- whole of it, sealed by a key-encryption key.
CREATE TABLE pending_grants (
  id          TEXT PRIMARY KEY,
  binding     TEXT NOT NULL,
  org_id      TEXT NOT NULL,
  user_id     TEXT NOT NULL REFERENCES users(id),
  mailbox_id  TEXT NOT NULL REFERENCES mailboxes(id) ON DELETE CASCADE,
  provider_id TEXT NOT NULL,
  account     TEXT NOT NULL,
  sealed_key  TEXT NOT NULL,
  sealed_data {{bytes}} NOT NULL,
  created_at  BIGINT NOT NULL,
  expires_at  BIGINT NOT NULL
);

-- What is known of a tenant's consent. reported_at is what a browser brought back, and proves nothing;
-- proved_at is set by a grant from the tenant, or by a reading of its directory.
CREATE TABLE tenants (
  org_id      TEXT NOT NULL REFERENCES organizations(id),
  provider_id TEXT NOT NULL,
  tenant_id   TEXT NOT NULL,
  reported_at BIGINT NOT NULL DEFAULT 0,
  proved_at   BIGINT NOT NULL DEFAULT 0,
  proved_by   TEXT NOT NULL DEFAULT '',
  PRIMARY KEY (org_id, provider_id, tenant_id)
);

-- Links that are sent to an IT administrator without an account here.
CREATE TABLE consent_links (
  id          TEXT PRIMARY KEY,
  org_id      TEXT NOT NULL REFERENCES organizations(id),
  provider_id TEXT NOT NULL,
  mailbox_id  TEXT NOT NULL DEFAULT '',
  tenant      TEXT NOT NULL DEFAULT '',
  created_by  TEXT NOT NULL,
  created_at  BIGINT NOT NULL,
  expires_at  BIGINT NOT NULL,
  revoked_at  BIGINT NOT NULL DEFAULT 0,
  opened_at   BIGINT NOT NULL DEFAULT 0,
  proved_at   BIGINT NOT NULL DEFAULT 0
);
CREATE INDEX consent_links_by_org ON consent_links(org_id, provider_id, created_at);

-- An administrator who was sent to the provider to consent. The state is single use.
CREATE TABLE consent_requests (
  id          TEXT PRIMARY KEY,
  state_hash  TEXT NOT NULL UNIQUE,
  org_id      TEXT NOT NULL REFERENCES organizations(id),
  provider_id TEXT NOT NULL,
  link_id     TEXT NOT NULL DEFAULT '',
  user_id     TEXT NOT NULL DEFAULT '',
  binding     TEXT NOT NULL DEFAULT '',
  tenant      TEXT NOT NULL DEFAULT '',
  created_at  BIGINT NOT NULL,
  expires_at  BIGINT NOT NULL,
  answered_at BIGINT NOT NULL DEFAULT 0,
  reported    TEXT NOT NULL DEFAULT '',
  problem     TEXT NOT NULL DEFAULT ''
);
CREATE INDEX consent_requests_by_org ON consent_requests(org_id, provider_id, created_at);
CREATE INDEX consent_requests_by_link ON consent_requests(link_id);

-- What the doctor found. checks is a JSON list. requests that are under way stand in doctor_requests.
CREATE TABLE doctor_reports (
  id          TEXT PRIMARY KEY,
  org_id      TEXT NOT NULL REFERENCES organizations(id),
  provider_id TEXT NOT NULL,
  mailbox_id  TEXT NOT NULL DEFAULT '',
  address     TEXT NOT NULL,
  asked_by    TEXT NOT NULL,
  self        BOOLEAN NOT NULL DEFAULT FALSE,
  tenant_id   TEXT NOT NULL DEFAULT '',
  at          BIGINT NOT NULL,
  checks      TEXT NOT NULL
);
CREATE INDEX doctor_reports_by_org ON doctor_reports(org_id, at);

CREATE TABLE doctor_requests (
  state_hash    TEXT PRIMARY KEY,
  binding       TEXT NOT NULL,
  org_id        TEXT NOT NULL,
  user_id       TEXT NOT NULL REFERENCES users(id),
  provider_id   TEXT NOT NULL,
  mailbox_id    TEXT NOT NULL DEFAULT '',
  address       TEXT NOT NULL,
  self          BOOLEAN NOT NULL DEFAULT FALSE,
  verifier_key  TEXT NOT NULL,
  verifier_data {{bytes}} NOT NULL,
  nonce         TEXT NOT NULL,
  created_at    BIGINT NOT NULL,
  expires_at    BIGINT NOT NULL
);

-- Refusals of one tenant's mailboxes, one row for each mailbox while it stands: many at once are a fault of
-- the provider or of the tenant, not of the people.
CREATE TABLE refusals (
  mailbox_id  TEXT PRIMARY KEY REFERENCES mailboxes(id) ON DELETE CASCADE,
  org_id      TEXT NOT NULL,
  provider_id TEXT NOT NULL,
  tenant_id   TEXT NOT NULL DEFAULT '',
  kind        TEXT NOT NULL,
  key         TEXT NOT NULL,
  first_at    BIGINT NOT NULL,
  last_at     BIGINT NOT NULL
);
CREATE INDEX refusals_by_tenant ON refusals(org_id, provider_id, tenant_id, first_at);

-- Which key-encryption keys each running process knows, and which it seals with: so that a rotation can tell
-- when an old one is needed no more.
CREATE TABLE node_keys (
  node    TEXT PRIMARY KEY,
  newest  TEXT NOT NULL,
  known   TEXT NOT NULL,
  seen_at BIGINT NOT NULL
);

-- Who was told what, once: subject and stage name the fact, audience who was told.
CREATE TABLE notices (
  id         TEXT PRIMARY KEY,
  org_id     TEXT NOT NULL,
  subject    TEXT NOT NULL,
  stage      TEXT NOT NULL,
  audience   TEXT NOT NULL,
  created_at BIGINT NOT NULL,
  sent_at    BIGINT NOT NULL DEFAULT 0,
  tries      BIGINT NOT NULL DEFAULT 0,
  retry_at   BIGINT NOT NULL DEFAULT 0,
  data       TEXT NOT NULL DEFAULT '',
  UNIQUE (org_id, subject, stage, audience)
);
CREATE INDEX notices_open ON notices(retry_at) WHERE sent_at = 0;
