ALTER TABLE statement_files DROP COLUMN revision;
ALTER TABLE masters DROP COLUMN revision;
