//! Deltas: the difference of two states of a world as bytes, to send, to store and to apply elsewhere.

pub(crate) mod apply;
pub(crate) mod check;
pub(crate) mod encode;
pub(crate) mod error;
pub(crate) mod format;
pub(crate) mod lists;
pub(crate) mod mark;
pub(crate) mod overlay;
pub(crate) mod parse;

pub use apply::DeltaReport;
pub use encode::DeltaEncoder;
pub use error::{DeltaError, DeltaPart};
pub use mark::DeltaMark;
pub use parse::Delta;
