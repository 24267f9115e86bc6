-- A line is what one place of one message told first (lines_statement, unique for ever); which other messages tell of it again is
-- decided by content, by counting, among the lines of its days and under the fence of masters.revision. The place among equals was
-- written for nobody: a line that was stored twice would have had the next one. Its index was the one at random in this
-- table: a page of the log for each line, four fifths of what a large statement wrote.
DROP INDEX lines_identity;
ALTER TABLE lines DROP COLUMN ordinal;

-- A bank may send a message for each payment: those of other roles, those of one id and those no longer in force are found without
-- going through all of a master's messages.
CREATE INDEX statements_near ON statements (master, role, last_day);
CREATE INDEX statements_named ON statements (master, role, statement_id);
CREATE INDEX statements_superseded ON statements (master, state) WHERE state = 'superseded';
