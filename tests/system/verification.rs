//! The output of `countersign verify` for a journal that was changed while the server was down.

use std::fs;
use std::path::Path;
use std::process::Command;

use countersign::access::scope::ScopeSet;
use countersign::storage::Storage;
use countersign::storage::head::write_head;
use countersign::storage::journal::Head;
use serde_json::json;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _};

use super::world::{World, key};

/// The database of the journal in a data directory.
pub async fn journal(dir: &Path) -> SqliteConnection {
    SqliteConnectOptions::new().filename(dir.join("journal.db")).connect().await.unwrap()
}

/// Changes a copy of a stopped server's journal; returns the output of `verify`.
async fn verified(world: &World, change: &[&str], head: bool) -> (bool, String) {
    let dir = tempfile::tempdir().unwrap();
    for name in ["journal.db", "head"] {
        let _ = fs::copy(world.dir().join(name), dir.path().join(name));
    }
    let mut connection = journal(dir.path()).await;
    for statement in change {
        sqlx::query(AssertSqlSafe((*statement).to_owned())).execute(&mut connection).await.unwrap();
    }
    connection.close().await.unwrap();
    let mut verify = Command::new(env!("CARGO_BIN_EXE_countersign"));
    verify.arg("verify").arg("--data").arg(dir.path());
    if head {
        verify.arg("--head").arg(dir.path().join("head"));
    }
    let output = verify.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    (output.status.success(), said)
}

#[tokio::test]
async fn d7_83_verify_finds_an_edit_a_removal_an_insertion_a_reorder_and_given_a_head_a_cut_tail() {
    let mut world = World::new(&[key(ScopeSet::ALL)]).await;
    let mut bot = world.bot(1).await;
    for _ in 0..4 {
        bot.call("withdraw", json!({"asset": "BTC", "key": "cold-1", "amount": "1"})).await;
    }
    drop(bot);
    world.stop().await;
    let reader = Storage::Sqlite(world.dir().to_owned()).reader().await.unwrap();
    let last = reader.last_seq().await.unwrap();
    let chain = reader.chain_before(last + 1).await.unwrap().unwrap();
    let head = Head { seq: last, chain };
    let other = Head { chain: [1; 32], ..head };
    for (head, sound) in [(other, false), (head, true)] {
        write_head(world.dir(), head).unwrap();
        let (found, said) = verified(&world, &[], true).await;
        assert_eq!(found, sound, "it is sound if it is the head's own and untouched: {said}");
        assert_eq!(said.contains("it was cut, changed or exchanged"), !sound, "{said}");
    }
    let mut connection = journal(world.dir()).await;
    let rows = sqlx::query_scalar("SELECT first_seq FROM journal ORDER BY first_seq LIMIT 4");
    let [.., third, fourth]: [i64; 4] = rows.fetch_all(&mut connection).await.unwrap().try_into().unwrap();
    connection.close().await.unwrap();
    let edit = format!("UPDATE journal SET body = body || x'00' WHERE first_seq = {third}");
    let removal = format!("DELETE FROM journal WHERE first_seq = {third}");
    // A copy of a row right behind it, and all others moved out of its way.
    let insertion = vec![
        format!("UPDATE journal SET first_seq = -(first_seq + {fourth} - {third}) WHERE first_seq >= {fourth}"),
        "UPDATE journal SET first_seq = -first_seq WHERE first_seq < 0".to_owned(),
        format!(
            "INSERT INTO journal SELECT {fourth}, count, format, body, digest FROM journal WHERE first_seq = {third}"
        ),
    ];
    let reorder = vec![
        format!("CREATE TEMP TABLE kept AS SELECT * FROM journal WHERE first_seq IN ({third}, {fourth})"),
        "UPDATE journal SET body = (SELECT body FROM kept WHERE kept.first_seq <> journal.first_seq)
         WHERE first_seq IN (SELECT first_seq FROM kept)"
            .to_owned(),
    ];
    // Where a row is gone, the next one does not follow.
    let changes = [(vec![edit], third), (vec![removal], fourth), (insertion, fourth), (reorder, third)];
    for (change, at) in changes {
        let change: Vec<&str> = change.iter().map(String::as_str).collect();
        let (sound, said) = verified(&world, &change, false).await;
        assert!(!sound && said.contains(&format!("at sequence {at}: ")), "{change:?}: {said}");
    }
    let cut = ["DELETE FROM journal WHERE first_seq = (SELECT max(first_seq) FROM journal)"];
    let (sound, said) = verified(&world, &cut, false).await;
    assert!(sound && said.contains("cannot be detected"), "alone it says that it cannot tell: {said}");
    let (sound, said) = verified(&world, &cut, true).await;
    assert!(!sound && said.contains(&format!("at sequence {last}: it was cut, changed or exchanged")), "{said}");
}
