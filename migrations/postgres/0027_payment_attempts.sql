-- Payments that a provider collects, and tenants that are refused because of an unpaid invoice.

-- A tenant as a payment provider knows it, for an issuer. `method` is what the provider may charge
-- without the payer, `label` what people read of it.
CREATE TABLE payment_accounts (
    issuer_id  TEXT    NOT NULL REFERENCES tenants (id),
    tenant_id  TEXT    NOT NULL REFERENCES tenants (id),
    provider   TEXT    NOT NULL,
    customer   TEXT    NOT NULL,
    method     TEXT,
    label      TEXT,
    updated_at BIGINT  NOT NULL,
    PRIMARY KEY (issuer_id, tenant_id, provider),
    UNIQUE (issuer_id, provider, customer),
    CHECK ((method IS NULL) = (label IS NULL))
);

-- An attempt to collect what is open of an invoice. `intent` is the provider's name of it. While it may
-- still end either way, `check_at` is when to ask the provider again.
CREATE TABLE payment_attempts (
    seq           BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id            TEXT    NOT NULL UNIQUE CHECK (length(id) = 30),
    issuer_id     TEXT    NOT NULL REFERENCES tenants (id),
    tenant_id     TEXT    NOT NULL REFERENCES tenants (id),
    invoice_id    TEXT    NOT NULL REFERENCES invoices (id),
    provider      TEXT    NOT NULL,
    customer      TEXT    NOT NULL,
    method        TEXT    NOT NULL,
    currency      TEXT    NOT NULL,
    amount        BIGINT  NOT NULL CHECK (amount > 0),
    status        TEXT    NOT NULL CHECK (status IN ('created', 'processing', 'action_required', 'succeeded', 'failed')),
    intent        TEXT,
    failure       TEXT,
    is_final      BIGINT  NOT NULL DEFAULT 0 CHECK (is_final IN (0, 1)),
    action_url    TEXT,
    created_at    BIGINT  NOT NULL,
    updated_at    BIGINT  NOT NULL,
    check_at      BIGINT ,
    UNIQUE (provider, intent),
    CHECK (intent IS NOT NULL OR status IN ('created', 'failed')),
    CHECK ((status IN ('succeeded', 'failed')) = (check_at IS NULL))
);
CREATE UNIQUE INDEX payment_attempts_open ON payment_attempts (invoice_id) WHERE check_at IS NOT NULL;
CREATE INDEX payment_attempts_invoice ON payment_attempts (invoice_id, seq);
CREATE INDEX payment_attempts_due ON payment_attempts (check_at) WHERE check_at IS NOT NULL;

-- A payment that goes back by its provider. `provider_refund` is the provider's name of it; while it may
-- still end either way, `check_at` is when to ask again.
CREATE TABLE refund_attempts (
    seq             BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id              TEXT    NOT NULL UNIQUE CHECK (length(id) = 30),
    payment_id      TEXT    NOT NULL REFERENCES payments (id),
    currency        TEXT    NOT NULL,
    amount          BIGINT  NOT NULL CHECK (amount > 0),
    status          TEXT    NOT NULL CHECK (status IN ('created', 'processing', 'succeeded', 'failed')),
    provider_refund TEXT,
    failure         TEXT,
    created_at      BIGINT  NOT NULL,
    updated_at      BIGINT  NOT NULL,
    check_at        BIGINT ,
    CHECK ((status IN ('succeeded', 'failed')) = (check_at IS NULL))
);
CREATE INDEX refund_attempts_payment ON refund_attempts (payment_id, seq);
CREATE INDEX refund_attempts_due ON refund_attempts (check_at) WHERE check_at IS NOT NULL;

-- What a provider told, as it told it, once for each of its ids. `handled_at` is when what follows was
-- done; `outcome` says what that was.
CREATE TABLE provider_events (
    provider    TEXT    NOT NULL,
    issuer_id   TEXT    NOT NULL REFERENCES tenants (id),
    id          TEXT    NOT NULL,
    kind        TEXT    NOT NULL,
    body        TEXT    NOT NULL,
    received_at BIGINT  NOT NULL,
    handled_at  BIGINT ,
    outcome     TEXT,
    PRIMARY KEY (provider, issuer_id, id)
);
CREATE INDEX provider_events_open ON provider_events (received_at) WHERE handled_at IS NULL;

-- Steps of a campaign against an unpaid invoice, each taken once.
CREATE TABLE dunning_steps (
    invoice_id TEXT    NOT NULL REFERENCES invoices (id),
    step       BIGINT  NOT NULL CHECK (step >= 0),
    action     TEXT    NOT NULL CHECK (action IN ('remind', 'retry', 'suspend')),
    taken_at   BIGINT  NOT NULL,
    PRIMARY KEY (invoice_id, step)
);

-- The unpaid invoice because of which a tenant and everybody below it is refused, and where to pay it.
ALTER TABLE tenants ADD COLUMN unpaid_invoice TEXT REFERENCES invoices (id);
ALTER TABLE tenants ADD COLUMN pay_at TEXT;
CREATE INDEX tenants_unpaid ON tenants (unpaid_invoice) WHERE unpaid_invoice IS NOT NULL;
