-- Who a tenant belonged to, and when: usage belongs to the tree of its own time.

-- Half-open ranges of time that meet. The first one reaches back before everything, the last one has no end and names
-- the parent that the tenant's own row names.
CREATE TABLE tenant_parents (
    tenant_id TEXT    NOT NULL REFERENCES tenants (id),
    parent_id TEXT    NOT NULL REFERENCES tenants (id),
    starts_at INTEGER NOT NULL,
    ends_at   INTEGER,
    PRIMARY KEY (tenant_id, starts_at),
    CHECK (ends_at > starts_at),
    CHECK (tenant_id <> parent_id)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX tenant_parents_open ON tenant_parents (tenant_id) WHERE ends_at IS NULL;
CREATE INDEX tenant_parents_parent ON tenant_parents (parent_id);
CREATE INDEX tenant_parents_start ON tenant_parents (starts_at);

-- Moves of before this table stand in the audit log, which began together with moving. Of two at one instant, the later
-- one counts.
INSERT INTO tenant_parents (tenant_id, parent_id, starts_at, ends_at)
SELECT tenant_id, parent_id, starts_at,
       LEAD(starts_at) OVER (PARTITION BY tenant_id ORDER BY starts_at)
FROM (
    SELECT id AS tenant_id, -9223372036854775807 - 1 AS starts_at, COALESCE(
        (SELECT json_extract(before, '$.parent') FROM audit_log
         WHERE subject = tenants.id AND action = 'tenant.move' ORDER BY seq LIMIT 1),
        parent_id) AS parent_id
    FROM tenants WHERE parent_id IS NOT NULL
    UNION ALL
    SELECT subject, at, json_extract(after, '$.parent') FROM audit_log AS moves
    WHERE action = 'tenant.move' AND NOT EXISTS (
        SELECT 1 FROM audit_log AS later
        WHERE later.subject = moves.subject AND later.action = 'tenant.move' AND later.at = moves.at
        AND later.seq > moves.seq)
) AS spans;

-- What stands on the tenant's own row holds, should a clock have run backwards between two moves.
UPDATE tenant_parents SET parent_id = (SELECT parent_id FROM tenants WHERE tenants.id = tenant_parents.tenant_id)
WHERE ends_at IS NULL;
