DROP TABLE own_transfers;
DROP INDEX routes_person;
DROP INDEX line_details_end_to_end;
DROP INDEX lines_end_to_end;
ALTER TABLE line_details DROP COLUMN ultimate_name;
ALTER TABLE line_details DROP COLUMN charges;
ALTER TABLE lines DROP COLUMN charges;
