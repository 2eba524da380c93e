-- The whole first schema. Integers are 64 bits; times are microseconds since 1970-01-01 UTC;
-- JSON is TEXT that only Rust reads. The same numbers stand in migrations/postgres.

CREATE TABLE meta (
    key TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
) STRICT;

-- The data key and the index key, each wrapped by every configured key.
CREATE TABLE keys (
    purpose TEXT NOT NULL,
    wrapped_by TEXT NOT NULL,
    wrapped BLOB NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (purpose, wrapped_by),
    CONSTRAINT keys_purpose CHECK (purpose IN ('data', 'index'))
) STRICT;

CREATE TABLE accounts (
    name TEXT NOT NULL PRIMARY KEY,
    kind TEXT NOT NULL,
    host TEXT NOT NULL,
    merchant TEXT NOT NULL,
    environment TEXT NOT NULL,
    namespace TEXT NOT NULL,
    rank INTEGER NOT NULL,
    bound_at INTEGER NOT NULL
) STRICT;

-- One row for each account: the token bucket that all processes share.
CREATE TABLE traffic (
    account TEXT NOT NULL PRIMARY KEY,
    tat INTEGER NOT NULL,
    gate_until INTEGER NOT NULL,
    epoch INTEGER NOT NULL,
    factor_ppm INTEGER NOT NULL,
    last_cut INTEGER NOT NULL
) STRICT;

CREATE TABLE runs (
    id TEXT NOT NULL PRIMARY KEY,
    job TEXT NOT NULL,
    account TEXT NOT NULL,
    target TEXT,
    cause TEXT NOT NULL,
    writing INTEGER NOT NULL,
    state TEXT NOT NULL,
    args TEXT NOT NULL,
    input_name TEXT,
    input_hash TEXT,
    config_hash TEXT,
    summary TEXT,
    error TEXT,
    created_at INTEGER NOT NULL,
    started_at INTEGER,
    ended_at INTEGER,
    CONSTRAINT runs_state CHECK (state IN
        ('planned', 'awaiting_approval', 'running', 'paused', 'done', 'failed', 'cancelled'))
) STRICT;
CREATE INDEX runs_by_account ON runs (account, created_at);

-- A part is what one worker claims: a lease with an epoch, the fence of everything it writes.
CREATE TABLE parts (
    run TEXT NOT NULL REFERENCES runs (id),
    no INTEGER NOT NULL,
    state TEXT NOT NULL,
    cursor TEXT,
    rows_done INTEGER NOT NULL,
    epoch INTEGER NOT NULL,
    owner TEXT,
    lease_until INTEGER NOT NULL,
    deliveries INTEGER NOT NULL,
    PRIMARY KEY (run, no),
    CONSTRAINT parts_state CHECK (state IN ('ready', 'running', 'done', 'parked'))
) STRICT;

-- One writing run for an account at a time.
CREATE TABLE writers (
    account TEXT NOT NULL PRIMARY KEY,
    run TEXT NOT NULL REFERENCES runs (id),
    owner TEXT NOT NULL,
    lease_until INTEGER NOT NULL
) STRICT;

-- A staged row is the plan item.
CREATE TABLE staged_rows (
    run TEXT NOT NULL REFERENCES runs (id),
    line INTEGER NOT NULL,
    part INTEGER NOT NULL,
    row_id TEXT NOT NULL,
    reference TEXT,
    profile TEXT NOT NULL,
    facts TEXT,
    billing TEXT,
    is_default INTEGER,
    token_kind TEXT,
    token BLOB,
    token_fp BLOB,
    token_created_at INTEGER,
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
CREATE INDEX staged_rows_by_reference ON staged_rows (run, part, reference, line);

-- What the file last stated of (account, reference) and (account, reference, token): keyed
-- hashes by field. token_fp is empty for the customer itself.
CREATE TABLE statements (
    account TEXT NOT NULL,
    reference TEXT NOT NULL,
    token_fp BLOB NOT NULL,
    fields TEXT NOT NULL,
    run TEXT NOT NULL,
    at INTEGER NOT NULL,
    PRIMARY KEY (account, reference, token_fp)
) STRICT, WITHOUT ROWID;

CREATE TABLE customers (
    id TEXT NOT NULL PRIMARY KEY,
    namespace TEXT NOT NULL,
    reference TEXT,
    email_key TEXT,
    profile TEXT NOT NULL,
    sources TEXT NOT NULL,
    hash BLOB NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    erased_at INTEGER
) STRICT;
CREATE UNIQUE INDEX customers_by_reference ON customers (namespace, reference)
    WHERE reference IS NOT NULL;
CREATE INDEX customers_by_email ON customers (namespace, email_key) WHERE email_key IS NOT NULL;

CREATE TABLE methods (
    id TEXT NOT NULL PRIMARY KEY,
    customer_id TEXT NOT NULL REFERENCES customers (id),
    kind TEXT NOT NULL,
    facts TEXT NOT NULL,
    sources TEXT NOT NULL,
    hash BLOB NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    erased_at INTEGER
) STRICT;
CREATE INDEX methods_by_customer ON methods (customer_id);

-- The mirror: what each provider last said. customer_id and method_id are the links.
CREATE TABLE remote_customers (
    account TEXT NOT NULL,
    remote_id TEXT NOT NULL,
    reference TEXT,
    profile TEXT NOT NULL,
    hash BLOB NOT NULL,
    state TEXT NOT NULL,
    as_of INTEGER NOT NULL,
    scan TEXT,
    methods_read_at INTEGER,
    remote_created_at INTEGER,
    first_seen INTEGER NOT NULL,
    removed_at INTEGER,
    customer_id TEXT REFERENCES customers (id),
    linked_by TEXT,
    PRIMARY KEY (account, remote_id),
    CONSTRAINT remote_customers_state CHECK (state IN ('live', 'removed', 'unseen'))
) STRICT, WITHOUT ROWID;
CREATE INDEX remote_customers_by_reference ON remote_customers (account, reference)
    WHERE reference IS NOT NULL;
CREATE INDEX remote_customers_by_customer ON remote_customers (customer_id)
    WHERE customer_id IS NOT NULL;

CREATE TABLE remote_methods (
    account TEXT NOT NULL,
    remote_customer_id TEXT NOT NULL,
    remote_id TEXT NOT NULL,
    kind TEXT NOT NULL,
    facts TEXT NOT NULL,
    is_default INTEGER,
    hash BLOB NOT NULL,
    state TEXT NOT NULL,
    as_of INTEGER NOT NULL,
    remote_created_at INTEGER,
    first_seen INTEGER NOT NULL,
    removed_at INTEGER,
    credential BLOB,
    method_id TEXT REFERENCES methods (id),
    PRIMARY KEY (account, remote_customer_id, remote_id),
    CONSTRAINT remote_methods_state CHECK (state IN ('live', 'removed', 'unseen'))
) STRICT, WITHOUT ROWID;
CREATE INDEX remote_methods_by_id ON remote_methods (account, remote_id);
CREATE INDEX remote_methods_by_method ON remote_methods (method_id) WHERE method_id IS NOT NULL;

-- Which saved payment method a token became. Unique for (account, reference, token).
CREATE TABLE token_links (
    account TEXT NOT NULL,
    reference TEXT NOT NULL,
    token_fp BLOB NOT NULL,
    remote_customer_id TEXT NOT NULL,
    remote_method_id TEXT NOT NULL,
    how TEXT NOT NULL,
    run TEXT NOT NULL,
    at INTEGER NOT NULL,
    PRIMARY KEY (account, reference, token_fp)
) STRICT, WITHOUT ROWID;
CREATE INDEX token_links_by_fp ON token_links (account, token_fp);
CREATE INDEX token_links_by_method ON token_links (account, remote_customer_id, remote_method_id);

CREATE TABLE scans (
    id TEXT NOT NULL PRIMARY KEY,
    run TEXT NOT NULL REFERENCES runs (id),
    account TEXT NOT NULL,
    what TEXT NOT NULL,
    pass INTEGER NOT NULL,
    page_size INTEGER NOT NULL,
    cursor TEXT,
    head TEXT,
    rows_seen INTEGER NOT NULL,
    state TEXT NOT NULL,
    started_at INTEGER NOT NULL,
    ended_at INTEGER,
    CONSTRAINT scans_state CHECK (state IN ('running', 'complete', 'unconfirmed', 'incomplete'))
) STRICT;
CREATE INDEX scans_by_account ON scans (account, started_at);

-- The journal. At most one open effect for (account, kind, subject).
CREATE TABLE effects (
    id TEXT NOT NULL PRIMARY KEY,
    account TEXT NOT NULL,
    run TEXT NOT NULL REFERENCES runs (id),
    part INTEGER NOT NULL,
    epoch INTEGER NOT NULL,
    line INTEGER,
    kind TEXT NOT NULL,
    subject TEXT NOT NULL,
    reference TEXT,
    token_fp BLOB,
    remote_customer_id TEXT,
    remote_method_id TEXT,
    state TEXT NOT NULL,
    attempt INTEGER NOT NULL,
    sent_at INTEGER,
    known_before TEXT,
    idempotency_key TEXT,
    origin TEXT,
    code TEXT,
    message TEXT,
    request_id TEXT,
    status INTEGER,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    CONSTRAINT effects_state CHECK (state IN
        ('planned', 'sending', 'done', 'refused', 'unknown', 'unresolved'))
) STRICT;
CREATE UNIQUE INDEX effects_one_open ON effects (account, kind, subject)
    WHERE state IN ('planned', 'sending', 'unknown', 'unresolved');
CREATE INDEX effects_by_reference ON effects (account, reference);
CREATE INDEX effects_by_run ON effects (run, state);

CREATE TABLE events (
    id TEXT NOT NULL PRIMARY KEY,
    account TEXT NOT NULL,
    event_key TEXT NOT NULL,
    event_type TEXT NOT NULL,
    body BLOB,
    code TEXT,
    reason TEXT,
    late INTEGER NOT NULL,
    state TEXT NOT NULL,
    occurred_at INTEGER,
    received_at INTEGER NOT NULL,
    settled_at INTEGER,
    note TEXT,
    CONSTRAINT events_once UNIQUE (account, event_key)
) STRICT;
CREATE INDEX events_open ON events (account, state, received_at);

CREATE TABLE event_subjects (
    event TEXT NOT NULL REFERENCES events (id),
    account TEXT NOT NULL,
    remote_customer_id TEXT NOT NULL,
    remote_method_id TEXT NOT NULL,
    state TEXT NOT NULL,
    next_try_at INTEGER,
    tries INTEGER NOT NULL,
    fetched_at INTEGER,
    PRIMARY KEY (event, remote_customer_id, remote_method_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX event_subjects_open ON event_subjects (account, state, next_try_at);

-- Append-only. First sight writes no row.
CREATE TABLE changes (
    id INTEGER NOT NULL PRIMARY KEY,
    subject TEXT NOT NULL,
    subject_id TEXT NOT NULL,
    account TEXT,
    field TEXT NOT NULL,
    before TEXT,
    after TEXT,
    cause TEXT NOT NULL,
    run TEXT,
    line INTEGER,
    event TEXT,
    at INTEGER NOT NULL
) STRICT;
CREATE INDEX changes_by_subject ON changes (subject_id, id);

CREATE TABLE findings (
    id TEXT NOT NULL PRIMARY KEY,
    account TEXT NOT NULL,
    category TEXT NOT NULL,
    state TEXT NOT NULL,
    severity TEXT NOT NULL,
    customer_id TEXT,
    method_id TEXT,
    remote_customer_id TEXT,
    remote_method_id TEXT,
    field TEXT,
    detail TEXT NOT NULL,
    repair TEXT,
    value_hash BLOB,
    first_seen INTEGER NOT NULL,
    last_seen INTEGER NOT NULL,
    run TEXT NOT NULL
) STRICT;
CREATE INDEX findings_by_account ON findings (account, category, state);

CREATE TABLE decisions (
    finding TEXT NOT NULL REFERENCES findings (id),
    what TEXT NOT NULL,
    value_hash BLOB,
    until INTEGER,
    note TEXT,
    at INTEGER NOT NULL,
    PRIMARY KEY (finding, what)
) STRICT;

CREATE TABLE schedules (
    name TEXT NOT NULL PRIMARY KEY,
    line TEXT NOT NULL,
    paused INTEGER NOT NULL,
    last_slot INTEGER,
    next_slot INTEGER
) STRICT;

-- The unique row of (schedule, slot) is what lets one daemon alone start it.
CREATE TABLE fires (
    schedule TEXT NOT NULL,
    slot INTEGER NOT NULL,
    run TEXT,
    state TEXT NOT NULL,
    reason TEXT,
    at INTEGER NOT NULL,
    PRIMARY KEY (schedule, slot)
) STRICT, WITHOUT ROWID;

CREATE TABLE tombstones (
    key BLOB NOT NULL PRIMARY KEY,
    at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
