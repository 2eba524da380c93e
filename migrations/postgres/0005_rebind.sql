-- The identity that an account's token fingerprints are made with: the first one, however the account
-- is bound since, so that a token that was imported is known again. Null while it is the account's own.
ALTER TABLE accounts ADD COLUMN token_identity TEXT;
