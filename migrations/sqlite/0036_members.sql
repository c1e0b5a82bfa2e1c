-- People of a tenant who sign in to the portal by a link that is sent to their address.
CREATE TABLE members (
    tenant_id  TEXT    NOT NULL REFERENCES tenants (id),
    address    TEXT    NOT NULL,
    role       TEXT    NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, address)
) STRICT, WITHOUT ROWID;
CREATE INDEX members_address ON members (address);
