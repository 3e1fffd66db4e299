//! SIGTERM under load: no outcome is unknown.

use rand::SeedableRng as _;
use rand::rngs::StdRng;

use super::load::End;
use super::scenario::{Cast, settings, start, world};

/// Stops and starts on the same data.
const STOPS: usize = 3;
/// After how many answers each stop comes: enough for all that is asked for rarely.
const ANSWERS: usize = 600;

/// D4-59. Whatever was answered exists after the restart, and whatever was not answered was never executed.
#[tokio::test]
async fn d4_59_a_signal_under_load_leaves_no_unknown_outcome() {
    let seed: u64 = rand::random();
    println!("seed {seed}");
    let world = world(None).await;
    let settings = settings(world.dir(), None, 4_096);
    let mut cast = Cast::new(&mut StdRng::seed_from_u64(seed), 1);
    for round in 0..=STOPS {
        let mut served = start(&settings).await;
        let mut present = cast.come_back(&served).await;
        cast.agree(&served, &mut present).await;
        if round == STOPS {
            cast.compare_with_replays(&served).await;
            break;
        }
        let ends = cast.ask_until(present, ANSWERS, || served.terminate()).await;
        let planned = End { code: 1012, reason: "planned restart".to_owned(), system: "maintenance".to_owned() };
        assert!(ends.iter().all(|end| *end == planned), "{ends:?}");
        assert!(served.ended().await.success());
        cast.forget_what_was_not_answered();
    }
    cast.require_some_of_everything(1);
}
