-- Whether a token bank was ever kept for the limits of this store.

-- One row, from the first start of a gateway with a bank on. A bank that turns up empty later has lost what it held: its
-- buckets then start empty instead of full.
CREATE TABLE limit_bank (
    id         INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
    started_at INTEGER NOT NULL
) STRICT;
