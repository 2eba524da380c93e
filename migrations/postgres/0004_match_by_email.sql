-- Whether customers of the account may be linked by their e-mail address (rule 8).
ALTER TABLE accounts ADD COLUMN match_by_email BIGINT NOT NULL DEFAULT 0;

-- The run that saw a row first; none where that was before this column.
ALTER TABLE remote_customers ADD COLUMN first_run TEXT;
ALTER TABLE remote_methods ADD COLUMN first_run TEXT;
