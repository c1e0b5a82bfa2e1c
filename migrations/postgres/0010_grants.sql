-- Who made a key, at which tenant they held their role, and when the store's first owner came.

-- `creator_tenant` is where the role of whoever made the key is held; null: above every tenant, or not known.
ALTER TABLE keys
    ADD COLUMN creator_kind   TEXT COLLATE "C",
    ADD COLUMN creator        TEXT COLLATE "C",
    ADD COLUMN creator_tenant TEXT COLLATE "C";
ALTER TABLE admin_keys
    ADD COLUMN creator_kind   TEXT COLLATE "C",
    ADD COLUMN creator        TEXT COLLATE "C",
    ADD COLUMN creator_tenant TEXT COLLATE "C",
    ADD COLUMN created_seq    BIGINT NOT NULL DEFAULT 0;
UPDATE keys SET creator_kind = made.actor_kind, creator = made.actor
FROM audit_log AS made WHERE made.subject = keys.id AND made.action = 'key.create';
UPDATE admin_keys SET creator_kind = made.actor_kind, creator = made.actor
FROM audit_log AS made WHERE made.subject = admin_keys.id AND made.action = 'admin_key.create';
-- A person's tenant stands in their token alone: where a person made a key before, it is not known.
UPDATE keys SET creator_tenant = maker.tenant_id
FROM admin_keys AS maker WHERE keys.creator_kind = 'admin_key' AND maker.id = keys.creator;
UPDATE admin_keys SET creator_tenant = maker.tenant_id
FROM admin_keys AS maker WHERE admin_keys.creator_kind = 'admin_key' AND maker.id = admin_keys.creator;
UPDATE admin_keys SET created_seq = counted.seq
FROM (SELECT id, row_number() OVER (ORDER BY created_at, id) AS seq FROM admin_keys) AS counted
WHERE counted.id = admin_keys.id;
ALTER TABLE admin_keys ALTER COLUMN created_seq DROP DEFAULT, ADD UNIQUE (created_seq);
CREATE INDEX keys_creator ON keys (creator);
CREATE INDEX admin_keys_creator ON admin_keys (creator);

-- The first owner of any kind, with whom the bootstrap token ends. At most one row.
CREATE TABLE first_owner (
    id       BIGINT           NOT NULL PRIMARY KEY CHECK (id = 1),
    kind     TEXT COLLATE "C" NOT NULL,
    name     TEXT COLLATE "C" NOT NULL,
    noted_at BIGINT           NOT NULL
);
-- Before, it ended with the first admin key of any role.
INSERT INTO first_owner (id, kind, name, noted_at)
SELECT 1, 'admin_key', id, created_at FROM admin_keys ORDER BY created_at, id LIMIT 1;

-- Where the actor's role is held; null: above every tenant, or not known. Entries of before say it by the admin key.
ALTER TABLE audit_log ADD COLUMN actor_tenant TEXT COLLATE "C";
