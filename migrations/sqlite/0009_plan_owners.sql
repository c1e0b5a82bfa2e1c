-- Plans belong to a tenant: it names them, and they are offered to its subtree. Top-ups are named within their tenant.

-- A plan of before goes to every root in whose tree somebody has or had it. One that nobody ever had was on offer to
-- every root, so each gets it. Without a root it stays without an owner (''), and the first root takes it over.
CREATE TABLE plan_owners (plan_id TEXT NOT NULL, owner_id TEXT NOT NULL) STRICT;
INSERT INTO plan_owners (plan_id, owner_id)
SELECT DISTINCT subscriptions.plan_id, substr(tenants.path, 2, 30)
FROM subscriptions JOIN tenants ON tenants.id = subscriptions.tenant_id;
INSERT INTO plan_owners (plan_id, owner_id)
SELECT unused.plan_id, roots.id
FROM (SELECT DISTINCT plan_id FROM plan_versions WHERE plan_id NOT IN (SELECT plan_id FROM plan_owners)) AS unused
CROSS JOIN (SELECT id FROM tenants WHERE parent_id IS NULL UNION ALL
            SELECT '' WHERE NOT EXISTS (SELECT 1 FROM tenants WHERE parent_id IS NULL)) AS roots;

CREATE TABLE owned_plan_versions (
    owner_id   TEXT    NOT NULL CHECK (length(owner_id) IN (0, 30)),
    plan_id    TEXT    NOT NULL CHECK (length(plan_id) BETWEEN 1 AND 64),
    version    INTEGER NOT NULL CHECK (version >= 1),
    body       TEXT    NOT NULL CHECK (json_valid(body)),
    created_at INTEGER NOT NULL,
    PRIMARY KEY (owner_id, plan_id, version)
) STRICT;
INSERT INTO owned_plan_versions (owner_id, plan_id, version, body, created_at)
SELECT owner_id, plan_id, version, body, created_at FROM plan_versions JOIN plan_owners USING (plan_id);

CREATE TABLE owned_subscriptions (
    tenant_id    TEXT    NOT NULL REFERENCES tenants (id),
    plan_owner   TEXT    NOT NULL,
    plan_id      TEXT    NOT NULL,
    plan_version INTEGER NOT NULL,
    starts_at    INTEGER NOT NULL,
    ends_at      INTEGER,
    PRIMARY KEY (tenant_id, starts_at),
    FOREIGN KEY (plan_owner, plan_id, plan_version) REFERENCES owned_plan_versions (owner_id, plan_id, version),
    CHECK (ends_at > starts_at)
) STRICT;
INSERT INTO owned_subscriptions (tenant_id, plan_owner, plan_id, plan_version, starts_at, ends_at)
SELECT tenant_id, substr(tenants.path, 2, 30), plan_id, plan_version, starts_at, ends_at
FROM subscriptions JOIN tenants ON tenants.id = subscriptions.tenant_id;
DROP TABLE subscriptions;
DROP TABLE plan_versions;
ALTER TABLE owned_plan_versions RENAME TO plan_versions;
ALTER TABLE owned_subscriptions RENAME TO subscriptions;
CREATE INDEX plan_versions_plan ON plan_versions (plan_id, owner_id);
CREATE UNIQUE INDEX subscriptions_open ON subscriptions (tenant_id) WHERE ends_at IS NULL;
CREATE INDEX subscriptions_plan ON subscriptions (plan_owner, plan_id, plan_version);

CREATE TABLE owned_plan_deprecations (
    owner_id      TEXT    NOT NULL CHECK (length(owner_id) IN (0, 30)),
    plan_id       TEXT    NOT NULL CHECK (length(plan_id) BETWEEN 1 AND 64),
    deprecated_at INTEGER NOT NULL,
    PRIMARY KEY (owner_id, plan_id)
) STRICT;
INSERT INTO owned_plan_deprecations (owner_id, plan_id, deprecated_at)
SELECT owner_id, plan_id, deprecated_at FROM plan_deprecations JOIN plan_owners USING (plan_id);
DROP TABLE plan_deprecations;
ALTER TABLE owned_plan_deprecations RENAME TO plan_deprecations;
DROP TABLE plan_owners;

-- A correction takes units away again, and says why. `seq` counts a tenant's top-ups.
CREATE TABLE numbered_top_ups (
    tenant_id TEXT    NOT NULL REFERENCES tenants (id),
    reference TEXT    NOT NULL CHECK (length(reference) BETWEEN 1 AND 200),
    seq       INTEGER NOT NULL,
    meter     TEXT    NOT NULL,
    units     INTEGER NOT NULL,
    reason    TEXT    CHECK (length(reason) BETWEEN 1 AND 200),
    added_at  INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, reference),
    UNIQUE (tenant_id, seq),
    CONSTRAINT quota_top_ups_units CHECK (units > 0 OR (units < 0 AND reason IS NOT NULL))
) STRICT;
INSERT INTO numbered_top_ups (tenant_id, reference, seq, meter, units, added_at)
SELECT tenant_id, reference, row_number() OVER (PARTITION BY tenant_id ORDER BY added_at, reference), meter, units,
       added_at
FROM quota_top_ups;
DROP TABLE quota_top_ups;
ALTER TABLE numbered_top_ups RENAME TO quota_top_ups;
