-- Lives of gateways, so that one whose journal is gone is told: nobody else knows what was in it.

-- `drained_at`: the journal was handed over to its end. `searched_at`: the life has found, and drained, every earlier
-- journal that was where it looks. An older life of the same name that is not drained by then has lost its journal;
-- `settled_at` says that somebody accepts that.
CREATE TABLE gateway_lives (
    life        TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    gateway     TEXT COLLATE "C" NOT NULL,
    began_at    BIGINT           NOT NULL,
    searched_at BIGINT,
    drained_at  BIGINT,
    settled_at  BIGINT,
    settled_by  TEXT COLLATE "C" CHECK (length(settled_by) BETWEEN 1 AND 200),
    reason      TEXT COLLATE "C" CHECK (length(reason) BETWEEN 1 AND 1000),
    CHECK ((settled_at IS NULL) = (settled_by IS NULL)),
    CHECK ((settled_at IS NULL) = (reason IS NULL))
);
CREATE INDEX gateway_lives_open ON gateway_lives (gateway, life) WHERE drained_at IS NULL;
