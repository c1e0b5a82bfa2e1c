-- One invoice for several tenants: each of its sections bills a period of one of them.

ALTER TABLE invoices ADD COLUMN collective INTEGER NOT NULL DEFAULT 0 CHECK (collective IN (0, 1));
DROP INDEX invoices_once;
CREATE UNIQUE INDEX invoices_once ON invoices (issuer_id, tenant_id, currency, period_start, period_end, part)
WHERE kind = 'period' AND status <> 'void' AND collective = 0;
CREATE TRIGGER invoices_collective_frozen BEFORE UPDATE OF collective ON invoices
BEGIN SELECT RAISE(ABORT, 'a finalized invoice never changes'); END;

-- `part` is that of the tenant's own period, as `part` of an invoice by itself is.
CREATE TABLE invoice_sections (
    invoice_id   TEXT    NOT NULL REFERENCES invoices (id),
    section      INTEGER NOT NULL CHECK (section >= 0),
    tenant_id    TEXT    NOT NULL REFERENCES tenants (id),
    period_start INTEGER NOT NULL,
    period_end   INTEGER NOT NULL,
    part         INTEGER NOT NULL CHECK (part >= 0),
    PRIMARY KEY (invoice_id, section),
    CHECK (period_end > period_start)
) STRICT, WITHOUT ROWID;
CREATE INDEX invoice_sections_tenant ON invoice_sections (tenant_id, period_start);
CREATE TRIGGER invoice_sections_frozen BEFORE UPDATE ON invoice_sections
BEGIN SELECT RAISE(ABORT, 'a finalized invoice never changes'); END;
CREATE TRIGGER invoice_sections_kept BEFORE DELETE ON invoice_sections
BEGIN SELECT RAISE(ABORT, 'a finalized invoice never changes'); END;

-- What was billed of a period of a tenant, whoever the invoice is for.
CREATE VIEW bills AS
SELECT seq, id, number, issuer_id, tenant_id, currency, period_start, period_end, part, status, content, usage,
    NULL AS section
FROM invoices WHERE kind = 'period' AND collective = 0
UNION ALL
SELECT seq, id, number, issuer_id, invoice_sections.tenant_id, currency, invoice_sections.period_start,
    invoice_sections.period_end, invoice_sections.part, status, content, usage, section
FROM invoice_sections JOIN invoices ON id = invoice_id;
