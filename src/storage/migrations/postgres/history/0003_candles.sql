-- What the trades of a market came to in each stretch of time. seq is the last event that is in it: what was
-- told before is not added again.
CREATE TABLE candles (
    market   BIGINT NOT NULL,
    interval BIGINT NOT NULL,
    begin_us BIGINT NOT NULL,
    open     BIGINT NOT NULL,
    high     BIGINT NOT NULL,
    low      BIGINT NOT NULL,
    close    BIGINT NOT NULL,
    trades   BIGINT NOT NULL,
    volume   BIGINT NOT NULL,
    cost     BIGINT NOT NULL,
    seq      BIGINT NOT NULL,
    PRIMARY KEY (market, interval, begin_us)
);
-- Journals of before this release are not read, so there is no past to fill in.
