//! More load than the server can handle: how late accepted requests are, what is refused and how, and whether cancels
//! and votes, for which it keeps a reserve, get through.

use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::interval;

use crate::arrival::Arrival;
use crate::checks::Check;
use crate::error::LoadError;
use crate::figures::{ratio, to_f64};
use crate::member::Session;
use crate::publisher::Approvals;
use crate::record::{CANCELS, CANCELS_REFUSED, REFUSED, Series, UNSENT};
use crate::scenario::Overload;
use crate::side_thread::Beside;
use crate::signature::Nonces;
use crate::stage::{Stage, SystemUnderTest};

const AT: &str = "at capacity";
const BEYOND: &str = "beyond capacity";
const VOTES_REFUSED: &str = "votes refused";
/// Cast at intervals during the load.
const VOTES: u16 = 40;
/// The beginning of a refusal for lack of room, and the advice in it: when to retry.
const NO_ROOM: &str = "EService:";
const ADVICE: &str = "retry in";

/// Measures all rounds and concludes.
///
/// # Errors
/// The first measurement that fails.
pub async fn play(stage: &mut Stage, settings: &Overload) -> Result<(), LoadError> {
    let target = stage.target()?;
    let session = match Approvals::voter(target) {
        Ok(voter) => Some(Session::sign_in(target, voter).await?),
        Err(_) => None,
    };
    for round in 1..=stage.scenario.general.rounds {
        let (who, closed) = (SystemUnderTest::Countersign, Arrival::Closed { in_flight: settings.shape.in_flight });
        let load = stage.load(who, settings.shape, closed, &settings.mix)?;
        stage.measure(who, AT, round, &load).await?;
        let capacity = stage.record.series.last().map_or(0.0, |series| series.figures.per_second);
        let beyond = Arrival::open(capacity * settings.factor)?;
        let load = stage.load(who, settings.shape, beyond, &settings.mix)?;
        let voting = match &session {
            Some(session) => Some(voting(stage, settings, session.clone()).await?),
            None => None,
        };
        stage.measure(who, BEYOND, round, &load).await?;
        let votes = match voting {
            Some(voting) => Some(voting.stop().await?),
            None => None,
        };
        judge(stage, round, votes);
    }
    conclude(stage);
    Ok(())
}

fn conclude(stage: &mut Stage) {
    stage.conclude("accepted beyond capacity / at capacity", |round| round.throughput(BEYOND, AT));
    stage.conclude("p99 of what is accepted beyond capacity, ms", |round| {
        Some(round.get(BEYOND)?.figures.p99_us? / 1_000.0)
    });
    stage.conclude("refused / accepted", |round| {
        let beyond = round.get(BEYOND)?;
        // Requests never sent are among the latencies, at their age.
        ratio(reported(beyond, REFUSED), to_f64(beyond.count) - reported(beyond, UNSENT))
    });
    // Summed over all rounds: a median would lose those of a single round.
    let of_all = |name| {
        let beyond = stage.record.series.iter().filter(|series| series.name == BEYOND);
        beyond
            .filter_map(|series| series.extra.get(name))
            .fold(None, |sum: Option<f64>, of| Some(sum.unwrap_or(0.0) + of))
    };
    let (cancels, votes) = (of_all(CANCELS_REFUSED).unwrap_or(0.0), of_all(VOTES_REFUSED));
    stage.conclude(CANCELS_REFUSED, |_| Some(cancels));
    stage.conclude(VOTES_REFUSED, |_| votes);
}

fn reported(series: &Series, name: &str) -> f64 {
    series.extra.get(name).copied().unwrap_or(0.0)
}

/// The results of the votes.
#[derive(Debug, Default)]
struct Votes {
    cast: u64,
    refused: u64,
}

/// Adds the checks of an overload. If nothing was refused, or no cancel was sent, the run shows nothing.
fn judge(stage: &mut Stage, round: u32, votes: Option<Votes>) {
    let series = stage.record.series.last_mut().expect("a measurement was added");
    let voted = match votes {
        Some(Votes { cast, refused }) => {
            series.extra.extend([("votes".to_owned(), to_f64(cast)), (VOTES_REFUSED.to_owned(), to_f64(refused))]);
            Check { looked_at: cast, ..Check::new("votes are cast") }
        }
        None => Check::skipped("votes: no Member is in the keys file"),
    };
    let checks = [advised(series), canceled(series), voted];
    stage.record.checks.extend(checks.map(|check| Check { name: format!("round {round}: {}", check.name), ..check }));
}

/// Something was refused for lack of room, and every such refusal says when to retry. An amend after a refused amend
/// may be refused as well, since it changes nothing.
fn advised(series: &Series) -> Check {
    let mut check = Check::new("every refusal for want of room says when to try again");
    for (error, count) in series.refusals.iter().filter(|(error, _)| error.starts_with(NO_ROOM)) {
        check.looked_at += count;
        if !error.contains(ADVICE) {
            check.violations += count;
            check.reported.push(format!("{count} x {error}"));
        }
    }
    check
}

/// Checks that cancels were among the requests.
fn canceled(series: &Series) -> Check {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count")]
    let sent = (reported(series, CANCELS) + reported(series, CANCELS_REFUSED)) as u64;
    Check { looked_at: sent, ..Check::new("cancels are sent") }
}

/// Withdrawals to vote on, and the votes, spread over the load.
async fn voting(stage: &Stage, settings: &Overload, session: Session) -> Result<Beside<Votes>, LoadError> {
    let (target, withdrawal) = (stage.target()?.clone(), settings.withdrawal.clone());
    let timing = stage.scenario.general.timing();
    let every = (timing.warm_up + timing.window) / u32::from(VOTES);
    let prepare = async move {
        // Later than every nonce that the orders' connections have used.
        let mut approvals = Approvals::open(&target, &mut Nonces::default(), &session, &withdrawal).await?;
        approvals.ask(VOTES).await?;
        Ok(approvals)
    };
    Beside::start("votes", prepare, move |approvals, stopped| vote(approvals, every, stopped)).await
}

async fn vote(
    mut approvals: Approvals,
    every: Duration,
    mut stopped: oneshot::Receiver<()>,
) -> Result<Votes, LoadError> {
    let (mut next, mut votes) = (interval(every), Votes::default());
    loop {
        tokio::select! {
            _ = &mut stopped => break,
            _ = next.tick() => {}
        }
        let Some(voted) = approvals.vote().await else { break };
        match voted {
            Ok(()) => {}
            Err(LoadError::Refused { .. }) => votes.refused += 1,
            Err(error) => return Err(error),
        }
        votes.cast += 1;
    }
    // Requests that still wait would keep funds held.
    while let Some(voted) = approvals.vote().await {
        voted?;
    }
    Ok(votes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figures::{Figures, latency_histogram};

    fn beyond(refusals: &[(&str, u64)], extra: &[(&str, f64)]) -> Series {
        let mut series = Series::of_latencies(BEYOND, 1, Figures::default(), &latency_histogram());
        series.refusals.extend(refusals.iter().map(|(error, count)| ((*error).to_owned(), *count)));
        series.extra.extend(extra.iter().map(|(name, value)| ((*name).to_owned(), *value)));
        series
    }

    #[test]
    fn a_load_that_is_not_refused_or_refused_without_advice_does_not_pass() {
        let (full, other) = (("EService:Unavailable: retry in 100 ms", 7), ("EGeneral:Invalid arguments:order_qty", 1));
        for (refusals, looked_at, violations) in
            [(&[][..], 0, 0), (&[other], 0, 0), (&[full, other], 7, 0), (&[full, ("EService:Unavailable", 3)], 10, 3)]
        {
            let check = advised(&beyond(refusals, &[]));
            assert_eq!((check.looked_at, check.violations), (looked_at, violations), "{check}");
            assert_eq!(check.holds(), looked_at == 7, "{check}");
        }
    }

    #[test]
    fn a_load_without_a_cancel_does_not_pass() {
        for (extra, looked_at) in [(&[][..], 0), (&[(CANCELS, 9.0)], 9), (&[(CANCELS_REFUSED, 8.0)], 8)] {
            let check = canceled(&beyond(&[], extra));
            assert_eq!((check.looked_at, check.holds()), (looked_at, looked_at > 0), "{check}");
        }
    }
}
