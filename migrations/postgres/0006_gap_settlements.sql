-- Gaps that somebody has declared will never be filled: by whom, when and why. What is written stays, also when the
-- entries turn up after all.
CREATE TABLE usage_gap_settlements (
    id         BIGINT           NOT NULL GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    stream     TEXT COLLATE "C" NOT NULL REFERENCES usage_streams (stream),
    from_seq   BIGINT           NOT NULL CHECK (from_seq >= 0),
    to_seq     BIGINT           NOT NULL,
    lost       BIGINT           NOT NULL CHECK (lost IN (0, 1)),
    settled_at BIGINT           NOT NULL,
    settled_by TEXT COLLATE "C" NOT NULL CHECK (length(settled_by) BETWEEN 1 AND 200),
    reason     TEXT COLLATE "C" NOT NULL CHECK (length(reason) BETWEEN 1 AND 1000),
    CHECK (from_seq < to_seq)
);

-- A gap that is settled still knows its numbers, so that a late entry is booked once.
ALTER TABLE usage_gaps ADD COLUMN settlement BIGINT REFERENCES usage_gap_settlements (id);
