-- Plans belong to a tenant: it names them, and they are offered to its subtree. Top-ups are named within their tenant.

-- A plan of before goes to every root in whose tree somebody has or had it. One that nobody ever had was on offer to
-- every root, so each gets it. Without a root it stays without an owner (''), and the first root takes it over.
CREATE TEMPORARY TABLE plan_owners ON COMMIT DROP AS
SELECT DISTINCT subscriptions.plan_id, substr(tenants.path, 2, 30) AS owner_id
FROM subscriptions JOIN tenants ON tenants.id = subscriptions.tenant_id;
INSERT INTO plan_owners (plan_id, owner_id)
SELECT unused.plan_id, roots.id
FROM (SELECT DISTINCT plan_id FROM plan_versions WHERE plan_id NOT IN (SELECT plan_id FROM plan_owners)) AS unused
CROSS JOIN (SELECT id FROM tenants WHERE parent_id IS NULL UNION ALL
            SELECT '' WHERE NOT EXISTS (SELECT 1 FROM tenants WHERE parent_id IS NULL)) AS roots;

ALTER TABLE subscriptions DROP CONSTRAINT subscriptions_plan_id_plan_version_fkey;
DROP INDEX subscriptions_plan;
ALTER TABLE plan_versions RENAME TO plan_versions_of_all;
CREATE TABLE plan_versions (
    owner_id   TEXT COLLATE "C" NOT NULL CHECK (length(owner_id) IN (0, 30)),
    plan_id    TEXT COLLATE "C" NOT NULL CHECK (length(plan_id) BETWEEN 1 AND 64),
    version    BIGINT           NOT NULL CHECK (version >= 1),
    body       TEXT COLLATE "C" NOT NULL CHECK (body::jsonb IS NOT NULL),
    created_at BIGINT           NOT NULL,
    CONSTRAINT plan_versions_by_owner PRIMARY KEY (owner_id, plan_id, version)
);
INSERT INTO plan_versions (owner_id, plan_id, version, body, created_at)
SELECT owner_id, plan_id, version, body, created_at FROM plan_versions_of_all JOIN plan_owners USING (plan_id);
DROP TABLE plan_versions_of_all;
CREATE INDEX plan_versions_plan ON plan_versions (plan_id, owner_id);

ALTER TABLE plan_deprecations RENAME TO plan_deprecations_of_all;
CREATE TABLE plan_deprecations (
    owner_id      TEXT COLLATE "C" NOT NULL CHECK (length(owner_id) IN (0, 30)),
    plan_id       TEXT COLLATE "C" NOT NULL CHECK (length(plan_id) BETWEEN 1 AND 64),
    deprecated_at BIGINT           NOT NULL,
    CONSTRAINT plan_deprecations_by_owner PRIMARY KEY (owner_id, plan_id)
);
INSERT INTO plan_deprecations (owner_id, plan_id, deprecated_at)
SELECT owner_id, plan_id, deprecated_at FROM plan_deprecations_of_all JOIN plan_owners USING (plan_id);
DROP TABLE plan_deprecations_of_all;

ALTER TABLE subscriptions ADD COLUMN plan_owner TEXT COLLATE "C" NOT NULL DEFAULT '';
UPDATE subscriptions SET plan_owner = substr(tenants.path, 2, 30) FROM tenants
WHERE tenants.id = subscriptions.tenant_id;
ALTER TABLE subscriptions ALTER COLUMN plan_owner DROP DEFAULT;
ALTER TABLE subscriptions ADD CONSTRAINT subscriptions_plan_version
    FOREIGN KEY (plan_owner, plan_id, plan_version) REFERENCES plan_versions (owner_id, plan_id, version);
CREATE INDEX subscriptions_plan ON subscriptions (plan_owner, plan_id, plan_version);

-- A correction takes units away again, and says why. `seq` counts a tenant's top-ups.
ALTER TABLE quota_top_ups ADD COLUMN seq BIGINT NOT NULL DEFAULT 0;
UPDATE quota_top_ups SET seq = counted.seq
FROM (SELECT reference, row_number() OVER (PARTITION BY tenant_id ORDER BY added_at, reference) AS seq
      FROM quota_top_ups) AS counted
WHERE counted.reference = quota_top_ups.reference;
ALTER TABLE quota_top_ups
    ALTER COLUMN seq DROP DEFAULT,
    ADD COLUMN reason TEXT COLLATE "C" CHECK (length(reason) BETWEEN 1 AND 200),
    DROP CONSTRAINT quota_top_ups_pkey,
    DROP CONSTRAINT quota_top_ups_units_check,
    ADD PRIMARY KEY (tenant_id, reference),
    ADD UNIQUE (tenant_id, seq),
    ADD CONSTRAINT quota_top_ups_units CHECK (units > 0 OR (units < 0 AND reason IS NOT NULL));
DROP INDEX quota_top_ups_tenant;
