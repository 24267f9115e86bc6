-- A key is its leaf's: who announces a receipt for one leaf must not learn which keys another leaf has. The key comes first, for looking
-- one up by it alone.
ALTER TABLE expectations DROP CONSTRAINT expectations_key;
ALTER TABLE expectations ADD CONSTRAINT expectations_key UNIQUE (key, account);
