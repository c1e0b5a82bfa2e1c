-- Money that tenants have in advance with who issues their invoices.

-- A wallet is one currency of a tenant with an issuer. Its row is locked by whoever changes what is in it. `overdraft`
-- is how far below zero it may go. `top_up_*`: below a threshold, a top-up to the target is asked for, at most so many
-- times within a day.
CREATE TABLE wallets (
    issuer_id        TEXT    NOT NULL REFERENCES tenants (id),
    tenant_id        TEXT    NOT NULL REFERENCES tenants (id),
    currency         TEXT    NOT NULL,
    overdraft        BIGINT  NOT NULL DEFAULT 0 CHECK (overdraft >= 0),
    top_up_threshold BIGINT,
    top_up_target    BIGINT CHECK (top_up_target > top_up_threshold),
    top_up_per_day   BIGINT CHECK (top_up_per_day BETWEEN 1 AND 100),
    updated_at       BIGINT  NOT NULL,
    PRIMARY KEY (tenant_id, issuer_id, currency),
    CHECK ((top_up_threshold IS NULL) = (top_up_target IS NULL)),
    CHECK ((top_up_threshold IS NULL) = (top_up_per_day IS NULL))
);

CREATE TABLE wallet_grants (
    id          TEXT    NOT NULL PRIMARY KEY,
    issuer_id   TEXT    NOT NULL,
    tenant_id   TEXT    NOT NULL,
    currency    TEXT    NOT NULL,
    kind        TEXT    NOT NULL CHECK (kind IN ('paid', 'promotional')),
    amount      BIGINT  NOT NULL CHECK (amount > 0),
    priority    BIGINT  NOT NULL CHECK (priority BETWEEN 0 AND 100),
    granted_at  BIGINT  NOT NULL,
    expires_at  BIGINT CHECK (expires_at > granted_at),
    reference   TEXT    NOT NULL CHECK (length(reference) BETWEEN 1 AND 200),
    reason      TEXT    NOT NULL CHECK (length(reason) <= 200),
    voided_at   BIGINT,
    void_reason TEXT,
    UNIQUE (tenant_id, issuer_id, reference),
    CHECK ((voided_at IS NULL) = (void_reason IS NULL)),
    FOREIGN KEY (tenant_id, issuer_id, currency) REFERENCES wallets (tenant_id, issuer_id, currency)
);
CREATE INDEX wallet_grants_wallet ON wallet_grants (tenant_id, issuer_id, currency, id);
CREATE INDEX wallet_grants_expiry ON wallet_grants (expires_at) WHERE expires_at IS NOT NULL;

-- What came into a wallet and what left it, in minor units: above zero what came. Without a grant: what was used beyond
-- all grants, and what later grants pay of it. Balances are sums of these rows, which are never changed.
CREATE TABLE wallet_movements (
    seq         BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    issuer_id   TEXT    NOT NULL,
    tenant_id   TEXT    NOT NULL,
    currency    TEXT    NOT NULL,
    grant_id    TEXT    REFERENCES wallet_grants (id),
    kind        TEXT    NOT NULL CHECK (kind IN ('grant', 'use', 'return', 'expiry', 'void', 'repay')),
    amount      BIGINT  NOT NULL CHECK (amount <> 0),
    invoice_id  TEXT,
    at          BIGINT  NOT NULL,
    CHECK ((kind IN ('use', 'return')) = (invoice_id IS NOT NULL)),
    FOREIGN KEY (tenant_id, issuer_id, currency) REFERENCES wallets (tenant_id, issuer_id, currency)
);
CREATE INDEX wallet_movements_wallet ON wallet_movements (tenant_id, issuer_id, currency, seq);
CREATE INDEX wallet_movements_grant ON wallet_movements (grant_id, seq);
CREATE INDEX wallet_movements_invoice ON wallet_movements (invoice_id) WHERE invoice_id IS NOT NULL;

CREATE FUNCTION refuse_wallet_movement_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'movements of wallets are append-only';
END
$$;
CREATE TRIGGER wallet_movements_kept BEFORE UPDATE OR DELETE OR TRUNCATE ON wallet_movements
FOR EACH STATEMENT EXECUTE FUNCTION refuse_wallet_movement_change();

-- Top-ups that were asked for. A confirmed one is a grant, whose reference is the id of the top-up.
CREATE TABLE wallet_top_ups (
    id           TEXT    NOT NULL PRIMARY KEY,
    issuer_id    TEXT    NOT NULL,
    tenant_id    TEXT    NOT NULL,
    currency     TEXT    NOT NULL,
    amount       BIGINT  NOT NULL CHECK (amount > 0),
    status       TEXT    NOT NULL CHECK (status IN ('open', 'paid', 'cancelled')),
    requested_at BIGINT  NOT NULL,
    decided_at   BIGINT,
    CHECK ((status = 'open') = (decided_at IS NULL)),
    FOREIGN KEY (tenant_id, issuer_id, currency) REFERENCES wallets (tenant_id, issuer_id, currency)
);
CREATE UNIQUE INDEX wallet_top_ups_open ON wallet_top_ups (tenant_id, issuer_id, currency) WHERE status = 'open';
CREATE INDEX wallet_top_ups_wallet ON wallet_top_ups (tenant_id, issuer_id, currency, requested_at);
