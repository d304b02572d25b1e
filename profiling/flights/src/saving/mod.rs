//! Checkpoints of a scenario, written beside it, and what tells whether one goes with the arguments of a job.
//!
//! A checkpoint has the world, and two attachments: the state of the host, and the [`Identity`] of the run.

mod identity;
mod saver;

pub use identity::{IDENTITY, Identity, IdentityError};
pub use saver::{Saver, SavingCosts, SavingError};
