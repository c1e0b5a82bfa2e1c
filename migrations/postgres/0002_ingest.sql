-- Booking from a transport with positions, records in daily partitions, and counters that an audit can check.

-- Counters of what was booked, kept apart from the hourly sums. Units and refusals count modulo 2^62, as all of a stream
-- may exceed what a column holds. Dropped are requests whose records are gone after retention or were never kept.
ALTER TABLE usage_streams
    ADD COLUMN requests         BIGINT NOT NULL DEFAULT 0 CHECK (requests >= 0),
    ADD COLUMN units            BIGINT NOT NULL DEFAULT 0 CHECK (units >= 0),
    ADD COLUMN refusal_entries  BIGINT NOT NULL DEFAULT 0 CHECK (refusal_entries >= 0),
    ADD COLUMN refused          BIGINT NOT NULL DEFAULT 0 CHECK (refused >= 0),
    ADD COLUMN dropped_requests BIGINT NOT NULL DEFAULT 0 CHECK (dropped_requests >= 0),
    ADD COLUMN dropped_units    BIGINT NOT NULL DEFAULT 0 CHECK (dropped_units >= 0);

ALTER TABLE usage_gaps ADD COLUMN opened_at BIGINT;

ALTER TABLE usage_hourly
    ADD COLUMN dropped_requests BIGINT NOT NULL DEFAULT 0 CHECK (dropped_requests >= 0),
    ADD COLUMN dropped_units    BIGINT NOT NULL DEFAULT 0 CHECK (dropped_units >= 0);

-- Rows that every booking updates: room beside them keeps the updates off the indexes.
ALTER TABLE usage_streams SET (fillfactor = 50);
ALTER TABLE usage_hourly SET (fillfactor = 70);
ALTER TABLE refusals_hourly SET (fillfactor = 70);

-- Until here every request left a record, so the rest of what was acknowledged were refusals.
UPDATE usage_streams SET requests = kept.requests, units = kept.units
FROM (
    SELECT stream, COUNT(*) AS requests, CAST(SUM(units) % 4611686018427387904 AS BIGINT) AS units
    FROM usage_records GROUP BY stream
) kept
WHERE kept.stream = usage_streams.stream;
UPDATE usage_streams SET refusal_entries = next_seq - requests
    - COALESCE((SELECT SUM(to_seq - from_seq) FROM usage_gaps WHERE usage_gaps.stream = usage_streams.stream), 0);

-- Refusals that were summed up before streams counted them.
CREATE TABLE usage_opening (
    id      BIGINT NOT NULL PRIMARY KEY CHECK (id = 1),
    refused BIGINT NOT NULL CHECK (refused >= 0)
);
INSERT INTO usage_opening (id, refused)
SELECT 1, CAST(COALESCE(SUM(count), 0) % 4611686018427387904 AS BIGINT) FROM refusals_hourly;

-- Records lie in partitions by UTC day of `at`, made ahead; what was there is the partition of days that have none. No
-- index is unique and none is a tree: streams' marks make records unique, and each tree would cost as much as the
-- record itself. The audit reads whole days; `at` narrows a day to hours.
ALTER TABLE usage_records RENAME TO usage_records_default;
ALTER TABLE usage_records_default DROP CONSTRAINT usage_records_pkey;
DROP INDEX usage_records_tenant;
CREATE TABLE usage_records (LIKE usage_records_default INCLUDING CONSTRAINTS) PARTITION BY RANGE (at);
ALTER TABLE usage_records ATTACH PARTITION usage_records_default DEFAULT;
CREATE INDEX usage_records_at ON usage_records USING brin (at);

-- Offset of the first message that is not dealt with.
CREATE TABLE ingest_positions (
    topic        TEXT COLLATE "C" NOT NULL,
    partition_no BIGINT           NOT NULL CHECK (partition_no >= 0),
    next_offset  BIGINT           NOT NULL CHECK (next_offset >= 0),
    updated_at   BIGINT           NOT NULL,
    PRIMARY KEY (topic, partition_no)
) WITH (fillfactor = 50);

-- Messages that could not be booked.
CREATE TABLE dead_letters (
    id             BIGINT           NOT NULL GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    topic          TEXT COLLATE "C" NOT NULL,
    partition_no   BIGINT           NOT NULL,
    message_offset BIGINT           NOT NULL,
    payload        BYTEA            NOT NULL,
    reason         TEXT COLLATE "C" NOT NULL,
    arrived_at     BIGINT           NOT NULL,
    resolved_at    BIGINT,
    UNIQUE (topic, partition_no, message_offset)
);
CREATE INDEX dead_letters_open ON dead_letters (id) WHERE resolved_at IS NULL;
