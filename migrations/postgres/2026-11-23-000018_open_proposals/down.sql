DROP INDEX proposals_newest;
DROP INDEX proposals_over;
DROP INDEX proposals_about;
CREATE INDEX proposals_open ON proposals (kind, subject) WHERE state = 'open';
