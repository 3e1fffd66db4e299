//! Whose files are in progress, with tables that are behind the journal as long as the test likes.

use std::future::pending;
use std::pin::pin;

use futures::poll;

use super::super::tests::export;
use super::*;
use crate::domain::ids::Seq;
use crate::engine::event::Event;
use crate::engine::exports::ExportChange;
use crate::gateway::test_gateway::TestGateway;
use crate::history::QUERY_TIMEOUT;
use crate::sequencer::Stamped;

/// An export of this Organization.
fn of(organization: u32, id: u64) -> Export {
    Export { id: ExportId(id), organization: OrganizationId(organization), ..export() }
}

fn added(export: Export) -> Event {
    Event::ExportChanged { export: Box::new(export), change: ExportChange::Added }
}

/// A server with these exports, whose tables are behind, and its maker.
async fn ordered(exports: impl Iterator<Item = Export>) -> (TestGateway, Maker) {
    let mut server = TestGateway::new().await;
    tokio::time::resume();
    tokio::spawn(server.sequencer.take().unwrap().run(pending()));
    let genesis = Command::Genesis(exports.map(added).collect());
    server.gateway.ask(Principal::SERVER, Work::Command(genesis)).await.unwrap();
    let maker = Maker::of(Arc::clone(&server.gateway));
    (server, maker)
}

/// Lets the tables follow up to this event of the genesis.
fn follow(server: &mut TestGateway, seq: u64) {
    let (by, event) = (Principal::SERVER.actor, added(of(1, seq)));
    let stamped = Stamped { seq: Seq(seq), at: (server.gateway.clock)(), by, rate: None, event };
    server.history_feed.as_mut().unwrap().feed(&Arc::new(vec![Arc::new(stamped)]));
}

/// Waits until as many exports are made; meanwhile never more than admitted are in progress.
async fn made(gateway: &Gateway, count: usize) {
    let all = async {
        loop {
            let query = Work::Query(Query::AllExports(None));
            let Ok(Answer::View(View::Exports(all))) = gateway.ask(Principal::SERVER, query).await else { panic!() };
            assert!(in_progress(gateway) <= IN_PROGRESS_MAX, "{}", in_progress(gateway));
            if all.iter().filter(|export| export.made.is_some()).count() == count {
                return;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(60), all).await.expect("they are made");
}

fn in_progress(gateway: &Gateway) -> usize {
    gateway.exports.progress.lock().len()
}

#[tokio::test]
async fn of_many_organizations_a_few_have_a_file_in_progress_and_all_get_theirs() {
    let many = 3 * IN_PROGRESS_MAX as u64;
    let (mut server, mut maker) = ordered((1..=many).map(|id| of(id as u32, id))).await;
    maker.turn().await.unwrap();
    assert_eq!(in_progress(&server.gateway), IN_PROGRESS_MAX);
    follow(&mut server, many);
    tokio::select! {
        () = maker.run() => {}
        () = made(&server.gateway, many as usize) => {}
    }
}

#[tokio::test]
async fn a_page_for_which_history_is_busy_holds_up_no_other_organization() {
    // The tables never get as far as the first one's.
    let (mut server, mut maker) = ordered([of(1, 1_000_000), of(2, 2)].into_iter()).await;
    maker.turn().await.unwrap();
    let mut run = pin!(maker.run());
    assert!(poll!(&mut run).is_pending());
    follow(&mut server, 2);
    tokio::time::pause();
    tokio::time::advance(QUERY_TIMEOUT).await;
    tokio::time::resume();
    let gateway = &server.gateway;
    // The engine knows that one is made before the maker shows what it still has in progress: the first one's.
    let one_left = async {
        made(gateway, 1).await;
        while in_progress(gateway) != 1 {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        () = run => {}
        left = tokio::time::timeout(Duration::from_secs(60), one_left) => left.expect("the first one goes on later"),
    }
}

#[tokio::test]
async fn organizations_take_turns_however_much_one_orders() {
    let others = 2..=IN_PROGRESS_MAX as u32 + 1;
    let exports = (1..=5).map(|id| of(1, id)).chain(others.clone().map(|id| of(id, u64::from(id) + 10)));
    let (_server, mut maker) = ordered(exports).await;
    maker.turn().await.unwrap();
    assert_eq!(maker.next().map(|export| export.organization), Some(OrganizationId(*others.end())));
    // The first one's file ends; its next one comes after everybody else's.
    maker.places.remove(&OrganizationId(1));
    maker.begin().await;
    assert!(maker.places.contains_key(&OrganizationId(*others.end())));
    maker.places.remove(&OrganizationId(2));
    assert_eq!(maker.next().map(|export| export.id), Some(ExportId(1)));
}
