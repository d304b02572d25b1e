//! Shared code of the tests of Convoy: component values that can tell whether they are whole, a
//! naive model of a world, the comparison of anything that can be read with that model, and the
//! reading of sources for the house rules.
//!
//! A [`Value`] of any size is made from one number and checks on every reading that all of its
//! bytes still belong to that number, so a torn or misplaced row can't pass for a whole one. The
//! [`Model`] keeps only those numbers, in ordinary maps that are copied in full at every capture.
#![deny(unsafe_code)]

mod alone;
mod borders;
mod checkpoints;
mod contents;
mod crash;
mod deltas;
mod evolution;
mod model;
mod readable;
mod shapes;
mod sources;
mod values;

pub use alone::run_alone;
pub use borders::feed;
pub use checkpoints::{CheckpointSeeds, feed_checkpoint, try_checkpoint, try_mapped};
pub use contents::Contents;
pub use crash::CrashDisk;
pub use deltas::{
    DeltaSeeds, Engine, Marked, Mode, Order, Place, assert_same, assert_sound, delta_config,
    delta_schema, feed_delta, mutate,
};
pub use evolution::{
    Decisions, Task, assert_whole, config_of, feed_evolution, read_by_plan, saved, try_evolution,
};
pub use model::{EventKind, KindMask, Model, RESOURCES, Row};
pub use readable::assert_equals;
pub use shapes::{Parted, SHAPES, Shape};
pub use sources::{NamedPath, Token, paths, tokens};
pub use values::{
    Alert, Byte, Huge, Hundred, KINDS, Mixer, Ping, Tag, Triple, Value, Wide, Word, step,
};
