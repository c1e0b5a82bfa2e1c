-- Budgets in money: what a period of a bill may come to, of a tenant, its subtree or a key.

-- `scope` is `own`, `subtree` or the id of a key. `thresholds` are percents, with blanks between. What
-- was counted last stands in `period_start`, `period_end` and `spent`; `told` is the highest threshold
-- of that period that was told.
CREATE TABLE budgets (
    tenant_id    TEXT    NOT NULL REFERENCES tenants (id),
    scope        TEXT    NOT NULL CHECK (scope IN ('own', 'subtree') OR length(scope) = 30),
    amount       BIGINT  NOT NULL CHECK (amount > 0),
    currency     TEXT    NOT NULL CHECK (length(currency) = 3),
    hard         BIGINT  NOT NULL CHECK (hard IN (0, 1)),
    thresholds   TEXT    NOT NULL,
    period_start BIGINT,
    period_end   BIGINT,
    spent        BIGINT,
    told         BIGINT  NOT NULL DEFAULT 0 CHECK (told >= 0),
    PRIMARY KEY (tenant_id, scope),
    CHECK ((period_start IS NULL) = (period_end IS NULL) AND (period_start IS NULL) = (spent IS NULL)),
    CHECK (period_end > period_start)
);

-- Until then gateways refuse requests, as a hard budget is spent.
ALTER TABLE tenants ADD COLUMN own_spent_until BIGINT;
ALTER TABLE tenants ADD COLUMN subtree_spent_until BIGINT;
ALTER TABLE keys ADD COLUMN spent_until BIGINT;
