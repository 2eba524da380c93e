-- What an effect changes of a customer's fields: keyed hashes of the values before and after, for
-- settling it by reading back.
ALTER TABLE effects ADD COLUMN changes TEXT;
