-- What decides the meaning of what a reading showed (which field is the reference, the namespace), as
-- a hash: a reading under another configuration says nothing of who is there.
ALTER TABLE scans ADD COLUMN config TEXT;
