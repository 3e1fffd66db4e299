//! `kill -9` under load, again and again on the same data: nothing acknowledged is lost, nothing is duplicated or
//! invented, and every stream continues where it was (D6-68, D4-49, D4-51).
//!
//! `CRASH_ROUNDS` is how often the server is killed, 20 when it is not set; `SEED` repeats a run's dice.

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

use super::postgres;
use super::scenario::{Cast, settings, start, world};
use super::served::Served;

const ROUNDS: u64 = 20;
/// Sizes of the rings of private channels, in turn: small, so that the journal must be read, or as usual.
const RINGS: [usize; 2] = [4, 4_096];

#[tokio::test]
async fn d6_68_kills_lose_nothing_that_was_acknowledged() {
    kill_again_and_again(None, 2).await;
}

#[tokio::test]
async fn d6_68_nor_do_they_on_postgres() {
    kill_again_and_again(Some(&postgres::database()), 1).await;
}

/// A number that may be set for a run of the test.
fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name} is a number, not {text:?}")))
}

/// `quorum` is how many votes a withdrawal needs: with two, some have one when the server is killed.
async fn kill_again_and_again(database: Option<&str>, quorum: usize) {
    let seed = setting("SEED").unwrap_or_else(rand::random);
    let rounds = setting("CRASH_ROUNDS").unwrap_or(ROUNDS);
    println!("SEED={seed} CRASH_ROUNDS={rounds}");
    let mut dice = StdRng::seed_from_u64(seed);
    let world = world(database).await;
    let mut cast = Cast::new(&mut dice, quorum);
    for round in 0..=rounds {
        let settings = settings(world.dir(), database, RINGS[round as usize % 2]);
        let served = start(&settings).await;
        let mut present = cast.come_back(&served).await;
        cast.ask_again(&mut present).await;
        cast.agree(&served, &mut present).await;
        if round < rounds {
            let answers = dice.random_range(20..200);
            cast.ask_until(present, answers, || served.kill()).await;
            continue;
        }
        cast.compare_with_replays(&served).await;
        let second = Served::command("serve", &settings).output().unwrap();
        let said = String::from_utf8_lossy(&second.stderr);
        assert!(!second.status.success() && said.contains("in use by another process"), "{said}");
        served.kill();
        let verified = Served::command("verify", &settings).output().unwrap();
        assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stderr));
    }
    cast.require_some_of_everything(rounds);
}
