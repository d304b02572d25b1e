//! The report of the main job: the comparison of both runs as a table or as JSON.

mod comparison;
mod format;
mod json;
mod table;

pub use comparison::{Comparison, Verdict};
pub use json::to_json;
pub use table::to_table;
