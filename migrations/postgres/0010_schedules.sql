-- The runs of schedules: who is at work on a slot, how often it was begun, how it ended. What is told
-- to people when something goes wrong, once each.
ALTER TABLE schedules DROP COLUMN next_slot;
ALTER TABLE fires ADD COLUMN by_hand BIGINT NOT NULL DEFAULT 0;
ALTER TABLE fires ADD COLUMN attempt BIGINT NOT NULL DEFAULT 0;
ALTER TABLE fires ADD COLUMN owner TEXT COLLATE "C";
ALTER TABLE fires ADD COLUMN lease_until BIGINT NOT NULL DEFAULT 0;
ALTER TABLE fires ADD COLUMN started_at BIGINT;
ALTER TABLE fires ADD COLUMN ended_at BIGINT;
ALTER TABLE fires ADD COLUMN message TEXT COLLATE "C";
CREATE INDEX fires_by_state ON fires (schedule, state, slot);
CREATE INDEX runs_by_cause ON runs (cause);
CREATE INDEX runs_by_input ON runs (account, input_hash) WHERE input_hash IS NOT NULL;

CREATE TABLE alerts (
    key TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    kind TEXT COLLATE "C" NOT NULL,
    schedule TEXT COLLATE "C" NOT NULL,
    run TEXT COLLATE "C",
    message TEXT COLLATE "C" NOT NULL,
    raised_at BIGINT NOT NULL,
    tries BIGINT NOT NULL,
    next_try_at BIGINT NOT NULL,
    sent_at BIGINT
);
CREATE INDEX alerts_unsent ON alerts (next_try_at) WHERE sent_at IS NULL;
