//! Exports as the engine sees them: who may order and see which, how many, how long.

use countersign::access::operation::Operation;
use countersign::access::principal::Principal;
use countersign::access::scope::{Scope, ScopeSet};
use countersign::domain::exports::{Format, Report};
use countersign::domain::ids::ExportId;
use countersign::domain::limits::{EXPORT_US, EXPORTS_MAX, EXPORTS_OPEN_MAX};
use countersign::domain::time::{Moment, Period};
use countersign::engine::command::Command;
use countersign::engine::exports::{Export, RequestedExport};
use countersign::engine::query::{Query, View};
use countersign::engine::reject::Code;
use countersign::engine::reply::Reply;
use countersign::engine::state::State;

use super::genesis::{key, other};
use super::world::{SECOND, Stage, bot, server};

/// All ledger entries, as CSV.
pub fn export(description: &str) -> Command {
    Command::AddExport(RequestedExport {
        report: Report::Ledgers,
        format: Format::Csv,
        columns: None,
        period: Period::ALWAYS,
        description: description.to_owned(),
    })
}

fn add(stage: &mut Stage, by: &Principal) -> Export {
    match stage.run(by, export("")).unwrap() {
        Reply::Export(export) => *export,
        other => panic!("{other:?}"),
    }
}

fn finish(export: &Export, rows: u64) -> Command {
    Command::FinishExport { export: export.id, started: export.created_at, rows }
}

fn seen(stage: &Stage, by: &Principal) -> Vec<ExportId> {
    match stage.ask(by, &Query::Exports(Operation::ExportStatus, None)).unwrap() {
        View::Exports(all) => all.iter().map(|export| export.id).collect(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_export_is_retrieved_once_it_is_made_and_ends_after_seven_days() {
    let mut stage = Stage::new(&[key(ScopeSet::ALL)], true);
    let export = add(&mut stage, &bot(1));
    assert_eq!(export.id.0, stage.state().seq.0, "it tells as of its own event");
    assert_eq!((export.from, export.until), (Moment(0), stage.now.plus_us(1)));
    let retrieve = Query::Exports(Operation::ExportRetrieve, Some(export.id));
    assert_eq!(stage.ask(&bot(1), &retrieve).unwrap_err().code, Code::ExportNotReady);
    assert_eq!(stage.refused(&bot(1), finish(&export, 3)), Code::PermissionDenied, "the server alone makes files");
    stage.tick(SECOND);
    stage.run(&server(), finish(&export, 3)).unwrap();
    let View::Exports(made) = stage.ask(&bot(1), &retrieve).unwrap() else { panic!("another view") };
    let made = made[0].made.unwrap();
    assert_eq!((made.started, made.completed, made.rows), (export.created_at, stage.now, 3));
    stage.tick(EXPORT_US - SECOND - 1);
    assert_eq!(seen(&stage, &bot(1)), [export.id]);
    stage.tick(1);
    assert_eq!(seen(&stage, &bot(1)), []);
    assert_eq!(stage.refused(&server(), finish(&export, 3)), Code::UnknownExport);
    let mut replayed = State::default();
    stage.events.iter().for_each(|(at, event)| replayed.apply(*at, event));
    assert_eq!(replayed.digest(), stage.state().digest());
}

#[test]
fn an_account_keeps_so_many_exports_and_an_organization_lets_so_many_wait() {
    let mut stage = Stage::new(&[key(ScopeSet::ALL), other()], true);
    for _ in 0..EXPORTS_OPEN_MAX {
        add(&mut stage, &bot(1));
    }
    assert_eq!(stage.refused(&bot(1), export("")), Code::LimitReached);
    // Another Organization's queue is its own.
    add(&mut stage, &bot(2));
    while seen(&stage, &bot(1)).len() < EXPORTS_MAX {
        let open: Vec<Export> =
            stage.state().exports.page(None).filter(|export| export.made.is_none()).cloned().collect();
        open.iter().for_each(|export| drop(stage.run(&server(), finish(export, 0)).unwrap()));
        add(&mut stage, &bot(1));
    }
    let last = *seen(&stage, &bot(1)).last().unwrap();
    assert_eq!(stage.refused(&bot(1), export("")), Code::LimitReached);
    stage.run(&bot(1), Command::RemoveExport(last)).unwrap();
    add(&mut stage, &bot(1));
}

#[test]
fn only_the_scope_orders_and_another_account_sees_nothing() {
    let wanted = [
        key(ScopeSet::of(&[Scope::ExportData])),
        key(ScopeSet::of(&[Scope::Query, Scope::QueryLedger, Scope::QueryClosedOrders])),
        other(),
    ];
    let mut stage = Stage::new(&wanted, true);
    let first = add(&mut stage, &bot(1));
    assert_eq!(stage.refused(&bot(2), export("")), Code::PermissionDenied);
    assert_eq!(seen(&stage, &bot(3)), []);
    assert_eq!(stage.refused(&bot(3), Command::RemoveExport(first.id)), Code::UnknownExport);
    assert_eq!(stage.ask(&bot(1), &Query::AllExports(None)).unwrap_err().code, Code::PermissionDenied);
}
