-- The store's first schema. Ids are text, compared byte by byte so that order is the same on every server; times are
-- epoch microseconds, flags 0 or 1.

CREATE TABLE change_head (
    id  BIGINT NOT NULL PRIMARY KEY CHECK (id = 1),
    seq BIGINT NOT NULL CHECK (seq >= 0),
    at  BIGINT NOT NULL
);
INSERT INTO change_head (id, seq, at) VALUES (1, 0, 0);

CREATE TABLE changes (
    seq     BIGINT           NOT NULL PRIMARY KEY CHECK (seq >= 1),
    kind    TEXT COLLATE "C" NOT NULL CHECK (kind IN ('tenant', 'key', 'plans')),
    subject TEXT COLLATE "C",
    at      BIGINT           NOT NULL,
    CHECK ((kind = 'plans') = (subject IS NULL))
);

-- `path` is /id/ of the root, then of every tenant down to this one: a subtree is what starts with it.
CREATE TABLE tenants (
    id          TEXT COLLATE "C" NOT NULL PRIMARY KEY CHECK (length(id) = 30),
    parent_id   TEXT COLLATE "C" REFERENCES tenants (id),
    kind        TEXT COLLATE "C" NOT NULL CHECK (kind IN ('root', 'reseller', 'customer')),
    name        TEXT COLLATE "C" NOT NULL CHECK (length(name) BETWEEN 1 AND 200),
    status      TEXT COLLATE "C" NOT NULL CHECK (status IN ('active', 'suspended')),
    zone        TEXT COLLATE "C" NOT NULL CHECK (zone <> ''),
    path        TEXT COLLATE "C" NOT NULL UNIQUE,
    depth       BIGINT           NOT NULL CHECK (depth BETWEEN 1 AND 5),
    created_seq BIGINT           NOT NULL UNIQUE,
    created_at  BIGINT           NOT NULL,
    CHECK ((kind = 'root') = (parent_id IS NULL)),
    CHECK ((kind = 'root') = (depth = 1)),
    CHECK (length(path) = 1 + 31 * depth)
);
CREATE INDEX tenants_parent ON tenants (parent_id);

-- `body` is the plan as JSON; a version never changes.
CREATE TABLE plan_versions (
    plan_id    TEXT COLLATE "C" NOT NULL CHECK (length(plan_id) BETWEEN 1 AND 64),
    version    BIGINT           NOT NULL CHECK (version >= 1),
    body       TEXT COLLATE "C" NOT NULL CHECK (body::jsonb IS NOT NULL),
    created_at BIGINT           NOT NULL,
    PRIMARY KEY (plan_id, version)
);

CREATE TABLE subscriptions (
    tenant_id    TEXT COLLATE "C" NOT NULL REFERENCES tenants (id),
    plan_id      TEXT COLLATE "C" NOT NULL,
    plan_version BIGINT           NOT NULL,
    starts_at    BIGINT           NOT NULL,
    ends_at      BIGINT,
    PRIMARY KEY (tenant_id, starts_at),
    FOREIGN KEY (plan_id, plan_version) REFERENCES plan_versions (plan_id, version),
    CHECK (ends_at > starts_at)
);
CREATE UNIQUE INDEX subscriptions_open ON subscriptions (tenant_id) WHERE ends_at IS NULL;

CREATE TABLE keys (
    id          TEXT COLLATE "C" NOT NULL PRIMARY KEY CHECK (length(id) = 30),
    tenant_id   TEXT COLLATE "C" NOT NULL REFERENCES tenants (id),
    name        TEXT COLLATE "C" NOT NULL CHECK (length(name) BETWEEN 1 AND 200),
    mode        TEXT COLLATE "C" NOT NULL CHECK (mode IN ('live', 'test')),
    hash        TEXT COLLATE "C" NOT NULL UNIQUE CHECK (length(hash) = 64),
    pepper_id   TEXT COLLATE "C" NOT NULL,
    hint        TEXT COLLATE "C" NOT NULL,
    created_seq BIGINT           NOT NULL UNIQUE,
    created_at  BIGINT           NOT NULL,
    expires_at  BIGINT,
    revoked_at  BIGINT,
    replaces_id TEXT COLLATE "C" REFERENCES keys (id)
);
CREATE INDEX keys_tenant ON keys (tenant_id);
CREATE INDEX keys_replaces ON keys (replaces_id);

-- Everything below `next_seq` is booked, but for the numbers in open gaps.
CREATE TABLE usage_streams (
    stream     TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    next_seq   BIGINT           NOT NULL CHECK (next_seq >= 0),
    updated_at BIGINT           NOT NULL
);

CREATE TABLE usage_gaps (
    stream   TEXT COLLATE "C" NOT NULL REFERENCES usage_streams (stream),
    from_seq BIGINT           NOT NULL CHECK (from_seq >= 0),
    to_seq   BIGINT           NOT NULL,
    PRIMARY KEY (stream, from_seq),
    CHECK (from_seq < to_seq)
);

-- Usage has no foreign keys: what a gateway reports is kept, whether or not its tenant and key are known.
CREATE TABLE usage_records (
    stream    TEXT COLLATE "C" NOT NULL,
    seq       BIGINT           NOT NULL CHECK (seq >= 0),
    at        BIGINT           NOT NULL,
    hour      BIGINT           NOT NULL,
    tenant_id TEXT COLLATE "C" NOT NULL,
    key_id    TEXT COLLATE "C" NOT NULL,
    route     TEXT COLLATE "C" NOT NULL,
    meter     TEXT COLLATE "C" NOT NULL,
    units     BIGINT           NOT NULL CHECK (units >= 0),
    status    BIGINT           NOT NULL CHECK (status BETWEEN 100 AND 999),
    mode      TEXT COLLATE "C" NOT NULL CHECK (mode IN ('live', 'test')),
    billable  BIGINT           NOT NULL CHECK (billable = 0 OR (billable = 1 AND mode = 'live')),
    PRIMARY KEY (stream, seq),
    CHECK (hour <= at)
);
CREATE INDEX usage_records_tenant ON usage_records (tenant_id, hour);

CREATE TABLE usage_hourly (
    tenant_id TEXT COLLATE "C" NOT NULL,
    hour      BIGINT           NOT NULL,
    key_id    TEXT COLLATE "C" NOT NULL,
    route     TEXT COLLATE "C" NOT NULL,
    meter     TEXT COLLATE "C" NOT NULL,
    mode      TEXT COLLATE "C" NOT NULL CHECK (mode IN ('live', 'test')),
    billable  BIGINT           NOT NULL CHECK (billable = 0 OR (billable = 1 AND mode = 'live')),
    requests  BIGINT           NOT NULL CHECK (requests >= 1),
    units     BIGINT           NOT NULL CHECK (units >= 0),
    PRIMARY KEY (tenant_id, hour, key_id, route, meter, mode, billable)
);
CREATE INDEX usage_hourly_hour ON usage_hourly (hour);

CREATE TABLE refusals_hourly (
    tenant_id TEXT COLLATE "C" NOT NULL,
    hour      BIGINT           NOT NULL,
    key_id    TEXT COLLATE "C" NOT NULL,
    reason    TEXT COLLATE "C" NOT NULL,
    count     BIGINT           NOT NULL CHECK (count >= 0),
    PRIMARY KEY (tenant_id, hour, key_id, reason)
);
CREATE INDEX refusals_hourly_hour ON refusals_hourly (hour);

-- Units drawn from a hard quota and not given back.
CREATE TABLE quota_grants (
    tenant_id  TEXT COLLATE "C" NOT NULL REFERENCES tenants (id),
    meter      TEXT COLLATE "C" NOT NULL,
    period     TEXT COLLATE "C" NOT NULL CHECK (length(period) = 7),
    granted    BIGINT           NOT NULL CHECK (granted >= 0),
    updated_at BIGINT           NOT NULL,
    PRIMARY KEY (tenant_id, meter, period)
);

-- For people who query by hand.
CREATE VIEW usage_hourly_v AS
SELECT to_timestamp(usage_hourly.hour / 1000000) AS hour,
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
