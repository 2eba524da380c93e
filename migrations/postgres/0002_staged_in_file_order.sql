-- Staged rows are worked on in the file's order. What a row states is one text; `head` is the line
-- of the first row of its cluster (rows of one reference that stand together), `tail` that of the
-- last; both are 0 for a row that could not be read and belongs to none. Nothing else is indexed, so
-- staging appends. `unfit` is why the provider's adapter declines the payment method.
DROP INDEX staged_rows_by_reference;
ALTER TABLE staged_rows
    ADD COLUMN head BIGINT NOT NULL DEFAULT 0,
    ADD COLUMN tail BIGINT NOT NULL DEFAULT 0,
    ADD COLUMN stated TEXT COLLATE "C",
    ADD COLUMN unfit TEXT COLLATE "C";
UPDATE staged_rows SET stated = json_build_object('profile', profile::json, 'method',
    CASE WHEN facts IS NOT NULL THEN json_build_object('facts', facts::json,
        'billing', COALESCE(billing, '{}')::json, 'default', is_default = 1,
        'token_created_at', token_created_at) END)::text;
ALTER TABLE staged_rows
    ALTER COLUMN stated SET NOT NULL,
    DROP COLUMN profile,
    DROP COLUMN facts,
    DROP COLUMN billing,
    DROP COLUMN is_default,
    DROP COLUMN token_created_at;

-- Clusters of one reference that stand apart in the file, and the cluster they belong to.
CREATE TABLE staged_joins (
    run TEXT COLLATE "C" NOT NULL REFERENCES runs (id),
    first BIGINT NOT NULL,
    part BIGINT NOT NULL,
    last BIGINT NOT NULL,
    head BIGINT NOT NULL,
    PRIMARY KEY (run, first)
);
CREATE INDEX staged_joins_by_head ON staged_joins (run, part, head, first, last);
