-- Booking from a transport with positions, and counters that an audit can check.

-- Counters of what was booked, kept apart from the hourly sums. Units and refusals count modulo 2^62, as all of a stream
-- may exceed what a column holds. Dropped are requests whose records are gone after retention or were never kept.
ALTER TABLE usage_streams ADD COLUMN requests         INTEGER NOT NULL DEFAULT 0 CHECK (requests >= 0);
ALTER TABLE usage_streams ADD COLUMN units            INTEGER NOT NULL DEFAULT 0 CHECK (units >= 0);
ALTER TABLE usage_streams ADD COLUMN refusal_entries  INTEGER NOT NULL DEFAULT 0 CHECK (refusal_entries >= 0);
ALTER TABLE usage_streams ADD COLUMN refused          INTEGER NOT NULL DEFAULT 0 CHECK (refused >= 0);
ALTER TABLE usage_streams ADD COLUMN dropped_requests INTEGER NOT NULL DEFAULT 0 CHECK (dropped_requests >= 0);
ALTER TABLE usage_streams ADD COLUMN dropped_units    INTEGER NOT NULL DEFAULT 0 CHECK (dropped_units >= 0);

ALTER TABLE usage_gaps ADD COLUMN opened_at INTEGER;

ALTER TABLE usage_hourly ADD COLUMN dropped_requests INTEGER NOT NULL DEFAULT 0 CHECK (dropped_requests >= 0);
ALTER TABLE usage_hourly ADD COLUMN dropped_units    INTEGER NOT NULL DEFAULT 0 CHECK (dropped_units >= 0);

-- Until here every request left a record, so the rest of what was acknowledged were refusals. High and low halves of
-- units are summed apart, as a sum must not overflow on its way to the modulus.
UPDATE usage_streams SET requests = kept.requests, units = kept.units
FROM (
    SELECT stream, COUNT(*) AS requests,
           ((SUM(units / 2147483648) % 2147483648) * 2147483648 + SUM(units % 2147483648)) % 4611686018427387904 AS units
    FROM usage_records GROUP BY stream
) AS kept
WHERE kept.stream = usage_streams.stream;
UPDATE usage_streams SET refusal_entries = next_seq - requests
    - COALESCE((SELECT SUM(to_seq - from_seq) FROM usage_gaps WHERE usage_gaps.stream = usage_streams.stream), 0);

-- Refusals that were summed up before streams counted them.
CREATE TABLE usage_opening (
    id      INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
    refused INTEGER NOT NULL CHECK (refused >= 0)
) STRICT;
INSERT INTO usage_opening (id, refused)
SELECT 1, COALESCE(
    ((SUM(count / 2147483648) % 2147483648) * 2147483648 + SUM(count % 2147483648)) % 4611686018427387904, 0)
FROM refusals_hourly;

-- Offset of the first message that is not dealt with.
CREATE TABLE ingest_positions (
    topic        TEXT    NOT NULL,
    partition_no INTEGER NOT NULL CHECK (partition_no >= 0),
    next_offset  INTEGER NOT NULL CHECK (next_offset >= 0),
    updated_at   INTEGER NOT NULL,
    PRIMARY KEY (topic, partition_no)
) STRICT, WITHOUT ROWID;

-- Messages that could not be booked.
CREATE TABLE dead_letters (
    id             INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    topic          TEXT    NOT NULL,
    partition_no   INTEGER NOT NULL,
    message_offset INTEGER NOT NULL,
    payload        BLOB    NOT NULL,
    reason         TEXT    NOT NULL,
    arrived_at     INTEGER NOT NULL,
    resolved_at    INTEGER,
    UNIQUE (topic, partition_no, message_offset)
) STRICT;
CREATE INDEX dead_letters_open ON dead_letters (id) WHERE resolved_at IS NULL;
