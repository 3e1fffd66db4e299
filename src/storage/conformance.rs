//! Tests for every kind of journal: one list, run on each.

use sqlx::{ConnectOptions as _, Connection as _};

use super::journal::{Head, JournalError, Row};
use super::memory::{Disk, Fault};
use super::postgres::tests::{admit as admit_in_postgres, sql, storage};
use super::sqlite::tests::admit as admit_in_sqlite;
use super::{Journal, JournalReader, Storage, link};

/// A change of the stored rows, bypassing the journal.
type Tampering = fn(&mut Vec<Row>);

/// The storage of a journal, removed with the test.
enum Place {
    Sqlite(tempfile::TempDir),
    Postgres(Storage),
    Memory(Disk),
}

impl Place {
    fn sqlite() -> Place {
        Place::Sqlite(tempfile::tempdir().unwrap())
    }

    fn postgres() -> Place {
        Place::Postgres(storage())
    }

    fn memory() -> Place {
        Place::Memory(Disk::default())
    }

    async fn journal(&self) -> Result<Journal, JournalError> {
        match self {
            Place::Sqlite(dir) => Storage::Sqlite(dir.path().to_owned()).journal().await,
            Place::Postgres(storage) => storage.journal().await,
            Place::Memory(disk) => Ok(Journal::Memory(disk.journal()?)),
        }
    }

    async fn reader(&self) -> JournalReader {
        match self {
            Place::Sqlite(dir) => Storage::Sqlite(dir.path().to_owned()).reader().await.unwrap(),
            Place::Postgres(storage) => storage.reader().await.unwrap(),
            Place::Memory(disk) => JournalReader::Memory(disk.clone()),
        }
    }

    /// With rows 0 to `rows` of two events each.
    async fn filled(&self, rows: u64) -> Journal {
        let mut journal = self.journal().await.unwrap();
        for row in 0..rows {
            journal.append(row * 2 + 1, 2, 1, format!("row {row}").as_bytes()).await.unwrap();
        }
        journal
    }

    /// Sets whether the storage accepts this writer's writes; a refusal is certain, and temporary.
    async fn admit(&self, journal: &mut Journal, writes: bool) {
        match (self, journal) {
            (Place::Sqlite(dir), Journal::Sqlite(journal)) => admit_in_sqlite(dir.path(), journal, writes).await,
            (Place::Postgres(_), Journal::Postgres(journal)) => admit_in_postgres(journal, writes).await,
            (Place::Memory(disk), Journal::Memory(_)) if writes => disk.heal(),
            (Place::Memory(disk), Journal::Memory(_)) => disk.fail(Fault::Full),
            _ => panic!("another place's journal"),
        }
    }

    /// Replaces the stored rows, bypassing the journal.
    async fn tamper(&self, change: impl FnOnce(&mut Vec<Row>)) {
        if let Place::Memory(disk) = self {
            return disk.damage(|rows, _| change(rows));
        }
        let mut rows = self.reader().await.rows(1, u64::MAX, 1_000).await.unwrap();
        change(&mut rows);
        let values = |row: &Row| {
            let (body, chain) = (hex::encode(&row.body), hex::encode(row.chain));
            match self {
                Place::Postgres(_) => format!(r"'\x{body}', '\x{chain}'"),
                Place::Sqlite(_) | Place::Memory(_) => format!("x'{body}', x'{chain}'"),
            }
        };
        let mut statements = vec!["DELETE FROM journal".to_owned()];
        for row in &rows {
            let values = format!("({}, {}, {}, {})", row.first_seq, row.count, row.format, values(row));
            statements.push(format!("INSERT INTO journal VALUES {values}"));
        }
        match self {
            Place::Postgres(Storage::Postgres(url)) => {
                let statements = format!("SET search_path = journal; {}", statements.join(";"));
                drop(sql(url.reveal(), &statements));
            }
            Place::Sqlite(dir) => {
                let options = sqlx::sqlite::SqliteConnectOptions::new().filename(dir.path().join("journal.db"));
                let mut connection = options.connect().await.unwrap();
                for statement in statements {
                    sqlx::query(sqlx::AssertSqlSafe(statement)).execute(&mut connection).await.unwrap();
                }
                connection.close().await.unwrap();
            }
            Place::Postgres(_) | Place::Memory(_) => {}
        }
    }

    /// The first sequence whose row does not follow from the rows before it.
    async fn first_break(&self) -> Option<u64> {
        let mut chain = [0; 32];
        let mut next = 1;
        for row in self.reader().await.rows(1, u64::MAX, 1_000).await.unwrap() {
            chain = link(&chain, row.first_seq, row.count, row.format, &row.body);
            if row.first_seq != next || chain != row.chain {
                return Some(row.first_seq);
            }
            next = row.next_seq();
        }
        None
    }
}

/// Runs the list on each kind of storage.
macro_rules! on_each_place {
    ($($test:ident),+ $(,)?) => {
        on_each_place!(sqlite: $($test),+);
        on_each_place!(postgres: $($test),+);
        on_each_place!(memory: $($test),+);
    };
    ($kind:ident: $($test:ident),+) => {
        mod $kind {
            $(#[tokio::test]
            async fn $test() {
                super::$test(&super::Place::$kind()).await;
            })+
        }
    };
}

on_each_place!(
    rows_come_back_in_order_after_reopening,
    rows_are_those_that_hold_any_of_the_sequences_asked_for,
    a_wrong_sequence_is_refused_and_writes_nothing,
    a_row_written_behind_the_writer_is_a_conflict,
    a_probe_leaves_nothing_and_finds_what_was_written_behind_the_writer,
    what_the_storage_refuses_is_not_there_and_a_probe_tells_when_it_takes_writes_again,
    a_second_writer_is_refused_while_the_first_lives,
    the_chain_finds_an_edit_a_removal_and_a_reorder,
    a_last_row_that_says_it_holds_nothing_is_not_passed_over,
    a_row_that_says_it_reaches_beyond_those_behind_it_is_not_where_the_journal_ends,
);

async fn rows_come_back_in_order_after_reopening(place: &Place) {
    let journal = place.filled(5).await;
    let head = journal.head();
    drop(journal);
    let journal = place.journal().await.unwrap();
    assert_eq!(journal.head(), head);
    assert_eq!(head.seq, 10);
    let reader = place.reader().await;
    let firsts = |rows: Vec<Row>| rows.into_iter().map(|row| row.first_seq).collect::<Vec<_>>();
    assert_eq!(firsts(reader.rows(1, u64::MAX, 2).await.unwrap()), [1, 3]);
    assert_eq!(
        firsts(reader.rows(4, u64::MAX, 9).await.unwrap()),
        [3, 5, 7, 9],
        "the row that holds sequence 4 comes first"
    );
    assert_eq!(firsts(reader.rows(11, u64::MAX, 9).await.unwrap()), [0u64; 0]);
    assert_eq!(reader.last_seq().await.unwrap(), 10);
    assert_eq!(reader.chain_before(11).await.unwrap(), Some(head.chain));
    assert_eq!(reader.chain_before(1).await.unwrap(), Some([0; 32]));
    assert_eq!(reader.chain_before(4).await.unwrap(), None, "no row ends there");
    let rows = reader.rows(1, u64::MAX, 9).await.unwrap();
    assert_eq!(rows[2].body, b"row 2");
    let chains = reader.chains_of(&[10, 1, 2, 3]).await.unwrap();
    assert_eq!(chains, [rows[4].chain, rows[0].chain, rows[0].chain, rows[1].chain]);
    let missing = reader.chains_of(&[1, 0]).await.unwrap_err();
    assert!(matches!(missing, JournalError::Corrupt { at: 0, .. }), "{missing}");
}

async fn a_wrong_sequence_is_refused_and_writes_nothing(place: &Place) {
    let mut journal = place.filled(2).await;
    for wrong in [1, 4, 6, 100] {
        let refused = journal.append(wrong, 1, 1, b"x").await.unwrap_err();
        assert!(matches!(refused, JournalError::Conflict { expected, found: 5 } if expected == wrong), "{refused}");
    }
    assert!(journal.append(5, 0, 1, b"x").await.is_err(), "a row holds at least one event");
    assert_eq!(journal.head().seq, 4);
    assert_eq!(place.reader().await.rows(5, u64::MAX, 1).await.unwrap(), []);
    journal.append(5, 1, 1, b"x").await.unwrap();
}

async fn a_row_written_behind_the_writer_is_a_conflict(place: &Place) {
    let mut journal = place.filled(1).await;
    // After the next row, where the primary key does not refuse it too.
    place.tamper(|rows| rows.push(Row { first_seq: 5, ..rows[0].clone() })).await;
    let refused = journal.append(3, 1, 1, b"x").await.unwrap_err();
    assert!(matches!(refused, JournalError::Conflict { expected: 3, found: 7 }), "{refused}");
    assert_eq!(journal.head().seq, 2);
}

async fn a_probe_leaves_nothing_and_finds_what_was_written_behind_the_writer(place: &Place) {
    let mut journal = place.filled(0).await;
    journal.probe().await.unwrap();
    for first_seq in [1, 2] {
        journal.append(first_seq, 1, 1, b"x").await.unwrap();
        journal.probe().await.unwrap();
        assert_eq!(journal.head().seq, first_seq);
    }
    assert_eq!(place.reader().await.rows(1, u64::MAX, 9).await.unwrap().len(), 2);
    place.tamper(|rows| rows.push(Row { first_seq: 5, ..rows[0].clone() })).await;
    let refused = journal.probe().await.unwrap_err();
    assert!(matches!(refused, JournalError::Conflict { expected: 3, found: 6 }), "{refused}");
}

async fn what_the_storage_refuses_is_not_there_and_a_probe_tells_when_it_takes_writes_again(place: &Place) {
    let mut journal = place.filled(2).await;
    let head = journal.head();
    place.admit(&mut journal, false).await;
    let refused = journal.append(5, 1, 1, b"refused").await.unwrap_err();
    assert!(matches!(refused, JournalError::Unwritable(_)), "{refused}");
    for _ in 0..2 {
        let refused = journal.probe().await.unwrap_err();
        assert!(matches!(refused, JournalError::Unwritable(_)), "{refused}");
        assert_eq!(journal.head(), head);
        assert_eq!(place.reader().await.rows(1, u64::MAX, 9).await.unwrap().len(), 2, "reads are served meanwhile");
    }
    place.admit(&mut journal, true).await;
    journal.probe().await.unwrap();
    journal.append(5, 1, 1, b"taken").await.unwrap();
    let rows = place.reader().await.rows(5, u64::MAX, 9).await.unwrap();
    assert_eq!(rows.iter().map(|row| row.body.as_slice()).collect::<Vec<_>>(), [b"taken"]);
    assert_eq!(place.first_break().await, None);
}

async fn a_second_writer_is_refused_while_the_first_lives(place: &Place) {
    let first = place.journal().await.unwrap();
    assert!(matches!(place.journal().await, Err(JournalError::Locked(_))));
    assert_eq!(first.head(), Head::default());
    drop(first);
    place.journal().await.unwrap();
}

async fn the_chain_finds_an_edit_a_removal_and_a_reorder(place: &Place) {
    let mut journal = place.filled(5).await;
    journal.append(11, 1, 1, b"the last").await.unwrap();
    drop(journal);
    let whole = place.reader().await.rows(1, u64::MAX, 9).await.unwrap();
    let changes: [(&str, Tampering, u64); 5] = [
        ("a body", |rows| rows[2].body = vec![0], 5),
        ("a count", |rows| rows[2].count = 3, 5),
        ("a chain", |rows| rows[2].chain = [0; 32], 5),
        ("a row removed", |rows| drop(rows.remove(2)), 7),
        ("two bodies swapped", |rows| (rows[1].body, rows[2].body) = (rows[2].body.clone(), rows[1].body.clone()), 3),
    ];
    for (what, change, at) in changes {
        assert_eq!(place.first_break().await, None);
        place.tamper(change).await;
        assert_eq!(place.first_break().await, Some(at), "{what}");
        place.tamper(|rows| rows.clone_from(&whole)).await;
    }
}

async fn a_last_row_that_says_it_holds_nothing_is_not_passed_over(place: &Place) {
    drop(place.filled(2).await);
    place.tamper(|rows| rows[1].count = 0).await;
    assert_eq!(place.reader().await.rows(3, u64::MAX, 9).await.unwrap().len(), 1);
    assert_eq!(place.first_break().await, Some(3));
}

async fn a_row_that_says_it_reaches_beyond_those_behind_it_is_not_where_the_journal_ends(place: &Place) {
    drop(place.filled(2).await);
    place.tamper(|rows| (rows[0].count, rows[1].count) = (4, 1)).await;
    assert_eq!(place.reader().await.chain_before(5).await.unwrap(), None);
}

async fn rows_are_those_that_hold_any_of_the_sequences_asked_for(place: &Place) {
    drop(place.filled(5).await);
    let reader = place.reader().await;
    for (first, last, expected) in
        [(1, 1, vec![1]), (2, 5, vec![1, 3, 5]), (4, 4, vec![3]), (9, 90, vec![9]), (11, 12, vec![])]
    {
        let rows = reader.rows(first, last, 9).await.unwrap();
        let begun: Vec<u64> = rows.iter().map(|row| row.first_seq).collect();
        assert_eq!(begun, expected, "{first} to {last}");
    }
}
