-- Bills of a part of a period, coupons and add-ons.

-- 0: the invoice closes its period. From 1 on: it bills a part of it before that.
ALTER TABLE invoices ADD COLUMN part INTEGER NOT NULL DEFAULT 0 CHECK (part >= 0);
DROP INDEX invoices_once;
CREATE UNIQUE INDEX invoices_once ON invoices (issuer_id, tenant_id, currency, period_start, period_end, part)
WHERE kind = 'period' AND status <> 'void';
CREATE TRIGGER invoices_part_frozen BEFORE UPDATE OF part ON invoices
BEGIN SELECT RAISE(ABORT, 'a finalized invoice never changes'); END;

-- A coupon takes off a percentage or an amount in minor units. `duration` is the period in which it is
-- redeemed, so many `periods` from it on, or all. `plans` are those that it is for, as JSON; none: every plan.
CREATE TABLE coupons (
    issuer_id       TEXT    NOT NULL REFERENCES tenants (id),
    code            TEXT    NOT NULL,
    percent         TEXT,
    amount          INTEGER CHECK (amount > 0),
    currency        TEXT,
    duration        TEXT    NOT NULL CHECK (duration IN ('once', 'periods', 'forever')),
    periods         INTEGER CHECK (periods > 0),
    plans           TEXT    NOT NULL CHECK (json_valid(plans)),
    meter           TEXT,
    redeem_by       INTEGER,
    max_redemptions INTEGER CHECK (max_redemptions > 0),
    created_at      INTEGER NOT NULL,
    archived_at     INTEGER,
    PRIMARY KEY (issuer_id, code),
    CHECK ((percent IS NULL) <> (amount IS NULL)),
    CHECK ((amount IS NULL) = (currency IS NULL)),
    CHECK ((duration = 'periods') = (periods IS NOT NULL))
) STRICT, WITHOUT ROWID;

-- A tenant redeems a coupon once. From `removed_at` on, periods that begin are without it.
CREATE TABLE coupon_redemptions (
    tenant_id   TEXT    NOT NULL REFERENCES tenants (id),
    issuer_id   TEXT    NOT NULL,
    code        TEXT    NOT NULL,
    redeemed_at INTEGER NOT NULL,
    removed_at  INTEGER,
    PRIMARY KEY (tenant_id, issuer_id, code),
    FOREIGN KEY (issuer_id, code) REFERENCES coupons (issuer_id, code)
) STRICT, WITHOUT ROWID;

-- Plans whose flat fee a tenant owes beside that of its subscription, so many times.
CREATE TABLE add_ons (
    tenant_id    TEXT    NOT NULL REFERENCES tenants (id),
    plan_owner   TEXT    NOT NULL,
    plan_id      TEXT    NOT NULL,
    plan_version INTEGER NOT NULL,
    quantity     INTEGER NOT NULL CHECK (quantity > 0),
    starts_at    INTEGER NOT NULL,
    ends_at      INTEGER CHECK (ends_at > starts_at),
    PRIMARY KEY (tenant_id, plan_owner, plan_id, starts_at)
) STRICT, WITHOUT ROWID;
