-- Work that is due at times of a calendar.

-- A job is a kind of work for an issuer, or for all ('' in place of the issuer). `next_at` is when it is due, and stays
-- so until it has been done: what was missed is caught up once. `claim` counts claims; whoever holds the latest has the
-- job until `lease_until`.
CREATE TABLE jobs (
    kind         TEXT    NOT NULL,
    issuer_id    TEXT    NOT NULL,
    cron         TEXT    NOT NULL,
    zone         TEXT    NOT NULL,
    next_at      BIGINT  NOT NULL,
    retry_at     BIGINT,
    attempt      BIGINT  NOT NULL DEFAULT 0 CHECK (attempt >= 0),
    claim        BIGINT  NOT NULL DEFAULT 0,
    worker       TEXT,
    lease_until  BIGINT,
    started_at   BIGINT,
    succeeded_at BIGINT,
    error        TEXT    CHECK (length(error) <= 1000),
    PRIMARY KEY (kind, issuer_id),
    CHECK ((worker IS NULL) = (lease_until IS NULL))
);

-- Runs of jobs, for people to look at. `outcome`: `done`, `failed`, or `lost` if the worker's lease ran out.
CREATE TABLE job_runs (
    seq        BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind       TEXT    NOT NULL,
    issuer_id  TEXT    NOT NULL,
    due_at     BIGINT  NOT NULL,
    attempt    BIGINT  NOT NULL,
    worker     TEXT    NOT NULL,
    started_at BIGINT  NOT NULL,
    ended_at   BIGINT  NOT NULL,
    outcome    TEXT    NOT NULL CHECK (outcome IN ('done', 'failed', 'lost')),
    detail     TEXT    NOT NULL CHECK (length(detail) <= 1000)
);
CREATE INDEX job_runs_job ON job_runs (kind, issuer_id, seq);
CREATE INDEX job_runs_ended ON job_runs (ended_at);
