//! Changes that applying a plan file would make, setting by setting.

use std::collections::BTreeMap;

use common::{
    api::plan::PlanVersionDocument,
    plan::{Plan, PlanId},
};
use serde::Serialize;
use serde_json::Value;

use crate::output::{ListRow, Rows, View, or_dash};

/// The effect of applying a file, plan by plan.
#[derive(Debug, Serialize)]
#[serde(transparent)]
pub(crate) struct PlanChanges(pub(crate) Vec<PlanDifference>);

/// The difference between a plan of a file and its latest version.
#[derive(Debug, Serialize)]
pub(crate) struct PlanDifference {
    id: PlanId,
    /// The latest version; none if the plan is new.
    version: Option<i64>,
    outcome: Outcome,
    changes: Vec<Change>,
}

/// Effect of applying a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Outcome {
    Create,
    Update,
    Nothing,
}

/// A setting that differs. None: the setting is missing on that side.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Change {
    setting: String,
    before: Option<String>,
    after: Option<String>,
    /// True if the change drops a limit.
    drops_limit: bool,
}

/// A row of the table: one change of a plan, or a plan without changes.
struct Row<'a> {
    plan: &'a PlanDifference,
    change: Option<&'a Change>,
}

impl PlanChanges {
    /// The limits that would be dropped, as in `growth limits.tenant.per_minute`.
    pub(crate) fn dropped(&self) -> Vec<String> {
        self.0.iter().flat_map(PlanDifference::dropped).collect()
    }
}

impl PlanDifference {
    /// Compares `plan` with its latest version.
    pub(crate) fn new(latest: Option<&PlanVersionDocument>, plan: &Plan) -> Result<Self, serde_json::Error> {
        let before = latest.map(|latest| settings(&latest.plan)).transpose()?.unwrap_or_default();
        let changes = changes(&before, &settings(plan)?);
        let outcome = match latest {
            None => Outcome::Create,
            Some(_) if changes.is_empty() => Outcome::Nothing,
            Some(_) => Outcome::Update,
        };
        Ok(Self { id: plan.id.clone(), version: latest.map(|latest| latest.version), outcome, changes })
    }

    /// Returns true if the plan is its latest version.
    pub(crate) fn is_nothing(&self) -> bool {
        self.outcome == Outcome::Nothing
    }

    /// Settings that differ: name, before, after.
    pub(crate) fn settings(&self) -> impl Iterator<Item = (&str, Option<String>, Option<String>)> {
        self.changes.iter().map(|change| (change.setting.as_str(), change.before.clone(), change.after.clone()))
    }

    /// The limits that would be dropped, as in `growth limits.tenant.per_minute`.
    pub(crate) fn dropped(&self) -> Vec<String> {
        let changes = self.changes.iter().filter(|change| change.drops_limit);
        changes.map(|change| format!("{} {}", self.id, change.setting)).collect()
    }
}

/// Every setting of a plan by its path. Items of a list are named by their meter, so that their
/// order does not matter.
fn settings(plan: &Plan) -> Result<BTreeMap<String, String>, serde_json::Error> {
    let mut settings = BTreeMap::new();
    flatten("", &serde_json::to_value(plan)?, &mut settings);
    for quota in plan.quotas.iter().filter(|quota| quota.kind.is_hard()) {
        settings.insert(format!("quotas[{}].kind", quota.meter), "hard".to_owned());
    }
    settings.remove("id");
    Ok(settings)
}

fn flatten(path: &str, value: &Value, into: &mut BTreeMap<String, String>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                flatten(&path, value, into);
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                let meter = item["meter"].as_str().or_else(|| item.as_str());
                let name = meter.map_or_else(|| (index + 1).to_string(), ToOwned::to_owned);
                flatten(&format!("{path}[{name}]"), item, into);
            }
        }
        Value::Null => {}
        Value::String(text) => _ = into.insert(path.to_owned(), text.clone()),
        other => _ = into.insert(path.to_owned(), other.to_string()),
    }
}

fn changes(before: &BTreeMap<String, String>, after: &BTreeMap<String, String>) -> Vec<Change> {
    let names = before.keys().chain(after.keys().filter(|name| !before.contains_key(*name)));
    let mut changes: Vec<_> = names
        .filter(|name| before.get(*name) != after.get(*name))
        .map(|name| {
            let (before, after) = (before.get(name).cloned(), after.get(name).cloned());
            let drops_limit = drops_limit(name, before.as_deref(), after.as_deref());
            Change { setting: name.clone(), before, after, drops_limit }
        })
        .collect();
    changes.sort_by(|one, other| one.setting.cmp(&other.setting));
    changes
}

/// Returns true if a limit is gone or a quota is no longer hard.
fn drops_limit(setting: &str, before: Option<&str>, after: Option<&str>) -> bool {
    let last = setting.rsplit('.').next().unwrap_or_default();
    if setting.starts_with("quotas[") {
        return last == "kind" && before == Some("hard") && after != Some("hard");
    }
    let is_limit = (setting.starts_with("limits.") && last != "burst") || setting.starts_with("prepaid[");
    is_limit && before.is_some() && after.is_none()
}

impl View for PlanChanges {
    fn table(&self) -> Rows {
        let rows = self.0.iter().flat_map(|plan| {
            let unchanged = plan.changes.is_empty().then_some(Row { plan, change: None });
            plan.changes.iter().map(move |change| Row { plan, change: Some(change) }).chain(unchanged)
        });
        rows.collect::<Vec<_>>().table()
    }
}

impl Serialize for Row<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.change.serialize(serializer)
    }
}

impl ListRow for Row<'_> {
    const COLUMNS: &'static [&'static str] = &["PLAN", "WOULD BE", "SETTING", "BEFORE", "AFTER", "NOTE"];

    fn cells(&self) -> Vec<String> {
        let outcome = match self.plan.outcome {
            Outcome::Create => "created",
            Outcome::Update => "updated",
            Outcome::Nothing => "unchanged",
        };
        let change = self.change;
        vec![
            self.plan.id.to_string(),
            outcome.to_owned(),
            or_dash(change.map(|change| &change.setting)),
            or_dash(change.and_then(|change| change.before.as_ref())),
            or_dash(change.and_then(|change| change.after.as_ref())),
            if change.is_some_and(|change| change.drops_limit) { "drops a limit" } else { "" }.to_owned(),
        ]
    }
}
