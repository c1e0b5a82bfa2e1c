//! The errors of drills.

use crate::{
    deployment::DeploymentError,
    load::LoadError,
    processes::{KeyctlError, ProcessError},
};

/// A drill could not come to an outcome.
#[derive(Debug, thiserror::Error)]
pub enum DrillError {
    /// The deployment could not be built, or its books not be read.
    #[error(transparent)]
    Deployment(#[from] DeploymentError),
    /// A process could not be harmed or started again.
    #[error(transparent)]
    Process(#[from] ProcessError),
    /// A server could not be harmed or started again.
    #[error(transparent)]
    Server(#[from] servers::ServerError),
    /// The load did not run.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The database refused what the drill needs of it.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
    /// The store cannot be read.
    #[error(transparent)]
    Store(#[from] common::store::StoreError),
    /// The admin's command line.
    #[error(transparent)]
    Keyctl(#[from] KeyctlError),
    /// The file system.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// A state that should come about does not.
    #[error("not in time: {0}")]
    Patience(String),
    /// A thread of the drill died.
    #[error(transparent)]
    Task(#[from] tokio::task::JoinError),
}
