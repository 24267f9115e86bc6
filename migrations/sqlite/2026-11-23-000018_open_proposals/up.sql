-- A machine may propose thousands at once. Each new proposal first ends those whose time is over, and lists go through the open
-- ones from the newest on: neither may read all that are open. The state stands in the index, since a query gives it as a
-- parameter, for which SQLite would plan an index of the open ones alone anew each time.
DROP INDEX proposals_open;
CREATE INDEX proposals_about ON proposals (kind, subject, state);
CREATE INDEX proposals_over ON proposals (state, expires_at);
CREATE INDEX proposals_newest ON proposals (state, id);
