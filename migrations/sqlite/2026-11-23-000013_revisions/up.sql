-- What was read before a commit is compared within it by a number that grows with every change.

-- With every commit that stores, confirms or takes back lines of the master: which lines a message tells of again was decided
-- by what stood there, and a line that another import has confirmed meanwhile is not open any more.
ALTER TABLE masters ADD COLUMN revision INTEGER NOT NULL DEFAULT 0;

-- With every change of the file's stored bytes: what is accepted is what was read and proved.
ALTER TABLE statement_files ADD COLUMN revision INTEGER NOT NULL DEFAULT 0;
