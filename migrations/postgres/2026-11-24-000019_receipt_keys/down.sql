ALTER TABLE expectations DROP CONSTRAINT expectations_key;
ALTER TABLE expectations ADD CONSTRAINT expectations_key UNIQUE (key);
