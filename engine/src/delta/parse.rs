//! [`Delta`]: bytes that are a delta, and how a world takes one apart.

use std::fmt;

use crate::snapshot::View;
use crate::storage::component::{ComponentInfo, Kind};
use crate::storage::{ComponentId, ComponentMask};
use crate::world::World;
use crate::world::delta_notes::{
    ColumnPart, DeltaParts, DeltaRun, LogPart, ResourcePart, TablePart,
};
use crate::world::index::Slot;

use super::encode::{
    ARCHETYPES, DeltaEncoder, END, EVENTS, INDEX, LISTS, RESOURCES, TABLES, TEXTS, mask_of,
};
use super::error::{DeltaError, DeltaPart};
use super::format::{HEAD_BYTES, Head, Reader, mend_checksum};
use super::lists::take_lists;
use super::mark::DeltaMark;

/// The difference of two states of a world, as bytes: see the [page of the module](super).
///
/// Made by [`Delta::encode`] or a [`DeltaEncoder`], read by [`Delta::parse`], applied by
/// [`World::apply`].
#[derive(Clone, Copy)]
pub struct Delta<'a> {
    bytes: &'a [u8],
    pub(super) head: Head,
}

impl<'a> Delta<'a> {
    /// Writes the difference from `older` to `newer` over what is in `buffer`, or, with `None`, all of `newer`.
    ///
    /// Reads all of both views for their marks. A [`DeltaEncoder`], which knows those of the view before, looks at
    /// the chunks only that differ.
    ///
    /// ```
    /// use convoy_engine::delta::Delta;
    /// use convoy_engine::{ComponentMask, SnapshotPool, World};
    ///
    /// let (mut world, pool) = (World::new(), SnapshotPool::default());
    /// let ship = world.spawn((1_u32,));
    /// let older = world.capture(ComponentMask::ALL, &pool);
    /// let mut branch = World::branch(&older).unwrap();
    /// *world.get_mut::<u32>(ship).unwrap() = 2;
    /// let newer = world.capture(ComponentMask::ALL, &pool);
    ///
    /// let mut bytes = Vec::new();
    /// Delta::encode(&older, &newer, &mut bytes).unwrap();
    /// branch.apply(&Delta::parse(&bytes).unwrap()).unwrap();
    /// assert_eq!(branch.state_hash(), newer.state_hash());
    /// ```
    ///
    /// # Errors
    ///
    /// As [`DeltaEncoder::encode`].
    pub fn encode<'v>(
        older: impl Into<Option<&'v View>>,
        newer: &View,
        buffer: &mut Vec<u8>,
    ) -> Result<(), DeltaError> {
        DeltaEncoder::new().encode(older, newer, buffer)
    }

    /// The delta that the bytes are. Reads all of them once, for the checksum; the contents are looked at
    /// when they are applied.
    ///
    /// # Errors
    ///
    /// When the bytes are no delta, one of another version, or not all of one, or were damaged.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, DeltaError> {
        Ok(Self { bytes, head: Head::read(bytes)? })
    }

    /// The bytes.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The state that a world must have to apply the delta; `None` where any will do, as the delta is of a
    /// whole world.
    pub fn base(&self) -> Option<DeltaMark> {
        (!self.head.is_whole).then_some(self.head.base)
    }

    /// The state that the delta leads to.
    pub fn target(&self) -> DeltaMark {
        self.head.target
    }

    /// The tick that the world will have.
    pub fn tick(&self) -> u64 {
        self.head.tick
    }

    /// Puts the length and the checksum in changed bytes right, so that they get to the checks behind it. For
    /// tests and fuzzers: whatever the bytes are, applying them is an error or leads to a sound world.
    #[doc(hidden)]
    pub fn mend(bytes: &mut [u8]) {
        mend_checksum(bytes);
    }
}

impl fmt::Debug for Delta<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Delta")
            .field("bytes", &self.bytes.len())
            .field("base", &self.base())
            .field("target", &self.target())
            .field("tick", &self.tick())
            .finish()
    }
}

/// Takes a delta apart, as far as that needs no world but its types: `parts` is empty.
pub(super) struct Taking<'a, 'p> {
    reader: Reader<'a>,
    head: Head,
    world: &'p World,
    parts: &'p mut DeltaParts,
}

impl<'a, 'p> Taking<'a, 'p> {
    pub(super) fn new(delta: &Delta<'a>, world: &'p World, parts: &'p mut DeltaParts) -> Self {
        let reader = Reader { bytes: delta.bytes, at: HEAD_BYTES, part: DeltaPart::Head };
        Self { reader, head: delta.head, world, parts }
    }

    pub(super) fn take(mut self) -> Result<(), DeltaError> {
        self.reader.begin(DeltaPart::Archetypes, ARCHETYPES)?;
        self.take_archetypes()?;
        self.reader.begin(DeltaPart::Index, INDEX)?;
        self.take_index()?;
        self.reader.begin(DeltaPart::Tables, TABLES)?;
        self.take_tables()?;
        self.reader.begin(DeltaPart::Lists, LISTS)?;
        take_lists(&mut self.reader, &self.head, &self.world.catalog.registry, self.parts)?;
        self.reader.begin(DeltaPart::Events, EVENTS)?;
        self.take_events()?;
        self.reader.begin(DeltaPart::Resources, RESOURCES)?;
        self.take_resources()?;
        self.reader.begin(DeltaPart::Texts, TEXTS)?;
        self.take_texts()?;
        self.reader.begin(DeltaPart::Head, END)?;
        if self.reader.at < self.reader.bytes.len() { self.reader.malformed() } else { Ok(()) }
    }

    fn id(&self, number: u64) -> Result<ComponentId, DeltaError> {
        let is_known = number < u64::from(self.head.types);
        if is_known { Ok(ComponentId::new(number as usize)) } else { self.reader.malformed() }
    }

    fn take_archetypes(&mut self) -> Result<(), DeltaError> {
        let registry = &self.world.catalog.registry;
        for _ in self.head.common..self.head.archetypes {
            let count = self.reader.number()?;
            let mut mask = ComponentMask::NONE;
            for _ in 0..count {
                let number = self.reader.number()?;
                let id = self.id(number)?;
                let is_column = matches!(registry.info(id).kind(), Kind::Component | Kind::Toggle);
                if !is_column || !mask.insert(id) {
                    return self.reader.malformed();
                }
            }
            if !mask.contains(ComponentId::ENTITY) || registry.with_toggles(&mask) != mask {
                return self.reader.malformed();
            }
            self.parts.masks.push(mask_of(mask.iter()));
        }
        Ok(())
    }

    fn take_index(&mut self) -> Result<(), DeltaError> {
        let held = self.reader.short()? as usize;
        let len = self.reader.short()? as usize;
        self.parts.index.decode(&mut self.reader)?;
        let own = if self.head.is_whole { 0 } else { self.world.state.index.len() };
        if held != own {
            return self.reader.malformed();
        }
        let info = ComponentInfo::unregistered::<Slot>(self.world.catalog.registry.shape());
        let chunk_rows = info.chunk_rows();
        let first = held.next_multiple_of(chunk_rows);
        let chunks = len.saturating_sub(first).div_ceil(chunk_rows);
        let blanks = self.reader.skip(chunks as u64)?;
        let marks = &self.reader.bytes[blanks.clone()];
        let starts_blank = held == 0 && marks.first() == Some(&1);
        if marks.iter().any(|&mark| mark > 1) || starts_blank {
            return self.reader.malformed();
        }
        self.parts.blanks = blanks;
        self.parts.slots = (held, len);
        self.parts.slot_runs = self.take_runs(size_of::<Slot>(), len)?;
        // Every new slot is in a run or in a blank chunk.
        let mut next = held;
        let runs = &self.parts.runs[self.parts.slot_runs.clone()];
        let ends = (len as u32, len as u32);
        for (start, end) in runs.iter().map(|run| run.rows).chain([ends]) {
            let gap = next..start as usize;
            if !gap.is_empty() {
                let is_blank = |chunk: usize| marks.get(chunk) == Some(&1);
                let is_new = gap.start >= first;
                let numbers = gap.start.saturating_sub(first) / chunk_rows
                    ..gap.end.saturating_sub(first).div_ceil(chunk_rows);
                if !is_new || !numbers.into_iter().all(is_blank) {
                    return self.reader.malformed();
                }
            }
            next = next.max(end as usize);
        }
        Ok(())
    }

    /// Takes the runs of a column of `rows` rows.
    fn take_runs(
        &mut self,
        size: usize,
        rows: usize,
    ) -> Result<std::ops::Range<usize>, DeltaError> {
        let (first, mut end) = (self.parts.runs.len(), 0_u64);
        loop {
            let count = self.reader.number()?;
            if count == 0 {
                return Ok(first..self.parts.runs.len());
            }
            let gap = self.reader.number()?;
            let start = end.saturating_add(gap);
            end = start.saturating_add(count);
            if end > rows as u64 || size == 0 {
                return self.reader.malformed();
            }
            let bytes = self.reader.skip(count.saturating_mul(size as u64))?;
            self.parts.runs.push(DeltaRun { rows: (start as u32, end as u32), at: bytes.start });
        }
    }

    fn take_tables(&mut self) -> Result<(), DeltaError> {
        let registry = &self.world.catalog.registry;
        loop {
            let Some(number) = self.reader.number()?.checked_sub(1) else { return Ok(()) };
            let number = usize::try_from(number).unwrap_or(usize::MAX);
            let rows = self.reader.short()?;
            let is_next = self.parts.tables.last().is_none_or(|last| last.number < number);
            if !is_next || number >= self.head.archetypes as usize || rows == u32::MAX {
                return self.reader.malformed();
            }
            let first = self.parts.columns.len();
            while let Some(id) = self.reader.number()?.checked_sub(1) {
                let id = self.id(id)?;
                if registry.info(id).list().is_some() {
                    return self.reader.malformed();
                }
                let size = registry.info(id).size();
                let is_next = self.parts.columns[first..].last().is_none_or(|last| last.id < id);
                if !is_next || self.reader.number()? != size as u64 {
                    return self.reader.malformed();
                }
                let runs = self.take_runs(size, rows as usize)?;
                self.parts.columns.push(ColumnPart { id, size, runs });
            }
            let columns = first..self.parts.columns.len();
            self.parts.tables.push(TablePart { number, rows: rows as usize, columns });
        }
    }

    fn take_events(&mut self) -> Result<(), DeltaError> {
        let registry = &self.world.catalog.registry;
        loop {
            let Some(number) = self.reader.number()?.checked_sub(1) else { return Ok(()) };
            let id = self.id(number)?;
            let (first, from, end) =
                (self.reader.number()?, self.reader.number()?, self.reader.number()?);
            let is_next = self.parts.logs.last().is_none_or(|last| last.id < id);
            let is_sound = is_next && first <= from && from <= end && end < u64::MAX / 2;
            if !is_sound || registry.info(id).kind() != Kind::Event {
                return self.reader.malformed();
            }
            let bytes = (end - from).saturating_mul(registry.info(id).size() as u64);
            let bytes = self.reader.skip(bytes)?;
            self.parts.logs.push(LogPart { id, first, from, end, bytes });
        }
    }

    fn take_resources(&mut self) -> Result<(), DeltaError> {
        let registry = &self.world.catalog.registry;
        loop {
            let Some(number) = self.reader.number()?.checked_sub(1) else { return Ok(()) };
            let id = self.id(number)?;
            let is_next = self.parts.resources.last().is_none_or(|last| last.id < id);
            if !is_next || registry.info(id).kind() != Kind::Resource {
                return self.reader.malformed();
            }
            let value = match self.reader.flag()? {
                false => None,
                true => Some(self.reader.skip(registry.info(id).size() as u64)?),
            };
            self.parts.resources.push(ResourcePart { id, value });
        }
    }

    fn take_texts(&mut self) -> Result<(), DeltaError> {
        loop {
            let bytes = self.reader.number()?;
            if bytes == 0 {
                return Ok(());
            }
            let range = self.reader.skip(bytes)?;
            let content = std::str::from_utf8(&self.reader.bytes[range.clone()]);
            if content.is_err() || range.len() <= crate::storage::Text::INLINE_BYTES_MAX {
                return self.reader.malformed();
            }
            self.parts.texts.push(range);
        }
    }
}
