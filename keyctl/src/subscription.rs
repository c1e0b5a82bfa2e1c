//! Tables of subscriptions.

use common::api::subscription::{SubscriptionDocument, TermsDocument};

use crate::output::{ListRow, Rows, View, or_dash};

impl View for SubscriptionDocument {
    fn table(&self) -> Rows {
        Rows::properties([
            ("tenant", self.tenant.to_string()),
            ("plan", format!("{} v{}", self.plan, self.version)),
            ("starts", self.starts_at.to_string()),
            ("ends", or_dash(self.ends_at)),
            ("status", self.status.as_str().to_owned()),
            ("terms", terms(self.terms.as_ref())),
        ])
    }
}

impl ListRow for SubscriptionDocument {
    const COLUMNS: &'static [&'static str] = &["PLAN", "VERSION", "STARTS", "ENDS", "STATUS", "TERMS"];
    const DROPPABLE: &'static [&'static str] = &["TERMS"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.plan.to_string(),
            self.version.to_string(),
            self.starts_at.to_string(),
            or_dash(self.ends_at),
            self.status.as_str().to_owned(),
            terms(self.terms.as_ref()),
        ]
    }
}

/// Terms that differ from the plan's, in words.
fn terms(terms: Option<&TermsDocument>) -> String {
    let Some(terms) = terms else { return "-".to_owned() };
    let words = [
        terms.trial.then(|| "trial".to_owned()),
        terms.paused.then(|| "paused".to_owned()),
        terms.discount_percent.as_ref().map(|percent| format!("{percent} % off")),
        terms.flat_fee.as_ref().map(|fee| format!("fee {fee}")),
        terms.anchor_day.map(|day| format!("from day {day}")),
    ];
    words.into_iter().flatten().collect::<Vec<_>>().join(", ")
}
