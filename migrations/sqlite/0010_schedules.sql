-- The runs of schedules: who is at work on a slot, how often it was begun, how it ended. What is told
-- to people when something goes wrong, once each.
ALTER TABLE schedules DROP COLUMN next_slot;
ALTER TABLE fires ADD COLUMN by_hand INTEGER NOT NULL DEFAULT 0;
ALTER TABLE fires ADD COLUMN attempt INTEGER NOT NULL DEFAULT 0;
ALTER TABLE fires ADD COLUMN owner TEXT;
ALTER TABLE fires ADD COLUMN lease_until INTEGER NOT NULL DEFAULT 0;
ALTER TABLE fires ADD COLUMN started_at INTEGER;
ALTER TABLE fires ADD COLUMN ended_at INTEGER;
ALTER TABLE fires ADD COLUMN message TEXT;
CREATE INDEX fires_by_state ON fires (schedule, state, slot);
CREATE INDEX runs_by_cause ON runs (cause);
CREATE INDEX runs_by_input ON runs (account, input_hash) WHERE input_hash IS NOT NULL;

CREATE TABLE alerts (
    key TEXT NOT NULL PRIMARY KEY,
    kind TEXT NOT NULL,
    schedule TEXT NOT NULL,
    run TEXT,
    message TEXT NOT NULL,
    raised_at INTEGER NOT NULL,
    tries INTEGER NOT NULL,
    next_try_at INTEGER NOT NULL,
    sent_at INTEGER
) STRICT;
CREATE INDEX alerts_unsent ON alerts (next_try_at) WHERE sent_at IS NULL;
