//! Tests of the journal in Postgres beyond the list for every journal.

#[path = "../../../tests/support/postgres.rs"]
#[allow(dead_code, reason = "other suites use the rest")]
mod server;

use std::sync::{Arc, mpsc};
use std::time::Duration;

use tokio::net::{TcpListener, UnixStream};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;

pub use server::{cut_writer, lock, sql};

use super::{DatabaseUrl, PostgresJournal};
use crate::storage::history::HistoryBatch;
use crate::storage::journal::{Head, JournalError};
use crate::storage::{JournalReader, Storage, history};

fn url() -> DatabaseUrl {
    DatabaseUrl::parse(&server::database()).unwrap()
}

/// A new, empty database.
pub fn storage() -> Storage {
    Storage::Postgres(url())
}

/// Makes the database accept or refuse what is written over the writer's connection.
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
    for (setting, theirs) in [("synchronous_commit", "off"), ("statement_timeout", "1000"), ("lock_timeout", "1000")] {
        let set = format!("ALTER DATABASE %I SET {setting} = {theirs}");
        sql(url.reveal(), &format!("DO $$ BEGIN EXECUTE format('{set}', current_database()); END $$"));
    }
    let mut journal = PostgresJournal::open(&url).await.unwrap();
    for (setting, ours) in [("synchronous_commit", "on"), ("statement_timeout", "0"), ("lock_timeout", "0")] {
        let show = sqlx::AssertSqlSafe(format!("SHOW {setting}"));
        let set: String = sqlx::query_scalar(show).fetch_one(&mut journal.writer).await.unwrap();
        assert_eq!(set, ours, "{setting}");
    }
}

/// A TCP proxy to the tests' Postgres that can go silent.
struct Road {
    url: DatabaseUrl,
    /// The same database without the proxy.
    direct: DatabaseUrl,
    /// Turns true when the existing connections go silent.
    silent: watch::Sender<bool>,
    /// How many connections have used the proxy.
    connections: watch::Receiver<usize>,
    listener: Arc<TcpListener>,
    accepting: JoinHandle<()>,
}

impl Road {
    async fn open() -> Road {
        let direct = url();
        let place = direct.reveal().split_once("localhost/").unwrap().1;
        let (name, dir) = place.split_once("?host=").unwrap();
        let (name, socket) = (name.to_owned(), format!("{dir}/.s.PGSQL.5432"));
        let listener = Arc::new(TcpListener::bind("127.0.0.1:0").await.unwrap());
        let port = listener.local_addr().unwrap().port();
        let (silent, reported) = watch::channel(false);
        let (count, connections) = watch::channel(0);
        let incoming = Arc::clone(&listener);
        let accepting = tokio::spawn(async move {
            loop {
                let (mut near, _) = incoming.accept().await.unwrap();
                count.send_modify(|count| *count += 1);
                let mut far = UnixStream::connect(&socket).await.unwrap();
                let mut silent = reported.clone();
                silent.mark_unchanged();
                tokio::spawn(async move {
                    tokio::select! {
                        _ = tokio::io::copy_bidirectional(&mut near, &mut far) => {}
                        _ = silent.changed() => std::future::pending().await,
                    }
                });
            }
        });
        let url = DatabaseUrl::parse(&format!("postgres://postgres:hush@127.0.0.1:{port}/{name}")).unwrap();
        Road { url, direct, silent, connections, listener, accepting }
    }

    /// Nothing passes from here on. From now on the test only waits for time to pass.
    async fn close(&mut self) {
        self.silent.send_replace(true);
        self.accepting.abort();
        let _ = (&mut self.accepting).await;
        tokio::time::pause();
    }
}

/// Waits as long as a silent database may keep anybody waiting.
async fn soon<T>(asked: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(60), asked).await.expect("the wait has an end")
}

/// Waits until this many statements wait for a lock.
async fn waiting(database: &str, statements: usize) {
    let waiting = "SELECT count(*) FROM pg_locks JOIN pg_database ON oid = database
         WHERE datname = current_database() AND NOT granted";
    while sql(database, waiting) != statements.to_string() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_start_does_not_wait_for_ever_for_a_database_that_is_silent_and_names_it() {
    let mut road = Road::open().await;
    road.close().await;
    let storage = Storage::Postgres(road.url.clone());
    let refused = [soon(storage.journal()).await.err(), soon(storage.reader()).await.err()];
    for refused in refused {
        let reported = refused.unwrap().to_string();
        let port = road.listener.local_addr().unwrap().port();
        assert!(reported.contains(&format!("postgres://postgres:***@127.0.0.1:{port}/")), "{reported}");
        assert!(reported.contains("no answer within 10 s"), "{reported}");
    }
    assert!(soon(history::open(&storage)).await.unwrap_err().to_string().contains("no answer within 10 s"));
}

#[tokio::test]
async fn a_database_that_falls_silent_under_a_row_or_at_rest_is_not_waited_for_for_ever() {
    for at_rest in [false, true] {
        let mut road = Road::open().await;
        let mut journal = PostgresJournal::open(&road.url).await.unwrap();
        journal.append(1, 1, 1, b"acknowledged").await.unwrap();
        road.close().await;
        let ended = soon(async {
            if at_rest {
                journal.fence_due().await;
                journal.check_fence().await
            } else {
                journal.append(2, 1, 1, b"into the silence").await
            }
        });
        let reported = ended.await.unwrap_err();
        assert!(matches!(reported, JournalError::Unavailable(_)), "{reported}");
        assert_eq!(journal.head().seq, 1);
        tokio::time::resume();
    }
}

#[tokio::test]
async fn a_reader_gives_up_when_the_database_falls_silent_while_it_reads() {
    let mut road = Road::open().await;
    let _journal = PostgresJournal::open(&road.url).await.unwrap();
    let reader = Storage::Postgres(road.url.clone()).reader().await.unwrap();
    let direct = road.direct.reveal();
    let held = lock(direct, "journal.journal IN ACCESS EXCLUSIVE MODE; LOCK TABLE journal.journal");
    let asked = tokio::spawn(async move { reader.last_seq().await });
    soon(waiting(direct, 1)).await;
    road.close().await;
    drop(held);
    let reported = tokio::time::timeout(Duration::from_secs(600), asked).await.expect("the wait has an end").unwrap();
    assert!(matches!(reported, Err(JournalError::Unavailable(_))), "{reported:?}");
}

#[tokio::test]
async fn a_reader_does_not_wait_for_a_runtime_that_stands_still_if_that_has_one_apart() {
    let url = url();
    let storage = Storage::Postgres(url.clone());
    let _journal = storage.journal().await.unwrap();
    let reader = storage.reader().await.unwrap();
    // Two at once, and so each connection that a reader may have.
    let twice = async |reader: &JournalReader| tokio::try_join!(reader.last_seq(), reader.last_seq()).unwrap();
    let (theirs, (read, has_read), (resume, resumed)) = (reader.apart(), oneshot::channel(), mpsc::channel::<()>());
    let other = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let seqs = twice(&theirs).await;
            // Both are given back, which is done by tasks.
            while runtime.metrics().num_alive_tasks() > 0 {
                tokio::task::yield_now().await;
            }
            read.send(seqs).unwrap();
            resumed.recv().unwrap_err();
        });
    });
    assert_eq!(has_read.await.unwrap(), (0, 0));
    // An answer that is there at once would be read without a runtime.
    let held = lock(url.reveal(), "journal.journal IN ACCESS EXCLUSIVE MODE; LOCK TABLE journal.journal");
    let late = async {
        waiting(url.reveal(), 2).await;
        drop(held);
    };
    assert_eq!(soon(async { tokio::join!(twice(&reader), late) }).await.0, (0, 0));
    drop(resume);
    other.join().unwrap();
}

#[tokio::test]
async fn what_writes_history_gives_up_when_the_database_falls_silent() {
    for forgets in [false, true] {
        let mut road = Road::open().await;
        let (mut writer, _reader) = history::open(&Storage::Postgres(road.url.clone())).await.unwrap();
        road.close().await;
        let asked = async {
            if forgets {
                writer.forget_streams(1).await
            } else {
                writer.apply(&HistoryBatch::default(), Head::default()).await
            }
        };
        let reported = tokio::time::timeout(Duration::from_secs(600), asked).await.expect("the wait has an end");
        assert!(reported.unwrap_err().to_string().contains("no answer within 60 s"), "{forgets}");
        tokio::time::resume();
    }
}

/// The question was lost, or its answer: nothing will come, though the database accepts other connections.
#[tokio::test]
async fn a_connection_that_falls_silent_by_itself_is_told_from_a_database_that_is_slow() {
    let mut road = Road::open().await;
    let mut journal = PostgresJournal::open(&road.url).await.unwrap();
    journal.watch.patience = Duration::from_millis(500);
    let (direct, elsewhere) = (road.direct.reveal(), url());
    let name = sql(direct, "SELECT current_database()");
    let admit = |others: bool| sql(elsewhere.reveal(), &format!("ALTER DATABASE {name} ALLOW_CONNECTIONS {others}"));
    for others in [true, false] {
        let slow = lock(direct, "journal.journal");
        admit(others);
        let asked = tokio::spawn(async move {
            let seq = journal.head().seq + 1;
            let done = journal.append(seq, 1, 1, b"slow").await;
            (journal, done)
        });
        // It checks over another connection, and again only if the last check found the database working.
        let before = *road.connections.borrow();
        soon(road.connections.wait_for(|count| *count >= before + 3)).await.unwrap();
        assert!(!asked.is_finished(), "the database is at work on it, whether it admits others or not");
        admit(true);
        drop(slow);
        let done;
        (journal, done) = asked.await.unwrap();
        done.unwrap();
    }
    road.silent.send_replace(true);
    let lost = soon(journal.append(3, 1, 1, b"lost")).await.unwrap_err();
    assert!(matches!(lost, JournalError::Unavailable(_)), "{lost}");
}

/// Without it a host that has vanished would keep the fence for hours.
#[tokio::test]
async fn the_database_is_told_to_look_whether_the_writer_is_there() {
    let mut journal = PostgresJournal::open(&url()).await.unwrap();
    let statement = "SELECT count(*) FROM pg_settings WHERE source = 'client' AND reset_val <> '0'
        AND (name LIKE 'tcp_keepalives_%' OR name = 'tcp_user_timeout')";
    let set: i64 = sqlx::query_scalar(statement).fetch_one(&mut journal.writer).await.unwrap();
    assert_eq!(set, 4);
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
