//! Tables of subscriptions.

use common::api::subscription::SubscriptionDocument;

use crate::output::{ListRow, Rows, View, or_dash};

impl View for SubscriptionDocument {
    fn table(&self) -> Rows {
        Rows::properties([
            ("tenant", self.tenant.to_string()),
            ("plan", format!("{} v{}", self.plan, self.version)),
            ("starts", self.starts_at.to_string()),
            ("ends", or_dash(self.ends_at)),
            ("status", self.status.as_str().to_owned()),
        ])
    }
}

impl ListRow for SubscriptionDocument {
    const COLUMNS: &'static [&'static str] = &["PLAN", "VERSION", "STARTS", "ENDS", "STATUS"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.plan.to_string(),
            self.version.to_string(),
            self.starts_at.to_string(),
            or_dash(self.ends_at),
            self.status.as_str().to_owned(),
        ]
    }
}
