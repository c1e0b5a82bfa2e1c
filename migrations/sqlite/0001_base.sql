-- The store's first schema. STRICT refuses text in number columns and, as SQLite turns an overflowing sum into a
-- float, also a sum beyond 63 bits. Ids are text, times epoch microseconds, flags 0 or 1.

CREATE TABLE change_head (
    id  INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
    seq INTEGER NOT NULL CHECK (seq >= 0),
    at  INTEGER NOT NULL
) STRICT;
INSERT INTO change_head (id, seq, at) VALUES (1, 0, 0);

CREATE TABLE changes (
    seq     INTEGER NOT NULL PRIMARY KEY CHECK (seq >= 1),
    kind    TEXT    NOT NULL CHECK (kind IN ('tenant', 'key', 'plans')),
    subject TEXT,
    at      INTEGER NOT NULL,
    CHECK ((kind = 'plans') = (subject IS NULL))
) STRICT;

-- `path` is /id/ of the root, then of every tenant down to this one: a subtree is what starts with it.
CREATE TABLE tenants (
    id          TEXT    NOT NULL PRIMARY KEY CHECK (length(id) = 30),
    parent_id   TEXT    REFERENCES tenants (id),
    kind        TEXT    NOT NULL CHECK (kind IN ('root', 'reseller', 'customer')),
    name        TEXT    NOT NULL CHECK (length(name) BETWEEN 1 AND 200),
    status      TEXT    NOT NULL CHECK (status IN ('active', 'suspended')),
    zone        TEXT    NOT NULL CHECK (zone <> ''),
    path        TEXT    NOT NULL UNIQUE,
    depth       INTEGER NOT NULL CHECK (depth BETWEEN 1 AND 5),
    created_seq INTEGER NOT NULL UNIQUE,
    created_at  INTEGER NOT NULL,
    CHECK ((kind = 'root') = (parent_id IS NULL)),
    CHECK ((kind = 'root') = (depth = 1)),
    CHECK (length(path) = 1 + 31 * depth)
) STRICT;
CREATE INDEX tenants_parent ON tenants (parent_id);

-- `body` is the plan as JSON; a version never changes.
CREATE TABLE plan_versions (
    plan_id    TEXT    NOT NULL CHECK (length(plan_id) BETWEEN 1 AND 64),
    version    INTEGER NOT NULL CHECK (version >= 1),
    body       TEXT    NOT NULL CHECK (json_valid(body)),
    created_at INTEGER NOT NULL,
    PRIMARY KEY (plan_id, version)
) STRICT;

CREATE TABLE subscriptions (
    tenant_id    TEXT    NOT NULL REFERENCES tenants (id),
    plan_id      TEXT    NOT NULL,
    plan_version INTEGER NOT NULL,
    starts_at    INTEGER NOT NULL,
    ends_at      INTEGER,
    PRIMARY KEY (tenant_id, starts_at),
    FOREIGN KEY (plan_id, plan_version) REFERENCES plan_versions (plan_id, version),
    CHECK (ends_at > starts_at)
) STRICT;
CREATE UNIQUE INDEX subscriptions_open ON subscriptions (tenant_id) WHERE ends_at IS NULL;

CREATE TABLE keys (
    id          TEXT    NOT NULL PRIMARY KEY CHECK (length(id) = 30),
    tenant_id   TEXT    NOT NULL REFERENCES tenants (id),
    name        TEXT    NOT NULL CHECK (length(name) BETWEEN 1 AND 200),
    mode        TEXT    NOT NULL CHECK (mode IN ('live', 'test')),
    hash        TEXT    NOT NULL UNIQUE CHECK (length(hash) = 64),
    pepper_id   TEXT    NOT NULL,
    hint        TEXT    NOT NULL,
    created_seq INTEGER NOT NULL UNIQUE,
    created_at  INTEGER NOT NULL,
    expires_at  INTEGER,
    revoked_at  INTEGER,
    replaces_id TEXT    REFERENCES keys (id)
) STRICT;
CREATE INDEX keys_tenant ON keys (tenant_id);
CREATE INDEX keys_replaces ON keys (replaces_id);

-- Everything below `next_seq` is booked, but for the numbers in open gaps.
CREATE TABLE usage_streams (
    stream     TEXT    NOT NULL PRIMARY KEY,
    next_seq   INTEGER NOT NULL CHECK (next_seq >= 0),
    updated_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE usage_gaps (
    stream   TEXT    NOT NULL REFERENCES usage_streams (stream),
    from_seq INTEGER NOT NULL CHECK (from_seq >= 0),
    to_seq   INTEGER NOT NULL,
    PRIMARY KEY (stream, from_seq),
    CHECK (from_seq < to_seq)
) STRICT, WITHOUT ROWID;

-- Usage has no foreign keys: what a gateway reports is kept, whether or not its tenant and key are known.
CREATE TABLE usage_records (
    stream    TEXT    NOT NULL,
    seq       INTEGER NOT NULL CHECK (seq >= 0),
    at        INTEGER NOT NULL,
    hour      INTEGER NOT NULL,
    tenant_id TEXT    NOT NULL,
    key_id    TEXT    NOT NULL,
    route     TEXT    NOT NULL,
    meter     TEXT    NOT NULL,
    units     INTEGER NOT NULL CHECK (units >= 0),
    status    INTEGER NOT NULL CHECK (status BETWEEN 100 AND 999),
    mode      TEXT    NOT NULL CHECK (mode IN ('live', 'test')),
    billable  INTEGER NOT NULL CHECK (billable = 0 OR (billable = 1 AND mode = 'live')),
    PRIMARY KEY (stream, seq),
    CHECK (hour <= at)
) STRICT, WITHOUT ROWID;
CREATE INDEX usage_records_tenant ON usage_records (tenant_id, hour);

CREATE TABLE usage_hourly (
    tenant_id TEXT    NOT NULL,
    hour      INTEGER NOT NULL,
    key_id    TEXT    NOT NULL,
    route     TEXT    NOT NULL,
    meter     TEXT    NOT NULL,
    mode      TEXT    NOT NULL CHECK (mode IN ('live', 'test')),
    billable  INTEGER NOT NULL CHECK (billable = 0 OR (billable = 1 AND mode = 'live')),
    requests  INTEGER NOT NULL CHECK (requests >= 1),
    units     INTEGER NOT NULL CHECK (units >= 0),
    PRIMARY KEY (tenant_id, hour, key_id, route, meter, mode, billable)
) STRICT, WITHOUT ROWID;
CREATE INDEX usage_hourly_hour ON usage_hourly (hour);

CREATE TABLE refusals_hourly (
    tenant_id TEXT    NOT NULL,
    hour      INTEGER NOT NULL,
    key_id    TEXT    NOT NULL,
    reason    TEXT    NOT NULL,
    count     INTEGER NOT NULL CHECK (count >= 0),
    PRIMARY KEY (tenant_id, hour, key_id, reason)
) STRICT, WITHOUT ROWID;
CREATE INDEX refusals_hourly_hour ON refusals_hourly (hour);

-- Units drawn from a hard quota and not given back.
CREATE TABLE quota_grants (
    tenant_id  TEXT    NOT NULL REFERENCES tenants (id),
    meter      TEXT    NOT NULL,
    period     TEXT    NOT NULL CHECK (length(period) = 7),
    granted    INTEGER NOT NULL CHECK (granted >= 0),
    updated_at INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, meter, period)
) STRICT, WITHOUT ROWID;

-- For people who query by hand.
CREATE VIEW usage_hourly_v AS
SELECT datetime(usage_hourly.hour / 1000000, 'unixepoch') AS hour,
       usage_hourly.tenant_id,
       tenants.name AS tenant,
       usage_hourly.key_id,
       usage_hourly.route,
       usage_hourly.meter,
       usage_hourly.mode,
       usage_hourly.billable,
       usage_hourly.requests,
       usage_hourly.units
FROM usage_hourly
LEFT JOIN tenants ON tenants.id = usage_hourly.tenant_id;
