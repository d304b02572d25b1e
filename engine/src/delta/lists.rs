//! Lists in deltas: by their elements, as each world has them in blocks of its own.
//!
//! The part of lists has, for each table and each list component with lists that differ, runs of rows: how many rows
//! there are, how many lie between them and the run before, and for each row how many elements it has, and those. A run
//! without rows ends a component, a zero a table, and another zero the part. All rows that are new to a table are in
//! it, and all that another entity has now, since blocks have owners.

use crate::storage::component::Registry;
use crate::storage::encoding::put_number;
use crate::storage::epoch::Now;
use crate::storage::frozen::Frozen;
use crate::storage::heap::BlockError;
use crate::storage::history::Memory;
use crate::storage::list::{BlockPlace, Handle};
use crate::storage::rows::Rows;
use crate::storage::table::Table;
use crate::storage::{ComponentId, Entity};
use crate::world::delta_notes::{DeltaParts, DeltaRun, ListPart, ListRow};
use crate::world::heaps::Heaps;
use crate::world::lists::Lists;
use crate::world::store::Store;

use super::error::{DeltaError, DeltaPart};
use super::format::{Body, Head, Reader};
use super::overlay::Overlay;

/// One column of lists of a snapshot.
#[derive(Clone, Copy)]
struct ListColumn<'a> {
    entities: Rows<'a>,
    handles: Rows<'a>,
    lists: Lists<'a>,
}

impl<'a> ListColumn<'a> {
    fn new(frozen: &'a Frozen, table: usize, id: ComponentId) -> Option<Self> {
        let lists = Store::frozen(frozen, &frozen.head.mask).lists(id)?;
        let entities = frozen.column(table, ComponentId::ENTITY)?;
        Some(Self { entities, handles: frozen.column(table, id)?, lists })
    }

    fn bytes(&self, row: usize) -> &'a [u8] {
        self.lists.bytes(*self.handles.get::<Handle>(row))
    }
}

/// Writes the lists of `newer` that `older` does not have; the first `common` archetypes are those of both.
pub(super) fn write_lists(
    body: &mut Body<'_>,
    newer: &Frozen,
    (older, common): (Option<&Frozen>, usize),
) {
    let catalog = newer.catalog();
    for (table, archetype) in catalog.archetypes().iter().enumerate().take(newer.table_count()) {
        let older = older.filter(|older| table < common && table < older.table_count());
        let start = body.bytes.len();
        put_number(body.bytes, table as u64 + 1);
        let head = body.bytes.len();
        for id in archetype.mask().iter() {
            let Some(column) = ListColumn::new(newer, table, id) else { continue };
            let older = older.and_then(|older| ListColumn::new(older, table, id));
            let start = body.bytes.len();
            put_number(body.bytes, id.index() as u64 + 1);
            if write_column(body, column, older) {
                put_number(body.bytes, 0);
            } else {
                body.bytes.truncate(start);
            }
        }
        if body.bytes.len() == head {
            body.bytes.truncate(start);
        } else {
            body.bytes.push(0);
        }
    }
    body.bytes.push(0);
}

/// Writes the runs of one column. Tells whether there are any.
fn write_column(
    body: &mut Body<'_>,
    column: ListColumn<'_>,
    older: Option<ListColumn<'_>>,
) -> bool {
    let size = column.lists.shape().size;
    let rows = column.handles.len();
    let is_known = |row: usize| {
        older.is_some_and(|older| {
            // A block has an owner: a list of another entity is another one, also with the same elements.
            let entity = |column: &ListColumn<'_>| *column.entities.get::<Entity>(row);
            row < older.handles.len()
                && entity(&column) == entity(&older)
                && (column.handles.shares_chunk(&older.handles, row)
                    || column.bytes(row) == older.bytes(row))
        })
    };
    let (mut row, mut written) = (0, 0);
    while row < rows {
        if is_known(row) {
            row += 1;
            continue;
        }
        let end = (row..rows).find(|&row| is_known(row)).unwrap_or(rows);
        put_number(body.bytes, (end - row) as u64);
        put_number(body.bytes, (row - written) as u64);
        for row in row..end {
            let bytes = column.bytes(row);
            put_number(body.bytes, (bytes.len() / size) as u64);
            body.push_rows(bytes);
        }
        (row, written) = (end, end);
    }
    written > 0
}

/// Takes the part of lists apart.
pub(super) fn take_lists(
    reader: &mut Reader<'_>,
    head: &Head,
    registry: &Registry,
    parts: &mut DeltaParts,
) -> Result<(), DeltaError> {
    let mut last = None;
    loop {
        let Some(table) = reader.number()?.checked_sub(1) else { return Ok(()) };
        if table >= u64::from(head.archetypes) {
            return reader.malformed();
        }
        let table = table as usize;
        while let Some(id) = reader.number()?.checked_sub(1) {
            let id = (id < u64::from(head.types)).then(|| ComponentId::new(id as usize));
            let shape = id.and_then(|id| Some((id, registry.info(id).list()?)));
            let Some((id, shape)) = shape else { return reader.malformed() };
            if last >= Some((table, id)) {
                return reader.malformed();
            }
            last = Some((table, id));
            let (first, mut end) = (parts.list_rows.len(), 0_u64);
            loop {
                let count = reader.number()?;
                if count == 0 {
                    break;
                }
                let start = end.saturating_add(reader.number()?);
                end = start.saturating_add(count);
                if end > u64::from(u32::MAX) {
                    return reader.malformed();
                }
                for row in start..end {
                    let len = reader.short()?;
                    let bytes = reader.skip(u64::from(len).saturating_mul(shape.size as u64))?;
                    let (row, place) = (row as u32, BlockPlace::NONE);
                    parts.list_rows.push(ListRow { row, len, at: bytes.start, place });
                }
            }
            let rows = first..parts.list_rows.len();
            parts.lists.push(ListPart { table, id, rows });
        }
    }
}

/// Whether the lists of a table's column that had `held` rows and will have `rows` are some of it, all new ones among
/// them, and their elements are values.
pub(super) fn check_lists(
    (bytes, registry): (&[u8], &Registry),
    part: (ComponentId, &[ListRow]),
    (held, rows): (usize, usize),
) -> Result<(), DeltaError> {
    let (id, lists) = part;
    let info = registry.info(id);
    let new = lists.iter().filter(|list| list.row as usize >= held).count();
    let are_some = lists.last().is_none_or(|last| (last.row as usize) < rows);
    if !are_some || new != rows.saturating_sub(held) {
        return Err(DeltaError::Malformed { part: DeltaPart::Lists });
    }
    let check = info.element_check();
    if check.is_none() {
        return Ok(());
    }
    let size = info.list().map_or(1, |list| list.size);
    let are_values = |list: &ListRow| {
        let elements = &bytes[list.at..list.at + list.len as usize * size];
        elements.chunks_exact(size).all(|element| check.passes(element))
    };
    match lists.iter().all(are_values) {
        true => Ok(()),
        false => Err(DeltaError::Value { component: info.name() }),
    }
}

/// Gives each list of a part a block that has its elements, and makes its handle writable. `entities` are the runs of
/// the handles of entities that the delta brings to the table. A failure leaves blocks that no handle
/// names.
pub(super) fn prepare_lists(
    bytes: &[u8],
    (part, lists): (&ListPart, &mut [ListRow]),
    entities: &[DeltaRun],
    (table, rows): (&mut Table, usize),
    (heaps, memory): (&mut Heaps, &mut Memory),
) -> Result<(), DeltaError> {
    let held = table.rows();
    let owner = |table: &Table, row: usize| {
        let owners = Overlay::new(bytes, entities, table.entities(), rows);
        owners.get::<Entity>(row).expect("all rows have entities")
    };
    for list in lists.iter_mut().filter(|list| list.len > 0) {
        let heap = heaps.get_mut(part.id).expect("a list has a heap");
        let owner = owner(table, list.row as usize);
        let malformed = DeltaError::Malformed { part: DeltaPart::Lists };
        list.place = heap.take(list.len as usize, owner, memory).map_err(|error| match error {
            BlockError::TooLong => malformed,
            BlockError::Memory(error) => DeltaError::Memory(error),
        })?;
        let size = heap.shape().size;
        let elements = &bytes[list.at..list.at + list.len as usize * size];
        heap.fill(list.place, elements, memory.now());
    }
    let column = table.column_mut(part.id).expect("it was found to be of the table");
    column.reserve_list(rows)?;
    column.reserve(rows, held.min(rows), memory)?;
    for list in lists {
        let row = list.row as usize;
        column.own_rows(row..row + 1, held, memory)?;
    }
    Ok(())
}

/// Lets the handles of a part name the blocks that have their elements.
pub(super) fn write_handles(
    (part, lists): (&ListPart, &[ListRow]),
    registry: &Registry,
    (table, now): (&mut Table, Now<'_>),
) {
    let column = table.column_mut(part.id).expect("it was found to be of the table");
    for list in lists {
        let handle = Handle { len: list.len, place: list.place };
        let value = registry.value(part.id, bytemuck::bytes_of(&handle));
        let row = column.writable_row(list.row as usize, now);
        let row = row.expect("handles were made writable");
        row.write_bytes(value.expect("all bytes of a handle are values"));
    }
}
