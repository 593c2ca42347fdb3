-- Run once by PostgreSQL's superuser, when the volume is made: the database, who owns it, and who serves from it.
--
-- The owner migrates, and alone may remove rows of the audit log. Web servers and workers are no owner of anything, so
-- what breaks into them can change no table, no trigger and no right.

\set ON_ERROR_STOP on
\set application `echo "${APPLICATION_ROLE:-triptych}"`
\set owner `echo "${OWNER_ROLE:-triptych_owner}"`
\set database `echo "${APPLICATION_DATABASE:-triptych}"`
\set password `cat "$DATABASE_PASSWORD_FILE"`
\set owner_password `cat "$DATABASE_OWNER_PASSWORD_FILE"`

CREATE ROLE :"application" LOGIN PASSWORD :'password';
-- It makes the data agent's roles, and bounds them.
CREATE ROLE :"owner" LOGIN CREATEROLE PASSWORD :'owner_password';
GRANT SET ON PARAMETER temp_file_limit TO :"owner";
CREATE DATABASE :"database" OWNER :"owner";

\connect :database
-- For what migrations will make. The log's own migration takes back what would let anybody change it.
ALTER DEFAULT PRIVILEGES FOR ROLE :"owner" IN SCHEMA public
    GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO :"application";
ALTER DEFAULT PRIVILEGES FOR ROLE :"owner" IN SCHEMA public GRANT USAGE ON SEQUENCES TO :"application";
