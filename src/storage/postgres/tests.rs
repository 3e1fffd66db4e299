//! What the journal in Postgres does beside the list that every journal keeps to.

#[path = "../../../tests/support/postgres.rs"]
mod server;

pub use server::{cut_writer, sql};

use super::{DatabaseUrl, PostgresJournal};
use crate::storage::Storage;
use crate::storage::journal::{Head, JournalError};

fn url() -> DatabaseUrl {
    DatabaseUrl::parse(&server::database()).unwrap()
}

/// A new, empty database.
pub fn storage() -> Storage {
    Storage::Postgres(url())
}

/// Whether the database takes what is written over the writer's connection.
pub async fn admit(journal: &mut PostgresJournal, writes: bool) {
    let set = sqlx::AssertSqlSafe(format!("SET default_transaction_read_only = {}", !writes));
    sqlx::query(set).execute(&mut journal.writer).await.unwrap();
}

#[tokio::test]
async fn a_writer_that_lost_its_lock_cannot_append() {
    let url = url();
    let mut first = PostgresJournal::open(&url).await.unwrap();
    first.append(1, 1, 1, b"held").await.unwrap();
    cut_writer(url.reveal());
    let mut second = PostgresJournal::open(&url).await.unwrap();
    second.append(2, 1, 1, b"by the second").await.unwrap();
    for first_seq in [2, 3] {
        first.append(first_seq, 1, 1, b"by the first").await.unwrap_err();
    }
    assert!(matches!(PostgresJournal::open(&url).await, Err(JournalError::Locked(_))));
    second.append(3, 1, 1, b"still the only one").await.unwrap();
    assert_eq!(sql(url.reveal(), "SELECT count(*) FROM journal.journal"), "3");
}

#[tokio::test]
async fn the_fence_tells_databases_apart_and_a_refusal_hides_the_password() {
    let (one, other) = (url(), url());
    let _first = PostgresJournal::open(&one).await.unwrap();
    let _second = PostgresJournal::open(&other).await.unwrap();
    let with_password = one.reveal().replace("postgres@", "postgres:hush@");
    let refused = PostgresJournal::open(&DatabaseUrl::parse(&with_password).unwrap()).await.unwrap_err();
    assert!(matches!(refused, JournalError::Locked(_)), "{refused}");
    assert!(!format!("{refused} {refused:?}").contains("hush"), "{refused}");
}

#[tokio::test]
async fn acknowledged_rows_wait_for_the_disk_whatever_the_database_is_set_to() {
    let url = url();
    sql(
        url.reveal(),
        "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET synchronous_commit = off', current_database()); END $$",
    );
    let mut journal = PostgresJournal::open(&url).await.unwrap();
    let set: String = sqlx::query_scalar("SHOW synchronous_commit").fetch_one(&mut journal.writer).await.unwrap();
    assert_eq!(set, "on");
}

#[tokio::test]
async fn what_passes_is_told_from_what_does_not() {
    let url = url();
    let mut journal = PostgresJournal::open(&url).await.unwrap();
    let refuse = "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN RAISE EXCEPTION USING ERRCODE = convert_from(NEW.body, 'UTF8'); END $$;
        CREATE TRIGGER refuse BEFORE INSERT ON journal.journal FOR EACH ROW EXECUTE FUNCTION public.refuse()";
    sql(url.reveal(), refuse);
    for (code, passes) in [("53100", true), ("53200", true), ("25006", true), ("58030", false), ("42501", false)] {
        let refused = journal.append(1, 1, 1, code.as_bytes()).await.unwrap_err();
        assert_eq!(matches!(refused, JournalError::Unwritable(_)), passes, "{code}: {refused}");
        assert_eq!(matches!(refused, JournalError::Unavailable(_)), !passes, "{code}: {refused}");
        assert_eq!(journal.head(), Head::default());
    }
}
