-- Debts of quotas and of credit, credit that moves down the tree, and thresholds of effective limits.

-- Units that answers used beyond what was granted: paid before anything else is granted, never billed.
ALTER TABLE quota_grants ADD COLUMN owed INTEGER NOT NULL DEFAULT 0 CHECK (owed >= 0);

-- The tenant whose credit the units were moved from; none if whoever sells the API has added them.
ALTER TABLE quota_top_ups ADD COLUMN moved_from TEXT REFERENCES tenants (id);

-- That a tenant has used this part of what it may use in a month. A limit that changes within the month raises events of
-- its own.
CREATE TABLE quota_threshold_events (
    seq         INTEGER PRIMARY KEY AUTOINCREMENT,
    tenant_id   TEXT NOT NULL REFERENCES tenants (id),
    meter       TEXT NOT NULL,
    period      TEXT NOT NULL CHECK (length(period) = 7),
    percent     INTEGER NOT NULL CHECK (percent BETWEEN 1 AND 100),
    limit_units INTEGER NOT NULL CHECK (limit_units >= 0),
    used        INTEGER NOT NULL CHECK (used >= 0),
    raised_at   INTEGER NOT NULL,
    UNIQUE (period, tenant_id, meter, limit_units, percent)
) STRICT;
INSERT INTO quota_threshold_events (tenant_id, meter, period, percent, limit_units, used, raised_at)
SELECT tenant_id, meter, period, percent, limit_units, used, raised_at FROM usage_threshold_events
ORDER BY raised_at, tenant_id, meter, percent;
DROP TABLE usage_threshold_events;
CREATE INDEX quota_threshold_events_tenant ON quota_threshold_events (tenant_id, seq);
