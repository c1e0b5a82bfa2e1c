-- What leaves the system: events, and the messages that are sent because of them or by themselves.

-- Something that happened, written in the transaction of its cause. `object` is the thing whose events keep their
-- order. `told_at`: the messages to all who hear of it were written.
CREATE TABLE events (
    seq       INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    id        TEXT    NOT NULL UNIQUE CHECK (length(id) = 30),
    type      TEXT    NOT NULL,
    tenant_id TEXT    NOT NULL REFERENCES tenants (id),
    object    TEXT    NOT NULL,
    data      TEXT    NOT NULL CHECK (json_valid(data)),
    at        INTEGER NOT NULL,
    told_at   INTEGER
) STRICT;
CREATE INDEX events_untold ON events (seq) WHERE told_at IS NULL;
CREATE INDEX events_told ON events (told_at);

-- Whoever holds this row writes messages of events, in the order of events.
CREATE TABLE events_head (
    id      INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
    told_at INTEGER NOT NULL
) STRICT;
INSERT INTO events_head (id, told_at) VALUES (1, 0);

-- A message to one receiver. Messages of a `lane` are sent one after the other. `target` is the receiver. `claim` counts
-- claims; whoever holds the latest sends the message until `lease_until`. `first_at` is the time of the first try.
CREATE TABLE outbox (
    seq         INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    id          TEXT    NOT NULL UNIQUE CHECK (length(id) = 30),
    kind        TEXT    NOT NULL,
    tenant_id   TEXT    NOT NULL REFERENCES tenants (id),
    lane        TEXT    NOT NULL,
    target      TEXT    NOT NULL,
    subject     TEXT    NOT NULL,
    event_id    TEXT,
    body        TEXT    NOT NULL CHECK (json_valid(body)),
    state       TEXT    NOT NULL CHECK (state IN ('pending', 'delivered', 'given_up')),
    created_at  INTEGER NOT NULL,
    due_at      INTEGER NOT NULL,
    attempt     INTEGER NOT NULL DEFAULT 0 CHECK (attempt >= 0),
    claim       INTEGER NOT NULL DEFAULT 0,
    worker      TEXT,
    lease_until INTEGER,
    first_at    INTEGER,
    ended_at    INTEGER,
    result      TEXT    CHECK (length(result) <= 1000),
    CHECK ((worker IS NULL) = (lease_until IS NULL)),
    CHECK ((state = 'pending') = (ended_at IS NULL))
) STRICT;
CREATE INDEX outbox_due ON outbox (due_at, seq) WHERE state = 'pending';
CREATE INDEX outbox_lane ON outbox (lane, seq) WHERE state = 'pending';
CREATE INDEX outbox_target ON outbox (target, seq);
CREATE INDEX outbox_ended ON outbox (ended_at) WHERE state <> 'pending';
-- A receiver is told of an event once.
CREATE UNIQUE INDEX outbox_once ON outbox (event_id, kind, target) WHERE event_id IS NOT NULL;

-- An endpoint that hears of events. `types`, as JSON: those that it hears of; none: all. `below`: also those of tenants
-- below its own. Secrets are derived from the pepper; `secret` is the number of the current one, and the one before it
-- signs too until `previous_until`. Events up to `after_event` happened before it was made. `failing_since`: nothing was
-- delivered since then.
CREATE TABLE webhook_endpoints (
    seq             INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    id              TEXT    NOT NULL UNIQUE CHECK (length(id) = 30),
    tenant_id       TEXT    NOT NULL REFERENCES tenants (id),
    url             TEXT    NOT NULL,
    name            TEXT    NOT NULL,
    types           TEXT    NOT NULL CHECK (json_valid(types)),
    below           INTEGER NOT NULL CHECK (below IN (0, 1)),
    secret          INTEGER NOT NULL CHECK (secret >= 1),
    pepper_id       TEXT    NOT NULL,
    previous_until  INTEGER,
    after_event     INTEGER NOT NULL,
    failing_since   INTEGER,
    disabled_at     INTEGER,
    disabled_reason TEXT    CHECK (length(disabled_reason) <= 1000),
    created_at      INTEGER NOT NULL,
    deleted_at      INTEGER,
    CHECK ((disabled_at IS NULL) = (disabled_reason IS NULL))
) STRICT;
CREATE INDEX webhook_endpoints_tenant ON webhook_endpoints (tenant_id, seq);

-- As JSON: who of a tenant gets which mail, and in which language.
CREATE TABLE mail_settings (
    tenant_id  TEXT    NOT NULL PRIMARY KEY REFERENCES tenants (id),
    body       TEXT    NOT NULL CHECK (json_valid(body)),
    updated_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Keys whose expiry was told ahead of it. A key that gets another expiry is told again.
CREATE TABLE key_expiry_notices (
    key_id     TEXT    NOT NULL,
    expires_at INTEGER NOT NULL,
    told_at    INTEGER NOT NULL,
    PRIMARY KEY (key_id, expires_at)
) STRICT, WITHOUT ROWID;
