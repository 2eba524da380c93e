-- The whole first schema. Integers are 64 bits; texts compare by bytes, as in SQLite; times are microseconds since 1970-01-01 UTC;
-- JSON is TEXT that only Rust reads. The same numbers stand in migrations/sqlite.

CREATE TABLE meta (
    key TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    value TEXT COLLATE "C" NOT NULL
);

-- The data key and the index key, each wrapped by every configured key.
CREATE TABLE keys (
    purpose TEXT COLLATE "C" NOT NULL,
    wrapped_by TEXT COLLATE "C" NOT NULL,
    wrapped BYTEA NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (purpose, wrapped_by),
    CONSTRAINT keys_purpose CHECK (purpose IN ('data', 'index'))
);

CREATE TABLE accounts (
    name TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    kind TEXT COLLATE "C" NOT NULL,
    host TEXT COLLATE "C" NOT NULL,
    merchant TEXT COLLATE "C" NOT NULL,
    environment TEXT COLLATE "C" NOT NULL,
    namespace TEXT COLLATE "C" NOT NULL,
    rank BIGINT NOT NULL,
    bound_at BIGINT NOT NULL
);

-- One row for each account: the token bucket that all processes share.
CREATE TABLE traffic (
    account TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    tat BIGINT NOT NULL,
    gate_until BIGINT NOT NULL,
    epoch BIGINT NOT NULL,
    factor_ppm BIGINT NOT NULL,
    last_cut BIGINT NOT NULL
) WITH (fillfactor = 10);

CREATE TABLE runs (
    id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    job TEXT COLLATE "C" NOT NULL,
    account TEXT COLLATE "C" NOT NULL,
    target TEXT COLLATE "C",
    cause TEXT COLLATE "C" NOT NULL,
    writing BIGINT NOT NULL,
    state TEXT COLLATE "C" NOT NULL,
    args TEXT COLLATE "C" NOT NULL,
    input_name TEXT COLLATE "C",
    input_hash TEXT COLLATE "C",
    config_hash TEXT COLLATE "C",
    summary TEXT COLLATE "C",
    error TEXT COLLATE "C",
    created_at BIGINT NOT NULL,
    started_at BIGINT,
    ended_at BIGINT,
    CONSTRAINT runs_state CHECK (state IN
        ('planned', 'awaiting_approval', 'running', 'paused', 'done', 'failed', 'cancelled'))
);
CREATE INDEX runs_by_account ON runs (account, created_at);

-- A part is what one worker claims: a lease with an epoch, the fence of everything it writes.
CREATE TABLE parts (
    run TEXT COLLATE "C" NOT NULL REFERENCES runs (id),
    no BIGINT NOT NULL,
    state TEXT COLLATE "C" NOT NULL,
    cursor TEXT COLLATE "C",
    rows_done BIGINT NOT NULL,
    epoch BIGINT NOT NULL,
    owner TEXT COLLATE "C",
    lease_until BIGINT NOT NULL,
    deliveries BIGINT NOT NULL,
    PRIMARY KEY (run, no),
    CONSTRAINT parts_state CHECK (state IN ('ready', 'running', 'done', 'parked'))
) WITH (fillfactor = 70);

-- One writing run for an account at a time.
CREATE TABLE writers (
    account TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    run TEXT COLLATE "C" NOT NULL REFERENCES runs (id),
    owner TEXT COLLATE "C" NOT NULL,
    lease_until BIGINT NOT NULL
);

-- A staged row is the plan item.
CREATE TABLE staged_rows (
    run TEXT COLLATE "C" NOT NULL REFERENCES runs (id),
    line BIGINT NOT NULL,
    part BIGINT NOT NULL,
    row_id TEXT COLLATE "C" NOT NULL,
    reference TEXT COLLATE "C",
    profile TEXT COLLATE "C" NOT NULL,
    facts TEXT COLLATE "C",
    billing TEXT COLLATE "C",
    is_default BIGINT,
    token_kind TEXT COLLATE "C",
    token BYTEA,
    token_fp BYTEA,
    token_created_at BIGINT,
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
CREATE INDEX staged_rows_by_reference ON staged_rows (run, part, reference, line);

-- What the file last stated of (account, reference) and (account, reference, token): keyed
-- hashes by field. token_fp is empty for the customer itself.
CREATE TABLE statements (
    account TEXT COLLATE "C" NOT NULL,
    reference TEXT COLLATE "C" NOT NULL,
    token_fp BYTEA NOT NULL,
    fields TEXT COLLATE "C" NOT NULL,
    run TEXT COLLATE "C" NOT NULL,
    at BIGINT NOT NULL,
    PRIMARY KEY (account, reference, token_fp)
);

CREATE TABLE customers (
    id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    namespace TEXT COLLATE "C" NOT NULL,
    reference TEXT COLLATE "C",
    email_key TEXT COLLATE "C",
    profile TEXT COLLATE "C" NOT NULL,
    sources TEXT COLLATE "C" NOT NULL,
    hash BYTEA NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    erased_at BIGINT
);
CREATE UNIQUE INDEX customers_by_reference ON customers (namespace, reference)
    WHERE reference IS NOT NULL;
CREATE INDEX customers_by_email ON customers (namespace, email_key) WHERE email_key IS NOT NULL;

CREATE TABLE methods (
    id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    customer_id TEXT COLLATE "C" NOT NULL REFERENCES customers (id),
    kind TEXT COLLATE "C" NOT NULL,
    facts TEXT COLLATE "C" NOT NULL,
    sources TEXT COLLATE "C" NOT NULL,
    hash BYTEA NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    erased_at BIGINT
);
CREATE INDEX methods_by_customer ON methods (customer_id);

-- The mirror: what each provider last said. customer_id and method_id are the links.
CREATE TABLE remote_customers (
    account TEXT COLLATE "C" NOT NULL,
    remote_id TEXT COLLATE "C" NOT NULL,
    reference TEXT COLLATE "C",
    profile TEXT COLLATE "C" NOT NULL,
    hash BYTEA NOT NULL,
    state TEXT COLLATE "C" NOT NULL,
    as_of BIGINT NOT NULL,
    scan TEXT COLLATE "C",
    methods_read_at BIGINT,
    remote_created_at BIGINT,
    first_seen BIGINT NOT NULL,
    removed_at BIGINT,
    customer_id TEXT COLLATE "C" REFERENCES customers (id),
    linked_by TEXT COLLATE "C",
    PRIMARY KEY (account, remote_id),
    CONSTRAINT remote_customers_state CHECK (state IN ('live', 'removed', 'unseen'))
) WITH (fillfactor = 70);
CREATE INDEX remote_customers_by_reference ON remote_customers (account, reference)
    WHERE reference IS NOT NULL;
CREATE INDEX remote_customers_by_customer ON remote_customers (customer_id)
    WHERE customer_id IS NOT NULL;

CREATE TABLE remote_methods (
    account TEXT COLLATE "C" NOT NULL,
    remote_customer_id TEXT COLLATE "C" NOT NULL,
    remote_id TEXT COLLATE "C" NOT NULL,
    kind TEXT COLLATE "C" NOT NULL,
    facts TEXT COLLATE "C" NOT NULL,
    is_default BIGINT,
    hash BYTEA NOT NULL,
    state TEXT COLLATE "C" NOT NULL,
    as_of BIGINT NOT NULL,
    remote_created_at BIGINT,
    first_seen BIGINT NOT NULL,
    removed_at BIGINT,
    credential BYTEA,
    method_id TEXT COLLATE "C" REFERENCES methods (id),
    PRIMARY KEY (account, remote_customer_id, remote_id),
    CONSTRAINT remote_methods_state CHECK (state IN ('live', 'removed', 'unseen'))
) WITH (fillfactor = 70);
CREATE INDEX remote_methods_by_id ON remote_methods (account, remote_id);
CREATE INDEX remote_methods_by_method ON remote_methods (method_id) WHERE method_id IS NOT NULL;

-- Which saved payment method a token became. Unique for (account, reference, token).
CREATE TABLE token_links (
    account TEXT COLLATE "C" NOT NULL,
    reference TEXT COLLATE "C" NOT NULL,
    token_fp BYTEA NOT NULL,
    remote_customer_id TEXT COLLATE "C" NOT NULL,
    remote_method_id TEXT COLLATE "C" NOT NULL,
    how TEXT COLLATE "C" NOT NULL,
    run TEXT COLLATE "C" NOT NULL,
    at BIGINT NOT NULL,
    PRIMARY KEY (account, reference, token_fp)
);
CREATE INDEX token_links_by_fp ON token_links (account, token_fp);
CREATE INDEX token_links_by_method ON token_links (account, remote_customer_id, remote_method_id);

CREATE TABLE scans (
    id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    run TEXT COLLATE "C" NOT NULL REFERENCES runs (id),
    account TEXT COLLATE "C" NOT NULL,
    what TEXT COLLATE "C" NOT NULL,
    pass BIGINT NOT NULL,
    page_size BIGINT NOT NULL,
    cursor TEXT COLLATE "C",
    head TEXT COLLATE "C",
    rows_seen BIGINT NOT NULL,
    state TEXT COLLATE "C" NOT NULL,
    started_at BIGINT NOT NULL,
    ended_at BIGINT,
    CONSTRAINT scans_state CHECK (state IN ('running', 'complete', 'unconfirmed', 'incomplete'))
);
CREATE INDEX scans_by_account ON scans (account, started_at);

-- The journal. At most one open effect for (account, kind, subject).
CREATE TABLE effects (
    id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    account TEXT COLLATE "C" NOT NULL,
    run TEXT COLLATE "C" NOT NULL REFERENCES runs (id),
    part BIGINT NOT NULL,
    epoch BIGINT NOT NULL,
    line BIGINT,
    kind TEXT COLLATE "C" NOT NULL,
    subject TEXT COLLATE "C" NOT NULL,
    reference TEXT COLLATE "C",
    token_fp BYTEA,
    remote_customer_id TEXT COLLATE "C",
    remote_method_id TEXT COLLATE "C",
    state TEXT COLLATE "C" NOT NULL,
    attempt BIGINT NOT NULL,
    sent_at BIGINT,
    known_before TEXT COLLATE "C",
    idempotency_key TEXT COLLATE "C",
    origin TEXT COLLATE "C",
    code TEXT COLLATE "C",
    message TEXT COLLATE "C",
    request_id TEXT COLLATE "C",
    status BIGINT,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    CONSTRAINT effects_state CHECK (state IN
        ('planned', 'sending', 'done', 'refused', 'unknown', 'unresolved'))
) WITH (fillfactor = 70);
CREATE UNIQUE INDEX effects_one_open ON effects (account, kind, subject)
    WHERE state IN ('planned', 'sending', 'unknown', 'unresolved');
CREATE INDEX effects_by_reference ON effects (account, reference);
CREATE INDEX effects_by_run ON effects (run, state);

CREATE TABLE events (
    id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    account TEXT COLLATE "C" NOT NULL,
    event_key TEXT COLLATE "C" NOT NULL,
    event_type TEXT COLLATE "C" NOT NULL,
    body BYTEA,
    code TEXT COLLATE "C",
    reason TEXT COLLATE "C",
    late BIGINT NOT NULL,
    state TEXT COLLATE "C" NOT NULL,
    occurred_at BIGINT,
    received_at BIGINT NOT NULL,
    settled_at BIGINT,
    note TEXT COLLATE "C",
    CONSTRAINT events_once UNIQUE (account, event_key)
);
CREATE INDEX events_open ON events (account, state, received_at);

CREATE TABLE event_subjects (
    event TEXT COLLATE "C" NOT NULL REFERENCES events (id),
    account TEXT COLLATE "C" NOT NULL,
    remote_customer_id TEXT COLLATE "C" NOT NULL,
    remote_method_id TEXT COLLATE "C" NOT NULL,
    state TEXT COLLATE "C" NOT NULL,
    next_try_at BIGINT,
    tries BIGINT NOT NULL,
    fetched_at BIGINT,
    PRIMARY KEY (event, remote_customer_id, remote_method_id)
);
CREATE INDEX event_subjects_open ON event_subjects (account, state, next_try_at);

-- Append-only. First sight writes no row.
CREATE TABLE changes (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    subject TEXT COLLATE "C" NOT NULL,
    subject_id TEXT COLLATE "C" NOT NULL,
    account TEXT COLLATE "C",
    field TEXT COLLATE "C" NOT NULL,
    before TEXT COLLATE "C",
    after TEXT COLLATE "C",
    cause TEXT COLLATE "C" NOT NULL,
    run TEXT COLLATE "C",
    line BIGINT,
    event TEXT COLLATE "C",
    at BIGINT NOT NULL
);
CREATE INDEX changes_by_subject ON changes (subject_id, id);

CREATE TABLE findings (
    id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    account TEXT COLLATE "C" NOT NULL,
    category TEXT COLLATE "C" NOT NULL,
    state TEXT COLLATE "C" NOT NULL,
    severity TEXT COLLATE "C" NOT NULL,
    customer_id TEXT COLLATE "C",
    method_id TEXT COLLATE "C",
    remote_customer_id TEXT COLLATE "C",
    remote_method_id TEXT COLLATE "C",
    field TEXT COLLATE "C",
    detail TEXT COLLATE "C" NOT NULL,
    repair TEXT COLLATE "C",
    value_hash BYTEA,
    first_seen BIGINT NOT NULL,
    last_seen BIGINT NOT NULL,
    run TEXT COLLATE "C" NOT NULL
);
CREATE INDEX findings_by_account ON findings (account, category, state);

CREATE TABLE decisions (
    finding TEXT COLLATE "C" NOT NULL REFERENCES findings (id),
    what TEXT COLLATE "C" NOT NULL,
    value_hash BYTEA,
    until BIGINT,
    note TEXT COLLATE "C",
    at BIGINT NOT NULL,
    PRIMARY KEY (finding, what)
);

CREATE TABLE schedules (
    name TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    line TEXT COLLATE "C" NOT NULL,
    paused BIGINT NOT NULL,
    last_slot BIGINT,
    next_slot BIGINT
);

-- The unique row of (schedule, slot) is what lets one daemon alone start it.
CREATE TABLE fires (
    schedule TEXT COLLATE "C" NOT NULL,
    slot BIGINT NOT NULL,
    run TEXT COLLATE "C",
    state TEXT COLLATE "C" NOT NULL,
    reason TEXT COLLATE "C",
    at BIGINT NOT NULL,
    PRIMARY KEY (schedule, slot)
);

CREATE TABLE tombstones (
    key BYTEA NOT NULL PRIMARY KEY,
    at BIGINT NOT NULL
);
