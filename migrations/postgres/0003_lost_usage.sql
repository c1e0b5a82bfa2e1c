-- Entries that a gateway has lost, told apart from numbers that never had one.

-- Until here numbers without an entry were counted as refusals, where those that came before stay.
ALTER TABLE usage_streams
    ADD COLUMN void_entries BIGINT NOT NULL DEFAULT 0 CHECK (void_entries >= 0),
    ADD COLUMN lost_entries BIGINT NOT NULL DEFAULT 0 CHECK (lost_entries >= 0);

-- Whether the gateway said that the entries are lost; else it skipped the numbers.
ALTER TABLE usage_gaps ADD COLUMN lost BIGINT NOT NULL DEFAULT 0 CHECK (lost IN (0, 1));
