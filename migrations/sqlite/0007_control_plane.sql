-- Tenants that move and end, keys that are narrowed, who may change what, and who did.

-- A deleted tenant keeps its row, as what it used stays on the books.
ALTER TABLE tenants ADD COLUMN deleted_at INTEGER;
ALTER TABLE tenants ADD COLUMN revision INTEGER NOT NULL DEFAULT 1 CHECK (revision >= 1);

-- Scopes and address ranges, each with blanks between.
ALTER TABLE keys ADD COLUMN scopes TEXT    NOT NULL DEFAULT '';
ALTER TABLE keys ADD COLUMN allowed_ips TEXT    NOT NULL DEFAULT '';
ALTER TABLE keys ADD COLUMN last_used_at INTEGER;
ALTER TABLE keys ADD COLUMN revision INTEGER NOT NULL DEFAULT 1 CHECK (revision >= 1);

-- Plans that nobody may newly subscribe to.
CREATE TABLE plan_deprecations (
    plan_id       TEXT    NOT NULL PRIMARY KEY CHECK (length(plan_id) BETWEEN 1 AND 64),
    deprecated_at INTEGER NOT NULL
) STRICT;

CREATE INDEX subscriptions_plan ON subscriptions (plan_id, plan_version);

CREATE TABLE admin_keys (
    id          TEXT    NOT NULL PRIMARY KEY CHECK (length(id) = 30),
    tenant_id   TEXT    NOT NULL REFERENCES tenants (id),
    name        TEXT    NOT NULL CHECK (length(name) BETWEEN 1 AND 200),
    role        TEXT    NOT NULL CHECK (role IN ('owner', 'admin', 'billing', 'viewer')),
    scopes      TEXT    NOT NULL,
    hash        TEXT    NOT NULL UNIQUE CHECK (length(hash) = 64),
    pepper_id   TEXT    NOT NULL,
    hint        TEXT    NOT NULL,
    created_at  INTEGER NOT NULL,
    expires_at  INTEGER,
    revoked_at  INTEGER
) STRICT;
CREATE INDEX admin_keys_tenant ON admin_keys (tenant_id);

-- What was created under a name that a client gave, so that asking again does not create again.
CREATE TABLE idempotency_keys (
    actor       TEXT    NOT NULL,
    key         TEXT    NOT NULL CHECK (length(key) BETWEEN 1 AND 255),
    fingerprint TEXT    NOT NULL,
    subject     TEXT    NOT NULL,
    created_at  INTEGER NOT NULL,
    PRIMARY KEY (actor, key)
) STRICT;
CREATE INDEX idempotency_keys_age ON idempotency_keys (created_at);

-- Who changed what, written in the transaction of the change. `before` and `after` are JSON and hold no secrets.
CREATE TABLE audit_log (
    seq          INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    at           INTEGER NOT NULL,
    actor_kind   TEXT    NOT NULL,
    actor        TEXT    NOT NULL,
    address      TEXT,
    request_id   TEXT,
    action       TEXT    NOT NULL,
    subject_kind TEXT    NOT NULL,
    subject      TEXT    NOT NULL,
    tenant_id    TEXT,
    before       TEXT,
    after        TEXT
) STRICT;
CREATE INDEX audit_log_tenant ON audit_log (tenant_id, seq);
CREATE INDEX audit_log_subject ON audit_log (subject, seq);

CREATE TRIGGER audit_log_no_update BEFORE UPDATE ON audit_log
BEGIN
    SELECT RAISE(ABORT, 'the audit log is append-only');
END;
CREATE TRIGGER audit_log_no_delete BEFORE DELETE ON audit_log
BEGIN
    SELECT RAISE(ABORT, 'the audit log is append-only');
END;

-- How far the change log was passed on, to each place that it goes to.
CREATE TABLE change_sinks (
    name       TEXT    NOT NULL PRIMARY KEY,
    next_seq   INTEGER NOT NULL CHECK (next_seq >= 1),
    updated_at INTEGER NOT NULL
) STRICT;
