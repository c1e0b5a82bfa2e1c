-- Terms of subscriptions that differ from those of their plans, as JSON: trials, discounts, other fees.
CREATE TABLE subscription_terms (
    tenant_id TEXT    NOT NULL,
    starts_at BIGINT  NOT NULL,
    terms     TEXT    NOT NULL,
    PRIMARY KEY (tenant_id, starts_at)
);
