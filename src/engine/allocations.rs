//! `earn_allocate` and `earn_deallocate`: taken from spot immediately, journalled before the reply, never queued and
//! under no policy (rule 33). What takes time after that is a stage; Tick advances it.

use super::caller::ServiceCaller;
use super::earn::{EarnOperation, EarnStep, Position, Strategy};
use super::event::Event;
use super::fields::positive;
use super::ledger::{Movement, Party, Posting, Wallet};
use super::reject::{Code, Reject};
use super::reply::Reply;
use super::state::State;
use super::transition::Transition;
use crate::domain::decimal::Decimal;
use crate::domain::ids::{EarnOperationId, StrategyId};
use crate::domain::limits::EARN_STAGES_MAX;
use crate::domain::money::Amount;
use crate::domain::text::ClientId;
use crate::domain::time::Moment;

/// What `earn_allocate` and `earn_deallocate` ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EarnMove {
    /// In which strategy.
    pub strategy: StrategyId,
    /// The amount.
    pub amount: Decimal,
    /// Into Earn, or out of it.
    pub allocate: bool,
    /// Whether rewards are compounded from now on, where the strategy lets the account choose.
    pub auto_compound: Option<bool>,
    /// The caller's own id.
    pub client_id: Option<ClientId>,
}

/// `earn_allocate` and `earn_deallocate`.
pub fn operate(t: &mut Transition<'_>, caller: ServiceCaller, request: &EarnMove) -> Result<Reply, Reject> {
    let strategy = t.state().earn.find(request.strategy)?.clone();
    let decimals = t.state().reference.asset(strategy.asset).decimals;
    let amount = Amount(positive(request.amount, decimals, "amount")?);
    if let Some(first) = request.client_id.and_then(|id| t.state().earn.find_by_client_id(caller.id, id)) {
        let into = matches!(first.step, EarnStep::Bonding(_) | EarnStep::Allocated);
        let same = first.strategy == strategy.id
            && first.amount == amount
            && into == request.allocate
            && first.auto_compound == request.auto_compound;
        return match same {
            true => Ok(Reply::Earned(Box::new(first.clone()))),
            false => Err(Reject::field(Code::ClientIdNotUnique, "client_id", "it names another operation")),
        };
    }
    let step = match request.allocate {
        true => strategy.lock.first_allocation_step(t.now()),
        false => strategy.lock.first_deallocation_step(t.now()),
    };
    check(t.state(), caller, &strategy, (amount, step), request, t.now())?;
    finish_stages(t, caller, &strategy);
    let operation = EarnOperation {
        id: EarnOperationId(t.next_seq().0),
        organization: caller.organization,
        account: caller.account,
        service_user: Some(caller.id),
        strategy: strategy.id,
        asset: strategy.asset,
        amount,
        step,
        auto_compound: request.auto_compound,
        client_id: request.client_id,
        at: t.now(),
    };
    let (spot, earn) = (Wallet::Main, strategy.lock.wallet());
    let postings = match step {
        EarnStep::Bonding(_) | EarnStep::Allocated => moved(t.state(), &operation, spot, earn),
        EarnStep::Deallocated => moved(t.state(), &operation, earn, spot),
        _ => Vec::new(),
    };
    t.emit(Event::Earned { operation: Box::new(operation.clone()), postings });
    Ok(Reply::Earned(Box::new(operation)))
}

/// Checks rights, minimum, caps, room and funds. Stages that are over by now count as done (rule 39).
fn check(
    state: &State,
    caller: ServiceCaller,
    strategy: &Strategy,
    (amount, first_step): (Amount, EarnStep),
    request: &EarnMove,
    now: Moment,
) -> Result<(), Reject> {
    if request.allocate && !strategy.admits(caller.organization) {
        return Err(Reject::of(Code::EarnTier));
    }
    if request.auto_compound.is_some() && !strategy.leaves_a_choice() {
        return Err(Reject::invalid("auto_compound", "the strategy leaves no choice"));
    }
    let nothing = Position::default();
    let position = state.earn.position(strategy.id, caller.account).unwrap_or(&nothing);
    let by = |step| strategy.lock.by(step, now);
    let earning = position.earning(strategy, now);
    if amount < strategy.min && (request.allocate || amount != earning) {
        return Err(Reject::of(Code::EarnBelowMinimum));
    }
    if request.allocate {
        check_caps(state, strategy, position, amount)?;
    }
    // What is on its way in does not bar the way out, nor the other way round.
    let bonding = |step| matches!(step, EarnStep::Bonding(_));
    let on_its_way = |step: EarnStep| step.until().is_some() && bonding(step) == request.allocate;
    let waits = first_step.until().is_some();
    if waits && position.stages.values().filter(|of| on_its_way(by(of.step))).count() >= EARN_STAGES_MAX {
        return Err(Reject::of(Code::EarnBusy));
    }
    let back = position.staged(|step| by(step) == EarnStep::Deallocated);
    let spot = state.ledger.available(caller.account, strategy.asset).saturating_add(back);
    let available = if request.allocate { spot } else { earning };
    if amount <= available {
        return Ok(());
    }
    let bonding = position.staged(|step| bonding(by(step)));
    match !request.allocate && amount <= earning.saturating_add(bonding) {
        true => Err(Reject::of(Code::EarnInProgress)),
        false => Err(Reject::of(Code::EarnInsufficientFunds)),
    }
}

/// Checks the caps of one account and of all accounts together.
fn check_caps(state: &State, strategy: &Strategy, position: &Position, amount: Amount) -> Result<(), Reject> {
    let above = |committed: Amount, cap: Amount| committed.checked_add(amount).is_none_or(|sum| sum > cap);
    if strategy.user_cap.is_some_and(|cap| above(position.committed(), cap)) {
        return Err(Reject::of(Code::EarnAboveUserCap));
    }
    if strategy.total_cap.is_some_and(|cap| above(state.earn.committed(strategy.id), cap)) {
        return Err(Reject::of(Code::EarnAboveTotalCap));
    }
    Ok(())
}

fn moved(state: &State, operation: &EarnOperation, from: Wallet, to: Wallet) -> Vec<Posting> {
    let (account, asset, amount) = (operation.account, operation.asset, operation.amount);
    Movement::new(&state.ledger)
        .post(Party::Account(account, from), asset, -amount, Amount::ZERO)
        .post(Party::Account(account, to), asset, amount, Amount::ZERO)
        .postings()
}

/// First completes the caller's stages that are over, in the same journal entry.
fn finish_stages(t: &mut Transition<'_>, caller: ServiceCaller, strategy: &Strategy) {
    let now = t.now();
    let over = |state: &State| {
        let position = state.earn.position(strategy.id, caller.account)?;
        position.stages.values().find(|of| of.step.until().is_some_and(|until| until <= now)).cloned()
    };
    while let Some(operation) = over(t.state()) {
        advance(t, operation);
    }
}

/// Moves an operation on to its next step.
fn advance(t: &mut Transition<'_>, operation: EarnOperation) {
    let lock = t.state().earn.strategy(operation.strategy).lock;
    let operation = EarnOperation { step: lock.next(operation.step), at: t.now(), ..operation };
    let postings = match operation.step {
        EarnStep::Deallocated => moved(t.state(), &operation, lock.wallet(), Wallet::Main),
        _ => Vec::new(),
    };
    t.emit(Event::Earned { operation: Box::new(operation), postings });
}

/// Advances every stage that is over by now; after a long stop an operation may take several steps.
pub fn tick(t: &mut Transition<'_>) {
    while !t.is_long()
        && let Some(operation) = t.state().earn.due(t.now()).cloned()
    {
        advance(t, operation);
    }
}
