-- Usage that is in no month before somebody has looked at it: of a time that cannot be, or of a tenant in a time zone
-- that the program which booked it did not know.

-- `kind` says whether it is a request or a sum of refusals; `route` is the reason of those, `units` how many they are.
-- The numbers of its stream are booked. `resolution` is what became of it.
CREATE TABLE usage_quarantine (
    id          BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    stream      TEXT COLLATE "C" NOT NULL REFERENCES usage_streams (stream),
    seq         BIGINT NOT NULL CHECK (seq >= 0),
    kind        TEXT COLLATE "C" NOT NULL CHECK (kind IN ('request', 'refusals')),
    at          BIGINT NOT NULL,
    tenant_id   TEXT COLLATE "C" NOT NULL,
    key_id      TEXT COLLATE "C" NOT NULL,
    route       TEXT COLLATE "C" NOT NULL,
    meter       TEXT COLLATE "C" NOT NULL,
    units       BIGINT NOT NULL CHECK (units >= 0),
    status      BIGINT NOT NULL,
    mode        TEXT COLLATE "C" NOT NULL CHECK (mode IN ('live', 'test')),
    billable    BIGINT NOT NULL CHECK (billable IN (0, 1)),
    prepaid     BIGINT NOT NULL CHECK (prepaid IN (0, 1)),
    reason      TEXT COLLATE "C" NOT NULL CHECK (reason IN ('too_late', 'too_early', 'unknown_zone')),
    arrived_at  BIGINT NOT NULL,
    resolution  TEXT COLLATE "C" CHECK (resolution IN ('accepted', 'discarded')),
    booked_at   BIGINT,
    resolved_at BIGINT,
    resolved_by TEXT COLLATE "C" CHECK (length(resolved_by) BETWEEN 1 AND 200),
    note        TEXT COLLATE "C" CHECK (length(note) BETWEEN 1 AND 1000),
    UNIQUE (stream, seq),
    CHECK ((resolution IS NULL) = (resolved_at IS NULL)),
    CHECK ((resolution = 'accepted') = (booked_at IS NOT NULL) OR resolution IS NULL)
);
CREATE INDEX usage_quarantine_open ON usage_quarantine (id) WHERE resolution IS NULL;
