DROP INDEX statements_superseded;
DROP INDEX statements_named;
DROP INDEX statements_near;
ALTER TABLE lines ADD COLUMN ordinal BIGINT NOT NULL DEFAULT 0;
UPDATE lines SET ordinal = n FROM (SELECT id AS of_line, row_number() OVER (PARTITION BY master, identity ORDER BY id) - 1 AS n FROM lines) t WHERE id = of_line;
CREATE UNIQUE INDEX lines_identity ON lines (master, identity, ordinal);
