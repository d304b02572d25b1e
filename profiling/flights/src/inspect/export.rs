//! Exports a component: to a file that has all rows, or is not there.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process;

use convoy_engine::checkpoint::{CheckpointContents, CheckpointReader};

use super::csv::{check_columns, write_csv};
use super::error::{InspectError, RowError};
use super::npy::write_npy;
use super::rows::Rows;

/// The formats of exports.
enum Format {
    Csv,
    Npy,
}

/// Writes the values of the component called `name` to `to`, in the format of its ending.
pub(super) fn export(
    source: (&Path, &CheckpointReader, &CheckpointContents),
    name: &str,
    to: &Path,
) -> Result<(), InspectError> {
    let format = match to.extension().and_then(|ending| ending.to_str()) {
        Some("csv") => Format::Csv,
        Some("npy") => Format::Npy,
        _ => return Err(InspectError::Ending { path: to.to_owned() }),
    };
    let same = fs::canonicalize(source.0).ok().zip(fs::canonicalize(to).ok());
    if same.is_some_and(|(file, to)| file == to) {
        return Err(InspectError::Same { path: to.to_owned() });
    }
    let rows = Rows::read(source, name)?;
    if let Format::Csv = format {
        check_columns(rows.of)?;
    }
    let whole = WholeFile::create(to);
    let written = whole.and_then(|(whole, file)| {
        let mut output = BufWriter::new(file);
        match format {
            Format::Csv => write_csv(&rows, &mut output)?,
            Format::Npy => write_npy(&rows, &mut output)?,
        }
        output.flush()?;
        Ok(whole.finish()?)
    });
    written.map_err(|error| match error {
        RowError::Value(error) => error,
        RowError::Io(error) => InspectError::Write { path: to.to_owned(), error },
    })
}

/// A file beside the one that it replaces once it is whole. Removed where it never is.
struct WholeFile<'p> {
    to: &'p Path,
    beside: PathBuf,
    is_whole: bool,
}

impl<'p> WholeFile<'p> {
    fn create(to: &'p Path) -> Result<(Self, File), RowError> {
        let name = to.file_name().unwrap_or_default().to_string_lossy();
        let beside = to.with_file_name(format!(".{name}.{}.part", process::id()));
        let file = File::create(&beside)?;
        Ok((Self { to, beside, is_whole: false }, file))
    }

    fn finish(mut self) -> io::Result<()> {
        fs::rename(&self.beside, self.to)?;
        self.is_whole = true;
        Ok(())
    }
}

impl Drop for WholeFile<'_> {
    fn drop(&mut self) {
        if !self.is_whole {
            // It can't be removed where the folder is gone, and is not there then.
            let _ = fs::remove_file(&self.beside);
        }
    }
}
