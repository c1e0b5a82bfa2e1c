-- The ledger: double-entry and append-only. A posting names its cause; its entries sum to zero.

CREATE TABLE ledger_postings (
    seq             BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    idempotency_key TEXT   NOT NULL UNIQUE,
    issuer_id       TEXT   NOT NULL REFERENCES tenants (id),
    tenant_id       TEXT   NOT NULL REFERENCES tenants (id),
    currency        TEXT   NOT NULL,
    cause_kind      TEXT   NOT NULL,
    cause_id        TEXT   NOT NULL,
    at              BIGINT NOT NULL
);
CREATE INDEX ledger_postings_tenant ON ledger_postings (tenant_id, seq);
CREATE INDEX ledger_postings_issuer ON ledger_postings (issuer_id, seq);
CREATE INDEX ledger_postings_cause ON ledger_postings (cause_kind, cause_id);

-- Minor units of the posting's currency: above zero is a debit, below zero a credit.
CREATE TABLE ledger_entries (
    posting_seq BIGINT  NOT NULL REFERENCES ledger_postings (seq),
    place       BIGINT  NOT NULL,
    account     TEXT    NOT NULL,
    amount      BIGINT  NOT NULL CHECK (amount <> 0),
    PRIMARY KEY (posting_seq, place)
);
CREATE INDEX ledger_entries_account ON ledger_entries (account, posting_seq);

CREATE FUNCTION refuse_ledger_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the ledger is append-only';
END
$$;
CREATE TRIGGER ledger_postings_kept BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger_postings
FOR EACH STATEMENT EXECUTE FUNCTION refuse_ledger_change();
CREATE TRIGGER ledger_entries_kept BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger_entries
FOR EACH STATEMENT EXECUTE FUNCTION refuse_ledger_change();
