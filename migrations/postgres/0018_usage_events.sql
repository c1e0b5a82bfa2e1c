-- Usage that others report: events with an id of their own, and their corrections. Rows are never changed.

-- Its row is locked by whoever records: events have numbers in the order of their commits.
CREATE TABLE usage_event_head (
    id  BIGINT NOT NULL PRIMARY KEY CHECK (id = 1),
    seq BIGINT NOT NULL
);
INSERT INTO usage_event_head (id, seq) VALUES (1, 0);

-- `correction` 0 is the event itself; each further row corrects the sum of those before it. `hour`, `since`, `paid` and
-- so on name the rollup that all rows of an event count in. `charged` names the quotas that its units count against,
-- in JSON. `stated_at` is null if the event had no time of its own.
CREATE TABLE usage_events (
    seq        BIGINT NOT NULL PRIMARY KEY,
    tenant_id  TEXT    NOT NULL REFERENCES tenants (id),
    source     TEXT    NOT NULL CHECK (length(source) BETWEEN 1 AND 255),
    event_id   TEXT    NOT NULL CHECK (length(event_id) BETWEEN 1 AND 255),
    correction BIGINT NOT NULL CHECK (correction >= 0),
    kind       TEXT    NOT NULL CHECK (kind IN ('record', 'amend', 'revert')),
    at         BIGINT NOT NULL,
    stated_at  BIGINT,
    hour       BIGINT NOT NULL,
    since      BIGINT NOT NULL CHECK (since >= hour),
    key_id     TEXT    NOT NULL,
    route      TEXT    NOT NULL,
    meter      TEXT    NOT NULL,
    mode       TEXT    NOT NULL CHECK (mode IN ('live', 'test')),
    billable   BIGINT NOT NULL CHECK (billable = 0 OR (billable = 1 AND mode = 'live')),
    paid       TEXT    NOT NULL CHECK (paid IN ('none', 'charge', 'credit')),
    requests   BIGINT NOT NULL CHECK (requests BETWEEN -1 AND 1),
    units      BIGINT NOT NULL,
    charged    TEXT    NOT NULL,
    backfill   BIGINT NOT NULL CHECK (backfill IN (0, 1)),
    arrived_at BIGINT NOT NULL,
    reason     TEXT    NOT NULL DEFAULT '' CHECK (length(reason) <= 200),
    UNIQUE (tenant_id, source, event_id, correction),
    CHECK ((paid = 'none') = (billable = 0)),
    CHECK ((correction = 0) = (kind = 'record')),
    CHECK (CASE kind WHEN 'record' THEN requests = 1 AND units >= 0 WHEN 'amend' THEN requests = 0 AND units <> 0
           ELSE requests = -1 AND units <= 0 END),
    CHECK ((kind = 'record') = (reason = ''))
);
CREATE INDEX usage_events_hour ON usage_events (hour);
CREATE INDEX usage_events_tenant ON usage_events (tenant_id, seq);
CREATE INDEX usage_events_name ON usage_events (event_id, source) WHERE correction = 0;

CREATE FUNCTION refuse_usage_event_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'events of usage are append-only';
END
$$;
CREATE TRIGGER usage_events_kept BEFORE UPDATE OR DELETE OR TRUNCATE ON usage_events
FOR EACH STATEMENT EXECUTE FUNCTION refuse_usage_event_change();
