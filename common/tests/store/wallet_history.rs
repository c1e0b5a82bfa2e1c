//! Any history of a wallet leaves the ledger balanced, and the wallet equal to it.

use std::collections::BTreeMap;

use common::{
    id::{TenantId, WalletGrantId},
    money::Currency,
    store::Store,
    time::Micros,
    wallet::{GrantKind, NewWalletGrant, WalletPolicy},
};
use proptest::prelude::*;

use crate::{
    fixture::{Fixture, NOW, customer, root},
    wallet::{balance, new_grant, usd},
};

/// A step of a history. Grants and invoices are numbers, taken modulo how many there are.
#[derive(Debug, Clone)]
enum Step {
    Grant { minor: i64, is_paid: bool, priority: u8, days: Option<i64> },
    Use { minor: i64, invoice: usize },
    Return { invoice: usize },
    Void { grant: usize },
    Expire,
    Overdraft { minor: i64 },
    Wait { days: i64 },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (1..100_i64, any::<bool>(), 0..3_u8, prop::option::of(1..9_i64))
            .prop_map(|(minor, is_paid, priority, days)| Step::Grant { minor, is_paid, priority, days }),
        5 => (1..150_i64, 0..12_usize).prop_map(|(minor, invoice)| Step::Use { minor, invoice }),
        2 => (0..12_usize).prop_map(|invoice| Step::Return { invoice }),
        1 => (0..12_usize).prop_map(|grant| Step::Void { grant }),
        1 => Just(Step::Expire),
        1 => (0..80_i64).prop_map(|minor| Step::Overdraft { minor }),
        2 => (1..4_i64).prop_map(|days| Step::Wait { days }),
    ];
    prop::collection::vec(step, 1..40)
}

struct History {
    store: Store,
    issuer: TenantId,
    tenant: TenantId,
    now: Micros,
    grants: Vec<WalletGrantId>,
    /// The money that each invoice uses, and whether it was voided.
    invoices: BTreeMap<usize, (i64, bool)>,
    highest_overdraft: i64,
}

impl History {
    async fn step(&mut self, step: &Step) {
        match *step {
            Step::Grant { minor, is_paid, priority, days } => {
                let new = NewWalletGrant {
                    kind: if is_paid { GrantKind::Paid } else { GrantKind::Promotional },
                    priority,
                    expires_at: days.map(|days| self.now.plus_seconds(days * 86_400)),
                    ..new_grant(self.tenant, minor, &self.grants.len().to_string())
                };
                self.grants.push(self.store.grant_money(&new, self.now).await.unwrap().id);
            }
            Step::Use { minor, invoice } => {
                let name = format!("{}-{invoice}", self.tenant);
                let uses = self.store.use_money((self.issuer, self.tenant), usd(minor), &name, self.now).await.unwrap();
                let total: i64 = uses.iter().map(|used| used.amount.minor()).sum();
                match self.invoices.get(&invoice) {
                    Some((before, _)) => assert_eq!(total, *before),
                    None if total > 0 => {
                        assert!(total <= minor);
                        self.invoices.insert(invoice, (total, false));
                    }
                    None => {}
                }
            }
            Step::Return { invoice } => {
                self.store.return_money(&format!("{}-{invoice}", self.tenant), self.now).await.unwrap();
                if let Some((_, is_void)) = self.invoices.get_mut(&invoice) {
                    *is_void = true;
                }
            }
            Step::Void { grant } => {
                if let Some(id) = self.grants.get(grant) {
                    self.store.void_money(self.tenant, *id, "a slip", self.now).await.unwrap();
                }
            }
            Step::Expire => drop(self.store.expire_money(self.now).await.unwrap()),
            Step::Overdraft { minor } => {
                let policy = WalletPolicy { overdraft: usd(minor), top_up: None };
                let wallet = (None, self.tenant, Currency::USD);
                self.store.set_wallet_policy(wallet, &policy, self.now).await.unwrap();
                self.highest_overdraft = self.highest_overdraft.max(minor);
            }
            Step::Wait { days } => self.now = self.now.plus_seconds(days * 86_400),
        }
    }

    async fn check(&self) {
        // Also compares with the ledger, whose postings have to balance.
        let found = balance(&self.store, self.tenant).await;
        let page = common::store::PageRequest { after: None, limit: 1_000 };
        let grants = self.store.money_grants(self.tenant, page).await.unwrap().items;
        assert!(grants.iter().all(|grant| (0..=grant.amount.minor()).contains(&grant.left.minor())), "{grants:?}");
        assert!(grants.iter().all(|grant| grant.voided_at.is_none() || grant.left.is_zero()), "{grants:?}");
        assert!(found >= -self.highest_overdraft, "{found}");
        let owed: i64 = self.invoices.values().filter(|(_, is_void)| !is_void).map(|(used, _)| used).sum();
        let balances = self.store.balances(self.tenant).await.unwrap();
        let receivable = balances.iter().find(|balance| balance.account == common::ledger::Account::Receivable);
        assert_eq!(receivable.map_or(0, |balance| balance.amount.minor()), -owed);
        assert_eq!(balances.iter().map(|balance| balance.amount.minor()).sum::<i64>(), 0);
    }
}

fn run(fixture: &Fixture, cases: u32) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let (store, issuer) = runtime.block_on(async {
        let store = fixture.store().await;
        let issuer = root(&store).await.id;
        (store, issuer)
    });
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig { cases, ..ProptestConfig::default() });
    let checked = runner.run(&steps(), |steps| {
        runtime.block_on(async {
            let tenant = customer(&store, issuer).await;
            let (grants, invoices) = (Vec::new(), BTreeMap::new());
            let mut history =
                History { store: store.clone(), issuer, tenant, now: NOW, grants, invoices, highest_overdraft: 0 };
            for step in &steps {
                history.step(step).await;
            }
            history.check().await;
        });
        Ok(())
    });
    checked.unwrap();
    assert_eq!(runtime.block_on(store.wallet_faults()).unwrap(), []);
}

#[test]
fn sqlite_wallet_equals_ledger_after_any_history() {
    run(&Fixture::sqlite(), 32);
}

#[test]
fn postgres_wallet_equals_ledger_after_any_history() {
    run(&Fixture::postgres(), 16);
}
