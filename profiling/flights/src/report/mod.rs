//! The report of the main job: the comparison of both runs as a table, as JSON, or as a page with charts.

mod comparison;
pub(crate) mod format;
mod json;
mod page;
mod saved;
mod table;

pub use comparison::{Comparison, Verdict};
pub use json::to_json;
pub use page::{Details, Timeline, to_page};
pub use saved::{SavedRun, to_saved_json, to_saved_table};
pub use table::to_table;
