-- Where the items of each private stream lie in the journal: a row for each block of 256 events with at least
-- one of them, and the time of the first. The items themselves are the journal's.
CREATE TABLE stream_blocks (
    stream TEXT   NOT NULL,
    block  BIGINT NOT NULL,
    at_us  BIGINT NOT NULL,
    PRIMARY KEY (stream, block)
);
CREATE INDEX stream_blocks_time ON stream_blocks (at_us);

-- Every block with an item after this event is in the table: older ones were dropped, or were never noted.
CREATE TABLE streams_since (
    id  BIGINT PRIMARY KEY CHECK (id = 1),
    seq BIGINT NOT NULL
);
INSERT INTO streams_since (id, seq) SELECT 1, seq FROM checkpoint;
