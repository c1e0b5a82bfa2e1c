-- Up to when a life of a gateway has handed in its usage: everything that it recorded before is acknowledged.
ALTER TABLE gateway_lives ADD COLUMN handed_in_until BIGINT;
