//! Reading the journal in SQL, beside its writer.

use super::chain::Digest;
use super::database::{Pool, Record, Value};
use super::journal::{Head, JournalError, Row};

/// The newest row, which is the end of the journal.
pub(super) const LAST_ROW: &str =
    "SELECT first_seq, count, format, body, digest FROM journal ORDER BY first_seq DESC LIMIT 1";

/// Adds a row; the condition makes the statement itself refuse to write after another writer's row.
pub(super) const APPEND: &str = "INSERT INTO journal (first_seq, count, format, body, digest)
    SELECT $1, $2, $3, $4, $5 WHERE (SELECT coalesce(max(first_seq), 0) FROM journal) < $1";

/// Reads the journal of either database.
#[derive(Clone, Debug)]
pub struct SqlReader {
    pool: Pool,
}

impl SqlReader {
    pub(super) fn new(pool: Pool) -> SqlReader {
        SqlReader { pool }
    }

    pub(super) fn apart(&self) -> SqlReader {
        SqlReader::new(self.pool.apart())
    }

    pub(super) async fn rows(&self, first_seq: u64, last_seq: u64, limit: u32) -> Result<Vec<Row>, JournalError> {
        let statement = "SELECT first_seq, count, format, body, digest FROM journal
             WHERE first_seq >= coalesce((SELECT max(first_seq) FROM journal WHERE first_seq <= $1), 0)
               AND first_seq <= $2
             ORDER BY first_seq LIMIT $3";
        // The highest possible value means "to the end", beyond any real sequence.
        let last_seq = i64::try_from(last_seq).unwrap_or(i64::MAX);
        let args = [signed(first_seq).into(), last_seq.into(), limit.into()];
        let mut rows = self.pool.all(statement, &args, row).await?;
        // A row that claims to be empty is damaged; it is kept, for the caller to refuse.
        rows.retain(|row| row.first_seq >= first_seq || row.next_seq() > first_seq);
        Ok(rows)
    }

    pub(super) async fn last_seq(&self) -> Result<u64, JournalError> {
        let statement = "SELECT first_seq + count - 1 AS seq FROM journal ORDER BY first_seq DESC LIMIT 1";
        let last = self.pool.all(statement, &[], |record| Ok::<_, JournalError>(unsigned(record.get("seq")?))).await?;
        Ok(last.first().copied().unwrap_or(0))
    }

    pub(super) async fn chain_before(&self, seq: u64) -> Result<Option<Digest>, JournalError> {
        if seq <= 1 {
            return Ok(Some(Digest::default()));
        }
        let statement = "SELECT first_seq, digest FROM journal
             WHERE first_seq = (SELECT max(first_seq) FROM journal WHERE first_seq < $1) AND first_seq + count = $1";
        let found = self.pool.all(statement, &[signed(seq).into()], chain).await?;
        Ok(found.first().copied())
    }

    pub(super) async fn chains_of(&self, seqs: &[u64]) -> Result<Vec<Digest>, JournalError> {
        let args: Vec<i64> = seqs.iter().copied().map(signed).collect();
        let statement = format!(
            "SELECT value AS first_seq,
                    (SELECT digest FROM journal WHERE first_seq <= value ORDER BY first_seq DESC LIMIT 1) AS digest
             FROM {} ORDER BY key",
            self.pool.each("$1")
        );
        self.pool.all(statement, &[Value::Integers(&args)], chain).await
    }
}

/// Where the journal ends, by its newest row.
pub(super) fn head(last: Option<Record<'_>>) -> Result<Head, JournalError> {
    let Some(last) = last else { return Ok(Head::default()) };
    let last = row(&last)?;
    Ok(Head { seq: last.next_seq() - 1, chain: last.chain })
}

fn row(record: &Record<'_>) -> Result<Row, JournalError> {
    let first_seq = unsigned(record.get("first_seq")?);
    Ok(Row {
        first_seq,
        count: narrow(record.get("count")?, first_seq)?,
        format: narrow(record.get("format")?, first_seq)?,
        body: record.get("body")?,
        chain: whole(record.get("digest")?, first_seq)?,
    })
}

fn chain(record: &Record<'_>) -> Result<Digest, JournalError> {
    let at = unsigned(record.get("first_seq")?);
    let bytes: Option<Vec<u8>> = record.get("digest")?;
    whole(bytes.ok_or_else(|| JournalError::missing(at))?, at)
}

fn whole(bytes: Vec<u8>, at: u64) -> Result<Digest, JournalError> {
    bytes.try_into().map_err(|_| JournalError::Corrupt { at, why: "a chain is not 32 bytes".to_owned() })
}

fn narrow<T: TryFrom<i64>>(number: i64, at: u64) -> Result<T, JournalError> {
    T::try_from(number).map_err(|_| JournalError::Corrupt { at, why: format!("{number} is out of range") })
}

/// Sequences stay below 2^45, so the databases' signed integers hold them.
pub(super) fn signed(seq: u64) -> i64 {
    i64::try_from(seq).expect("sequences stay below 2^45")
}

fn unsigned(seq: i64) -> u64 {
    u64::try_from(seq).unwrap_or(0)
}
