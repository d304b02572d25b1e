//! The command line of `inspect`.

use std::path::PathBuf;

use clap::Args;

/// The checkpoint to look into, and what to do with it.
#[derive(Debug, Clone, PartialEq, Args)]
pub struct InspectArguments {
    /// The checkpoint file.
    #[arg(value_name = "FILE")]
    pub file: PathBuf,

    /// Show types, tables, events, resources, lists and texts with their sizes as one JSON object; as tables if absent.
    #[arg(long, conflicts_with = "export")]
    pub json: bool,

    /// Export all values of this component instead: a row for each entity, after its handle, in the order of tables
    /// and rows.
    #[arg(long, value_name = "COMPONENT", requires = "to")]
    pub export: Option<String>,

    /// Where the values go. A name that ends in `.csv` gets a line for each row, one that ends in `.npy` a structured
    /// array for NumPy. A file of this name is replaced once all rows are written.
    #[arg(long, value_name = "FILE", requires = "export")]
    pub to: Option<PathBuf>,
}
