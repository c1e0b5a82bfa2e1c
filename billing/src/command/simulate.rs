//! `billing simulate`: what past usage would have cost by other plans. It reads the store and
//! changes nothing.

use std::path::PathBuf;

use clap::Args;
use common::{
    config,
    id::TenantId,
    plan::{Plan, PlanFile, PlanId},
    store::Store,
    time::Period,
};

use super::{CommandError, log, output::Output, print, store::StoreArguments};
use crate::{
    config::Environment,
    invoice::{MONTHS_MAX, simulate, simulation_to_table},
};

const EXAMPLES: &str = "\
Bills of months are rated twice: by the plans as they are, and by those of the file in place of the plans that \
have their names. Totals are without tax.

Examples:
  billing simulate --plan config/plans.yaml --from 2026-08 --to 2026-10
  billing simulate --plan dearer.yaml --for growth --from 2026-10 --output json

Exit codes: 0 done, 1 failed or a tenant could not be rated (all others were), 2 the command line is invalid";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct SimulateArguments {
    /// File with the plans to rate by
    #[arg(long, value_name = "FILE")]
    plan: PathBuf,
    /// Plan that the one plan of the file stands in for [default: the plan of its own name]
    #[arg(long, value_name = "PLAN")]
    r#for: Option<PlanId>,
    /// First month, on each payer's own clock
    #[arg(long, value_name = "YYYY-MM")]
    from: Period,
    /// Last month [default: the first]
    #[arg(long, value_name = "YYYY-MM")]
    to: Option<Period>,
    /// Only this tenant
    #[arg(long, value_name = "ID")]
    tenant: Option<TenantId>,
    /// Form of the result
    #[arg(long, value_enum, default_value_t = Output::Table)]
    output: Output,
    #[command(flatten)]
    store: StoreArguments,
}

pub(super) async fn execute(arguments: &SimulateArguments, environment: &Environment) -> Result<(), CommandError> {
    log::start("warn");
    let periods = periods(arguments.from, arguments.to.unwrap_or(arguments.from))?;
    let plans = plans(arguments)?;
    let store = Store::open(&arguments.store.url(environment)?).await?;
    let simulation = simulate(&store, &plans, &periods, arguments.tenant).await;
    store.close().await;
    let simulation = simulation?;
    match arguments.output {
        Output::Table => print(&simulation_to_table(&simulation))?,
        Output::Json => print(&(simulation.to_json()? + "\n"))?,
    }
    match simulation.failed.len() {
        0 => Ok(()),
        failed => Err(CommandError::Unbilled(failed)),
    }
}

fn plans(arguments: &SimulateArguments) -> Result<Vec<Plan>, CommandError> {
    let file = PlanFile::parse(&config::read(&arguments.plan)?, &arguments.plan.display().to_string())?;
    let mut plans = file.plans;
    match (&arguments.r#for, plans.as_mut_slice()) {
        (None, _) => {}
        (Some(id), [plan]) => plan.id.clone_from(id),
        (Some(_), _) => return Err(CommandError::Usage("--for needs a file with one plan")),
    }
    Ok(plans)
}

fn periods(from: Period, to: Period) -> Result<Vec<Period>, CommandError> {
    if to < from {
        return Err(CommandError::Usage("--to is before --from"));
    }
    let periods: Vec<_> =
        std::iter::successors(Some(from), |period| Some(period.next())).take_while(|period| *period <= to).collect();
    if periods.len() > MONTHS_MAX {
        return Err(CommandError::Usage("a simulation has at most 36 months"));
    }
    Ok(periods)
}
