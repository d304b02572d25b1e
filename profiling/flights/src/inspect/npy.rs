//! The format of NumPy: a one-dimensional structured array.
//!
//! A row is the handle's bits, `entity`, and the value under the component's name, as it lies in memory: structs inside
//! of it are structs, arrays are subarrays, and gaps are fields without a name, which NumPy takes for padding. A `bool`
//! is a `bool`, a `char` one letter (`<U1`), a handle and a text are their bits (`<u8`), an enum is the number of its
//! variant, and numbers of 128 bits, which NumPy lacks, are 16 bytes (`|V16`), as is all that has no layout, in its
//! own size. Parts without bytes are left out.
//!
//! The format is that of [NEP 1](https://numpy.org/neps/nep-0001-npy-format.html): the magic, a version, the length of
//! the header, and the header as a literal of Python, filled up with spaces to a multiple of 64 bytes. Version 2.0
//! has a length of four bytes instead of two. Names are escaped, so that the header is ASCII.

use std::fmt::Write as _;
use std::io::{self, Write};
use std::ops::Range;

use convoy_engine::schema::{Layout, LayoutKind, NumberKind};

use super::error::RowError;
use super::leaves::try_for_each_leaf;
use super::rows::Rows;

/// The first bytes of every file.
const MAGIC: &[u8] = b"\x93NUMPY";

/// Where the rows begin is a multiple of this.
const ROWS_ALIGN: usize = 64;

/// Writes all rows.
pub(super) fn write_npy(rows: &Rows<'_>, output: &mut impl Write) -> Result<(), RowError> {
    write_header(&description_of_rows(rows), rows.count, output)?;
    let has_bytes = rows.has_bytes();
    rows.try_for_each(|entity, bytes| {
        if let Some(value) = rows.value(bytes) {
            try_for_each_leaf(value, &mut |leaf| match leaf.scalar() {
                Some(_) => Ok(()),
                None => Err(rows.no_value(entity)),
            })?;
        }
        output.write_all(&entity.to_bits().to_le_bytes())?;
        if has_bytes {
            output.write_all(bytes)?;
        }
        Ok(())
    })
}

fn write_header(description: &str, rows: u64, output: &mut impl Write) -> io::Result<()> {
    let header =
        format!("{{'descr': {description}, 'fortran_order': False, 'shape': ({rows},), }}");
    let padded = |prefix: usize| (prefix + header.len() + 1).next_multiple_of(ROWS_ALIGN) - prefix;
    // Behind the magic and the version, the length has two bytes or four.
    let mut length = padded(10);
    let (version, bytes) = match u16::try_from(length) {
        Ok(short) => (1, short.to_le_bytes().to_vec()),
        Err(_) => {
            length = padded(12);
            let long = u32::try_from(length).map_err(|_| io::ErrorKind::FileTooLarge)?;
            (2, long.to_le_bytes().to_vec())
        }
    };
    let spaces = " ".repeat(length - 1 - header.len());
    output.write_all(&[MAGIC, &[version, 0], &bytes].concat())?;
    output.write_all(format!("{header}{spaces}\n").as_bytes())
}

fn description_of_rows(rows: &Rows<'_>) -> String {
    let mut text = "[('entity', '<u8')".to_owned();
    if rows.has_bytes() {
        text.push_str(", (");
        put_name(rows.column_name(), &mut text);
        text.push_str(", ");
        match rows.layout() {
            Some(layout) => put_type(layout, &mut text),
            None => _ = write!(text, "'|V{}'", rows.of.size),
        }
        text.push(')');
    }
    text + "]"
}

/// The type of a field, and the shape after it where it is an array.
fn put_type(layout: &Layout, text: &mut String) {
    let (mut inner, mut shape) = (*layout, String::new());
    while let LayoutKind::Array { element, count } = inner.kind() {
        let _ = write!(shape, "{count}, ");
        inner = *element;
    }
    match inner.kind() {
        LayoutKind::Struct(_) => put_struct(&inner, text),
        LayoutKind::Number(kind) | LayoutKind::Enum { tag: kind, .. } => put_number(kind, text),
        LayoutKind::Bool => text.push_str("'|b1'"),
        LayoutKind::Char => text.push_str("'<U1'"),
        LayoutKind::Entity | LayoutKind::Text => text.push_str("'<u8'"),
        _ => _ = write!(text, "'|V{}'", inner.size()),
    }
    if !shape.is_empty() {
        let _ = write!(text, ", ({})", shape.trim_end());
    }
}

/// The fields of a struct in the order of their places, with fields for gaps.
fn put_struct(layout: &Layout, text: &mut String) {
    let LayoutKind::Struct(fields) = layout.kind() else { return };
    let mut fields: Vec<_> = fields.iter().filter(|field| field.layout.size() > 0).collect();
    fields.sort_by_key(|field| field.offset);
    text.push('[');
    let mut end = 0;
    let put_gap = |range: Range<usize>, text: &mut String| {
        if !range.is_empty() {
            let _ = write!(text, "('', '|V{}'), ", range.len());
        }
    };
    for field in fields {
        put_gap(end..field.offset, text);
        end = field.offset + field.layout.size();
        text.push('(');
        put_name(field.name, text);
        text.push_str(", ");
        put_type(field.layout, text);
        text.push_str("), ");
    }
    put_gap(end..layout.size(), text);
    text.truncate(text.trim_end_matches(", ").len());
    text.push(']');
}

fn put_number(kind: NumberKind, text: &mut String) {
    let name = match kind {
        NumberKind::U8 => "'|u1'",
        NumberKind::U16 => "'<u2'",
        NumberKind::U32 => "'<u4'",
        NumberKind::U64 => "'<u8'",
        NumberKind::I8 => "'|i1'",
        NumberKind::I16 => "'<i2'",
        NumberKind::I32 => "'<i4'",
        NumberKind::I64 => "'<i8'",
        NumberKind::F32 => "'<f4'",
        NumberKind::F64 => "'<f8'",
        _ => {
            let _ = write!(text, "'|V{}'", kind.size());
            return;
        }
    };
    text.push_str(name);
}

/// A name as a literal of Python in ASCII.
fn put_name(name: &str, text: &mut String) {
    text.push('\'');
    for letter in name.chars() {
        let _ = match letter {
            '\'' | '\\' => write!(text, "\\{letter}"),
            ' '..='~' => write!(text, "{letter}"),
            _ => write!(text, "\\U{:08x}", letter as u32),
        };
    }
    text.push('\'');
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

    use super::*;

    #[test]
    fn rows_begin_at_a_multiple_of_64_in_both_versions() {
        for (letters, version) in [(1, 1), (40, 1), (65_000, 1), (65_535, 2), (200_000, 2)] {
            let (description, mut bytes) = ("x".repeat(letters), Vec::new());
            write_header(&description, 7, &mut bytes).unwrap();
            assert_eq!(&bytes[..8], [b"\x93NUMPY".as_slice(), &[version, 0]].concat());
            let prefix = if version == 1 { 10 } else { 12 };
            let mut length = [0; 4];
            length[..prefix - 8].copy_from_slice(&bytes[8..prefix]);
            assert_eq!(u32::from_le_bytes(length) as usize, bytes.len() - prefix);
            assert_eq!((bytes.len() % ROWS_ALIGN, *bytes.last().unwrap()), (0, b'\n'));
            let text = std::str::from_utf8(&bytes[prefix..]).unwrap();
            let end = format!("{description}, 'fortran_order': False, 'shape': (7,), }}");
            assert!(text.trim_end().ends_with(&end));
        }
    }

    #[test]
    fn names_are_literals_of_python() {
        let mut text = String::new();
        put_name("it's \\ a\nü", &mut text);
        assert_eq!(text, r"'it\'s \\ a\U0000000a\U000000fc'");
    }
}
