-- Rows that were staged before clusters were kept: each is a cluster of its own, joined to the first
-- of its reference, so that a run of theirs can go on.
CREATE TEMPORARY TABLE unclustered AS
    SELECT DISTINCT run FROM staged_rows WHERE head = 0
    EXCEPT SELECT run FROM staged_rows WHERE head > 0;

INSERT INTO staged_joins (run, first, part, last, head)
SELECT run, line, part, line, head
FROM (
    SELECT run, line, part, MIN(line) OVER (PARTITION BY run, part, reference) AS head
    FROM staged_rows
    WHERE reference IS NOT NULL AND run IN (SELECT run FROM unclustered)
) AS rows_of_references
WHERE line > head;

UPDATE staged_rows SET head = line, tail = line
WHERE reference IS NOT NULL AND run IN (SELECT run FROM unclustered);

DROP TABLE unclustered;
