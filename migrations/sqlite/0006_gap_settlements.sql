-- Gaps that somebody has declared will never be filled: by whom, when and why. What is written stays, also when the
-- entries turn up after all.
CREATE TABLE usage_gap_settlements (
    id         INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    stream     TEXT    NOT NULL REFERENCES usage_streams (stream),
    from_seq   INTEGER NOT NULL CHECK (from_seq >= 0),
    to_seq     INTEGER NOT NULL,
    lost       INTEGER NOT NULL CHECK (lost IN (0, 1)),
    settled_at INTEGER NOT NULL,
    settled_by TEXT    NOT NULL CHECK (length(settled_by) BETWEEN 1 AND 200),
    reason     TEXT    NOT NULL CHECK (length(reason) BETWEEN 1 AND 1000),
    CHECK (from_seq < to_seq)
) STRICT;

-- A gap that is settled still knows its numbers, so that a late entry is booked once.
ALTER TABLE usage_gaps ADD COLUMN settlement INTEGER REFERENCES usage_gap_settlements (id);
