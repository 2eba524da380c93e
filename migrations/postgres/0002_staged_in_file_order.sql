-- Staged rows are worked on in the file's order. What a row states is one text; `head` is the line
-- of the first row of its cluster (rows of one reference that stand together), `tail` that of the
-- last; both are 0 for a row that could not be read and belongs to none. Nothing else is indexed, so
-- staging appends. `unfit` is why the provider's adapter declines the payment method. `run` refers to
-- `runs`; it is not looked up for each row, since whoever writes holds a part of the run.
CREATE TABLE staged (
    run TEXT COLLATE "C" NOT NULL,
    line BIGINT NOT NULL,
    part BIGINT NOT NULL,
    head BIGINT NOT NULL,
    tail BIGINT NOT NULL,
    row_id TEXT COLLATE "C" NOT NULL,
    reference TEXT COLLATE "C",
    stated TEXT COLLATE "C" NOT NULL,
    token_kind TEXT COLLATE "C",
    token BYTEA,
    token_fp BYTEA,
    unfit TEXT COLLATE "C",
    plan TEXT COLLATE "C",
    outcome TEXT COLLATE "C",
    code TEXT COLLATE "C",
    message TEXT COLLATE "C",
    field TEXT COLLATE "C",
    customer_id TEXT COLLATE "C",
    remote_customer_id TEXT COLLATE "C",
    method_id TEXT COLLATE "C",
    remote_method_id TEXT COLLATE "C",
    done TEXT COLLATE "C",
    PRIMARY KEY (run, line)
) WITH (fillfactor = 70);

INSERT INTO staged
SELECT run, line, part, 0, 0, row_id, reference,
    json_build_object('profile', profile::json, 'method', CASE WHEN facts IS NOT NULL THEN
        json_build_object('facts', facts::json, 'billing', COALESCE(billing, '{}')::json,
            'default', is_default = 1, 'token_created_at', token_created_at) END)::text,
    token_kind, token, token_fp, NULL, plan, outcome, code, message, field, customer_id,
    remote_customer_id, method_id, remote_method_id, done
FROM staged_rows;

DROP TABLE staged_rows;
ALTER TABLE staged RENAME TO staged_rows;

-- Clusters of one reference that stand apart in the file, and the cluster they belong to.
CREATE TABLE staged_joins (
    run TEXT COLLATE "C" NOT NULL,
    first BIGINT NOT NULL,
    part BIGINT NOT NULL,
    last BIGINT NOT NULL,
    head BIGINT NOT NULL,
    PRIMARY KEY (run, first)
);
CREATE INDEX staged_joins_by_head ON staged_joins (run, part, head, first, last);

-- Rows that are there already: each is a cluster of its own, joined to the first of its reference.
UPDATE staged_rows SET head = line, tail = line WHERE reference IS NOT NULL;

INSERT INTO staged_joins (run, first, part, last, head)
SELECT run, line, part, line, head
FROM (
    SELECT run, line, part, MIN(line) OVER (PARTITION BY run, part, reference) AS head
    FROM staged_rows
    WHERE reference IS NOT NULL
) AS rows_of_references
WHERE line > head;
