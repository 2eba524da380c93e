-- Staged rows are worked on in the file's order. What a row states is one text; `head` is the line
-- of the first row of its cluster (rows of one reference that stand together), `tail` that of the
-- last; both are 0 for a row that could not be read and belongs to none. Nothing else is indexed, so
-- staging appends. `unfit` is why the provider's adapter declines the payment method. `run` refers to
-- `runs`; it is not looked up for each row, since whoever writes holds a part of the run.
CREATE TABLE staged (
    run TEXT NOT NULL,
    line INTEGER NOT NULL,
    part INTEGER NOT NULL,
    head INTEGER NOT NULL,
    tail INTEGER NOT NULL,
    row_id TEXT NOT NULL,
    reference TEXT,
    stated TEXT NOT NULL,
    token_kind TEXT,
    token BLOB,
    token_fp BLOB,
    unfit TEXT,
    plan TEXT,
    outcome TEXT,
    code TEXT,
    message TEXT,
    field TEXT,
    customer_id TEXT,
    remote_customer_id TEXT,
    method_id TEXT,
    remote_method_id TEXT,
    done TEXT,
    PRIMARY KEY (run, line)
) STRICT, WITHOUT ROWID;

INSERT INTO staged
SELECT run, line, part, 0, 0, row_id, reference,
    json_object('profile', json(profile), 'method', CASE WHEN facts IS NULL THEN NULL ELSE
        json_object('facts', json(facts), 'billing', json(COALESCE(billing, '{}')),
            'default', CASE is_default WHEN 1 THEN json('true') WHEN 0 THEN json('false') END,
            'token_created_at', token_created_at) END),
    token_kind, token, token_fp, NULL, plan, outcome, code, message, field, customer_id,
    remote_customer_id, method_id, remote_method_id, done
FROM staged_rows;

DROP TABLE staged_rows;
ALTER TABLE staged RENAME TO staged_rows;

-- Clusters of one reference that stand apart in the file, and the cluster they belong to.
CREATE TABLE staged_joins (
    run TEXT NOT NULL,
    first INTEGER NOT NULL,
    part INTEGER NOT NULL,
    last INTEGER NOT NULL,
    head INTEGER NOT NULL,
    PRIMARY KEY (run, first)
) STRICT, WITHOUT ROWID;
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
