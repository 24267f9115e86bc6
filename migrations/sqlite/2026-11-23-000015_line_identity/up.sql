-- A line is what one place of one message told first (lines_statement, unique for ever); which other messages tell of it again is
-- decided by content, by counting, among the lines of its days and under the fence of masters.revision. The place among equals was
-- written for nobody: a line that was stored twice would have had the next one. Its index was the one at random in this
-- table: a page of the log for each line, four fifths of what a large statement wrote.
DROP INDEX lines_identity;
ALTER TABLE lines DROP COLUMN ordinal;
