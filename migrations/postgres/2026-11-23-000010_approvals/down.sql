DROP TABLE approval_policies;
DROP TABLE decisions;
DROP TABLE proposals;
DROP FUNCTION proposals_once();
