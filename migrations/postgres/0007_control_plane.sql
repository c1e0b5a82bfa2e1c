-- Tenants that move and end, keys that are narrowed, who may change what, and who did.

-- A deleted tenant keeps its row, as what it used stays on the books.
ALTER TABLE tenants
    ADD COLUMN deleted_at BIGINT,
    ADD COLUMN revision   BIGINT NOT NULL DEFAULT 1 CHECK (revision >= 1);

-- Scopes and address ranges, each with blanks between.
ALTER TABLE keys
    ADD COLUMN scopes       TEXT COLLATE "C" NOT NULL DEFAULT '',
    ADD COLUMN allowed_ips  TEXT COLLATE "C" NOT NULL DEFAULT '',
    ADD COLUMN last_used_at BIGINT,
    ADD COLUMN revision     BIGINT NOT NULL DEFAULT 1 CHECK (revision >= 1);

-- Plans that nobody may newly subscribe to.
CREATE TABLE plan_deprecations (
    plan_id       TEXT COLLATE "C" NOT NULL PRIMARY KEY CHECK (length(plan_id) BETWEEN 1 AND 64),
    deprecated_at BIGINT           NOT NULL
);

CREATE INDEX subscriptions_plan ON subscriptions (plan_id, plan_version);

CREATE TABLE admin_keys (
    id          TEXT COLLATE "C" NOT NULL PRIMARY KEY CHECK (length(id) = 30),
    tenant_id   TEXT COLLATE "C" NOT NULL REFERENCES tenants (id),
    name        TEXT COLLATE "C" NOT NULL CHECK (length(name) BETWEEN 1 AND 200),
    role        TEXT COLLATE "C" NOT NULL CHECK (role IN ('owner', 'admin', 'billing', 'viewer')),
    scopes      TEXT COLLATE "C" NOT NULL,
    hash        TEXT COLLATE "C" NOT NULL UNIQUE CHECK (length(hash) = 64),
    pepper_id   TEXT COLLATE "C" NOT NULL,
    hint        TEXT COLLATE "C" NOT NULL,
    created_at  BIGINT           NOT NULL,
    expires_at  BIGINT,
    revoked_at  BIGINT
);
CREATE INDEX admin_keys_tenant ON admin_keys (tenant_id);

-- What was created under a name that a client gave, so that asking again does not create again.
CREATE TABLE idempotency_keys (
    actor       TEXT COLLATE "C" NOT NULL,
    key         TEXT COLLATE "C" NOT NULL CHECK (length(key) BETWEEN 1 AND 255),
    fingerprint TEXT COLLATE "C" NOT NULL,
    subject     TEXT COLLATE "C" NOT NULL,
    created_at  BIGINT           NOT NULL,
    PRIMARY KEY (actor, key)
);
CREATE INDEX idempotency_keys_age ON idempotency_keys (created_at);

-- Who changed what, written in the transaction of the change. `before` and `after` are JSON and hold no secrets.
CREATE TABLE audit_log (
    seq          BIGINT           NOT NULL GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at           BIGINT           NOT NULL,
    actor_kind   TEXT COLLATE "C" NOT NULL,
    actor        TEXT COLLATE "C" NOT NULL,
    address      TEXT COLLATE "C",
    request_id   TEXT COLLATE "C",
    action       TEXT COLLATE "C" NOT NULL,
    subject_kind TEXT COLLATE "C" NOT NULL,
    subject      TEXT COLLATE "C" NOT NULL,
    tenant_id    TEXT COLLATE "C",
    before       TEXT COLLATE "C",
    after        TEXT COLLATE "C"
);
CREATE INDEX audit_log_tenant ON audit_log (tenant_id, seq);
CREATE INDEX audit_log_subject ON audit_log (subject, seq);

CREATE FUNCTION refuse_to_rewrite_audit_log() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the audit log is append-only' USING ERRCODE = 'restrict_violation';
END
$$;
CREATE TRIGGER audit_log_append_only BEFORE UPDATE OR DELETE ON audit_log
    FOR EACH ROW EXECUTE FUNCTION refuse_to_rewrite_audit_log();
CREATE TRIGGER audit_log_not_emptied BEFORE TRUNCATE ON audit_log
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_to_rewrite_audit_log();

-- How far the change log was passed on, to each place that it goes to.
CREATE TABLE change_sinks (
    name       TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    next_seq   BIGINT           NOT NULL CHECK (next_seq >= 1),
    updated_at BIGINT           NOT NULL
);
