//! Makes a world of a manifest and the blocks that it names.
//!
//! The world is new, and nobody has it before all checks are done: so rows are written as they are read, and what an
//! error leaves is dropped. Each block is looked at while it is near: its hash, then whether it is values of its type,
//! then it is copied to its chunk. A migration takes the bytes of the file, and its values are looked at and copied.

#![allow(unsafe_code, reason = "counts rows after columns were read")]

use std::ops::Range;
use std::sync::Arc;

use bytemuck::Pod;

use crate::storage::archetype::Catalog;
use crate::storage::column::Column;
use crate::storage::component::Registry;
use crate::storage::hash::hash_bytes;
use crate::storage::history::Memory;
use crate::storage::{ComponentMask, Entity};
use crate::world::index::Slot;
use crate::world::state::State;
use crate::world::{World, WorldConfig};

use super::check::Contents;
use super::error::{CheckpointError, CheckpointPart};
use super::evolve::{Targets, report};
use super::manifest::{Block, ColumnRecord, Manifest, grow};
use super::medium::Medium;
use super::migration::Migration;
use super::old_lists::{OldBlocks, OldLists};
use super::plan::ReadPlan;
use super::report::ReadReport;
use super::types::{Fate, register_types};

/// Bytes in memory that no block of the file stands for, for each byte of the file, and such bytes that always may be.
const BLANK_FACTOR: u64 = 64;
const BLANK_BYTES: u64 = 1 << 20;
/// Bytes of the entry of a chunk.
const ENTRY_BYTES: u64 = 24;
/// Values that are migrated at once.
const MIGRATED_ROWS: usize = 256;

/// A world of the types of `config` and of the file that has the rows of the file, and the report of each type.
pub(super) fn load(
    medium: &impl Medium,
    manifest: &Manifest,
    tick: u64,
    (config, plan): (WorldConfig, &ReadPlan),
) -> Result<(World, ReadReport), CheckpointError> {
    let mut world = World::with_config(config);
    plan.check(&world.catalog.registry)?;
    let (fates, targets) = take_types(&mut world, manifest, plan)?;
    let blocks = Blocks::new(medium, &manifest.blocks);
    let (registry, made) = (world.catalog.registry.clone(), Vec::new());
    let mut loading = Loading { blocks, manifest, fates, targets, registry, made };
    let World { state, memory, texts, .. } = &mut world;
    loading.read_tables(state, memory)?;
    loading.read_index(state, memory)?;
    loading.read_logs(state, memory)?;
    loading.read_resources(state, memory)?;
    loading.read_lists(state, memory)?;
    loading.blocks.read_texts(manifest, |content| {
        texts.keep(content).map(drop).map_err(CheckpointError::Text)
    })?;
    let slots = manifest.index.as_ref().map_or(0, |index| index.rows);
    let contents = Contents::World(&world, world.state.index.column().rows(slots));
    contents.check(&manifest.index_state)?;
    let alive = manifest.alive();
    let Loading { fates, targets, registry, .. } = loading;
    let lineage = world.lineage.next();
    world.state.index.take_state(slots, alive, &manifest.index_state, lineage);
    world.lineage.begin_next();
    world.tick = tick;
    Ok((world, report(manifest, &fates, &targets, &registry)))
}

/// Lets a new world know the types and archetypes of a file, in its order. Returns the fate of each type, and where
/// the rows of each table go.
fn take_types<'p>(
    world: &mut World,
    manifest: &Manifest,
    plan: &'p ReadPlan,
) -> Result<(Vec<Fate<'p>>, Targets), CheckpointError> {
    let (arranged, fates, targets) = arranged_catalog(&world.catalog, manifest, plan)?;
    let is_rearranged = world.arrange(Arc::new(arranged));
    world.close_catalog(is_rearranged);
    Ok((fates, targets))
}

/// A catalog that knows the types of `catalog` and of a file, and has the archetypes of the file first, in its order;
/// the fate of each type, and where the rows of each table go.
pub(super) fn arranged_catalog<'p>(
    catalog: &Catalog,
    manifest: &Manifest,
    plan: &'p ReadPlan,
) -> Result<(Catalog, Vec<Fate<'p>>, Targets), CheckpointError> {
    let malformed = CheckpointError::Malformed { part: CheckpointPart::Archetypes };
    let mut registry = catalog.registry.clone();
    let in_use = |id| catalog.archetypes().iter().any(|known| known.mask().contains(id));
    let fates = register_types(&manifest.types, &mut registry, in_use, plan)?;
    let targets = Targets::new(manifest, &fates)?;
    // Toggles are never parted from their components.
    let masks: &[ComponentMask] = &targets.masks;
    if masks.iter().any(|mask| registry.with_toggles(mask) != *mask) {
        return Err(malformed);
    }
    let arranged = catalog.arranged(registry, masks.iter().copied());
    let mut pairs = arranged.archetypes().iter().zip(masks);
    if arranged.archetypes().len() < masks.len() || !pairs.all(|(own, mask)| own.mask() == mask) {
        return Err(malformed);
    }
    Ok((arranged, fates, targets))
}

/// The blocks of a file.
pub(super) struct Blocks<'m, M> {
    medium: &'m M,
    all: &'m [Block],
    bytes: Vec<u8>,
}

impl<'m, M: Medium> Blocks<'m, M> {
    pub(super) fn new(medium: &'m M, all: &'m [Block]) -> Self {
        Self { medium, all, bytes: Vec::new() }
    }

    /// Whether so many bytes that no block stands for are in proportion to the file.
    fn allow(&self, bytes: u64) -> Result<bool, CheckpointError> {
        let file_bytes = self.medium.len()?;
        Ok(bytes <= BLANK_BYTES.saturating_add(file_bytes.saturating_mul(BLANK_FACTOR)))
    }

    /// Reads so many bytes that are not damaged.
    fn read(
        &mut self,
        block: &Block,
        bytes: u64,
        part: CheckpointPart,
    ) -> Result<&[u8], CheckpointError> {
        let mut buffer = std::mem::take(&mut self.bytes);
        grow(&mut buffer, bytes)?;
        let read = self.read_into(block, &mut buffer, part);
        self.bytes = buffer;
        read.map(|()| &*self.bytes)
    }

    /// Fills `bytes` with those of a block, if they are not damaged.
    fn read_into(
        &self,
        block: &Block,
        bytes: &mut [u8],
        part: CheckpointPart,
    ) -> Result<(), CheckpointError> {
        self.medium.read_at(block.at, bytes)?;
        match hash_bytes(bytes) == block.hash {
            true => Ok(()),
            false => Err(CheckpointError::Damaged { part, at: block.at }),
        }
    }

    /// Reads the blocks of a column that has some, and hands each to `write`, with its rows.
    fn read_column(
        &mut self,
        record: &ColumnRecord,
        part: CheckpointPart,
        mut write: impl FnMut(Range<usize>, &[u8]) -> Result<(), CheckpointError>,
    ) -> Result<(), CheckpointError> {
        let all = self.all;
        for (rows, block) in record.blocks(all).filter(|(_, block)| **block != Block::BLANK) {
            let bytes = rows.len() as u64 * record.size as u64;
            write(rows, self.read(block, bytes, part)?)?;
        }
        Ok(())
    }

    /// Hands the contents of all texts to `keep`.
    pub(super) fn read_texts(
        &mut self,
        manifest: &Manifest,
        mut keep: impl FnMut(&str) -> Result<(), CheckpointError>,
    ) -> Result<(), CheckpointError> {
        use crate::storage::Text;
        use crate::storage::encoding::Reader;
        let part = CheckpointPart::Texts;
        for block in &manifest.texts {
            let place = Block { at: block.at, hash: block.hash };
            let bytes = self.read(&place, block.bytes, part)?;
            let mut reader = Reader { bytes, at: 0, part };
            while reader.at < bytes.len() {
                let content = reader.text()?;
                if content.len() <= Text::INLINE_BYTES_MAX {
                    return reader.malformed();
                }
                keep(content)?;
            }
        }
        Ok(())
    }
}

/// A world that is being read.
struct Loading<'m, 'p, M> {
    blocks: Blocks<'m, M>,
    manifest: &'m Manifest,
    /// The fate of each type.
    fates: Vec<Fate<'p>>,
    targets: Targets,
    registry: Registry,
    /// Values that a migration has made.
    made: Vec<u8>,
}

/// Rows of the file that become some of a column.
struct Source<'m> {
    /// None for values without bytes.
    record: Option<&'m ColumnRecord>,
    rows: usize,
    /// The row of the column that the first one becomes.
    first: usize,
    /// Rows that the column will have.
    all: usize,
    part: CheckpointPart,
}

impl<'m> Source<'m> {
    /// Rows that become all of a column.
    fn whole(record: Option<&'m ColumnRecord>, rows: usize, part: CheckpointPart) -> Self {
        Self { record, rows, first: 0, all: rows, part }
    }
}

impl<M: Medium> Loading<'_, '_, M> {
    /// Reads rows of a type to a column of its values.
    fn read_rows(
        &mut self,
        (column, fate): (&mut Column, Fate<'_>),
        source: &Source<'_>,
        memory: &mut Memory,
    ) -> Result<(), CheckpointError> {
        match (fate.migration(), source.record) {
            (Some(migration), _) => self.migrate_values((column, migration), source, memory),
            (None, Some(record)) => self.read_values(column, record, source, memory),
            (None, None) => Ok(()),
        }
    }

    /// Reads registered values.
    fn read_values(
        &mut self,
        column: &mut Column,
        record: &ColumnRecord,
        &Source { first, all, part, .. }: &Source<'_>,
        memory: &mut Memory,
    ) -> Result<(), CheckpointError> {
        let (id, registry) = (column.component(), &self.registry);
        let refused = || CheckpointError::Value { component: registry.info(id).name() };
        reserve(column, all, memory)?;
        if column.rows_log2() != record.rows_log2 || first > 0 {
            return self.blocks.read_column(record, part, |rows, bytes| {
                let Some(values) = registry.values(id, bytes) else { return Err(refused()) };
                let rows = first + rows.start..first + rows.end;
                let rows = column.writable_run(rows, memory.now());
                rows.expect("new chunks are writable").write_values(values);
                Ok(())
            });
        }
        for (rows, block) in record.blocks(self.blocks.all) {
            let rows = column.writable_run(rows, memory.now()).expect("new chunks are writable");
            // SAFETY: the next lines find that they are values, and nobody has the world before.
            let bytes = unsafe { rows.into_bytes() };
            self.blocks.read_into(block, bytes, part)?;
            if registry.values(id, bytes).is_none() {
                return Err(refused());
            }
        }
        Ok(())
    }

    /// Makes values of the bytes of the file.
    fn migrate_values(
        &mut self,
        (column, migration): (&mut Column, &Migration),
        &Source { record, rows, first, all, part }: &Source<'_>,
        memory: &mut Memory,
    ) -> Result<(), CheckpointError> {
        let (id, registry, made) = (column.component(), &self.registry, &mut self.made);
        let name = registry.info(id).name();
        if record.is_none() {
            let size = column.size();
            // There is nothing to make, any number of times.
            if size == 0 {
                return Ok(());
            }
            // A few bytes of the file stand for any number of records; rows and values have handles or a byte.
            let is_log = part == CheckpointPart::Events;
            if is_log && !self.blocks.allow((rows as u64).saturating_mul(size as u64))? {
                let error = format!("{rows} records without bytes would have {size} each").into();
                return Err(CheckpointError::Migration { component: name, error });
            }
        }
        reserve(column, all, memory)?;
        let mut migrate = |rows: Range<usize>, bytes: &[u8]| {
            for start in rows.clone().step_by(MIGRATED_ROWS) {
                let end = rows.end.min(start + MIGRATED_ROWS);
                let from = &bytes[(start - rows.start) * migration.size..];
                let count = end - start;
                made.clear();
                grow(made, (count as u64).saturating_mul(column.size() as u64))?;
                migration.apply(name, count, &from[..count * migration.size], made)?;
                let Some(values) = registry.values(id, made) else {
                    return Err(CheckpointError::Value { component: name });
                };
                let rows = column.writable_run(first + start..first + end, memory.now());
                rows.expect("new chunks are writable").write_values(values);
            }
            Ok(())
        };
        match record {
            Some(record) => self.blocks.read_column(record, part, migrate),
            None => migrate(0..rows, &[]),
        }
    }

    fn read_tables(
        &mut self,
        state: &mut State,
        memory: &mut Memory,
    ) -> Result<(), CheckpointError> {
        let (manifest, part) = (self.manifest, CheckpointPart::Tables);
        let tables = manifest.archetypes.iter().zip(&manifest.tables).enumerate();
        for (number, (types, record)) in tables.filter(|(_, (_, record))| record.rows > 0) {
            let (target, all) = self.targets.of(number);
            let (table, first) = (&mut state.tables[target.table], target.first);
            for number in types {
                let fate = self.fates[*number];
                let Some(id) = fate.id() else { continue };
                // Handles of lists are those of the file, until the elements come.
                let is_list = manifest.types[*number].list.is_some();
                let fate = if is_list { Fate::Kept(id) } else { fate };
                let own = table.column_mut(id).expect("archetypes have their types");
                let found = record.columns.binary_search_by_key(number, |column| column.0);
                let column = found.ok().map(|found| &record.columns[found].1);
                let source = Source { record: column, rows: record.rows, first, all, part };
                self.read_rows((own, fate), &source, memory)?;
            }
            // SAFETY: the types of the archetype here are those of the file that were not dropped. The manifest has a
            // column for each that has bytes in the file, as kept ones have if they do here, and migrations make values
            // of any. So all columns have this many rows: those of earlier tables, and those that were just read.
            unsafe { table.set_rows(first + record.rows) };
        }
        Ok(())
    }

    fn read_index(
        &mut self,
        state: &mut State,
        memory: &mut Memory,
    ) -> Result<(), CheckpointError> {
        let (manifest, part, targets) = (self.manifest, CheckpointPart::Index, &self.targets);
        let Some(record) = &manifest.index else { return Ok(()) };
        let has_blanks = record.blocks(&manifest.blocks).any(|(_, block)| *block == Block::BLANK);
        let chunk_rows = state.index.column().chunk_rows();
        // A few bytes of the file stand for any number of slots that were never used.
        let list_bytes = record.rows.div_ceil(chunk_rows) as u64 * ENTRY_BYTES;
        if !self.blocks.allow(list_bytes)? {
            return Err(CheckpointError::Malformed { part });
        }
        state.index.prepare_slots(record.rows, has_blanks, memory)?;
        let slots = state.index.column_mut();
        self.blocks.read_column(record, part, |rows, bytes| {
            for chunk in rows.start / chunk_rows..rows.end.div_ceil(chunk_rows) {
                let live = (record.rows - chunk * chunk_rows).min(chunk_rows);
                slots.own(chunk, live, memory)?;
            }
            let rows = slots.writable_run(rows, memory.now()).expect("slots were made writable");
            match targets.merged() {
                0 => rows.write_plain::<Slot>(bytes),
                _ => {
                    let malformed = || CheckpointError::Malformed { part };
                    let slots = targets.relocate(bytes).ok_or_else(malformed)?;
                    rows.write_plain::<Slot>(bytemuck::cast_slice(&slots));
                }
            }
            Ok(())
        })?;
        let blank = record.blocks(&manifest.blocks).filter(|(_, block)| **block == Block::BLANK);
        for (rows, _) in blank {
            let mut next = rows.start;
            while next < rows.end {
                let run = next..slots.run_end(next, rows.end);
                next = run.end;
                // Chunks here may begin and end elsewhere than those that were saved.
                if !slots.is_blank(run.start / chunk_rows) {
                    let rows = slots.writable_run(run, memory.now());
                    rows.expect("new chunks are writable").fill(&Slot::UNUSED);
                }
            }
        }
        Ok(())
    }

    fn read_logs(&mut self, state: &mut State, memory: &mut Memory) -> Result<(), CheckpointError> {
        let part = CheckpointPart::Events;
        for record in &self.manifest.logs {
            let fate = self.fates[record.of];
            let Some(id) = fate.id() else { continue };
            let log = state.log_mut(id).expect("events have logs");
            let source = Source::whole(record.column.as_ref(), record.rows, part);
            self.read_rows((log.column_mut(), fate), &source, memory)?;
            // SAFETY: as in `read_tables`.
            unsafe { log.set_records(record.first, record.rows, u64::MAX) };
            log.take_forks(record.forks);
        }
        Ok(())
    }

    fn read_resources(
        &mut self,
        state: &mut State,
        memory: &mut Memory,
    ) -> Result<(), CheckpointError> {
        for record in self.manifest.resources.iter().filter(|record| record.is_set) {
            let fate = self.fates[record.of];
            let Some(id) = fate.id() else { continue };
            let resource = state.resource_mut(id).expect("resources have a place");
            let source = Source::whole(record.column.as_ref(), 1, CheckpointPart::Resources);
            self.read_rows((resource.column_mut(), fate), &source, memory)?;
            // SAFETY: as in `read_tables`.
            unsafe { resource.set_rows(1) };
        }
        Ok(())
    }

    fn read_lists(
        &mut self,
        state: &mut State,
        memory: &mut Memory,
    ) -> Result<(), CheckpointError> {
        let part = CheckpointPart::Lists;
        for record in &self.manifest.classes {
            let Fate::Kept(id) = self.fates[record.of] else { continue };
            let heap = state.heaps.get_mut(id).expect("lists have heaps");
            let blocks = &mut heap.classes_mut()[record.class];
            let [elements, owners] = &record.columns;
            for (column, record) in blocks.columns_mut().iter_mut().zip(&record.columns) {
                reserve(column, record.rows, memory)?;
            }
            self.blocks.read_column(elements, part, |rows, bytes| {
                blocks.load(rows, bytes, memory.now());
                Ok(())
            })?;
            let [_, column] = blocks.columns_mut();
            self.blocks.read_column(owners, part, |rows, bytes| {
                let rows = column.writable_run(rows, memory.now());
                rows.expect("new chunks are writable").write_plain::<Entity>(bytes);
                Ok(())
            })?;
            blocks.set_rows(elements.rows);
        }
        self.migrate_lists(state, memory)
    }

    fn migrate_lists(
        &mut self,
        state: &mut State,
        memory: &mut Memory,
    ) -> Result<(), CheckpointError> {
        let (manifest, part) = (self.manifest, CheckpointPart::Lists);
        for (of, (fate, record)) in self.fates.iter().zip(&manifest.types).enumerate() {
            let (&Fate::Migrated(id, migration), Some(shape)) = (fate, record.list) else {
                continue;
            };
            let name = self.registry.info(id).name();
            let mut lists = OldLists { id, name, migration, shape, classes: Vec::new() };
            for record in manifest.classes.iter().filter(|record| record.of == of) {
                let (mut elements, mut owners) = (Vec::new(), Vec::new());
                self.blocks.read_column(&record.columns[0], part, |_, bytes| {
                    append(&mut elements, bytes)
                })?;
                self.blocks
                    .read_column(&record.columns[1], part, |_, bytes| append(&mut owners, bytes))?;
                lists.classes.push(OldBlocks { class: record.class, elements, owners });
            }
            lists.migrate(state, &self.registry, memory)?;
        }
        Ok(())
    }
}

/// Makes new chunks for all rows of a column that has none.
fn reserve(column: &mut Column, rows: usize, memory: &mut Memory) -> Result<(), CheckpointError> {
    column.reserve_list(rows)?;
    Ok(column.reserve(rows, 0, memory)?)
}

/// Adds values that lie side by side.
fn append<T: Pod>(values: &mut Vec<T>, bytes: &[u8]) -> Result<(), CheckpointError> {
    let more = bytes.chunks_exact(size_of::<T>());
    let room = values.try_reserve(more.len());
    room.map_err(|error| CheckpointError::Io(error.into()))?;
    values.extend(more.map(bytemuck::pod_read_unaligned::<T>));
    Ok(())
}
