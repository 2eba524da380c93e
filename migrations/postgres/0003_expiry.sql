-- The month in which a card expires, as year × 12 + month (from 1): what expires soon is read again
-- before the rest, and a database can ask for it. Null where it is not known.
ALTER TABLE remote_methods ADD COLUMN expires BIGINT;
UPDATE remote_methods
SET expires = (facts::jsonb #>> '{expiry,year}')::bigint * 12
    + (facts::jsonb #>> '{expiry,month}')::bigint
WHERE kind = 'card';
