-- What else an account shows of a payment method and nobody can set: JSON, NULL where nothing.
ALTER TABLE remote_methods ADD COLUMN attributes TEXT;
