-- Deferred revenue: fees that are billed before the time that they are for.

-- A line of an invoice, without tax, that becomes revenue over its time. Of `amount`, credit notes and voids have
-- taken back `taken_back`, and `recognized` is revenue. `rest` is what is earned from `rest_from` to `ends_at`, by
-- exact time. `next_at` is when revenue is recognized next: none once nothing is left.
CREATE TABLE deferrals (
    invoice_id       TEXT    NOT NULL REFERENCES invoices (id),
    line             INTEGER NOT NULL CHECK (line >= 0),
    issuer_id        TEXT    NOT NULL REFERENCES tenants (id),
    tenant_id        TEXT    NOT NULL REFERENCES tenants (id),
    currency         TEXT    NOT NULL,
    amount           INTEGER NOT NULL CHECK (amount <> 0),
    taken_back       INTEGER NOT NULL DEFAULT 0,
    recognized       INTEGER NOT NULL DEFAULT 0,
    rest             INTEGER NOT NULL,
    rest_from        INTEGER NOT NULL,
    ends_at          INTEGER NOT NULL,
    recognized_until INTEGER NOT NULL,
    next_at          INTEGER,
    PRIMARY KEY (invoice_id, line),
    CHECK ((amount - taken_back - recognized = 0) = (next_at IS NULL))
) STRICT, WITHOUT ROWID;
CREATE INDEX deferrals_due ON deferrals (next_at) WHERE next_at IS NOT NULL;
CREATE INDEX deferrals_tenant ON deferrals (tenant_id, issuer_id);
