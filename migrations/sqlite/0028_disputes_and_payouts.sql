-- Payments that a payer's bank takes back, and what a provider pays out to the issuer's bank.

-- A dispute of a payment. `provider_dispute` is the provider's name of it. `check_at`: when to ask the provider
-- again; none once it is closed and its money is where it belongs.
CREATE TABLE disputes (
    seq              INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    id               TEXT    NOT NULL UNIQUE CHECK (length(id) = 30),
    issuer_id        TEXT    NOT NULL REFERENCES tenants (id),
    tenant_id        TEXT    NOT NULL REFERENCES tenants (id),
    invoice_id       TEXT    NOT NULL REFERENCES invoices (id),
    payment_id       TEXT    NOT NULL REFERENCES payments (id),
    provider         TEXT    NOT NULL,
    provider_dispute TEXT    NOT NULL,
    currency         TEXT    NOT NULL,
    amount           INTEGER NOT NULL CHECK (amount >= 0),
    status           TEXT    NOT NULL CHECK (status IN ('inquiry', 'open', 'won', 'lost')),
    reason           TEXT    NOT NULL,
    evidence_due_at  INTEGER,
    opened_at        INTEGER NOT NULL,
    updated_at       INTEGER NOT NULL,
    closed_at        INTEGER,
    check_at         INTEGER,
    UNIQUE (issuer_id, provider, provider_dispute),
    CHECK ((status IN ('won', 'lost')) = (closed_at IS NOT NULL))
) STRICT;
CREATE INDEX disputes_issuer ON disputes (issuer_id, seq);
CREATE INDEX disputes_invoice ON disputes (invoice_id);
CREATE INDEX disputes_open ON disputes (tenant_id, issuer_id) WHERE closed_at IS NULL;
CREATE INDEX disputes_due ON disputes (check_at) WHERE check_at IS NOT NULL;

-- What a provider sends to the issuer's bank. `status` is the provider's; `reconciled_at`: its items are known, and it
-- is in the ledger. `unmatched` counts the items that nothing here explains.
CREATE TABLE payouts (
    seq             INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    id              TEXT    NOT NULL UNIQUE CHECK (length(id) = 30),
    issuer_id       TEXT    NOT NULL REFERENCES tenants (id),
    provider        TEXT    NOT NULL,
    provider_payout TEXT    NOT NULL,
    currency        TEXT    NOT NULL,
    amount          INTEGER NOT NULL,
    status          TEXT    NOT NULL CHECK (status IN ('in_transit', 'paid', 'failed')),
    arrives_at      INTEGER NOT NULL,
    created_at      INTEGER NOT NULL,
    updated_at      INTEGER NOT NULL,
    reconciled_at   INTEGER,
    unmatched       INTEGER NOT NULL DEFAULT 0,
    check_at        INTEGER,
    UNIQUE (issuer_id, provider, provider_payout)
) STRICT;
CREATE INDEX payouts_issuer ON payouts (issuer_id, seq);
CREATE INDEX payouts_due ON payouts (check_at) WHERE check_at IS NOT NULL;

-- What a payout consists of. `source` is the provider's name of what it stands for, `matched` ours.
CREATE TABLE payout_items (
    payout_id TEXT    NOT NULL REFERENCES payouts (id),
    id        TEXT    NOT NULL,
    kind      TEXT    NOT NULL CHECK (kind IN ('payment', 'refund', 'dispute', 'fee', 'payout', 'other')),
    source    TEXT,
    amount    INTEGER NOT NULL,
    fee       INTEGER NOT NULL,
    matched   TEXT,
    note      TEXT,
    PRIMARY KEY (payout_id, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX payout_items_source ON payout_items (source);

-- The time at which a provider was last asked for what its events may have missed.
CREATE TABLE provider_looks (
    issuer_id TEXT    NOT NULL REFERENCES tenants (id),
    provider  TEXT    NOT NULL,
    looked_at INTEGER NOT NULL,
    PRIMARY KEY (issuer_id, provider)
) STRICT, WITHOUT ROWID;

-- The page of the provider on which the payer pays an attempt, by the provider's name of it.
ALTER TABLE payment_attempts ADD COLUMN page TEXT;
