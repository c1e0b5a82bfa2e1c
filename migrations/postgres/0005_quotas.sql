-- Units that a gateway has drawn from a quota and not given back, so that what it held when it died can be granted again.

-- Entries that say that a stream has ended: one, if its gateway keeps to the protocol.
ALTER TABLE usage_streams ADD COLUMN end_entries BIGINT NOT NULL DEFAULT 0 CHECK (end_entries >= 0);

-- The limit as the last one to draw knew it.
ALTER TABLE quota_grants ADD COLUMN limit_units BIGINT NOT NULL DEFAULT 0 CHECK (limit_units >= 0);

-- Lives of gateways that hold units; `lanes` is how many streams a life writes. A row goes when all of them have ended
-- and every entry is booked.
CREATE TABLE quota_lives (
    life  TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    lanes BIGINT           NOT NULL CHECK (lanes BETWEEN 1 AND 65536)
);

-- `drawn` less `used` is what the life holds, or has lost. `used` grows as its records are booked.
CREATE TABLE quota_leases (
    life      TEXT COLLATE "C" NOT NULL REFERENCES quota_lives (life),
    tenant_id TEXT COLLATE "C" NOT NULL,
    meter     TEXT COLLATE "C" NOT NULL,
    period    TEXT COLLATE "C" NOT NULL CHECK (length(period) = 7),
    drawn     BIGINT           NOT NULL CHECK (drawn >= 0),
    used      BIGINT           NOT NULL CHECK (used >= 0),
    PRIMARY KEY (life, tenant_id, meter, period)
) WITH (fillfactor = 50);

-- That a tenant has used this part of what its plan has for a month. A row is written once.
CREATE TABLE usage_threshold_events (
    tenant_id   TEXT COLLATE "C" NOT NULL REFERENCES tenants (id),
    meter       TEXT COLLATE "C" NOT NULL,
    period      TEXT COLLATE "C" NOT NULL CHECK (length(period) = 7),
    percent     BIGINT           NOT NULL CHECK (percent BETWEEN 1 AND 100),
    limit_units BIGINT           NOT NULL CHECK (limit_units >= 0),
    used        BIGINT           NOT NULL CHECK (used >= 0),
    raised_at   BIGINT           NOT NULL,
    PRIMARY KEY (tenant_id, meter, period, percent)
);

-- Units that were paid for in advance. Their sum is the limit of the quota whose period is `prepaid`.
CREATE TABLE quota_top_ups (
    reference TEXT COLLATE "C" NOT NULL PRIMARY KEY CHECK (length(reference) BETWEEN 1 AND 200),
    tenant_id TEXT COLLATE "C" NOT NULL REFERENCES tenants (id),
    meter     TEXT COLLATE "C" NOT NULL,
    units     BIGINT           NOT NULL CHECK (units >= 1),
    added_at  BIGINT           NOT NULL
);
CREATE INDEX quota_top_ups_tenant ON quota_top_ups (tenant_id);
