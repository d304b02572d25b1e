//! Makes a world of a manifest and the blocks that it names.
//!
//! The world is new, and nobody has it before all checks are done: so rows are written as they are read, and what an
//! error leaves is dropped. Each block is looked at while it is near: its hash, then whether it is values of its type,
//! then it is copied to its chunk.

#![allow(unsafe_code, reason = "counts rows after columns were read")]

use std::ops::Range;
use std::sync::Arc;

use crate::storage::archetype::Catalog;
use crate::storage::column::Column;
use crate::storage::component::Registry;
use crate::storage::hash::hash_bytes;
use crate::storage::history::Memory;
use crate::storage::{ComponentId, ComponentMask, Entity};
use crate::world::index::Slot;
use crate::world::state::State;
use crate::world::{World, WorldConfig};

use super::check::Contents;
use super::error::{CheckpointError, CheckpointPart};
use super::manifest::{Block, ColumnRecord, Manifest, grow};
use super::medium::Medium;
use super::types::register_types;

/// Bytes of the list of a column of slots without a block for each byte of the file, and such bytes that always may be.
const BLANK_FACTOR: u64 = 64;
const BLANK_BYTES: u64 = 1 << 20;
/// Bytes of the entry of a chunk.
const ENTRY_BYTES: u64 = 24;

/// A world of the types of `config` and of the file that has the rows of the file.
pub(super) fn load(
    medium: &impl Medium,
    manifest: &Manifest,
    tick: u64,
    config: WorldConfig,
) -> Result<World, CheckpointError> {
    let mut world = World::with_config(config);
    let ids = take_types(&mut world, manifest)?;
    let registry = world.catalog.registry.clone();
    let mut loading = Loading { blocks: Blocks::new(medium, &manifest.blocks), registry };
    let World { state, memory, texts, .. } = &mut world;
    loading.read_tables(state, (manifest, &ids), memory)?;
    loading.read_index(state, manifest, memory)?;
    loading.read_logs(state, (manifest, &ids), memory)?;
    loading.read_resources(state, (manifest, &ids), memory)?;
    loading.read_lists(state, (manifest, &ids), memory)?;
    loading.blocks.read_texts(manifest, |content| {
        texts.keep(content).map(drop).map_err(CheckpointError::Text)
    })?;
    let slots = manifest.index.as_ref().map_or(0, |index| index.rows);
    let contents = Contents::World(&world, world.state.index.column().rows(slots));
    contents.check(&manifest.index_state)?;
    let alive = manifest.alive();
    let lineage = world.lineage.next();
    world.state.index.take_state(slots, alive, &manifest.index_state, lineage);
    world.lineage.begin_next();
    world.tick = tick;
    Ok(world)
}

/// Lets a new world know the types and archetypes of a file, in its order. Returns which type is which one here.
fn take_types(world: &mut World, manifest: &Manifest) -> Result<Vec<ComponentId>, CheckpointError> {
    let (arranged, ids) = arranged_catalog(&world.catalog, manifest)?;
    let is_rearranged = world.arrange(Arc::new(arranged));
    world.close_catalog(is_rearranged);
    Ok(ids)
}

/// A catalog that knows the types of `catalog` and of a file, and has the archetypes of the file first, in its order;
/// and which type of the file is which one there.
pub(super) fn arranged_catalog(
    catalog: &Catalog,
    manifest: &Manifest,
) -> Result<(Catalog, Vec<ComponentId>), CheckpointError> {
    let malformed = CheckpointError::Malformed { part: CheckpointPart::Archetypes };
    let mut registry = catalog.registry.clone();
    let in_use = |id| catalog.archetypes().iter().any(|known| known.mask().contains(id));
    let ids = register_types(&manifest.types, &mut registry, in_use)?;
    let masks = manifest.archetypes.iter();
    let masks: Vec<ComponentMask> =
        masks.map(|types| types.iter().map(|&number| ids[number]).collect()).collect();
    // The first archetype of every world has no components, and toggles are never parted from theirs.
    let is_first = masks.first().is_some_and(|first| first.len() == 1);
    if !is_first || masks.iter().any(|mask| registry.with_toggles(mask) != *mask) {
        return Err(malformed);
    }
    let arranged = catalog.arranged(registry, masks.iter().copied());
    let mut pairs = arranged.archetypes().iter().zip(&masks);
    if arranged.archetypes().len() < masks.len() || !pairs.all(|(own, mask)| own.mask() == mask) {
        return Err(malformed);
    }
    Ok((arranged, ids))
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
                let length = reader.number()?;
                let content = reader.skip(length)?;
                let is_long = content.len() > Text::INLINE_BYTES_MAX;
                let content = std::str::from_utf8(&bytes[content]).ok().filter(|_| is_long);
                let Some(content) = content else { return reader.malformed() };
                keep(content)?;
            }
        }
        Ok(())
    }
}

/// A world that is being read.
struct Loading<'m, M> {
    blocks: Blocks<'m, M>,
    registry: Registry,
}

impl<M: Medium> Loading<'_, M> {
    /// Reads a column of registered values, which has no rows yet.
    fn read_values(
        &mut self,
        column: &mut Column,
        record: &ColumnRecord,
        part: CheckpointPart,
        memory: &mut Memory,
    ) -> Result<(), CheckpointError> {
        let (id, registry) = (column.component(), &self.registry);
        let refused = || CheckpointError::Value { component: registry.info(id).name() };
        reserve(column, record.rows, memory)?;
        if column.rows_log2() != record.rows_log2 {
            return self.blocks.read_column(record, part, |rows, bytes| {
                let Some(values) = registry.values(id, bytes) else { return Err(refused()) };
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

    fn read_tables(
        &mut self,
        state: &mut State,
        (manifest, ids): (&Manifest, &[ComponentId]),
        memory: &mut Memory,
    ) -> Result<(), CheckpointError> {
        for (table, record) in state.tables.iter_mut().zip(&manifest.tables) {
            for (number, column) in &record.columns {
                let own = table.column_mut(ids[*number]).expect("archetypes have their types");
                self.read_values(own, column, CheckpointPart::Tables, memory)?;
            }
            // SAFETY: the manifest has a column for each type of the archetype that has bytes, and its blocks, which
            // were just read, have as many rows of it.
            unsafe { table.set_rows(record.rows) };
        }
        Ok(())
    }

    fn read_index(
        &mut self,
        state: &mut State,
        manifest: &Manifest,
        memory: &mut Memory,
    ) -> Result<(), CheckpointError> {
        let part = CheckpointPart::Index;
        let Some(record) = &manifest.index else { return Ok(()) };
        let has_blanks = record.blocks(&manifest.blocks).any(|(_, block)| *block == Block::BLANK);
        let chunk_rows = state.index.column().chunk_rows();
        // A few bytes of the file stand for any number of slots that were never used.
        let list_bytes = record.rows.div_ceil(chunk_rows) as u64 * ENTRY_BYTES;
        let file_bytes = self.blocks.medium.len()?;
        if list_bytes > BLANK_BYTES.saturating_add(file_bytes.saturating_mul(BLANK_FACTOR)) {
            return Err(CheckpointError::Malformed { part });
        }
        state.index.prepare_slots(record.rows, has_blanks, memory)?;
        let slots = state.index.column_mut();
        self.blocks.read_column(record, part, |rows, bytes| {
            for chunk in rows.start / chunk_rows..rows.end.div_ceil(chunk_rows) {
                let live = (record.rows - chunk * chunk_rows).min(chunk_rows);
                slots.own(chunk, live, memory)?;
            }
            let rows = slots.writable_run(rows, memory.now());
            rows.expect("slots were made writable").write_plain::<Slot>(bytes);
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

    fn read_logs(
        &mut self,
        state: &mut State,
        (manifest, ids): (&Manifest, &[ComponentId]),
        memory: &mut Memory,
    ) -> Result<(), CheckpointError> {
        for record in &manifest.logs {
            let log = state.log_mut(ids[record.of]).expect("events have logs");
            if let Some(column) = &record.column {
                self.read_values(log.column_mut(), column, CheckpointPart::Events, memory)?;
            }
            // SAFETY: as in `read_tables`.
            unsafe { log.set_records(record.first, record.rows, u64::MAX) };
            log.take_forks(record.forks);
        }
        Ok(())
    }

    fn read_resources(
        &mut self,
        state: &mut State,
        (manifest, ids): (&Manifest, &[ComponentId]),
        memory: &mut Memory,
    ) -> Result<(), CheckpointError> {
        for record in manifest.resources.iter().filter(|record| record.is_set) {
            let resource = state.resource_mut(ids[record.of]).expect("resources have a place");
            if let Some(column) = &record.column {
                self.read_values(resource.column_mut(), column, CheckpointPart::Resources, memory)?;
            }
            // SAFETY: as in `read_tables`.
            unsafe { resource.set_rows(1) };
        }
        Ok(())
    }

    fn read_lists(
        &mut self,
        state: &mut State,
        (manifest, ids): (&Manifest, &[ComponentId]),
        memory: &mut Memory,
    ) -> Result<(), CheckpointError> {
        let part = CheckpointPart::Lists;
        for record in &manifest.classes {
            let heap = state.heaps.get_mut(ids[record.of]).expect("lists have heaps");
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
        Ok(())
    }
}

/// Makes new chunks for all rows of a column that has none.
fn reserve(column: &mut Column, rows: usize, memory: &mut Memory) -> Result<(), CheckpointError> {
    column.reserve_list(rows)?;
    Ok(column.reserve(rows, 0, memory)?)
}
