//! `keyctl`: the admins' command line for tenants, plans, keys and usage.
//!
//! It speaks to the store or to the admin API, never to a gateway: gateways follow the store's
//! change log and see each change within a second. Answers go to standard output, everything else
//! to standard error, so that scripts can read them.

mod admin_key;
mod audit_log;
mod backend;
mod bank_entry;
mod catalog;
mod class;
mod cli;
mod completions;
mod context;
mod coupon;
mod credit;
mod duration;
mod error;
mod export;
mod invoice;
mod key;
mod leaked;
mod ledger;
mod lifetime;
mod mail;
mod outbox;
mod output;
mod patience;
mod payment;
mod pepper;
mod plan;
mod run;
mod subscription;
mod tenant;
mod terminal;
mod usage;
mod wallet;
mod webhook;
mod words;

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    common::files::keep_private();
    let cli = cli::Cli::parse();
    let output = cli.global.output();
    let done = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => {
            let done = runtime.block_on(run::run(cli));
            // Does not wait for a name that is still being looked up.
            runtime.shutdown_background();
            done
        }
        Err(error) => Err(error.into()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            output.report(&failure);
            ExitCode::from(failure.class().exit_code())
        }
    }
}
