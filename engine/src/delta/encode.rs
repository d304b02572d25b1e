//! [`DeltaEncoder`]: writes the difference of two views, chunk by chunk.
//!
//! Chunks at the same address are equal as far as both views see them, and are passed over. Others are
//! compared row by row, and rows that differ are written by runs: a gap between two runs that is no
//! longer than the head of a run is written with them.

use std::ops::Range;

use crate::snapshot::View;
use crate::storage::archetype::Catalog;
use crate::storage::component::{ComponentInfo, Kind};
use crate::storage::encoding::put_number;
use crate::storage::frozen::Frozen;
use crate::storage::hash::join;
use crate::storage::rows::Rows;
use crate::storage::{ComponentId, ComponentMask, SnapshotId};
use crate::world::index::{EntityIndex, Slot};

use super::error::DeltaError;
use super::format::{Body, Head};
use super::lists::write_lists;
use super::mark::{ChunkMarks, DeltaMark, types_fingerprint};

/// The numbers of the parts of a delta.
pub(super) const ARCHETYPES: u8 = 1;
pub(super) const INDEX: u8 = 2;
pub(super) const TABLES: u8 = 3;
pub(super) const EVENTS: u8 = 4;
pub(super) const RESOURCES: u8 = 5;
pub(super) const TEXTS: u8 = 6;
pub(super) const LISTS: u8 = 7;
pub(super) const END: u8 = 0;

/// Bytes between two runs that are written with them: as many as the head of a run has.
const GAP_BYTES: usize = 2;
/// Rows that are compared at once: one for each bit of a word.
const BLOCK_ROWS: usize = 64;
/// How many marks of earlier snapshots are kept.
const MARKS: usize = 64;

/// Writes deltas, and keeps the hashes of the chunks of the view that it saw last: those of the next one
/// follow from them, where it shares chunks. One for each world is best.
///
/// It holds that view until it sees another one, or [`DeltaEncoder::release`].
///
/// ```
/// use convoy_engine::delta::{Delta, DeltaEncoder};
/// use convoy_engine::{ComponentMask, SnapshotPool, World};
///
/// let (mut world, pool) = (World::new(), SnapshotPool::default());
/// let ship = world.spawn((1_u32,));
/// let mut follower = World::new();
/// follower.register::<u32>().unwrap();
///
/// let (mut encoder, mut bytes) = (DeltaEncoder::new(), Vec::new());
/// let first = world.capture(ComponentMask::ALL, &pool);
/// encoder.encode(None, &first, &mut bytes).unwrap();
/// follower.apply(&Delta::parse(&bytes).unwrap()).unwrap();
///
/// *world.get_mut::<u32>(ship).unwrap() = 2;
/// let second = world.capture(ComponentMask::ALL, &pool);
/// encoder.encode(&first, &second, &mut bytes).unwrap();
/// follower.apply(&Delta::parse(&bytes).unwrap()).unwrap();
/// assert_eq!(follower.get::<u32>(ship), Ok(&2));
/// assert_eq!(follower.state_hash(), world.state_hash());
/// ```
#[derive(Default)]
pub struct DeltaEncoder {
    /// The view that was seen last, whose chunks have these hashes.
    last: Option<(View, DeltaMark)>,
    chunks: ChunkMarks,
    spare: ChunkMarks,
    /// The marks of the last snapshots, the oldest first.
    marks: Vec<(SnapshotId, DeltaMark)>,
}

impl DeltaEncoder {
    /// An encoder that knows nothing yet. Allocates on first use.
    pub fn new() -> Self {
        Self::default()
    }

    /// Writes the difference from `older` to `newer` over what is in `buffer`, or, with `None`, all of
    /// `newer`. The two may be of one world or two, as long as both know the same types, and neither needs to
    /// be the older one.
    ///
    /// Compares the chunks that the views don't share, and hashes those that the view it saw last does not
    /// share with `newer`: all of them the first time. Allocates only as buffer and lists grow.
    ///
    /// # Errors
    ///
    /// When a view was captured or narrowed without a type, or the views are of worlds with other types. The
    /// buffer is empty then.
    pub fn encode<'v>(
        &mut self,
        older: impl Into<Option<&'v View>>,
        newer: &View,
        buffer: &mut Vec<u8>,
    ) -> Result<(), DeltaError> {
        buffer.clear();
        let older = older.into();
        older.into_iter().chain([newer]).try_for_each(check_whole)?;
        let base = older.map_or(DeltaMark::NOTHING, |older| self.mark(older));
        let target = self.mark(newer);
        let views = Views::new(older.map(View::frozen), newer.frozen())?;
        views.write(base, target, buffer);
        Ok(())
    }

    /// The mark of a view: that which deltas from or to it have, and its world at the capture.
    ///
    /// # Errors
    ///
    /// As [`DeltaEncoder::encode`].
    pub fn mark_of(&mut self, view: &View) -> Result<DeltaMark, DeltaError> {
        check_whole(view)?;
        Ok(self.mark(view))
    }

    /// Lets go of the view that it holds. The next one is hashed whole.
    pub fn release(&mut self) {
        self.last = None;
        self.chunks.clear();
    }

    /// Bytes of the lists.
    pub fn list_bytes(&self) -> usize {
        let marks = self.marks.capacity() * size_of::<(SnapshotId, DeltaMark)>();
        self.chunks.list_bytes() + self.spare.list_bytes() + marks
    }

    fn mark(&mut self, view: &View) -> DeltaMark {
        let id = view.id();
        if let Some((_, mark)) = self.marks.iter().rev().find(|(known, _)| *known == id) {
            return *mark;
        }
        let last = self.last.take();
        let known = last.as_ref().map(|(last, _)| (last.frozen(), &self.chunks));
        let mark = self.spare.fill(view.frozen(), known);
        std::mem::swap(&mut self.chunks, &mut self.spare);
        self.last = Some((view.clone(), mark));
        self.marks.reserve_exact(MARKS - self.marks.len());
        if self.marks.len() == MARKS {
            self.marks.remove(0);
        }
        self.marks.push((id, mark));
        mark
    }
}

impl std::fmt::Debug for DeltaEncoder {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let held = self.last.as_ref().map(|(view, mark)| (view.tick(), mark));
        formatter.debug_struct("DeltaEncoder").field("held", &held).finish_non_exhaustive()
    }
}

fn check_whole(view: &View) -> Result<(), DeltaError> {
    match view.first_missing() {
        None => Ok(()),
        Some(component) => Err(DeltaError::NotCaptured { component }),
    }
}

/// The two snapshots of a delta.
struct Views<'a> {
    older: Option<&'a Frozen>,
    newer: &'a Frozen,
    /// How many types the delta speaks of.
    types: usize,
    /// How many archetypes the older one has up to the last with rows, and how many of these are those of
    /// the newer one.
    held: usize,
    common: usize,
}

impl<'a> Views<'a> {
    fn new(older: Option<&'a Frozen>, newer: &'a Frozen) -> Result<Self, DeltaError> {
        let own = newer.catalog();
        let types = own.registry.len();
        let Some(older) = older else {
            return Ok(Self { older: None, newer, types, held: 0, common: 0 });
        };
        let base = older.catalog();
        let (one, other) = (&base.registry, &own.registry);
        let agree =
            one.stamp() == other.stamp() || one.is_prefix_of(other) || other.is_prefix_of(one);
        if !agree || base.schema() != own.schema() {
            return Err(DeltaError::DifferentTypes);
        }
        // Archetypes without rows after all others may stand elsewhere in the world that follows.
        let filled = (0..older.table_count()).rposition(|table| older.table(table).0 > 0);
        let held = filled.map_or(0, |last| last + 1);
        let common = if own.begins_with(base) {
            held
        } else {
            let pairs = base.archetypes()[..held].iter().zip(own.archetypes());
            pairs.take_while(|(older, newer)| older.mask() == newer.mask()).count()
        };
        let types = types.max(base.registry.len());
        Ok(Self { older: Some(older), newer, types, held, common })
    }

    /// The catalog of the world that knows more types.
    fn catalog(&self) -> &'a Catalog {
        let older = self.older.map(Frozen::catalog);
        older.filter(|older| older.registry.len() == self.types).unwrap_or(self.newer.catalog())
    }

    fn write(&self, base: DeltaMark, target: DeltaMark, buffer: &mut Vec<u8>) {
        let mut body = Body::begin(buffer);
        self.write_archetypes(body.bytes);
        self.write_index(&mut body);
        self.write_tables(&mut body);
        body.bytes.push(LISTS);
        write_lists(&mut body, self.newer, (self.older, self.common));
        self.write_events(&mut body);
        self.write_resources(body.bytes);
        self.write_texts(body.bytes);
        body.bytes.push(END);
        let catalog = self.catalog();
        let schema = catalog.schema().map_or(0, |schema| schema.fingerprint());
        let head = Head {
            is_whole: self.older.is_none(),
            fingerprint: types_fingerprint(&catalog.registry, schema, self.types),
            base,
            target,
            tick: self.newer.head.tick,
            types: self.types as u32,
            base_archetypes: self.held as u32,
            base_order: self.older.map_or(0, |older| order_of(older.catalog(), self.held)),
            common: self.common as u32,
            archetypes: self.newer.catalog().archetypes().len() as u32,
        };
        body.finish(&head);
    }

    fn write_archetypes(&self, buffer: &mut Vec<u8>) {
        buffer.push(ARCHETYPES);
        for archetype in &self.newer.catalog().archetypes()[self.common..] {
            put_number(buffer, archetype.mask().len() as u64);
            archetype.mask().iter().for_each(|id| put_number(buffer, id.index() as u64));
        }
    }

    fn write_index(&self, body: &mut Body<'_>) {
        let buffer = &mut *body.bytes;
        buffer.push(INDEX);
        let slots = self.newer.index().unwrap_or(Rows::EMPTY);
        let older = self.older.and_then(Frozen::index);
        let state = self.newer.index_state();
        let held = older.map_or(0, |older| older.len());
        put_number(buffer, held as u64);
        put_number(buffer, slots.len() as u64);
        state.encode(buffer);
        let info = ComponentInfo::unregistered::<Slot>(self.newer.catalog().registry.shape());
        let blanks = Blanks { slots, held, chunk_rows: info.chunk_rows() };
        buffer.extend(blanks.marks());
        let unsettled = EntityIndex::unsettled(&slots, &state.head);
        let base_unsettled = self.older.map(|older| {
            let slots = older.index().unwrap_or(Rows::EMPTY);
            EntityIndex::unsettled(&slots, &older.index_state().head)
        });
        let base_unsettled = base_unsettled.unwrap_or_default();
        let mut runs = RunWriter::new(slots, body);
        if self.common < self.held || !unsettled.is_empty() || !base_unsettled.is_empty() {
            let shown = |slots: &Rows<'_>, unsettled: &[u32], index: usize| {
                let slot = *slots.get::<Slot>(index);
                let is_taken = unsettled.binary_search(&(index as u32)).is_ok();
                if is_taken { slot.settled() } else { slot }
            };
            for index in 0..slots.len() {
                let slot = shown(&slots, &unsettled, index);
                let is_known = older.is_some_and(|older| {
                    index < held && shown(&older, &base_unsettled, index) == slot
                });
                // Equal slots may tell of different archetypes.
                let is_elsewhere = slot.place().is_some_and(|(table, _)| table >= self.common);
                if !is_known || is_elsewhere {
                    if index >= held && blanks.is_blank(index) {
                        continue;
                    }
                    runs.add_value(index, bytemuck::bytes_of(&slot));
                }
            }
        } else {
            older.iter().for_each(|older| runs.add_different(older));
            blanks.add_new(&mut runs);
        }
        runs.finish();
    }

    fn write_tables(&self, body: &mut Body<'_>) {
        body.bytes.push(TABLES);
        let archetypes = self.newer.catalog().archetypes();
        for (table, archetype) in archetypes.iter().enumerate().take(self.newer.table_count()) {
            let older =
                self.older.filter(|older| table < self.common && table < older.table_count());
            let (rows, held) =
                (self.newer.table(table).0, older.map_or(0, |older| older.table(table).0));
            let start = body.bytes.len();
            put_number(body.bytes, table as u64 + 1);
            put_number(body.bytes, rows as u64);
            let head = body.bytes.len();
            let registry = &self.newer.catalog().registry;
            for id in archetype.mask().iter().filter(|&id| registry.info(id).list().is_none()) {
                let Some(column) = self.newer.column(table, id) else { continue };
                let start = body.bytes.len();
                put_number(body.bytes, id.index() as u64 + 1);
                put_number(body.bytes, column.size() as u64);
                let mut runs = RunWriter::new(column, body);
                if let Some(older) = older.and_then(|older| older.column(table, id)) {
                    runs.add_different(&older);
                }
                runs.add(held.min(rows)..rows);
                if !runs.finish() {
                    body.bytes.truncate(start);
                }
            }
            if body.bytes.len() == head && rows == held {
                body.bytes.truncate(start);
            } else {
                body.bytes.push(0);
            }
        }
        body.bytes.push(0);
    }

    fn write_events(&self, body: &mut Body<'_>) {
        body.bytes.push(EVENTS);
        for id in self.catalog().registry.ids_of(Kind::Event) {
            let log = self.newer.log(id);
            let older = self.older.and_then(|older| older.log(id));
            let (rows, first) = log.map_or((Rows::EMPTY, 0), |(rows, first, _)| (rows, first));
            let end = first + rows.len() as u64;
            let (held, base_first) = older.map_or((0, 0), |(rows, first, _)| (rows.len(), first));
            let base_end = base_first + held as u64;
            let common = log.zip(older).map_or(0, |(log, older)| log.2.common_with(older.2));
            let from = common.min(base_end).min(end);
            let chunk_rows = self.catalog().registry.info(id).chunk_rows() as u64;
            let is_aligned = first >= base_first
                && (rows.size() == 0 || (first - base_first).is_multiple_of(chunk_rows));
            let from = if is_aligned && from > first { from } else { first };
            if (first, end) == (base_first, base_end) && from == end {
                continue;
            }
            put_number(body.bytes, id.index() as u64 + 1);
            [first, from, end].iter().for_each(|&number| put_number(body.bytes, number));
            copy_rows(&rows, (from - first) as usize..rows.len(), body);
        }
        body.bytes.push(0);
    }

    fn write_resources(&self, buffer: &mut Vec<u8>) {
        buffer.push(RESOURCES);
        for id in self.catalog().registry.ids_of(Kind::Resource) {
            let value = |frozen: &'a Frozen| {
                let rows = frozen.resource(id).filter(|rows| rows.len() > 0)?;
                Some(rows.bytes(0..1))
            };
            let (older, newer) = (self.older.and_then(value), value(self.newer));
            if older == newer {
                continue;
            }
            put_number(buffer, id.index() as u64 + 1);
            buffer.push(u8::from(newer.is_some()));
            newer.iter().for_each(|bytes| buffer.extend_from_slice(bytes));
        }
        buffer.push(0);
    }

    fn write_texts(&self, buffer: &mut Vec<u8>) {
        buffer.push(TEXTS);
        let mut contents = Vec::new();
        self.newer.texts.list_new(self.older.map(|older| &older.texts), &mut contents);
        for content in contents {
            put_number(buffer, content.len() as u64);
            buffer.extend_from_slice(content.as_bytes());
        }
        buffer.push(0);
    }
}

/// A hash of the first `count` archetypes, in their order.
pub(super) fn order_of(catalog: &Catalog, count: usize) -> u64 {
    catalog.archetypes()[..count].iter().fold(0, |order, archetype| {
        let mask = archetype.mask();
        let ids = mask.iter().fold(0, |hash, id| join(hash, id.index() as u64));
        join(order, ids)
    })
}

/// The new chunks of an index: those whose slots were never used are not written.
struct Blanks<'a> {
    slots: Rows<'a>,
    /// How many slots the base has.
    held: usize,
    chunk_rows: usize,
}

impl Blanks<'_> {
    /// The chunks that begin after the slots of the base.
    fn chunks(&self) -> impl Iterator<Item = Range<usize>> + use<> {
        let (end, rows) = (self.slots.len(), self.chunk_rows);
        let first = self.held.next_multiple_of(rows);
        (first..end).step_by(rows).map(move |start| start..end.min(start + rows))
    }

    fn marks(&self) -> impl Iterator<Item = u8> {
        self.chunks().map(|chunk| u8::from(self.is_blank(chunk.start)))
    }

    /// Whether the chunk of a new slot, one of [`Blanks::chunks`], has unused slots only. The first of an
    /// index never counts as blank.
    fn is_blank(&self, index: usize) -> bool {
        let start = index & !(self.chunk_rows - 1);
        let run = self.slots.rest_of_chunk(start);
        let is_unused = |slot: &Slot| *slot == Slot::UNUSED;
        start > 0 && start >= self.held && self.slots.run::<Slot>(run).iter().all(is_unused)
    }

    /// Adds all new slots that are not in blank chunks.
    fn add_new(&self, runs: &mut RunWriter<'_, '_, '_>) {
        let end = self.slots.len();
        let first = self.held.next_multiple_of(self.chunk_rows).min(end);
        if self.held < first {
            runs.add(self.held..first);
        }
        let used = self.chunks().filter(|chunk| !self.is_blank(chunk.start));
        used.for_each(|chunk| runs.add(chunk));
    }
}

/// Writes the runs of a column: for each the number of its rows, how many rows lie between it and the
/// one before, and the rows. A run without rows ends them.
struct RunWriter<'a, 'b, 'c> {
    rows: Rows<'a>,
    body: &'b mut Body<'c>,
    /// The run that is not written yet.
    pending: Range<usize>,
    /// The end of the last one that was.
    written: usize,
    /// Rows between two runs that are written with them.
    gap: usize,
    any: bool,
}

impl<'a, 'b, 'c> RunWriter<'a, 'b, 'c> {
    fn new(rows: Rows<'a>, body: &'b mut Body<'c>) -> Self {
        let gap = GAP_BYTES.checked_div(rows.size()).unwrap_or(0);
        Self { rows, body, pending: 0..0, written: 0, gap, any: false }
    }

    /// Adds rows after all that were added.
    #[inline]
    fn add(&mut self, rows: Range<usize>) {
        if rows.is_empty() || self.rows.size() == 0 {
            return;
        }
        if !self.pending.is_empty() && rows.start <= self.pending.end + self.gap {
            self.pending.end = rows.end;
            return;
        }
        self.flush();
        self.pending = rows;
    }

    /// Writes a single row with other bytes than it has.
    fn add_value(&mut self, row: usize, bytes: &[u8]) {
        self.flush();
        self.put_head(&(row..row + 1));
        self.body.push_rows(bytes);
    }

    fn put_head(&mut self, run: &Range<usize>) {
        put_number(self.body.bytes, run.len() as u64);
        put_number(self.body.bytes, (run.start - self.written) as u64);
        (self.written, self.any) = (run.end, true);
    }

    fn flush(&mut self) {
        let run = std::mem::take(&mut self.pending);
        if !run.is_empty() {
            self.put_head(&run);
            copy_rows(&self.rows, run, self.body);
        }
    }

    /// Ends the runs. Tells whether there were any.
    fn finish(mut self) -> bool {
        self.flush();
        self.body.bytes.push(0);
        self.any
    }

    /// Adds the rows that both columns have and that differ.
    fn add_different(&mut self, older: &Rows<'_>) {
        let size = self.rows.size();
        assert_eq!(older.size(), size, "both columns hold one component");
        let end = if size == 0 { 0 } else { older.len().min(self.rows.len()) };
        let mut next = 0;
        loop {
            let start = self.rows.next_unshared(older, next);
            if start >= end {
                break;
            }
            let run = start..self.rows.rest_of_chunk(start).end.min(end);
            next = run.end;
            let (one, other) = (older.bytes(run.clone()), self.rows.bytes(run.clone()));
            match size {
                4 => self.compare::<4>(run.start, one, other),
                8 => self.compare::<8>(run.start, one, other),
                12 => self.compare::<12>(run.start, one, other),
                16 => self.compare::<16>(run.start, one, other),
                24 => self.compare::<24>(run.start, one, other),
                32 => self.compare::<32>(run.start, one, other),
                48 => self.compare::<48>(run.start, one, other),
                64 => self.compare::<64>(run.start, one, other),
                size => {
                    let pairs = one.chunks_exact(size).zip(other.chunks_exact(size));
                    for (row, (one, other)) in (run.start..).zip(pairs) {
                        if one != other {
                            self.add(row..row + 1);
                        }
                    }
                }
            }
        }
    }

    /// Compares the rows of a chunk, of `N` bytes each, 64 at a time. A block is first asked whether it
    /// differs at all where the one before it did not.
    fn compare<const N: usize>(&mut self, start: usize, one: &[u8], other: &[u8]) {
        let (ones, others) = (one.as_chunks::<N>().0, other.as_chunks::<N>().0);
        let blocks = ones.chunks(BLOCK_ROWS).zip(others.chunks(BLOCK_ROWS));
        let mut was_equal = true;
        for (start, (ones, others)) in (start..).step_by(BLOCK_ROWS).zip(blocks) {
            if was_equal && ones == others {
                continue;
            }
            let mut differing = 0_u64;
            for (bit, (one, other)) in ones.iter().zip(others).enumerate() {
                differing |= u64::from(one != other) << bit;
            }
            was_equal = differing == 0;
            let mut row = start;
            while differing != 0 {
                let equal = differing.trailing_zeros();
                differing >>= equal;
                let run = differing.trailing_ones();
                differing = differing.checked_shr(run).unwrap_or(0);
                self.add(row + equal as usize..row + (equal + run) as usize);
                row += (equal + run) as usize;
            }
        }
    }
}

/// Copies rows to the end of a buffer.
fn copy_rows(rows: &Rows<'_>, run: Range<usize>, body: &mut Body<'_>) {
    if rows.size() == 0 {
        return;
    }
    body.bytes.reserve(run.len() * rows.size());
    let mut next = run.start;
    while next < run.end {
        let piece = next..rows.rest_of_chunk(next).end.min(run.end);
        next = piece.end;
        body.push_rows(rows.bytes(piece));
    }
}

/// The components of the parts of an archetype.
pub(super) fn mask_of(ids: impl Iterator<Item = ComponentId>) -> ComponentMask {
    ids.collect()
}
