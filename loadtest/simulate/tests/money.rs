//! Histories of money, of the same seeds each time: `make simulate ARGS=--money` lives others.

use simulate::money::live_all;

#[test]
fn invoices_and_accounts_of_whole_histories_are_those_of_the_model() {
    let all = live_all(0..=15).unwrap_or_else(|failure| panic!("{failure}"));
    assert_eq!(all.tenant_months, 1_024);
    assert!(all.invoices > 700 && all.crashes > 100, "{all:?}");
}
