//! Opens a checkpoint, and prints its contents or exports a component.

use std::io::{self, BufWriter, Write};

use convoy_engine::checkpoint::{CheckpointError, CheckpointReader};

use super::arguments::InspectArguments;
use super::error::InspectError;
use super::export::export;
use super::json::write_json;
use super::table::write_table;

/// Does what `arguments` ask for. Contents go to standard output.
///
/// # Errors
///
/// When the checkpoint can't be read, the component can't be exported, or output can't be written.
pub fn inspect(arguments: &InspectArguments) -> Result<(), InspectError> {
    let path = &arguments.file;
    let unreadable = |error: CheckpointError| InspectError::Read { path: path.clone(), error };
    let reader = CheckpointReader::open(path).map_err(unreadable)?;
    let contents = reader.contents().map_err(unreadable)?;
    if let (Some(component), Some(to)) = (&arguments.export, &arguments.to) {
        return export((path, &reader, &contents), component, to);
    }
    let mut output = BufWriter::new(io::stdout().lock());
    let written = match arguments.json {
        true => write_json(&mut output, &reader, &contents),
        false => write_table(&mut output, &reader, &contents),
    };
    written.and_then(|()| output.flush()).map_err(InspectError::Print)
}
