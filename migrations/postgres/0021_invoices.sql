-- Invoices, credit notes and payments. Amounts are minor units of the currency.

-- As JSON: the tenant as a side of invoices.
CREATE TABLE billing_details (
    tenant_id  TEXT    NOT NULL PRIMARY KEY REFERENCES tenants (id),
    body       TEXT    NOT NULL,
    updated_at BIGINT NOT NULL
);

-- The last number that was given in each series of an issuer.
CREATE TABLE number_series (
    issuer_id   TEXT    NOT NULL REFERENCES tenants (id),
    series      TEXT    NOT NULL,
    last_number BIGINT NOT NULL CHECK (last_number >= 1),
    PRIMARY KEY (issuer_id, series)
);

-- `content` is what the document says, `usage` what was billed, both as JSON. `credit_used` came from
-- the wallet; `open` is what is neither paid nor credited.
CREATE TABLE invoices (
    seq           BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id            TEXT    NOT NULL UNIQUE CHECK (length(id) = 30),
    number        TEXT    NOT NULL,
    issuer_id     TEXT    NOT NULL REFERENCES tenants (id),
    series        TEXT    NOT NULL,
    series_number BIGINT NOT NULL CHECK (series_number >= 1),
    tenant_id     TEXT    NOT NULL REFERENCES tenants (id),
    kind          TEXT    NOT NULL CHECK (kind IN ('period', 'one_off')),
    status        TEXT    NOT NULL CHECK (status IN ('finalized', 'paid', 'void', 'uncollectible')),
    currency      TEXT    NOT NULL,
    period_start  BIGINT,
    period_end    BIGINT,
    total         BIGINT NOT NULL,
    credit_used   BIGINT NOT NULL CHECK (credit_used >= 0),
    open          BIGINT NOT NULL,
    finalized_at  BIGINT NOT NULL,
    due_at        BIGINT NOT NULL,
    content       TEXT    NOT NULL,
    usage         TEXT    NOT NULL,
    UNIQUE (issuer_id, series, series_number),
    CHECK ((kind = 'period') = (period_start IS NOT NULL)),
    CHECK ((period_start IS NULL) = (period_end IS NULL)),
    CHECK (period_end > period_start)
);
CREATE UNIQUE INDEX invoices_once ON invoices (issuer_id, tenant_id, currency, period_start, period_end)
WHERE kind = 'period' AND status <> 'void';
CREATE INDEX invoices_tenant ON invoices (tenant_id, seq);
CREATE INDEX invoices_number ON invoices (number);

CREATE TABLE credit_notes (
    seq           BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id            TEXT    NOT NULL UNIQUE CHECK (length(id) = 30),
    number        TEXT    NOT NULL,
    issuer_id     TEXT    NOT NULL REFERENCES tenants (id),
    series        TEXT    NOT NULL,
    series_number BIGINT NOT NULL CHECK (series_number >= 1),
    tenant_id     TEXT    NOT NULL REFERENCES tenants (id),
    invoice_id    TEXT    NOT NULL REFERENCES invoices (id),
    currency      TEXT    NOT NULL,
    total         BIGINT NOT NULL CHECK (total > 0),
    issued_at     BIGINT NOT NULL,
    content       TEXT    NOT NULL,
    UNIQUE (issuer_id, series, series_number)
);
CREATE INDEX credit_notes_invoice ON credit_notes (invoice_id);
CREATE INDEX credit_notes_tenant ON credit_notes (tenant_id, seq);

-- Below zero for a refund, which names the payment that went back.
CREATE TABLE payments (
    seq         BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id          TEXT    NOT NULL UNIQUE CHECK (length(id) = 30),
    issuer_id   TEXT    NOT NULL REFERENCES tenants (id),
    tenant_id   TEXT    NOT NULL REFERENCES tenants (id),
    invoice_id  TEXT    NOT NULL REFERENCES invoices (id),
    currency    TEXT    NOT NULL,
    amount      BIGINT NOT NULL CHECK (amount <> 0),
    method      TEXT    NOT NULL,
    reference   TEXT    NOT NULL,
    refund_of   TEXT    REFERENCES payments (id),
    received_at BIGINT NOT NULL,
    recorded_at BIGINT NOT NULL,
    UNIQUE (issuer_id, method, reference),
    CHECK ((amount < 0) = (refund_of IS NOT NULL))
);
CREATE INDEX payments_invoice ON payments (invoice_id);
CREATE INDEX payments_tenant ON payments (tenant_id, seq);

-- What is issued stays as it was.
CREATE FUNCTION refuse_change_of_document() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% never change', TG_TABLE_NAME;
END
$$;
CREATE TRIGGER invoices_frozen BEFORE UPDATE OF id, number, issuer_id, series, series_number, tenant_id, kind, currency,
period_start, period_end, total, credit_used, finalized_at, due_at, content, usage ON invoices
FOR EACH STATEMENT EXECUTE FUNCTION refuse_change_of_document();
CREATE TRIGGER invoices_kept BEFORE DELETE OR TRUNCATE ON invoices
FOR EACH STATEMENT EXECUTE FUNCTION refuse_change_of_document();
CREATE TRIGGER credit_notes_kept BEFORE UPDATE OR DELETE OR TRUNCATE ON credit_notes
FOR EACH STATEMENT EXECUTE FUNCTION refuse_change_of_document();
CREATE TRIGGER payments_kept BEFORE UPDATE OR DELETE OR TRUNCATE ON payments
FOR EACH STATEMENT EXECUTE FUNCTION refuse_change_of_document();
