DROP TABLE grants;
DROP TABLE roles;
DROP TABLE api_keys;
DROP TABLE sessions;
DROP TABLE sign_in_failures;
DROP TABLE recovery_codes;
DROP TABLE invitations;
DROP TABLE people;
