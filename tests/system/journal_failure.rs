//! A server whose journal fails for good: calls under way are answered, every socket is closed in order, and the close
//! reason says why.

use std::path::Path;

use countersign::access::scope::ScopeSet;
use countersign::gateway::credentials::decode_secret;
use countersign::storage::Storage;
use countersign::storage::head::{HEAD_FILE, read_head};
use serde_json::{Value, json};

use super::client::{Client, limit, soon};
use super::operation::serve;
use super::world::{World, key};

/// Requests that are sent at once.
const AT_ONCE: usize = 200;

fn order() -> Value {
    limit("buy", 1, 10)
}

/// Writes a row without the server on `dir` knowing, which finds it when it appends its next one. A second writer gets
/// this far only without the server's lock.
async fn write_behind(dir: &Path) {
    std::fs::remove_file(dir.join("lock")).unwrap();
    let mut journal = Storage::Sqlite(dir.to_owned()).journal().await.unwrap();
    let next = journal.head().seq + 1;
    journal.append(next, 1, 1, b"of somebody else").await.unwrap();
}

#[tokio::test]
async fn d6_70_a_journal_that_fails_for_good_leaves_no_request_unanswered_and_no_socket_without_a_close_frame() {
    let mut world = World::new(&[key(ScopeSet::ALL)]).await;
    let (mut bot, mut bare) = (world.bot(1).await, Client::bare(world.address).await);
    write_behind(world.dir()).await;
    let request = |number: usize| json!({"method": "add_order", "req_id": number + 1_000, "params": order()});
    bot.burst((0..AT_ONCE).map(request)).await;
    for number in 0..AT_ONCE {
        let answer = bot.answer(number as i64 + 1_000).await;
        let told = answer["error"].as_str().unwrap_or_else(|| panic!("{answer}"));
        assert!(told.starts_with("EService:Unavailable"), "{told}");
    }
    let mut server = world.server.take().unwrap();
    for _ in 0..2 {
        let why = server.failed().await.to_string();
        assert!(why.contains("another writer"), "{why}");
    }
    let why = server.stop().await.unwrap_err().to_string();
    assert!(why.contains("another writer"), "{why}");
    for socket in [&mut bot, &mut bare] {
        assert_eq!(socket.closed().await, (1012, "the server failed".to_owned()));
    }
}

#[tokio::test]
async fn when_a_server_has_stopped_its_head_file_tells_where_the_journal_ends() {
    let mut world = World::new(&[key(ScopeSet::ALL)]).await;
    for _ in 0..3 {
        world.bot(1).await.call("add_order", order()).await;
        world.stop().await;
        let journal = Storage::Sqlite(world.dir().to_owned()).journal().await.unwrap().head();
        assert_eq!(read_head(&world.dir().join(HEAD_FILE)).unwrap(), Some(journal));
        world.start().await;
    }
}

#[tokio::test]
async fn d6_70_a_process_whose_journal_fails_closes_its_sockets_and_then_ends_with_the_reason() {
    let dir = tempfile::tempdir().unwrap();
    let (mut server, (api_key, secret)) = serve(dir.path()).await;
    let mut bare = Client::bare(server.address).await;
    write_behind(&dir.path().join("data")).await;
    let refused = Client::signed(server.address, &api_key, &decode_secret(&secret).unwrap()).await.err().unwrap();
    assert_eq!(refused.status, 503, "{refused:?}");
    assert_eq!(bare.closed().await, (1012, "the server failed".to_owned()));
    assert!(!server.ended().await.success());
    let log = std::fs::read_to_string(dir.path().join("log")).unwrap();
    assert!(log.lines().last().unwrap().contains("another writer"), "{log}");
}

/// A part of the close reason, and what was done to the files of a running server.
type Harm = (&'static str, fn(&Path));

const HARM: [Harm; 4] = [
    ("journal.db was removed", |dir| std::fs::remove_file(dir.join("journal.db")).unwrap()),
    ("journal.db was replaced", |dir| {
        std::fs::copy(dir.join("journal.db"), dir.join("copy")).unwrap();
        std::fs::rename(dir.join("copy"), dir.join("journal.db")).unwrap();
    }),
    ("journal.db was cut", |dir| {
        let file = std::fs::File::options().write(true).open(dir.join("journal.db")).unwrap();
        file.set_len(file.metadata().unwrap().len() / 2).unwrap();
    }),
    ("journal.db-wal was removed", |dir| std::fs::remove_file(dir.join("journal.db-wal")).unwrap()),
];

#[tokio::test]
async fn d6_68_a_server_whose_journal_is_removed_replaced_or_cut_while_it_runs_ends_and_says_so() {
    for (told, harm) in HARM {
        let mut world = World::new(&[key(ScopeSet::ALL)]).await;
        let mut bot = world.bot(1).await;
        bot.call("add_order", order()).await;
        harm(world.dir());
        let mut server = world.server.take().unwrap();
        soon("end of the sequencer", server.failed()).await;
        let why = server.stop().await.unwrap_err().to_string();
        assert!(why.contains(told), "{why}");
        assert_eq!(bot.closed().await, (1012, "the server failed".to_owned()));
    }
}
