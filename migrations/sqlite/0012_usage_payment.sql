-- What paid for usage, and since when within its hour the tree, the plans and the month are the same.

-- Instants at which plan or place of a tenant, or of anybody who was ever above it, changed.
CREATE TABLE migration_turns (
    tenant_id TEXT    NOT NULL,
    at        INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, at)
) STRICT, WITHOUT ROWID;
INSERT INTO migration_turns (tenant_id, at)
WITH RECURSIVE above (tenant_id, above_id) AS (
    SELECT id, id FROM tenants
    UNION
    SELECT above.tenant_id, tenant_parents.parent_id FROM above
    JOIN tenant_parents ON tenant_parents.tenant_id = above.above_id
), turns (tenant_id, at) AS (
    SELECT tenant_id, starts_at FROM subscriptions
    UNION SELECT tenant_id, ends_at FROM subscriptions WHERE ends_at IS NOT NULL
    UNION SELECT tenant_id, starts_at FROM tenant_parents WHERE starts_at > -9223372036854775807
)
SELECT DISTINCT above.tenant_id, turns.at FROM above JOIN turns ON turns.tenant_id = above.above_id;

-- Meters that credit may have paid for.
CREATE TABLE migration_prepaid (meter TEXT NOT NULL PRIMARY KEY) STRICT, WITHOUT ROWID;
INSERT INTO migration_prepaid (meter)
SELECT DISTINCT prepaid.value FROM plan_versions, json_each(plan_versions.body, '$.prepaid') AS prepaid;

-- `since` is null where it is the hour itself.
ALTER TABLE usage_records ADD COLUMN since INTEGER;
ALTER TABLE usage_records ADD COLUMN paid TEXT NOT NULL DEFAULT 'charge' CHECK (paid IN ('none', 'charge', 'credit'));
UPDATE usage_records SET since = (
    SELECT MAX(turns.at) FROM migration_turns AS turns
    WHERE turns.tenant_id = usage_records.tenant_id AND turns.at > usage_records.hour AND turns.at <= usage_records.at)
WHERE EXISTS (
    SELECT 1 FROM migration_turns AS turns
    WHERE turns.tenant_id = usage_records.tenant_id AND turns.at > usage_records.hour AND turns.at <= usage_records.at);
UPDATE usage_records SET paid = 'none' WHERE billable = 0;

CREATE TABLE usage_hourly_new (
    tenant_id        TEXT    NOT NULL,
    hour             INTEGER NOT NULL,
    since            INTEGER NOT NULL,
    key_id           TEXT    NOT NULL,
    route            TEXT    NOT NULL,
    meter            TEXT    NOT NULL,
    mode             TEXT    NOT NULL CHECK (mode IN ('live', 'test')),
    billable         INTEGER NOT NULL CHECK (billable = 0 OR (billable = 1 AND mode = 'live')),
    paid             TEXT    NOT NULL CHECK (paid IN ('none', 'charge', 'credit')),
    requests         INTEGER NOT NULL CHECK (requests >= 1),
    units            INTEGER NOT NULL CHECK (units >= 0),
    dropped_requests INTEGER NOT NULL DEFAULT 0 CHECK (dropped_requests >= 0),
    dropped_units    INTEGER NOT NULL DEFAULT 0 CHECK (dropped_units >= 0),
    PRIMARY KEY (tenant_id, hour, since, key_id, route, meter, mode, paid),
    CHECK (since >= hour),
    CHECK ((paid = 'none') = (billable = 0))
) STRICT, WITHOUT ROWID;

-- Sums that may be of more than one kind: something changed in their hour, or credit may have paid. What of them has no
-- records counts as it was at the end of the hour.
CREATE TABLE migration_mixed (
    tenant_id TEXT    NOT NULL,
    hour      INTEGER NOT NULL,
    meter     TEXT    NOT NULL,
    latest    INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, hour, meter)
) STRICT, WITHOUT ROWID;
INSERT INTO migration_mixed (tenant_id, hour, meter, latest)
SELECT tenant_id, hour, meter, COALESCE(turn, hour) FROM (
    SELECT DISTINCT tenant_id, hour, meter, (
        SELECT MAX(turns.at) FROM migration_turns AS turns WHERE turns.tenant_id = usage_hourly.tenant_id
        AND turns.at > usage_hourly.hour AND turns.at - 3600000000 < usage_hourly.hour) AS turn
    FROM usage_hourly) AS hours
WHERE turn IS NOT NULL OR meter IN (SELECT meter FROM migration_prepaid);

-- Usage of those meters while the plan that the tenant had, or inherited, took them from credit.
CREATE TABLE migration_credit (
    tenant_id TEXT    NOT NULL,
    since     INTEGER NOT NULL,
    meter     TEXT    NOT NULL,
    PRIMARY KEY (tenant_id, since, meter)
) STRICT, WITHOUT ROWID;
INSERT INTO migration_credit (tenant_id, since, meter)
WITH RECURSIVE chain (tenant_id, since, meter, level_id, depth) AS (
    SELECT tenant_id, since, meter, tenant_id, 0 FROM (
        SELECT tenant_id, COALESCE(since, hour) AS since, meter FROM usage_records
        WHERE billable = 1 AND meter IN (SELECT meter FROM migration_prepaid)
        UNION
        SELECT tenant_id, latest, meter FROM migration_mixed
        WHERE meter IN (SELECT meter FROM migration_prepaid)) AS used
    UNION ALL
    SELECT chain.tenant_id, chain.since, chain.meter, tenant_parents.parent_id, chain.depth + 1 FROM chain
    JOIN tenant_parents ON tenant_parents.tenant_id = chain.level_id AND tenant_parents.starts_at <= chain.since
    AND (tenant_parents.ends_at IS NULL OR tenant_parents.ends_at > chain.since)
    WHERE chain.depth < 16
), held AS (
    SELECT chain.tenant_id, chain.since, chain.meter, subscriptions.plan_owner, subscriptions.plan_id,
           subscriptions.plan_version,
           ROW_NUMBER() OVER (PARTITION BY chain.tenant_id, chain.since, chain.meter ORDER BY chain.depth) AS place
    FROM chain JOIN subscriptions ON subscriptions.tenant_id = chain.level_id AND subscriptions.starts_at <= chain.since
    AND (subscriptions.ends_at IS NULL OR subscriptions.ends_at > chain.since)
)
SELECT held.tenant_id, held.since, held.meter FROM held
JOIN plan_versions ON plan_versions.owner_id = held.plan_owner AND plan_versions.plan_id = held.plan_id
AND plan_versions.version = held.plan_version
WHERE held.place = 1
AND EXISTS (SELECT 1 FROM json_each(plan_versions.body, '$.prepaid') AS prepaid WHERE prepaid.value = held.meter);

UPDATE usage_records SET paid = 'credit' WHERE billable = 1 AND EXISTS (
    SELECT 1 FROM migration_credit AS credit WHERE credit.tenant_id = usage_records.tenant_id
    AND credit.since = COALESCE(usage_records.since, usage_records.hour) AND credit.meter = usage_records.meter);

INSERT INTO usage_hourly_new (tenant_id, hour, since, key_id, route, meter, mode, billable, paid, requests, units,
    dropped_requests, dropped_units)
SELECT tenant_id, hour, hour, key_id, route, meter, mode, billable,
       CASE billable WHEN 1 THEN 'charge' ELSE 'none' END, requests, units, dropped_requests, dropped_units
FROM usage_hourly WHERE NOT EXISTS (
    SELECT 1 FROM migration_mixed AS mixed WHERE mixed.tenant_id = usage_hourly.tenant_id
    AND mixed.hour = usage_hourly.hour AND mixed.meter = usage_hourly.meter);

INSERT INTO usage_hourly_new (tenant_id, hour, since, key_id, route, meter, mode, billable, paid, requests, units,
    dropped_requests, dropped_units)
SELECT tenant_id, hour, since, key_id, route, meter, mode, billable, paid, CAST(SUM(requests) AS INTEGER),
       CAST(SUM(units) AS INTEGER), CAST(SUM(dropped_requests) AS INTEGER), CAST(SUM(dropped_units) AS INTEGER)
FROM (
    SELECT records.tenant_id, records.hour, COALESCE(records.since, records.hour) AS since, records.key_id,
           records.route, records.meter, records.mode, records.billable, records.paid, COUNT(*) AS requests,
           SUM(records.units) AS units, 0 AS dropped_requests, 0 AS dropped_units
    FROM usage_records AS records JOIN migration_mixed AS mixed ON mixed.tenant_id = records.tenant_id
    AND mixed.hour = records.hour AND mixed.meter = records.meter
    GROUP BY records.tenant_id, records.hour, COALESCE(records.since, records.hour), records.key_id, records.route,
             records.meter, records.mode, records.billable, records.paid
    UNION ALL
    SELECT sums.tenant_id, sums.hour, mixed.latest, sums.key_id, sums.route, sums.meter, sums.mode, sums.billable,
           CASE WHEN sums.billable = 0 THEN 'none' WHEN EXISTS (
               SELECT 1 FROM migration_credit AS credit WHERE credit.tenant_id = sums.tenant_id
               AND credit.since = mixed.latest AND credit.meter = sums.meter) THEN 'credit' ELSE 'charge' END,
           sums.dropped_requests, sums.dropped_units, sums.dropped_requests, sums.dropped_units
    FROM usage_hourly AS sums JOIN migration_mixed AS mixed ON mixed.tenant_id = sums.tenant_id
    AND mixed.hour = sums.hour AND mixed.meter = sums.meter
    WHERE sums.dropped_requests > 0
) AS parts
GROUP BY tenant_id, hour, since, key_id, route, meter, mode, billable, paid;

DROP VIEW usage_hourly_v;
DROP TABLE usage_hourly;
ALTER TABLE usage_hourly_new RENAME TO usage_hourly;
CREATE INDEX usage_hourly_hour ON usage_hourly (hour);

DROP TABLE migration_turns;
DROP TABLE migration_prepaid;
DROP TABLE migration_mixed;
DROP TABLE migration_credit;

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
       usage_hourly.units,
       usage_hourly.paid
FROM usage_hourly
LEFT JOIN tenants ON tenants.id = usage_hourly.tenant_id;
