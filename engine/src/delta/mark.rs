//! [`DeltaMark`]: the state that a delta begins or ends with, as two numbers.

use std::fmt;

use crate::storage::ComponentId;
use crate::storage::component::{Kind, Registry};
use crate::storage::frozen::Frozen;
use crate::storage::hash::{hash_bytes, join};
use crate::storage::rows::Rows;
use crate::storage::state_hash::{NO_CHUNKS, StateHasher, hash_run};
use crate::world::World;
use crate::world::delta_notes::KnownState;
use crate::world::index::EntityIndex;
use crate::world::state::Holder;
use crate::world::state_hash::{hash_index, hash_slots};
use crate::world::store::Store;

/// The mark of a state: worlds with equal marks are equal in everything that a delta changes, almost
/// certainly, however they came to it.
///
/// The mark of a world is its [`state_hash`](World::state_hash) together with how far its event logs have
/// come. It detects mistakes; it does not protect against forged data.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct DeltaMark {
    /// The state hash.
    pub(super) state: u64,
    /// The hash of the numbers of all events, and of the last one of each type.
    pub(super) events: u64,
}

impl DeltaMark {
    /// The mark of the state before a whole world.
    pub(super) const NOTHING: Self = Self { state: 0, events: 0 };

    /// The state hash: that of [`World::state_hash`].
    pub fn state_hash(&self) -> u64 {
        self.state
    }
}

impl fmt::Display for DeltaMark {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:016x}-{:016x}", self.state, self.events)
    }
}

/// # Deltas
impl World {
    /// The mark of the world as it is: that of a delta which begins here. Costs a
    /// [`World::state_hash`], or a look at the marks of all chunks where nothing was written since the last
    /// delta was applied.
    ///
    /// ```
    /// # use convoy_engine::{ComponentMask, SnapshotPool, World};
    /// # use convoy_engine::delta::Delta;
    /// let mut world = World::new();
    /// world.spawn((1_u32,));
    /// let view = world.capture(ComponentMask::ALL, &SnapshotPool::default());
    /// let mut bytes = Vec::new();
    /// Delta::encode(None, &view, &mut bytes).unwrap();
    /// assert_eq!(Delta::parse(&bytes).unwrap().target(), world.delta_mark());
    /// ```
    pub fn delta_mark(&mut self) -> DeltaMark {
        let known = self.delta.known.filter(|known| self.still_has(known));
        let state = known.map_or_else(|| self.state_hash(), |known| known.hash);
        DeltaMark { state, events: self.event_mark() }
    }

    /// Whether the world still has the state that it noted.
    fn still_has(&self, known: &KnownState) -> bool {
        let head = self.state.index.head();
        let is_settled = head.reserved_from == u32::MAX;
        let is_unwritten = |holder: Holder<'_>| {
            let (columns, rows) = holder.columns();
            let mut chunks = columns.iter().flat_map(|column| column.chunks_of(rows));
            chunks.all(|entry| entry.written() <= known.since)
        };
        is_settled
            && known.head == (head.free_head, head.fresh)
            && known.rows == self.row_mark()
            && self.hashed_holders().all(is_unwritten)
    }

    /// All holders of rows but event logs, which have a mark of their own.
    fn hashed_holders(&self) -> impl Iterator<Item = Holder<'_>> {
        self.state.holders().filter(|holder| match holder {
            Holder::Table(_) | Holder::Index(_) | Holder::Resource(_) => true,
            // Lists are hashed with their handles.
            Holder::Log(_) | Holder::Blocks(_) => false,
        })
    }

    /// A number that follows from the numbers of rows. A restore that takes rows away writes no chunk.
    fn row_mark(&self) -> u64 {
        self.hashed_holders().fold(0, |mark: u64, holder| {
            let rows = holder.columns().1 as u64;
            // An odd number of many bits, so that rows of one table don't stand for those of another.
            mark.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(rows)
        })
    }

    fn event_mark(&self) -> u64 {
        let logs = self.state.logs.iter();
        event_mark(logs.map(|log| (log.component(), log.column().rows(log.rows()), log.first())))
    }

    /// Notes that the world has the state of `hash` now.
    pub(super) fn note_state(&mut self, hash: u64) {
        let (head, rows) = (self.state.index.head(), self.row_mark());
        let since = self.memory.history.close_epoch();
        let head = (head.free_head, head.fresh);
        self.delta.known = Some(KnownState { hash, since, rows, head });
    }
}

/// The mark of event logs: their types, records and first numbers.
fn event_mark<'a>(logs: impl Iterator<Item = (ComponentId, Rows<'a>, u64)>) -> u64 {
    logs.filter(|(_, rows, first)| first + rows.len() as u64 > 0).fold(
        0,
        |mark, (id, rows, first)| {
            let last = rows.len().saturating_sub(1)..rows.len();
            let numbers = join(first, first + rows.len() as u64);
            join(mark, join(join(id.index() as u64, numbers), hash_bytes(rows.bytes(last))))
        },
    )
}

/// The mark of the event logs of a snapshot.
fn frozen_event_mark(frozen: &Frozen) -> u64 {
    let ids = frozen.catalog().registry.ids_of(Kind::Event);
    event_mark(ids.filter_map(|id| {
        let (rows, first, _) = frozen.log(id)?;
        Some((id, rows, first))
    }))
}

/// A number that follows from the first `count` types of a registry, in their order, and from the
/// shape of chunks.
pub(super) fn types_fingerprint(registry: &Registry, schema: u64, count: usize) -> u64 {
    let shape = registry.shape();
    let start = join(schema, join(shape.bytes_max as u64, shape.rows_max as u64));
    (0..count).map(|number| registry.info(ComponentId::new(number))).fold(start, |mark, info| {
        let is_toggle = u64::from(info.toggle().is_some());
        let is_list = u64::from(info.list().is_some());
        join(mark, join(info.key(), join(u64::from(info.version()), is_toggle | is_list << 1)))
    })
}

/// The hashes of the chunks of one snapshot, from which those of another one follow where they share
/// chunks.
#[derive(Default)]
pub(super) struct ChunkMarks {
    hashes: Vec<u64>,
    /// Where those of each table start.
    tables: Vec<usize>,
    /// Where those of the index start.
    index: usize,
    /// Where those of each column end, one behind the other, and their hashes joined.
    columns: Vec<usize>,
    joined: Vec<u64>,
}

/// Columns whose hashes are joined side by side.
const JOINED: usize = 8;

impl ChunkMarks {
    pub(super) fn clear(&mut self) {
        self.hashes.clear();
        self.tables.clear();
        self.columns.clear();
        self.index = 0;
    }

    /// Hashes a snapshot, with what is known of `other` under `known`. Both must be active, so that equal
    /// addresses are equal rows. The mark is that of the world at the capture.
    pub(super) fn fill(&mut self, frozen: &Frozen, other: Option<(&Frozen, &Self)>) -> DeltaMark {
        self.clear();
        let catalog = frozen.catalog();
        let store = Store::frozen(frozen, &frozen.head.mask);
        for (table, archetype) in catalog.archetypes().iter().enumerate().take(frozen.table_count())
        {
            self.tables.push(self.hashes.len());
            if frozen.table(table).0 == 0 {
                continue;
            }
            let known = other.filter(|(other, _)| {
                let archetypes = other.catalog().archetypes();
                table < other.table_count() && archetypes[table].mask() == archetype.mask()
            });
            let mut at = known.map_or(0, |(_, known)| known.tables[table]);
            for id in archetype.mask().iter() {
                let Some(rows) = frozen.column(table, id) else { continue };
                let others = known.and_then(|(other, _)| other.column(table, id));
                let known = known_of(others, known, &mut at);
                match store.lists(id) {
                    Some(lists) => {
                        self.hash_column(&rows, known, |rows, run| lists.hash(rows, run));
                    }
                    None => self.hash_column(&rows, known, hash_run),
                }
            }
        }
        self.index = self.hashes.len();
        let slots = settled_slots(frozen);
        if let Some(slots) = &slots {
            let known = other.filter(|(other, _)| settled_slots(other).is_some());
            let mut at = known.map_or(0, |(_, known)| known.index);
            let others = known.and_then(|(other, _)| other.index());
            self.hash_column(slots, known_of(others, known, &mut at), hash_slots);
        }
        for rows in resources(frozen).map(|(_, rows)| rows) {
            self.hash_column(&rows, None, hash_run);
        }
        self.join_columns();
        DeltaMark { state: self.state_hash(frozen, slots), events: frozen_event_mark(frozen) }
    }

    /// The state hash of a snapshot, as [`World::state_hash`] makes it, of the columns' hashes.
    fn state_hash(&self, frozen: &Frozen, settled_slots: Option<Rows<'_>>) -> u64 {
        let catalog = frozen.catalog();
        let mut state = StateHasher::new(&catalog.registry);
        let mut joined = self.joined.iter().copied();
        let mut next = || joined.next().expect("the columns come in the same order");
        for (table, archetype) in catalog.archetypes().iter().enumerate().take(frozen.table_count())
        {
            let rows = frozen.table(table).0;
            if rows > 0 {
                let ids = archetype.mask().iter();
                let ids = ids.filter(|&id| frozen.column(table, id).is_some());
                state.add_table(rows, ids.map(|id| (id, next())));
            }
        }
        match settled_slots {
            Some(_) => state.add_index(next()),
            None => {
                let head = &frozen.index_state().head;
                frozen.index().iter().for_each(|slots| state.add_index(hash_index(slots, head)));
            }
        }
        resources(frozen).for_each(|(id, _)| state.add_resource(id, next()));
        state.finish()
    }

    /// Adds the hashes of the chunks of a column.
    fn hash_column(
        &mut self,
        rows: &Rows<'_>,
        known: Option<(Rows<'_>, &[u64])>,
        hash_chunk: impl Fn(&Rows<'_>, std::ops::Range<usize>) -> u64,
    ) {
        let end = if rows.size() == 0 { 0 } else { rows.len() };
        let (mut next, mut chunk) = (0, 0);
        // All chunks but the last have the same rows where both have them.
        let same_len = known.as_ref().is_some_and(|(others, _)| others.len() == rows.len());
        while next < end {
            let others = known.as_ref().filter(|(others, _)| next < others.len());
            if let Some((others, hashes)) = others {
                let mut shared = rows.next_unshared(others, next);
                if !same_len && shared == end.min(others.len()) {
                    // The last one of either has more rows there or here.
                    let in_last = shared.checked_sub(1).filter(|_| shared > next);
                    shared = in_last.map_or(next, |row| rows.start_of_chunk(row));
                }
                let count = rows.chunks_between(next, shared);
                self.hashes.extend_from_slice(&hashes[chunk..chunk + count]);
                (next, chunk) = (shared, chunk + count);
                if next >= end {
                    break;
                }
            }
            let run = rows.rest_of_chunk(next);
            self.hashes.push(hash_chunk(rows, run.clone()));
            (next, chunk) = (run.end, chunk + 1);
        }
        self.columns.push(self.hashes.len());
    }

    /// Joins the hashes of each column, in the order of its chunks. Each step of a column waits for the one before, so
    /// several columns take theirs in turns.
    fn join_columns(&mut self) {
        self.joined.clear();
        self.joined.resize(self.columns.len(), NO_CHUNKS);
        let mut start = 0;
        for (joined, ends) in self.joined.chunks_mut(JOINED).zip(self.columns.chunks(JOINED)) {
            let mut columns: [&[u64]; JOINED] = [&[]; JOINED];
            for (column, &end) in columns.iter_mut().zip(ends) {
                *column = &self.hashes[start..end];
                start = end;
            }
            let chunks = columns.iter().map(|column| column.len()).max().unwrap_or(0);
            for chunk in 0..chunks {
                for (joined, column) in joined.iter_mut().zip(&columns) {
                    if let Some(&hash) = column.get(chunk) {
                        *joined = join(*joined, hash);
                    }
                }
            }
        }
    }

    /// Bytes of the lists.
    pub(super) fn list_bytes(&self) -> usize {
        let numbers = self.hashes.capacity() + self.joined.capacity();
        numbers * size_of::<u64>()
            + (self.tables.capacity() + self.columns.capacity()) * size_of::<usize>()
    }
}

/// The slots of a snapshot's index, if no handle of it is reserved.
fn settled_slots(frozen: &Frozen) -> Option<Rows<'_>> {
    let slots = frozen.index()?;
    let head = &frozen.index_state().head;
    EntityIndex::unsettled(&slots, head).is_empty().then_some(slots)
}

/// The resources of a snapshot that have a value.
fn resources(frozen: &Frozen) -> impl Iterator<Item = (ComponentId, Rows<'_>)> {
    let ids = frozen.catalog().registry.ids_of(Kind::Resource);
    ids.filter_map(|id| frozen.resource(id).map(|rows| (id, rows)))
        .filter(|(_, rows)| rows.len() > 0)
}

/// The rows of another snapshot's column with the hashes of its chunks, which start at `at`; that of the
/// next column is behind them.
fn known_of<'a>(
    others: Option<Rows<'a>>,
    known: Option<(&Frozen, &'a ChunkMarks)>,
    at: &mut usize,
) -> Option<(Rows<'a>, &'a [u64])> {
    let (others, (_, known)) = (others?, known?);
    let start = *at;
    *at += others.chunk_use().0;
    Some((others, &known.hashes[start..*at]))
}
