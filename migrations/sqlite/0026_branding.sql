-- As JSON: the looks of the documents that a tenant issues.
CREATE TABLE branding (
    tenant_id  TEXT    NOT NULL PRIMARY KEY REFERENCES tenants (id),
    body       TEXT    NOT NULL CHECK (json_valid(body)),
    updated_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
