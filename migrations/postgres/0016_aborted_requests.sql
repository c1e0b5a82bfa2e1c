-- Requests whose client left before the answer, in the hourly sums: their records have status 499.

ALTER TABLE usage_hourly
    ADD COLUMN aborted         BIGINT NOT NULL DEFAULT 0 CHECK (aborted BETWEEN 0 AND requests),
    ADD COLUMN dropped_aborted BIGINT NOT NULL DEFAULT 0 CHECK (dropped_aborted >= 0);

-- Requests whose records are gone, or were never kept, stay uncounted: nothing tells their status.
-- A sum that is below its records, which the audit tells, holds up nothing.
UPDATE usage_hourly SET aborted = LEAST(kept.aborted, usage_hourly.requests)
FROM (
    SELECT tenant_id, hour, COALESCE(since, hour) AS since, key_id, route, meter, mode, paid, COUNT(*) AS aborted
    FROM usage_records WHERE status = 499
    GROUP BY tenant_id, hour, COALESCE(since, hour), key_id, route, meter, mode, paid
) AS kept
WHERE kept.tenant_id = usage_hourly.tenant_id AND kept.hour = usage_hourly.hour AND kept.since = usage_hourly.since
AND kept.key_id = usage_hourly.key_id AND kept.route = usage_hourly.route AND kept.meter = usage_hourly.meter
AND kept.mode = usage_hourly.mode AND kept.paid = usage_hourly.paid;

DROP VIEW usage_hourly_v;
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
       usage_hourly.units,
       usage_hourly.paid,
       usage_hourly.aborted
FROM usage_hourly
LEFT JOIN tenants ON tenants.id = usage_hourly.tenant_id;
