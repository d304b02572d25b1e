//! [`World::apply`]: a world becomes the target of a delta, or stays as it is.
//!
//! A delta is taken apart and checked first, on the state as it will be. Then every chunk that it writes is
//! made to exist and writable, in one attempt. Only then rows are written, and nothing can fail.

#![allow(unsafe_code, reason = "counts rows after columns were made those of a delta")]

use std::mem;
use std::ops::Range;
use std::sync::Arc;

use convoy_pool::MemoryError;

use crate::storage::column::Column;
use crate::storage::component::Registry;
use crate::storage::history::{Memory, Returns};
use crate::storage::{ComponentId, ComponentMask};
use crate::trace::span;
use crate::world::World;
use crate::world::delta_notes::{DeltaParts, DeltaRun, LogPart};
use crate::world::event_log::EventLog;
use crate::world::index::Slot;
use crate::world::role::Role;
use crate::world::state::State;

use super::check::{Checking, Found};
use super::encode::order_of;
use super::error::{DeltaError, DeltaPart};
use super::lists::{prepare_lists, write_handles};
use super::mark::types_fingerprint;
use super::parse::{Delta, Taking};

/// The amount that a delta has changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct DeltaReport {
    /// Tables with other rows or values.
    pub tables: u64,
    /// Bytes of rows, slots, events and resources that were written.
    pub bytes_written: u64,
}

/// Where the records of a log go.
struct LogPlan {
    /// How many chunks at the front go away.
    dropped: usize,
    /// The rows of the new records, once they have.
    rows: Range<usize>,
}

/// # Deltas
impl World {
    /// Makes this world, which has the state that `delta` begins with, have the one that it leads to: every
    /// row in its place, the handles that are given out next, resources, events under their numbers, texts and
    /// the tick. A delta of a whole world is applied to any world of its types.
    ///
    /// Views of this world stay as they are: chunks that they share are copied before they are written. As
    /// after a [`World::restore`], command buffers start anew, and a replica becomes an ordinary world. Local
    /// resources stay, and texts and types that only this world knows.
    ///
    /// Checks all of the delta before it writes any of it, in time proportional to the delta; where links of
    /// the hierarchy come with it, in time proportional to all links. See [`Delta`] for an example.
    ///
    /// # Errors
    ///
    /// When the world has other types or another state than the delta is for, when the bytes are of no world,
    /// and when memory or room for texts runs out. The world is unchanged.
    pub fn apply(&mut self, delta: &Delta<'_>) -> Result<DeltaReport, DeltaError> {
        span!("apply", tick = delta.tick());
        if self.role.is_partial() {
            return Err(DeltaError::PartialReplica);
        }
        self.memory.reclaim();
        self.state.index.settle(&mut self.memory)?;
        self.sweep_heaps();
        self.check_types(delta)?;
        self.check_base(delta)?;
        let mut parts = mem::take(&mut self.delta.parts);
        parts.clear();
        let applied = self.apply_parts(delta, &mut parts);
        self.delta.parts = parts;
        let report = applied?;
        self.note_state(delta.head.target.state);
        Ok(report)
    }

    /// Whether the first types of this world are those of the delta.
    fn check_types(&self, delta: &Delta<'_>) -> Result<(), DeltaError> {
        let (expected, count) = (delta.head.fingerprint, delta.head.types as usize);
        let schema = self.catalog.schema().map_or(0, |schema| schema.fingerprint());
        let registry = &self.catalog.registry;
        let is_known = count <= registry.len() && count > 0;
        let found = if is_known { types_fingerprint(registry, schema, count) } else { 0 };
        if is_known && found == expected {
            Ok(())
        } else {
            Err(DeltaError::Schema { expected, found })
        }
    }

    fn check_base(&mut self, delta: &Delta<'_>) -> Result<(), DeltaError> {
        let Some(expected) = delta.base() else { return Ok(()) };
        let found = self.delta_mark();
        if found != expected {
            return Err(DeltaError::Base { expected, found });
        }
        let (catalog, count) = (&self.catalog, delta.head.base_archetypes as usize);
        let is_known = count <= catalog.archetypes().len();
        if is_known && order_of(catalog, count) == delta.head.base_order {
            Ok(())
        } else {
            Err(DeltaError::Archetypes)
        }
    }

    fn apply_parts(
        &mut self,
        delta: &Delta<'_>,
        parts: &mut DeltaParts,
    ) -> Result<DeltaReport, DeltaError> {
        Taking::new(delta, self, parts).take()?;
        let before = Arc::clone(&self.catalog);
        let is_rearranged = self.take_order(delta, parts)?;
        let prepared = self.check_delta(delta, parts).and_then(|found| {
            self.state.heaps.note_blocks(&mut parts.blocks);
            let prepared = self.attempt(|world| {
                world.prepare_lists(delta, parts)?;
                world.prepare_delta(delta, parts)
            });
            if prepared.is_err() {
                self.state.heaps.forget_blocks(&parts.blocks);
            }
            prepared.map(|()| found)
        });
        match prepared {
            Ok(found) => {
                let report = self.write_delta(delta, parts, &found);
                self.close_catalog(is_rearranged);
                Ok(report)
            }
            Err(error) => {
                self.go_back_to_catalog(before);
                Err(error)
            }
        }
    }

    /// Puts the archetypes of the delta first, in its order. Tells whether a table moved.
    fn take_order(&mut self, delta: &Delta<'_>, parts: &DeltaParts) -> Result<bool, DeltaError> {
        let common = delta.head.common as usize;
        let malformed = DeltaError::Malformed { part: DeltaPart::Archetypes };
        let known = self.catalog.archetypes();
        if common > known.len() {
            return Err(malformed);
        }
        let masks = |known: &World| -> Vec<ComponentMask> {
            let known = &known.catalog.archetypes()[..common];
            known.iter().map(|known| *known.mask()).chain(parts.masks.iter().copied()).collect()
        };
        let is_same = known.len() >= common + parts.masks.len()
            && known[common..].iter().zip(&parts.masks).all(|(known, mask)| known.mask() == mask);
        if is_same {
            return Ok(false);
        }
        let order = masks(self);
        let registry = self.catalog.registry.clone();
        let arranged = self.catalog.arranged(registry, order.iter().copied());
        // Where the order names an archetype twice, at its end, there are fewer than it has.
        let first = arranged.archetypes().iter().take(order.len());
        let is_order = first.map(|own| own.mask()).eq(&order);
        // The first archetype of every world has no components.
        let is_first = order.first().is_none_or(|first| first.len() == 1);
        if !is_order || !is_first {
            return Err(malformed);
        }
        Ok(self.arrange(Arc::new(arranged)))
    }

    fn check_delta(&self, delta: &Delta<'_>, parts: &mut DeltaParts) -> Result<Found, DeltaError> {
        let (mut numbers, mut seen) = (mem::take(&mut parts.numbers), mem::take(&mut parts.seen));
        let checking = Checking { world: self, head: &delta.head, bytes: delta.bytes(), parts };
        let found = checking.check(&mut numbers, &mut seen);
        (parts.numbers, parts.seen) = (numbers, seen);
        let found = found?;
        let (bytes, registry) = (delta.bytes(), &self.catalog.registry);
        let is_value = |id: ComponentId, range: &Range<usize>| {
            let values = registry.values(id, &bytes[range.clone()]);
            let component = registry.info(id).name();
            values.map(drop).ok_or(DeltaError::Value { component })
        };
        for log in &parts.logs {
            is_value(log.id, &log.bytes)?;
            let own = self.state.log(log.id).filter(|own| plan_log(own, log).is_some());
            own.ok_or(DeltaError::Malformed { part: DeltaPart::Events })?;
        }
        for resource in &parts.resources {
            resource.value.iter().try_for_each(|value| is_value(resource.id, value))?;
        }
        let texts = parts.texts.iter().map(|range| text_at(bytes, range));
        self.texts.check_room(texts).map_err(DeltaError::Text)?;
        Ok(found)
    }

    /// Puts the elements of the delta's lists into blocks, and makes their handles writable.
    fn prepare_lists(
        &mut self,
        delta: &Delta<'_>,
        parts: &mut DeltaParts,
    ) -> Result<(), DeltaError> {
        let (lists, mut list_rows) = (mem::take(&mut parts.lists), mem::take(&mut parts.list_rows));
        let prepared = lists.iter().try_for_each(|part| {
            let bytes = delta.bytes();
            let (rows, runs) = match parts.table(part.table) {
                Some(table) => (table.rows, parts.runs_of(table, ComponentId::ENTITY)),
                None => (self.state.tables[part.table].rows(), &[][..]),
            };
            let Self { state: State { tables, heaps, .. }, memory, .. } = self;
            let table = &mut tables[part.table];
            let list_rows = &mut list_rows[part.rows.clone()];
            prepare_lists(bytes, (part, list_rows), runs, (table, rows), (heaps, memory))
        });
        (parts.lists, parts.list_rows) = (lists, list_rows);
        prepared
    }

    /// Makes every chunk that the delta writes exist and writable.
    fn prepare_delta(&mut self, delta: &Delta<'_>, parts: &DeltaParts) -> Result<(), DeltaError> {
        let Self { state, memory, .. } = self;
        for part in &parts.tables {
            let table = &mut state.tables[part.number];
            let held = table.rows();
            for column in &parts.columns[part.columns.clone()] {
                let runs = &parts.runs[column.runs.clone()];
                let column = table.column_mut(column.id).expect("it was found to be of the table");
                prepare_column(column, runs, (held, part.rows), memory)?;
            }
        }
        let (_, len) = parts.slots;
        let held = state.index.len();
        let has_blanks = delta.bytes()[parts.blanks.clone()].contains(&1);
        state.index.prepare_slots(len, has_blanks, memory)?;
        let runs = &parts.runs[parts.slot_runs.clone()];
        own_runs(state.index.column_mut(), runs, (held, len), memory)?;
        let slots = state.index.column_mut();
        for chunk in blank_chunks(delta, parts, slots) {
            // Blank chunks that come to be here stay so.
            if !slots.is_blank(chunk) {
                slots.own(chunk, 0, memory)?;
            }
        }
        for part in &parts.logs {
            let log = state.log_mut(part.id).expect("it was found to be known");
            let plan = plan_log(log, part).expect("it was found to have one");
            prepare_log(log, &plan, memory)?;
        }
        for part in parts.resources.iter().filter(|part| part.value.is_some()) {
            let resource = state.resource_mut(part.id).expect("it was found to be known");
            let held = resource.rows();
            let run = [DeltaRun { rows: (0, 1), at: 0 }];
            prepare_column(resource.column_mut(), &run, (held, 1), memory)?;
        }
        Ok(())
    }

    /// Writes everything.
    fn write_delta(&mut self, delta: &Delta<'_>, parts: &DeltaParts, found: &Found) -> DeltaReport {
        let lineage = self.lineage.next();
        let Self { state, memory, catalog, .. } = self;
        let mut writing = Writing {
            bytes: delta.bytes(),
            registry: &catalog.registry,
            report: DeltaReport { tables: parts.tables.len() as u64, ..DeltaReport::default() },
        };
        for part in &parts.lists {
            let lists = &parts.list_rows[part.rows.clone()];
            let (table, now) = (&mut state.tables[part.table], memory.now());
            write_handles((part, lists), &catalog.registry, (table, now));
            let elements = lists.iter().map(|list| u64::from(list.len)).sum::<u64>();
            let size = catalog.registry.info(part.id).list().map_or(0, |list| list.size as u64);
            writing.report.bytes_written += elements * size;
        }
        let kept = if delta.head.is_whole { 0 } else { delta.head.common as usize };
        let mut listed = parts.tables.iter().peekable();
        for (number, table) in state.tables.iter_mut().enumerate() {
            let Some(part) = listed.next_if(|part| part.number == number) else {
                if number >= kept {
                    table.clear(memory);
                }
                continue;
            };
            for column in &parts.columns[part.columns.clone()] {
                let runs = &parts.runs[column.runs.clone()];
                let own = table.column_mut(column.id).expect("it was found to be of the table");
                writing.write_column(own, runs, memory);
            }
            for column in table.columns_mut() {
                column.truncate(column.chunks_for(part.rows), memory);
            }
            // SAFETY: rows below the old length have values, and those above it were just written in every
            // column that has bytes: the check has found that the delta brings all of them.
            unsafe { table.set_rows(part.rows) };
        }
        let slots = state.index.column_mut();
        for chunk in blank_chunks(delta, parts, slots) {
            if !slots.is_blank(chunk) {
                let first = chunk * slots.chunk_rows();
                let rows = slots.writable_run(first..first + slots.chunk_rows(), memory.now());
                rows.expect("slots were made writable").fill(&Slot::UNUSED);
            }
        }
        for run in &parts.runs[parts.slot_runs.clone()] {
            let rows = run.rows.0 as usize..run.rows.1 as usize;
            let bytes = writing.bytes_at(run.at, rows.len() * size_of::<Slot>());
            let rows = slots.writable_run(rows, memory.now());
            rows.expect("slots were made writable").write_plain::<Slot>(bytes);
        }
        let len = parts.slots.1;
        slots.truncate(slots.chunks_for(len), memory);
        state.index.take_state(len, found.alive, &parts.index, lineage);
        for part in &parts.logs {
            let log = state.log_mut(part.id).expect("it was found to be known");
            let plan = plan_log(log, part).expect("it was found to have one");
            writing.write_log(log, part, &plan, memory);
        }
        for resource in state.resources.iter_mut() {
            let part = parts.resources.binary_search_by_key(&resource.component(), |part| part.id);
            let Ok(part) = part.map(|number| &parts.resources[number]) else {
                if delta.head.is_whole {
                    resource.clear(memory);
                }
                continue;
            };
            let Some(value) = &part.value else {
                resource.clear(memory);
                continue;
            };
            let run = [DeltaRun { rows: (0, 1), at: value.start }];
            writing.write_column(resource.column_mut(), &run, memory);
            // SAFETY: its row was just written.
            unsafe { resource.set_rows(1) };
        }
        if delta.head.is_whole {
            let is_listed = |id| parts.logs.binary_search_by_key(&id, |part| part.id).is_ok();
            for log in state.logs.iter_mut().filter(|log| !is_listed(log.component())) {
                log.column_mut().truncate(0, memory);
                // SAFETY: there is no row.
                unsafe { log.set_records(0, 0, 0) };
            }
        }
        let report = writing.report;
        self.lineage.begin_next();
        self.tick = delta.head.tick;
        for range in &parts.texts {
            let kept = self.texts.keep(text_at(delta.bytes(), range));
            assert!(kept.is_ok(), "there was found to be room for the text");
        }
        self.role = Role::Original;
        self.progress.detach_next = 0;
        report
    }
}

fn text_at<'a>(bytes: &'a [u8], range: &Range<usize>) -> &'a str {
    std::str::from_utf8(&bytes[range.clone()]).expect("it was found to be a text")
}

/// Makes room in `column`, of `held` rows, for `rows` of them, and every chunk that the runs write writable.
fn prepare_column(
    column: &mut Column,
    runs: &[DeltaRun],
    (held, rows): (usize, usize),
    memory: &mut Memory,
) -> Result<(), MemoryError> {
    if column.size() == 0 {
        return Ok(());
    }
    column.reserve_list(rows)?;
    column.reserve(rows, held.min(rows), memory)?;
    own_runs(column, runs, (held, rows), memory)
}

/// Makes every chunk that the runs write writable. A chunk that is written whole is not copied.
fn own_runs(
    column: &mut Column,
    runs: &[DeltaRun],
    (held, rows): (usize, usize),
    memory: &mut Memory,
) -> Result<(), MemoryError> {
    let log2 = column.rows_log2();
    let mut next = 0;
    for run in runs {
        let (start, end) = (run.rows.0 as usize, run.rows.1 as usize);
        for chunk in (start >> log2).max(next)..=(end - 1) >> log2 {
            let first = chunk << log2;
            let is_whole = start <= first && end >= rows.min(first + (1 << log2));
            let live = if is_whole { 0 } else { held.saturating_sub(first) };
            column.own(chunk, live, memory)?;
            next = chunk + 1;
        }
    }
    Ok(())
}

/// Where the records of a delta go in a log; nowhere where it lacks those before them.
fn plan_log(log: &EventLog, part: &LogPart) -> Option<LogPlan> {
    let column = log.column();
    let (count, new) = ((part.end - part.first) as usize, (part.from - part.first) as usize);
    let chunks = column.chunks_for(log.rows());
    if part.from == part.first {
        let dropped = if count == 0 { 0 } else { chunks };
        return Some(LogPlan { dropped, rows: 0..count });
    }
    let before = part.first.checked_sub(log.first()).filter(|_| part.from <= log.end())?;
    let before = usize::try_from(before).ok()?;
    let is_aligned = column.size() == 0 || before.is_multiple_of(column.chunk_rows());
    let dropped = if column.size() == 0 { 0 } else { before / column.chunk_rows() };
    is_aligned.then_some(LogPlan { dropped, rows: new..count })
}

/// Makes the rows of new records writable, behind the chunks that go away.
fn prepare_log(log: &mut EventLog, plan: &LogPlan, memory: &mut Memory) -> Result<(), MemoryError> {
    let held = log.rows();
    let column = log.column_mut();
    if column.size() == 0 || plan.rows.is_empty() {
        return Ok(());
    }
    let first = plan.dropped * column.chunk_rows();
    let (start, end) = (first + plan.rows.start, first + plan.rows.end);
    column.reserve_list(end)?;
    column.reserve(end, held, memory)?;
    let log2 = column.rows_log2();
    for chunk in start >> log2..=(end - 1) >> log2 {
        column.own(chunk, held.saturating_sub(chunk << log2), memory)?;
    }
    Ok(())
}

/// Writes the bytes of a delta to where they belong.
struct Writing<'a> {
    bytes: &'a [u8],
    registry: &'a Registry,
    report: DeltaReport,
}

impl<'a> Writing<'a> {
    fn bytes_at(&mut self, at: usize, count: usize) -> &'a [u8] {
        self.report.bytes_written += count as u64;
        &self.bytes[at..at + count]
    }

    fn write_column(&mut self, column: &mut Column, runs: &[DeltaRun], memory: &mut Returns) {
        let id = column.component();
        for run in runs {
            let rows = run.rows.0 as usize..run.rows.1 as usize;
            let bytes = self.bytes_at(run.at, rows.len() * column.size());
            let values = self.registry.values(id, bytes).expect("they were found to be values");
            let rows = column.writable_run(rows, memory.now());
            rows.expect("rows were made writable").write_values(values);
        }
    }

    fn write_log(
        &mut self,
        log: &mut EventLog,
        part: &LogPart,
        plan: &LogPlan,
        memory: &mut Returns,
    ) {
        let common = self.common(log, part);
        let column = log.column_mut();
        let count = plan.rows.end;
        if count == 0 {
            column.truncate(0, memory);
        } else if column.size() > 0 {
            (0..plan.dropped).for_each(|_| column.drop_first(memory));
            let run = [DeltaRun {
                rows: (plan.rows.start as u32, plan.rows.end as u32),
                at: part.bytes.start,
            }];
            if !plan.rows.is_empty() {
                self.write_column(column, &run, memory);
            }
            column.truncate(column.chunks_for(count), memory);
        }
        // SAFETY: the rows before those of the delta have values, and these were just written.
        unsafe { log.set_records(part.first, count, common) };
    }

    /// Up to which number the records of a log and those of the delta are the same.
    fn common(&self, log: &EventLog, part: &LogPart) -> u64 {
        let size = self.registry.info(part.id).size();
        let end = log.end().min(part.end);
        let mut next = part.from.max(log.first()).min(end);
        if size == 0 {
            return end;
        }
        let rows = log.column().rows(log.rows());
        while next < end {
            let (row, at) = ((next - log.first()) as usize, (next - part.from) as usize * size);
            let bytes = &self.bytes[part.bytes.start + at..][..size];
            if rows.bytes(row..row + 1) != bytes {
                break;
            }
            next += 1;
        }
        next
    }
}

/// The numbers of the new chunks of an index whose slots were never used.
fn blank_chunks<'a>(
    delta: &Delta<'a>,
    parts: &DeltaParts,
    slots: &Column,
) -> impl Iterator<Item = usize> + use<'a> {
    let first = parts.slots.0.div_ceil(slots.chunk_rows());
    let marks = &delta.bytes()[parts.blanks.clone()];
    (first..).zip(marks).filter_map(|(chunk, &mark)| (mark == 1).then_some(chunk))
}
