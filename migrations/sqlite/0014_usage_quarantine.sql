-- Usage that is in no month before somebody has looked at it: of a time that cannot be, or of a tenant in a time zone
-- that the program which booked it did not know.

-- `kind` says whether it is a request or a sum of refusals; `route` is the reason of those, `units` how many they are.
-- The numbers of its stream are booked. `resolution` is what became of it.
CREATE TABLE usage_quarantine (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    stream      TEXT NOT NULL REFERENCES usage_streams (stream),
    seq         INTEGER NOT NULL CHECK (seq >= 0),
    kind        TEXT NOT NULL CHECK (kind IN ('request', 'refusals')),
    at          INTEGER NOT NULL,
    tenant_id   TEXT NOT NULL,
    key_id      TEXT NOT NULL,
    route       TEXT NOT NULL,
    meter       TEXT NOT NULL,
    units       INTEGER NOT NULL CHECK (units >= 0),
    status      INTEGER NOT NULL,
    mode        TEXT NOT NULL CHECK (mode IN ('live', 'test')),
    billable    INTEGER NOT NULL CHECK (billable IN (0, 1)),
    prepaid     INTEGER NOT NULL CHECK (prepaid IN (0, 1)),
    reason      TEXT NOT NULL CHECK (reason IN ('too_late', 'too_early', 'unknown_zone')),
    arrived_at  INTEGER NOT NULL,
    resolution  TEXT CHECK (resolution IN ('accepted', 'discarded')),
    booked_at   INTEGER,
    resolved_at INTEGER,
    resolved_by TEXT CHECK (length(resolved_by) BETWEEN 1 AND 200),
    note        TEXT CHECK (length(note) BETWEEN 1 AND 1000),
    UNIQUE (stream, seq),
    CHECK ((resolution IS NULL) = (resolved_at IS NULL)),
    CHECK ((resolution = 'accepted') = (booked_at IS NOT NULL) OR resolution IS NULL)
) STRICT;
CREATE INDEX usage_quarantine_open ON usage_quarantine (id) WHERE resolution IS NULL;
