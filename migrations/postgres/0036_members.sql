-- People of a tenant who sign in to the portal by a link that is sent to their address.
CREATE TABLE members (
    tenant_id  TEXT COLLATE "C" NOT NULL REFERENCES tenants (id),
    address    TEXT COLLATE "C" NOT NULL,
    role       TEXT COLLATE "C" NOT NULL,
    created_at BIGINT  NOT NULL,
    PRIMARY KEY (tenant_id, address)
);
CREATE INDEX members_address ON members (address);
