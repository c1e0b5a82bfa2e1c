-- When an admin key was last accepted, to the minute.
ALTER TABLE admin_keys ADD COLUMN last_used_at BIGINT;
