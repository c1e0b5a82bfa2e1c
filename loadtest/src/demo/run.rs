//! The demo from start to end.

use std::{
    io::{self, Write},
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    time::Duration,
};

use common::{
    config::ConfigError,
    time::{Clock, Period, SystemClock, TimeError, Zone},
};
use serde::Serialize;
use serde_json::json;
use servers::within;
use tokio::{
    select,
    signal::unix::{SignalKind, signal},
    task::JoinSet,
    time::sleep,
};

use super::{
    display::{LiveBill, Places, introduction},
    tenants::Tenants,
    traffic::{Counted, Traffic},
};
use crate::{
    processes::{
        self, Bill, BillError, BillReader, BillingProcess, GatewayOptions, GatewayProcess, Keyctl, KeyctlError,
        ProcessError, UsageSink,
    },
    upstream,
};

/// Plans on offer in the demo: those of the repository.
const PLANS: &str = include_str!("../../../config/plans.yaml");

/// Requests that each customer sends when the demo runs once; below the smallest burst of their
/// plans.
const REQUESTS_ONCE: u64 = 80;

/// Requests per second of each customer while people watch.
const REQUESTS_PER_SECOND: u32 = 8;

/// Longest time until the bill shows all that was counted.
const BILL_PATIENCE: Duration = Duration::from_mins(1);

const BILL_INTERVAL: Duration = Duration::from_millis(100);

/// Options of the demo.
#[derive(Debug, Clone)]
pub struct Options {
    /// Directory of store, journal, configuration and logs; emptied first.
    pub directory: PathBuf,
    /// Port of the gateway for clients.
    pub gateway_port: u16,
    /// Port of the gateway's health and metrics.
    pub admin_port: u16,
    /// Port of billing.
    pub billing_port: u16,
    /// Port of the demo upstream.
    pub upstream_port: u16,
    /// Stop after some traffic and print one JSON line.
    pub once: bool,
}

/// The demo could not run.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// A process did not start or stop.
    #[error(transparent)]
    Process(#[from] ProcessError),
    /// The demo upstream did not start.
    #[error(transparent)]
    Upstream(#[from] upstream::UpstreamError),
    /// A tenant or a key could not be created.
    #[error(transparent)]
    Keyctl(#[from] KeyctlError),
    /// The bill could not be read.
    #[error(transparent)]
    Bill(#[from] BillError),
    /// The plans of the repository are broken.
    #[error(transparent)]
    Plans(#[from] ConfigError),
    /// The clock is out of range.
    #[error(transparent)]
    Time(#[from] TimeError),
    /// The client could not be built.
    #[error("cannot build an HTTP client: {0}")]
    Client(#[from] reqwest::Error),
    /// A file could not be written, or the terminal went away.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The directory holds files that the demo did not make.
    #[error("{0} holds other files than a demo's: name an empty or a new directory with --directory")]
    ForeignDirectory(String),
    /// The bill did not reach what the client counted.
    #[error("the bill does not equal what the client counted")]
    Mismatch,
}

/// The result of a single run, as scripts read it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Outcome {
    /// Requests that the client sent.
    sent: u64,
    /// Answers that it received in full.
    received: u64,
    /// Requests on the bill.
    billed: u64,
    /// Currency of the total.
    currency: String,
    /// Sum of all invoices.
    total: String,
    /// True if every invoice equals the client's count for its tenant, in requests, units and
    /// money.
    ok: bool,
}

/// The processes of the demo, in the order in which they stop.
struct Running {
    gateway: GatewayProcess,
    billing: BillingProcess,
    _upstream: upstream::Upstream,
}

/// Runs the demo until Ctrl-C, or once.
pub async fn run(options: &Options) -> Result<(), DemoError> {
    for (port, setting) in [
        (options.gateway_port, "ARGS=\"--gateway-port PORT\""),
        (options.admin_port, "ARGS=\"--admin-port PORT\""),
        (options.billing_port, "ARGS=\"--billing-port PORT\""),
        (options.upstream_port, "ARGS=\"--upstream-port PORT\""),
    ] {
        processes::ensure_free(local(port), setting)?;
    }
    prepare_directory(options)?;
    let store = format!("sqlite://{}/tollgate.db", options.directory.display());
    let (mut running, tenants) = build(options, &store).await?;
    let traffic = Traffic::new(running.gateway.url())?;
    let bills = BillReader { binary: processes::binary("billing")?, store };
    let finished = select! {
        finished = play(options, &running, &tenants, &traffic, &bills) => finished,
        () = told_to_stop() => Ok(()),
    };
    running.gateway.process.stop().await.map_err(ProcessError::from)?;
    running.billing.process.stop().await.map_err(ProcessError::from)?;
    if !options.once {
        writeln!(io::stdout(), "\nEverything has stopped. Logs and data: {}", options.directory.display())?;
    }
    finished
}

async fn play(
    options: &Options,
    running: &Running,
    tenants: &Tenants,
    traffic: &Traffic,
    bills: &BillReader,
) -> Result<(), DemoError> {
    if options.once {
        return play_once(tenants, traffic, bills).await;
    }
    let places = Places {
        gateway: running.gateway.url(),
        operators: format!("http://{}", running.gateway.admin()),
        billing: running.billing.url(),
        directory: &options.directory,
        has_documents: processes::binary("billing")?.with_file_name("documents").is_file(),
    };
    let mut out = io::stdout();
    let mut display = LiveBill::new(introduction(tenants, &places));
    display.introduce(&mut out)?;
    let mut senders = JoinSet::new();
    for customer in &tenants.customers {
        let (traffic, customer) = (traffic.clone(), customer.clone());
        senders.spawn(async move { traffic.keep_sending(&customer, REQUESTS_PER_SECOND).await });
    }
    let (trial, trying) = (tenants.trial.clone(), traffic.clone());
    senders.spawn(async move { trying.keep_trying(&trial, REQUESTS_PER_SECOND).await });
    let mut resized = signal(SignalKind::window_change())?;
    loop {
        let bill = bills.read(this_month()?).await?;
        display.show(&mut out, &bill, tenants, traffic)?;
        select! {
            () = sleep(Duration::from_secs(1)) => {}
            Some(()) = resized.recv() => display.show(&mut out, &bill, tenants, traffic)?,
        }
    }
}

async fn play_once(tenants: &Tenants, traffic: &Traffic, bills: &BillReader) -> Result<(), DemoError> {
    let period = this_month()?;
    let mut senders = JoinSet::new();
    for customer in &tenants.customers {
        let (traffic, customer) = (traffic.clone(), customer.clone());
        senders.spawn(async move { traffic.send(&customer, REQUESTS_ONCE).await });
    }
    senders.join_all().await;
    let mut outcome = compare(&bills.read(period).await?, tenants, traffic)?;
    let matches = within(BILL_PATIENCE, BILL_INTERVAL, async || {
        outcome = compare(&bills.read(period).await?, tenants, traffic)?;
        Ok::<_, DemoError>(outcome.ok)
    });
    // A bill that never matches is printed as it was last seen.
    matches.await.transpose()?;
    writeln!(io::stdout(), "{}", serde_json::to_string(&outcome).map_err(io::Error::from)?)?;
    if outcome.ok { Ok(()) } else { Err(DemoError::Mismatch) }
}

/// Holds the bill against what the client counted.
fn compare(bill: &Bill, tenants: &Tenants, traffic: &Traffic) -> Result<Outcome, DemoError> {
    let plans = common::plan::PlanFile::parse(PLANS, "config/plans.yaml")?.plans;
    let mut sum = Counted::default();
    let (mut billed, mut total, mut ok) = (0, 0, true);
    let mut currency = String::new();
    for customer in &tenants.customers {
        let counted = traffic.counted(customer.tenant);
        sum.sent += counted.sent;
        sum.received += counted.received;
        let Some(invoice) = bill.of(customer.tenant) else {
            ok = false;
            continue;
        };
        let plan = plans.iter().find(|plan| plan.id.as_str() == customer.plan);
        ok &= plan.is_some_and(|plan| expected_cents(plan, counted.billable_units) == Some(invoice.total_minor));
        ok &= counted.sent == counted.received && counted.received == invoice.billable_requests;
        ok &= counted.billable_units == invoice.billable_units;
        billed += invoice.billable_requests;
        total += invoice.total_minor;
        currency.clone_from(&invoice.currency);
    }
    let total = format!("{}.{:02}", total / 100, total % 100);
    Ok(Outcome { sent: sum.sent, received: sum.received, billed, currency, total, ok })
}

/// The price of `units` on a plan with one price in dollars per million: computed here once more,
/// independently of `billing`, in whole hundredths of a millionth of a cent.
fn expected_cents(plan: &common::plan::Plan, units: u64) -> Option<i64> {
    let charge = plan.charges.first()?;
    let beyond = i128::from(units.saturating_sub(charge.included));
    let price = charge.price.tiers().first()?.price?;
    let cents_per_million = price.amount.checked_mul(100.into())?;
    if price.per != 1_000_000 || cents_per_million.fract() != common::money::Decimal::ZERO {
        return None;
    }
    let millionths = beyond * i128::from(i64::try_from(cents_per_million).ok()?);
    let usage = (millionths + 500_000) / 1_000_000;
    Some(plan.flat_fee().ok()?.minor() + i64::try_from(usage).ok()?)
}

async fn build(options: &Options, store: &str) -> Result<(Running, Tenants), DemoError> {
    let directory = &options.directory;
    let upstream = upstream::spawn(local(options.upstream_port)).await?;
    let billing = BillingProcess::start(directory, store, options.billing_port).await?;
    let plans = directory.join("plans.yaml");
    std::fs::write(&plans, PLANS)?;
    let keyctl =
        Keyctl { binary: processes::binary("keyctl")?, store: store.to_owned(), pepper: processes::pepper(directory)? };
    keyctl.apply_plans(&plans).await?;
    let tenants = Tenants::create(&keyctl).await?;
    let gateway = GatewayProcess::start(GatewayOptions {
        listen: local(options.gateway_port),
        admin: local(options.admin_port),
        threads: 2,
        routes: json!([
            { "name": "api", "path_prefix": "/v1", "strip_prefix": true, "upstream": "demo" },
            {
                "name": "bulk",
                "path_prefix": "/bulk",
                "strip_prefix": true,
                "upstream": "demo",
                "units": { "header": "X-Usage-Units", "default": 1 },
            },
        ]),
        ..GatewayOptions::new(directory, store, UsageSink::Http(billing.url()), upstream.address())
    })
    .await?;
    Ok((Running { gateway, billing, _upstream: upstream }, tenants))
}

/// Empties the directory of an earlier demo. A directory with other files is refused.
fn prepare_directory(options: &Options) -> Result<(), DemoError> {
    let directory = &options.directory;
    let marker = directory.join("made-by-demo");
    if directory.is_dir() && std::fs::read_dir(directory)?.next().is_some() {
        if !marker.is_file() {
            return Err(DemoError::ForeignDirectory(directory.display().to_string()));
        }
        std::fs::remove_dir_all(directory)?;
    }
    std::fs::create_dir_all(directory)?;
    std::fs::write(marker, "The demo empties this directory when it starts.\n")?;
    Ok(())
}

async fn told_to_stop() {
    let told = async |kind| match signal(kind) {
        Ok(mut signals) => _ = signals.recv().await,
        Err(_) => std::future::pending().await,
    };
    select! {
        () = told(SignalKind::interrupt()) => {}
        () = told(SignalKind::terminate()) => {}
        () = told(SignalKind::hangup()) => {}
    }
}

fn this_month() -> Result<Period, TimeError> {
    Period::containing(SystemClock.now(), &Zone::utc())
}

fn local(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}
