//! The faults of a server, one after the other.

use std::time::Duration;

use tokio::time::sleep;

use super::{faulty_relay::Mode, nodes::Nodes};
use crate::drill::{
    error::DrillError,
    harm::{Times, some_moment},
};

/// Time for which a slow server makes its clients wait: longer than a try may take.
const DELAY: Duration = Duration::from_millis(1_500);

/// The harm that is done to a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// It is killed, and starts again.
    Killed,
    /// It is halted (SIGSTOP), and goes on.
    Halted,
    /// It answers late.
    Slowed,
    /// It answers something that is not HTTP.
    Garbage,
    /// It resets its connections, new ones and those in use.
    Reset,
    /// Its name gets another address, and the server at the old one ends.
    Moved,
}

impl Fault {
    pub(super) const ALL: [Self; 6] =
        [Self::Killed, Self::Halted, Self::Slowed, Self::Garbage, Self::Reset, Self::Moved];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Killed => "killed",
            Self::Halted => "halted",
            Self::Slowed => "slowed",
            Self::Garbage => "garbage",
            Self::Reset => "reset",
            Self::Moved => "moved",
        }
    }

    /// Happens at a random moment of the margin, and is over when this returns.
    pub(super) async fn happen(self, nodes: &mut Nodes, times: Times) -> Result<(), DrillError> {
        some_moment(times.margin).await;
        match self {
            Self::Killed => {
                nodes.killed.kill()?;
                sleep(times.halted()).await;
                nodes.killed.start_again().await
            }
            Self::Halted => {
                nodes.halted.process.pause()?;
                sleep(times.halted()).await;
                Ok(nodes.halted.process.resume()?)
            }
            Self::Slowed => through_relay(nodes, times, Mode::Slow(DELAY)).await,
            Self::Garbage => through_relay(nodes, times, Mode::Garbage).await,
            Self::Reset => through_relay(nodes, times, Mode::Reset).await,
            Self::Moved => nodes.move_name(times.halted()).await,
        }
    }
}

async fn through_relay(nodes: &Nodes, times: Times, mode: Mode) -> Result<(), DrillError> {
    nodes.relay.set(mode);
    sleep(times.halted()).await;
    nodes.relay.set(Mode::Pass);
    Ok(())
}
