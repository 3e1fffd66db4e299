-- Who did what in each Organization. Journals of before know no actors, so there is nothing to go back for.
CREATE TABLE audit (
    entry_offset BIGINT PRIMARY KEY,
    organization BIGINT NOT NULL,
    at_us        BIGINT NOT NULL,
    body         BYTEA  NOT NULL
);
CREATE INDEX audit_time ON audit (organization, at_us, entry_offset);
