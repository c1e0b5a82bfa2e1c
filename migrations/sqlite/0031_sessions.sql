-- Sessions of people in browsers. A session begins as a link that may be redeemed once (`link_hash`), or
-- with a sign-in (`hash`); ended ones are deleted. `admin_key_id` is the key that the session acts as, or
-- that made its link: with that key it ends.
CREATE TABLE sessions (
    id           TEXT    NOT NULL PRIMARY KEY CHECK (length(id) = 30),
    app          TEXT    NOT NULL CHECK (app IN ('console', 'portal')),
    source       TEXT    NOT NULL CHECK (source IN ('admin_key', 'person', 'link')),
    tenant_id    TEXT    NOT NULL REFERENCES tenants (id),
    role         TEXT    NOT NULL,
    user_name    TEXT    NOT NULL,
    admin_key_id TEXT    REFERENCES admin_keys (id),
    maker_tenant TEXT    REFERENCES tenants (id),
    link_hash    TEXT    UNIQUE,
    link_until   INTEGER,
    hash         TEXT    UNIQUE,
    created_at   INTEGER NOT NULL,
    expires_at   INTEGER NOT NULL,
    used_at      INTEGER NOT NULL,
    CHECK ((link_hash IS NULL) <> (hash IS NULL)),
    CHECK ((link_hash IS NULL) = (link_until IS NULL)),
    CHECK (source <> 'admin_key' OR admin_key_id IS NOT NULL)
) STRICT, WITHOUT ROWID;
CREATE INDEX sessions_user ON sessions (tenant_id, user_name);
CREATE INDEX sessions_expiry ON sessions (expires_at);

-- Plans that tenants below their owner may change to by themselves.
CREATE TABLE plan_self_service (
    owner_id   TEXT    NOT NULL,
    plan_id    TEXT    NOT NULL,
    allowed_at INTEGER NOT NULL,
    PRIMARY KEY (owner_id, plan_id)
) STRICT, WITHOUT ROWID;
