//! Withdrawal addresses and withdrawals: held, queued, decided, released to custody, settled or failed.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::approvals::{Initiator, InitiatorId, RequestState};
use super::caller::ServiceCaller;
use super::command::{CustodyResult, Withdraw};
use super::decisions;
use super::event::Event;
use super::fields::{self, check_comment, check_txid};
use super::ledger::{Ledger, Movement, Party, Wallet};
use super::policy::Subject;
use super::query::WithdrawInfo;
use super::reject::{Code, Reject};
use super::reply::Reply;
use super::rolling_totals::RollingTotals;
use super::state::State;
use super::transfers::{Transfer, Transfers, amount, find_asset};
use super::transition::Transition;
use super::workflows::withdrawal::WithdrawalChange;
use super::workflows::{Change, Governed as _, InitiationContext};
use crate::domain::assets::Asset;
use crate::domain::decimal::units_text;
use crate::domain::ids::{AccountId, AssetId, OrganizationId, RequestId, ServiceUserId, WithdrawalId};
use crate::domain::limits::WITHDRAWALS_OPEN_MAX;
use crate::domain::money::Amount;
use crate::domain::text::ClientId;
use crate::domain::time::Moment;

/// An approved withdrawal address; its name (`key`) is unique per asset and Organization (rule 26).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct WithdrawalAddress {
    /// Its name, v2's withdraw key.
    pub key: String,
    /// The method it is for.
    pub method: String,
    /// The address itself.
    pub address: String,
    /// Tag or memo.
    pub tag: Option<String>,
}

/// An address in the list of an Organization.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListedAddress {
    /// Of which asset.
    pub asset: AssetId,
    /// The address.
    pub address: WithdrawalAddress,
    /// Its cool-down ends here.
    pub usable_at: Moment,
}

/// Where a withdrawal is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum WithdrawalStatus {
    /// In the approval queue; funds held.
    Initial,
    /// Released to custody; debited.
    Pending,
    /// Paid.
    Success,
    /// Ended before its release: canceled, rejected, expired or failed to carry out. The hold is gone.
    Canceled,
    /// Custody could not pay; the debit was reversed.
    Returned,
}

/// A withdrawal as it is now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Withdrawal {
    /// Its `refid`.
    pub id: WithdrawalId,
    /// The Organization.
    pub organization: OrganizationId,
    /// From which account.
    pub account: AccountId,
    /// The Service User that asked, if one did.
    pub service_user: Option<ServiceUserId>,
    /// Of which asset.
    pub asset: AssetId,
    /// Gross: what is held and debited (rule 32).
    pub amount: Amount,
    /// The fee within `amount`.
    pub fee: Amount,
    /// The address as it was resolved when asked for.
    pub address: WithdrawalAddress,
    /// The network of the asset's method.
    pub network: String,
    /// The asker's own id, kept for ever.
    pub client_id: Option<ClientId>,
    /// The request in the approval queue.
    pub request: Option<RequestId>,
    /// When it was asked for.
    pub created_at: Moment,
    /// Its status.
    pub status: WithdrawalStatus,
    /// Why it ended, for `info`.
    pub reason: Option<String>,
    /// Custody's transaction id, once it is paid.
    pub txid: Option<String>,
    /// Still held for it.
    pub held: Amount,
}

impl Transfer for Withdrawal {
    const KIND: &'static str = "withdrawal";

    fn id(&self) -> u64 {
        self.id.0
    }

    fn account(&self) -> AccountId {
        self.account
    }

    fn asset(&self) -> AssetId {
        self.asset
    }

    fn method(&self) -> &str {
        &self.address.method
    }

    fn created_at(&self) -> Moment {
        self.created_at
    }

    fn is_open(&self) -> bool {
        matches!(self.status, WithdrawalStatus::Initial | WithdrawalStatus::Pending)
    }
}

/// The state of a withdrawal: what replies contain, and all that is kept for ever once it has ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WithdrawalSummary {
    /// Its `refid`.
    pub id: WithdrawalId,
    /// From which account.
    pub account: AccountId,
    /// Its status.
    pub status: WithdrawalStatus,
    /// The request in the approval queue.
    pub request: Option<RequestId>,
    /// Custody's transaction id, if it gave one.
    pub txid: Option<String>,
}

impl WithdrawalSummary {
    fn of(withdrawal: &Withdrawal) -> WithdrawalSummary {
        let Withdrawal { id, account, status, request, .. } = *withdrawal;
        WithdrawalSummary { id, account, status, request, txid: withdrawal.txid.clone() }
    }
}

/// What a `client_id` stands for; kept for ever (rule 30).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct IssuedClientId {
    id: WithdrawalId,
    asset: AssetId,
    amount: Amount,
    fee: Amount,
    key: String,
    address: String,
}

/// All addresses and open withdrawals, and the part of ended ones that can still be asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Withdrawals {
    addresses: BTreeMap<(OrganizationId, AssetId, String), ListedAddress>,
    transfers: Transfers<Withdrawal>,
    ended: BTreeMap<WithdrawalId, WithdrawalSummary>,
    by_client_id: BTreeMap<(ServiceUserId, ClientId), IssuedClientId>,
    with_custody: BTreeSet<WithdrawalId>,
    totals: RollingTotals,
}

impl Withdrawals {
    /// Applies an event; holds follow the withdrawal's `held`.
    pub fn apply(&mut self, event: &Event, ledger: &mut Ledger) {
        match event {
            Event::AddressAdded { organization, asset, address, usable_at } => {
                let key = (*organization, *asset, address.key.clone());
                let listed = ListedAddress { asset: *asset, address: address.clone(), usable_at: *usable_at };
                self.addresses.insert(key, listed);
            }
            Event::AddressRemoved { organization, asset, key } => {
                self.addresses.remove(&(*organization, *asset, key.clone()));
            }
            Event::WithdrawalChanged { withdrawal, .. } => self.changed(withdrawal, ledger),
            _ => {}
        }
    }

    fn changed(&mut self, new: &Withdrawal, ledger: &mut Ledger) {
        let before = self.transfers.put(new);
        let held = before.as_ref().map_or(Amount::ZERO, |before| before.held);
        ledger.hold(new.account, new.asset, new.held.saturating_sub(held));
        match new.status {
            WithdrawalStatus::Pending => self.with_custody.insert(new.id),
            _ => self.with_custody.remove(&new.id),
        };
        if before.is_none() {
            self.totals.add(new);
            if let (Some(asker), Some(client_id)) = (new.service_user, new.client_id) {
                let Withdrawal { id, asset, amount, fee, .. } = *new;
                let (key, address) = (new.address.key.clone(), new.address.address.clone());
                self.by_client_id.insert((asker, client_id), IssuedClientId { id, asset, amount, fee, key, address });
            }
        }
        if matches!(new.status, WithdrawalStatus::Canceled | WithdrawalStatus::Returned) {
            self.totals.remove(new);
        }
        if !new.is_open() {
            self.ended.insert(new.id, WithdrawalSummary::of(new));
        }
    }

    /// The approved address of that name, if its cool-down is over (rule 26).
    pub fn address(
        &self,
        organization: OrganizationId,
        asset: AssetId,
        key: &str,
        now: Moment,
    ) -> Result<&WithdrawalAddress, Reject> {
        let found = self.listed(organization, asset, key).filter(|listed| listed.usable_at <= now);
        let unknown = || Reject::field(Code::UnknownWithdrawKey, "key", "name an approved address of the asset");
        found.map(|listed| &listed.address).ok_or_else(unknown)
    }

    /// The address of that name, whether or not its cool-down is over.
    pub fn listed(&self, organization: OrganizationId, asset: AssetId, key: &str) -> Option<&ListedAddress> {
        self.addresses.get(&(organization, asset, key.to_owned()))
    }

    /// The addresses of an Organization, of one asset or all.
    pub fn addresses(
        &self,
        organization: OrganizationId,
        asset: Option<AssetId>,
    ) -> impl Iterator<Item = &ListedAddress> {
        let from = (organization, AssetId(0), String::new());
        let all = self.addresses.range(from..).take_while(move |((of, ..), _)| *of == organization);
        all.map(|(_, listed)| listed).filter(move |listed| asset.is_none_or(|asset| asset == listed.asset))
    }

    /// An open withdrawal.
    pub fn get(&self, id: WithdrawalId) -> Option<&Withdrawal> {
        self.transfers.get(id.0)
    }

    /// The state of a withdrawal, open or ended.
    pub fn summary(&self, id: WithdrawalId) -> Option<WithdrawalSummary> {
        self.get(id).map(WithdrawalSummary::of).or_else(|| self.ended.get(&id).cloned())
    }

    /// Open withdrawals, and the snapshot of an account's channel.
    pub fn transfers(&self) -> &Transfers<Withdrawal> {
        &self.transfers
    }

    /// Whether a Service User's own id was given to a withdrawal.
    pub fn knows_client_id(&self, asker: ServiceUserId, client_id: ClientId) -> bool {
        self.by_client_id.contains_key(&(asker, client_id))
    }

    /// Withdrawals released to custody and not settled yet, oldest first (rule 37).
    pub fn pending_custody(&self) -> Vec<Withdrawal> {
        self.with_custody.iter().filter_map(|id| self.get(*id).cloned()).collect()
    }
}

/// `withdraw`: the funds are held at once, then the policy decides (rules 18, 31, 32).
pub fn withdraw(t: &mut Transition<'_>, caller: ServiceCaller, withdraw: &Withdraw) -> Result<Reply, Reject> {
    let Withdraw { change, client_id, .. } = withdraw;
    let state = t.state();
    let asset = find_asset(state, &change.asset)?;
    if let Some(first) = client_id.and_then(|id| state.withdrawals.by_client_id.get(&(caller.id, id))) {
        let same = (asset.id, amount(change.amount, asset)?, &change.key) == (first.asset, first.amount, &first.key);
        let summary = state.withdrawals.summary(first.id).filter(|_| same);
        let other = || Reject::field(Code::ClientIdNotUnique, "client_id", "it names another withdrawal");
        let summary = summary.ok_or_else(other)?;
        admits(withdraw, asset, first.fee, &first.address)?;
        return Ok(Reply::Withdrawal(Box::new(summary)));
    }
    let resolved = state.withdrawals.address(caller.organization, asset.id, &change.key, t.now())?;
    admits(withdraw, asset, asset.withdrawal_fee, &resolved.address)?;
    let context = InitiationContext {
        organization: caller.organization,
        account: caller.account,
        initiator: Initiator::ServiceUser(caller.id, state.keys.service_user(caller.id).name.clone()),
        client_id: *client_id,
        generated: None,
        strand_pending: false,
    };
    let change = Change::Withdrawal(change.clone());
    let (draft, verdict) = decisions::judge(t, &change, &context, false)?;
    let request = decisions::open(t, change, context, draft, verdict, false);
    let made = request.withdrawal.and_then(|id| t.state().withdrawals.summary(id));
    made.map(|summary| Reply::Withdrawal(Box::new(summary))).ok_or_else(|| Reject::of(Code::UnknownReference))
}

/// Refuses a withdrawal whose fee is above what was asked for, or that goes to another address.
fn admits(withdraw: &Withdraw, asset: &Asset, fee: Amount, to: &str) -> Result<(), Reject> {
    if let Some(most) = withdraw.max_fee
        && fee.0 > fields::units(most, asset.decimals, "max_fee")?
    {
        return Err(Reject::field(
            Code::MaxFee,
            "max_fee",
            format!("the fee is {}", units_text(fee.0, asset.decimals)),
        ));
    }
    match &withdraw.address {
        Some(address) if address != to => {
            Err(Reject::field(Code::OtherAddress, "address", "it is not the one that the key names"))
        }
        _ => Ok(()),
    }
}

/// The record of a withdrawal about to be asked for, with its address resolved and its funds checked.
pub fn planned(
    t: &Transition<'_>,
    context: &InitiationContext,
    change: &WithdrawalChange,
) -> Result<Withdrawal, Reject> {
    let state = t.state();
    let (organization, account) = (context.organization, context.account);
    if state.withdrawals.transfers.open_count(account) >= WITHDRAWALS_OPEN_MAX {
        let advice = format!("at most {WITHDRAWALS_OPEN_MAX} open withdrawals; wait until custody has settled some");
        return Err(Reject::advised(Code::LimitReached, advice));
    }
    let asset = find_asset(state, &change.asset)?;
    let address = state.withdrawals.address(organization, asset.id, &change.key, t.now())?.clone();
    let amount = gross(change, asset)?;
    if state.ledger.available(account, asset.id) < amount {
        return Err(Reject::of(Code::FundingInsufficient));
    }
    Ok(Withdrawal {
        id: WithdrawalId(t.next_seq().0),
        organization,
        account,
        service_user: match context.initiator {
            Initiator::ServiceUser(id, _) => Some(id),
            Initiator::Member(..) => None,
        },
        asset: asset.id,
        amount,
        fee: asset.withdrawal_fee,
        address,
        network: asset.network.clone(),
        client_id: context.client_id,
        request: None,
        created_at: t.now(),
        status: WithdrawalStatus::Initial,
        reason: None,
        txid: None,
        held: amount,
    })
}

/// The amount asked for, if it may be withdrawn.
fn gross(change: &WithdrawalChange, asset: &Asset) -> Result<Amount, Reject> {
    let amount = amount(change.amount, asset)?;
    if amount < asset.least_withdrawal() {
        return Err(Reject::field(Code::InvalidFundingAmount, "amount", "below the asset's least withdrawal"));
    }
    Ok(amount)
}

/// What the rules of a policy are matched against, for a withdrawal that is not recorded yet.
pub fn subject(
    state: &State,
    (account, asset, amount): (AccountId, AssetId, Amount),
    key: &str,
    initiator: InitiatorId,
    now: Moment,
) -> Subject {
    let before = state.withdrawals.totals.of(account, asset, now);
    let of = state.reference.asset(asset);
    let total_24h = before.saturating_add(amount);
    Subject { asset: of.code, decimals: of.decimals, amount, total_24h, key: key.to_owned(), initiator }
}

/// Debits a withdrawal and hands it to custody: `Initial` → `Pending` (rule 32).
pub fn release(t: &mut Transition<'_>, id: WithdrawalId) {
    let Some(withdrawal) = t.state().withdrawals.get(id).cloned() else { return };
    let (amount, fee) = (withdrawal.amount, withdrawal.fee);
    let postings = Movement::new(&t.state().ledger)
        .post(Party::Account(withdrawal.account, Wallet::Main), withdrawal.asset, -amount, fee)
        .post(Party::InTransit, withdrawal.asset, Amount(amount.0 - fee.0), Amount::ZERO)
        .post(Party::Fees, withdrawal.asset, fee, Amount::ZERO)
        .postings();
    let withdrawal = Withdrawal { status: WithdrawalStatus::Pending, held: Amount::ZERO, ..withdrawal };
    t.emit(Event::WithdrawalChanged { withdrawal: Box::new(withdrawal), postings });
}

/// Ends a withdrawal that was not released, and frees its hold.
pub fn cancel_unreleased(t: &mut Transition<'_>, id: WithdrawalId, reason: &str) {
    let Some(withdrawal) = t.state().withdrawals.get(id).cloned() else { return };
    let withdrawal = Withdrawal {
        status: WithdrawalStatus::Canceled,
        reason: Some(reason.to_owned()),
        held: Amount::ZERO,
        ..withdrawal
    };
    t.emit(Event::WithdrawalChanged { withdrawal: Box::new(withdrawal), postings: Vec::new() });
}

/// `withdraw_cancel`: works until the release and while the request has time, afterwards answers `false` (rules 32, 39).
/// A Member's request can be canceled by that Member only.
pub fn cancel(t: &mut Transition<'_>, caller: ServiceCaller, id: WithdrawalId) -> Result<Reply, Reject> {
    let found = t.state().withdrawals.summary(id).filter(|found| found.account == caller.account);
    let unknown = || Reject::field(Code::UnknownReference, "refid", "name a withdrawal of the account");
    let summary = found.ok_or_else(unknown)?;
    match (summary.status, summary.request) {
        (WithdrawalStatus::Initial, Some(request)) => {
            if t.state().withdrawals.get(id).is_some_and(|waiting| waiting.service_user.is_none()) {
                let advice = "a Member asked for it, who alone can cancel it";
                return Err(Reject::field(Code::PermissionDenied, "refid", advice));
            }
            let canceled = t.state().approvals.get(request).is_some_and(|request| request.is_open(t.now()));
            if canceled {
                decisions::end(t, caller.organization, request, RequestState::Canceled, "canceled by the account");
            }
            Ok(Reply::WithdrawalCanceled { id, canceled })
        }
        _ => Ok(Reply::WithdrawalCanceled { id, canceled: false }),
    }
}

/// `settle_withdrawal` and `fail_withdrawal`: repeating the result changes nothing, a different one is refused
/// (rule 37).
pub fn finish(t: &mut Transition<'_>, id: WithdrawalId, result: &CustodyResult) -> Result<Reply, Reject> {
    let unknown = || Reject::field(Code::UnknownReference, "refid", "name a withdrawal that was released to custody");
    let (status, failure, txid) = match result {
        CustodyResult::Settled { txid } => (WithdrawalStatus::Success, None, txid.as_deref()),
        CustodyResult::Failed { reason } => (WithdrawalStatus::Returned, Some(reason.as_str()), None),
    };
    check_comment("reason", failure)?;
    txid.map_or(Ok(()), check_txid)?;
    let summary = t.state().withdrawals.summary(id).ok_or_else(unknown)?;
    match summary.status {
        WithdrawalStatus::Initial | WithdrawalStatus::Canceled => return Err(unknown()),
        WithdrawalStatus::Pending => {}
        given if given == status && txid.is_none_or(|txid| summary.txid.as_deref() == Some(txid)) => {
            return Ok(Reply::Withdrawal(Box::new(summary)));
        }
        _ => return Err(Reject::field(Code::AlreadyFinished, "refid", "another result, or txid, was given before")),
    }
    let withdrawal = t.state().withdrawals.get(id).cloned().ok_or_else(unknown)?;
    let (amount, fee, asset) = (withdrawal.amount, withdrawal.fee, withdrawal.asset);
    let net = Amount(amount.0 - fee.0);
    let movement = Movement::new(&t.state().ledger).post(Party::InTransit, asset, -net, Amount::ZERO);
    let movement = match failure {
        None => movement.post(Party::Outside, asset, net, Amount::ZERO),
        Some(_) => movement.post(Party::Fees, asset, -fee, Amount::ZERO).post(
            Party::Account(withdrawal.account, Wallet::Main),
            asset,
            amount,
            Amount::ZERO,
        ),
    };
    let postings = movement.postings();
    let (reason, txid) = (failure.map(str::to_owned), txid.map(str::to_owned));
    let withdrawal = Withdrawal { status, reason, txid, ..withdrawal };
    let summary = WithdrawalSummary::of(&withdrawal);
    t.emit(Event::WithdrawalChanged { withdrawal: Box::new(withdrawal), postings });
    Ok(Reply::Withdrawal(Box::new(summary)))
}

/// A planned withdrawal: the fee, what is available and the approval that it would need.
pub fn info(
    state: &State,
    account: AccountId,
    change: &WithdrawalChange,
    initiator: InitiatorId,
    now: Moment,
) -> Result<WithdrawInfo, Reject> {
    let organization = state.members.organization_of(account);
    let asset = find_asset(state, &change.asset)?.clone();
    state.withdrawals.address(organization, asset.id, &change.key, now)?;
    let amount = gross(change, &asset)?;
    let subject = subject(state, (account, asset.id, amount), &change.key, initiator, now);
    let policy = change.governing(&state.policies, organization);
    let verdict = policy.map(|policy| policy.verdict(Some(&subject)));
    let limit = state.ledger.available(account, asset.id);
    Ok(WithdrawInfo { limit, amount, fee: asset.withdrawal_fee, verdict, asset })
}
