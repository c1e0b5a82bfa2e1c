-- What banks have booked on the accounts of issuers, and what became of it.

-- An entry of a bank statement, once by its fingerprint. `open` waits for a person, for the reason in
-- `open_reason`; `recorded` was matched by its reference, `assigned` by a person, and `ignored` leads
-- to nothing, for the reason in `reason`.
CREATE TABLE bank_entries (
    seq                BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id                 TEXT    NOT NULL UNIQUE CHECK (length(id) = 30),
    issuer_id          TEXT    NOT NULL REFERENCES tenants (id),
    fingerprint        TEXT    NOT NULL CHECK (length(fingerprint) = 64),
    account            TEXT    NOT NULL,
    kind               TEXT    NOT NULL CHECK (kind IN ('credit', 'credit_reversal', 'debit_reversal')),
    currency           TEXT    NOT NULL,
    amount             BIGINT  NOT NULL CHECK (amount > 0),
    booked_on          TEXT    NOT NULL CHECK (length(booked_on) = 10),
    bank_reference     TEXT,
    payer              TEXT,
    payer_account      TEXT,
    creditor_reference TEXT,
    remittance         TEXT    NOT NULL,
    status             TEXT    NOT NULL CHECK (status IN ('open', 'recorded', 'assigned', 'ignored')),
    open_reason        TEXT,
    reason             TEXT,
    imported_at        BIGINT  NOT NULL,
    resolved_at        BIGINT,
    UNIQUE (issuer_id, fingerprint),
    CHECK (status <> 'open' OR open_reason IS NOT NULL),
    CHECK ((status = 'open') = (resolved_at IS NULL)),
    CHECK (status <> 'ignored' OR reason IS NOT NULL)
);
CREATE INDEX bank_entries_issuer ON bank_entries (issuer_id, seq);
CREATE INDEX bank_entries_open ON bank_entries (issuer_id, seq) WHERE status = 'open';

-- Where the money of an entry went: to an invoice by a payment, or into a wallet by a grant.
CREATE TABLE bank_entry_uses (
    entry_seq  BIGINT  NOT NULL REFERENCES bank_entries (seq),
    place      BIGINT  NOT NULL CHECK (place >= 0),
    tenant_id  TEXT    NOT NULL REFERENCES tenants (id),
    amount     BIGINT  NOT NULL CHECK (amount > 0),
    payment_id TEXT    UNIQUE REFERENCES payments (id),
    grant_id   TEXT    UNIQUE REFERENCES wallet_grants (id),
    PRIMARY KEY (entry_seq, place),
    CHECK ((payment_id IS NULL) <> (grant_id IS NULL))
);

CREATE TRIGGER bank_entries_frozen BEFORE UPDATE OF id, issuer_id, fingerprint, account, kind, currency, amount,
booked_on, bank_reference, payer, payer_account, creditor_reference, remittance, imported_at ON bank_entries
FOR EACH STATEMENT EXECUTE FUNCTION refuse_change_of_document();
CREATE TRIGGER bank_entries_kept BEFORE DELETE OR TRUNCATE ON bank_entries
FOR EACH STATEMENT EXECUTE FUNCTION refuse_change_of_document();
CREATE TRIGGER bank_entry_uses_kept BEFORE UPDATE OR DELETE OR TRUNCATE ON bank_entry_uses
FOR EACH STATEMENT EXECUTE FUNCTION refuse_change_of_document();
