//! The contents as aligned tables.

use std::io::{self, Write};

use convoy_engine::checkpoint::{CheckpointContents, CheckpointReader, StoredType};

use super::layout_text::LayoutText;
use crate::report::format::{bytes, count};

/// Writes the contents for people: lines about the file, and a table for each kind of things that it has.
pub(super) fn write_table(
    output: &mut impl Write,
    reader: &CheckpointReader,
    contents: &CheckpointContents,
) -> io::Result<()> {
    write_head(output, reader, contents)?;
    let name = |of: usize| contents.types[of].name.escape_debug();
    let types = contents.types.iter().map(|each| {
        let version = if each.is_name_chosen { count(each.version.into()) } else { "-".to_owned() };
        let kind = if each.list.is_some() { "list".to_owned() } else { each.kind.to_string() };
        let (size, align) = (each.size as u64, each.align as u64);
        [each.name.escape_debug().to_string(), kind, version, count(size), count(align)]
    });
    let head = ["type", "kind", "version", "size", "align", "layout"];
    write_lines(output, head, (2, types.collect()), |place, output| {
        write_layout(output, &contents.types[place])
    })?;
    let tables = contents.tables.iter().enumerate();
    let tables =
        tables.map(|(number, table)| [count(number as u64), count(table.rows), size(table.bytes)]);
    let head = ["table", "rows", "bytes", "components"];
    write_lines(output, head, (0, tables.collect()), |place, output| {
        for (number, of) in contents.tables[place].components.iter().enumerate() {
            write!(output, "{}{}", if number > 0 { ", " } else { "" }, name(*of))?;
        }
        Ok(())
    })?;
    let events = contents
        .events
        .iter()
        .map(|log| [name(log.of).to_string(), count(log.records), size(log.bytes)]);
    let head = ["event", "records", "bytes", "numbers"];
    write_lines(output, head, (1, events.collect()), |place, output| {
        let log = &contents.events[place];
        match log.records {
            0 => write!(output, "next {}", count(log.first)),
            more => write!(output, "{} to {}", count(log.first), count(log.first + more - 1)),
        }
    })?;
    let resources = contents.resources.iter();
    let resources = resources.map(|each| [name(each.of).to_string(), size(each.bytes)]);
    write_lines(output, ["resource", "bytes", ""], (1, resources.collect()), |place, output| {
        output.write_all(if contents.resources[place].is_set { b"set" } else { b"not set" })
    })?;
    let lists = contents.lists.iter();
    let lists = lists.map(|each| [name(each.of).to_string(), count(each.blocks), size(each.bytes)]);
    write_lines(output, ["list", "blocks", "bytes", ""], (1, lists.collect()), |_, _| Ok(()))?;
    let attachments = reader.attachments();
    let attachments = attachments
        .map(|(name, bytes)| [name.escape_debug().to_string(), size(bytes.len() as u64)]);
    write_lines(output, ["attachment", "bytes", ""], (1, attachments.collect()), |_, _| Ok(()))?;
    match contents.texts.bytes {
        0 => Ok(()),
        held => writeln!(output, "\ntexts: {}", size(held)),
    }
}

fn write_head(
    output: &mut impl Write,
    reader: &CheckpointReader,
    contents: &CheckpointContents,
) -> io::Result<()> {
    writeln!(
        output,
        "commit {} at tick {}, {} entities in {} slots",
        count(reader.commit()),
        count(reader.tick()),
        count(contents.entities.into()),
        count(contents.slots.into()),
    )?;
    let rows = match contents.chunk_rows_max {
        usize::MAX => String::new(),
        rows => format!(" and {} rows", count(rows as u64)),
    };
    writeln!(
        output,
        "{} blocks, {} in all, of chunks of at most {}{rows}",
        count(contents.blocks),
        size(contents.block_bytes),
        bytes(contents.chunk_bytes_max),
    )?;
    let (file, needed) = (size(contents.file_bytes), size(contents.needed_bytes));
    writeln!(output, "file of {file}, of which the commit needs {needed}")?;
    match reader.damaged_headers() {
        0 => Ok(()),
        damaged => writeln!(output, "{damaged} of 4 copies of headers are damaged"),
    }
}

fn write_layout(output: &mut dyn Write, of: &StoredType) -> io::Result<()> {
    match (of.layout, of.list) {
        (Some(layout), None) => write!(output, "{}", LayoutText(layout)),
        (Some(layout), Some(_)) => write!(output, "of {}", LayoutText(layout)),
        (None, Some(list)) => write!(output, "of {} bytes", count(list.size as u64)),
        (None, None) => Ok(()),
    }
}

fn size(number: u64) -> String {
    bytes(usize::try_from(number).unwrap_or(usize::MAX))
}

/// Writes an empty line, a head and lines, unless there are none. Columns are as wide as their widest cell; those
/// from `numbers` on are numbers, to the right, and the last one is written by `last`.
fn write_lines<const COLUMNS: usize, const CELLS: usize>(
    output: &mut dyn Write,
    head: [&str; COLUMNS],
    (numbers, lines): (usize, Vec<[String; CELLS]>),
    mut last: impl FnMut(usize, &mut dyn Write) -> io::Result<()>,
) -> io::Result<()> {
    const { assert!(COLUMNS == CELLS + 1, "the last column has no cells") };
    if lines.is_empty() {
        return Ok(());
    }
    let mut widths: [usize; CELLS] = std::array::from_fn(|column| head[column].len());
    for line in &lines {
        for (width, cell) in widths.iter_mut().zip(line) {
            *width = cell.chars().count().max(*width);
        }
    }
    let cell = |column: usize, cell: &str| match (column < numbers, widths[column]) {
        (true, width) => format!("{cell:<width$}  "),
        (false, width) => format!("{cell:>width$}  "),
    };
    let heads: String = (0..CELLS).map(|column| cell(column, head[column])).collect();
    writeln!(output, "\n{}", format!("{heads}{}", head[CELLS]).trim_end())?;
    for (number, line) in lines.iter().enumerate() {
        let cells: String = (0..CELLS).map(|column| cell(column, &line[column])).collect();
        let mut text = cells.into_bytes();
        last(number, &mut text)?;
        output.write_all(text.trim_ascii_end())?;
        output.write_all(b"\n")?;
    }
    Ok(())
}
