//! Comma-separated values: a line with names, and one for each row.
//!
//! The first column is `entity`, the handle's bits as a number. The others are named after the component, its fields
//! and elements: `plane.spots[0]`; `value` stands for a component that is called `entity`. Numbers are as Rust prints
//! them, with all their digits; a `bool` is `true` or `false`, an enum the name of its variant, a text its content, or
//! 16 hexadecimal digits where the file lacks that. The bytes of a component without a layout are hexadecimal, in one
//! column.

use std::fmt::{self, Write as _};
use std::io::{self, Write};

use convoy_engine::World;
use convoy_engine::bytemuck;
use convoy_engine::checkpoint::StoredType;
use convoy_engine::schema::{Scalar, Value};
use csv_core::{WriteResult, Writer};

use super::error::{InspectError, RowError};
use super::leaves::{count_leaves, for_each_name, try_for_each_leaf};
use super::rows::Rows;

/// The most columns, beyond which a table of text is of no use.
const COLUMNS_MAX: usize = 16_384;

/// Finds that a value has no more columns than a line can have.
pub(super) fn check_columns(of: &StoredType) -> Result<(), InspectError> {
    let columns = of.layout.map_or(1, count_leaves);
    match columns <= COLUMNS_MAX {
        true => Ok(()),
        false => {
            let component = of.name.clone();
            Err(InspectError::Columns { component, columns, columns_max: COLUMNS_MAX })
        }
    }
}

/// Writes all rows.
pub(super) fn write_csv(rows: &Rows<'_>, output: &mut impl Write) -> Result<(), RowError> {
    let mut lines = Lines { writer: Writer::new(), output, is_begun: false };
    lines.write_field("entity")?;
    let names = column_names(rows);
    names.iter().try_for_each(|name| lines.write_field(name))?;
    lines.end()?;
    let mut text = String::new();
    rows.try_for_each(|entity, bytes| {
        text.clear();
        let _ = write!(text, "{}", entity.to_bits());
        lines.write_field(&text)?;
        match rows.value(bytes) {
            Some(value) => try_for_each_leaf(value, &mut |leaf| {
                text.clear();
                let put = put_leaf(leaf, &rows.world, &mut text);
                put.ok_or_else(|| rows.no_value(entity))?;
                Ok::<(), RowError>(lines.write_field(&text)?)
            })?,
            None if names.is_empty() => {}
            None => {
                text.clear();
                bytes.iter().for_each(|byte| _ = write!(text, "{byte:02x}"));
                lines.write_field(&text)?;
            }
        }
        Ok(lines.end()?)
    })
}

/// The names of the columns after that of the handles.
fn column_names(rows: &Rows<'_>) -> Vec<String> {
    let mut names = Vec::new();
    match rows.layout() {
        Some(layout) => {
            for_each_name(rows.column_name(), layout, &mut |name| names.push(name.to_owned()));
        }
        None if rows.has_bytes() => names.push(rows.column_name().to_owned()),
        None => {}
    }
    names
}

/// Writes a leaf as text, or returns `None` where its bytes are no value.
fn put_leaf(leaf: Value<'_>, world: &World, text: &mut String) -> Option<()> {
    let written: fmt::Result = match leaf.scalar()? {
        Scalar::Unsigned(number) => write!(text, "{number}"),
        Scalar::Signed(number) => write!(text, "{number}"),
        // An `f32` has fewer digits than the same number as an `f64`.
        Scalar::Float(number) if leaf.bytes().len() == 4 => write!(text, "{:?}", number as f32),
        Scalar::Float(number) => write!(text, "{number:?}"),
        Scalar::Bool(value) => write!(text, "{value}"),
        Scalar::Char(letter) => text.write_char(letter),
        Scalar::Entity(entity) => write!(text, "{}", entity.to_bits()),
        Scalar::Variant(name) => text.write_str(name),
        Scalar::Text(content) => match world.resolve(&content) {
            Ok(content) => text.write_str(content),
            Err(_) => {
                let bits: u64 = bytemuck::pod_read_unaligned(leaf.bytes());
                write!(text, "{bits:016x}")
            }
        },
        // A scalar of a later engine.
        _ => write!(text, "{leaf:?}"),
    };
    written.ok()
}

/// Lines of fields, with quotes around those that need them.
struct Lines<W> {
    writer: Writer,
    output: W,
    /// Whether the line has fields.
    is_begun: bool,
}

impl<W: Write> Lines<W> {
    fn write_field(&mut self, text: &str) -> io::Result<()> {
        if self.is_begun {
            self.write_all(Writer::delimiter)?;
        }
        self.is_begun = true;
        let mut left = text.as_bytes();
        self.write_all(|writer, buffer| {
            let (result, read, written) = writer.field(left, buffer);
            left = &left[read..];
            (result, written)
        })
    }

    fn end(&mut self) -> io::Result<()> {
        self.is_begun = false;
        self.write_all(Writer::terminator)
    }

    /// Writes until `step` is done, a buffer at a time.
    fn write_all(
        &mut self,
        mut step: impl FnMut(&mut Writer, &mut [u8]) -> (WriteResult, usize),
    ) -> io::Result<()> {
        let mut buffer = [0; 256];
        loop {
            let (result, written) = step(&mut self.writer, &mut buffer);
            self.output.write_all(&buffer[..written])?;
            if result == WriteResult::InputEmpty {
                return Ok(());
            }
        }
    }
}
