-- The ledger: double-entry and append-only. A posting names its cause; its entries sum to zero.

CREATE TABLE ledger_postings (
    seq             INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    idempotency_key TEXT    NOT NULL UNIQUE,
    issuer_id       TEXT    NOT NULL REFERENCES tenants (id),
    tenant_id       TEXT    NOT NULL REFERENCES tenants (id),
    currency        TEXT    NOT NULL,
    cause_kind      TEXT    NOT NULL,
    cause_id        TEXT    NOT NULL,
    at              INTEGER NOT NULL
) STRICT;
CREATE INDEX ledger_postings_tenant ON ledger_postings (tenant_id, seq);
CREATE INDEX ledger_postings_issuer ON ledger_postings (issuer_id, seq);
CREATE INDEX ledger_postings_cause ON ledger_postings (cause_kind, cause_id);

-- Minor units of the posting's currency: above zero is a debit, below zero a credit.
CREATE TABLE ledger_entries (
    posting_seq INTEGER NOT NULL REFERENCES ledger_postings (seq),
    place       INTEGER NOT NULL,
    account     TEXT    NOT NULL,
    amount      INTEGER NOT NULL CHECK (amount <> 0),
    PRIMARY KEY (posting_seq, place)
) STRICT, WITHOUT ROWID;
CREATE INDEX ledger_entries_account ON ledger_entries (account, posting_seq);

CREATE TRIGGER ledger_postings_update BEFORE UPDATE ON ledger_postings
BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
CREATE TRIGGER ledger_postings_delete BEFORE DELETE ON ledger_postings
BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
CREATE TRIGGER ledger_entries_update BEFORE UPDATE ON ledger_entries
BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
CREATE TRIGGER ledger_entries_delete BEFORE DELETE ON ledger_entries
BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
