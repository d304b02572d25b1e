//! [`World`]: its parts, and how it is made, cleared and taken from tick to tick.
//!
//! Every operation that can fail does all of its failing first: it makes the chunks that it is
//! going to write writable, which may run out of memory and changes nothing that can be seen, and
//! only then moves rows. So an error always leaves the world as it was.

use std::sync::Arc;

use convoy_pool::MemoryError;

use crate::storage::archetype::Catalog;
use crate::storage::component::{ChunkShape, Registry};
use crate::storage::history::Memory;
use crate::storage::lineage::Lineage;
use crate::storage::schema::Schema;
use crate::storage::state_hash::StateHashes;
use crate::storage::text::Texts;
use crate::storage::world_id::WorldId;

use super::config::WorldConfig;
use super::delta_notes::DeltaNotes;
use super::error::SpawnError;
use super::locals::Locals;
use super::parts::{Plans, Progress, ScratchLists};
use super::role::Role;
use super::source_ids::SourceIds;
use super::state::{HolderMut, State};

/// The live, single-writer database of entities, 4,007,362,558 at the most: indices have 32 bits,
/// and command buffers have shares of them.
///
/// Components are of any type whose bytes mean something ([`Component`](crate::Component)), registered on
/// first use or up front with [`World::register`]. Rows of a table are packed: despawning or moving an entity
/// puts the last row in its place, so iteration order is deterministic but changes with removals.
///
/// ```
/// use convoy_engine::World;
///
/// let mut world = World::new();
/// let ship = world.spawn((10.0_f32, 3_u32));
/// world.insert(ship, (7_u8,)).unwrap();
/// *world.get_mut::<u32>(ship).unwrap() += 1;
/// assert_eq!(*world.get::<u32>(ship).unwrap(), 4);
/// assert_eq!(world.remove::<(u8,)>(ship).unwrap(), (7,));
/// assert!(world.get::<u8>(ship).is_err());
/// world.despawn(ship).unwrap();
/// assert!(!world.contains(ship));
/// ```
pub struct World {
    pub(crate) id: WorldId,
    pub(crate) catalog: Arc<Catalog>,
    /// Everything that snapshots capture, but for the counters below.
    pub(crate) state: State,
    pub(crate) memory: Memory,
    pub(crate) event_retention: usize,
    pub(crate) locals: Locals,
    pub(crate) role: Role,
    pub(crate) tick: u64,
    /// How often a sync or a restore has replaced all entities, which voids command buffers.
    pub(crate) lineage: Lineage,
    /// Which types of the source of the last sync are which ones here.
    pub(crate) source_ids: SourceIds,
    pub(crate) plans: Plans,
    pub(crate) scratch: ScratchLists,
    pub(crate) progress: Progress,
    pub(crate) hashes: StateHashes,
    pub(crate) texts: Texts,
    pub(crate) delta: DeltaNotes,
}

impl Default for World {
    fn default() -> Self {
        Self::new()
    }
}

/// # Making a world
impl World {
    /// An empty world with the default configuration. Maps no memory yet.
    pub fn new() -> Self {
        Self::with_config(WorldConfig::default())
    }

    /// An empty world that knows the types of `schema`, with the default configuration.
    pub fn with_schema(schema: &Schema) -> Self {
        Self::with_config(WorldConfig::default().schema(schema.clone()))
    }

    /// An empty world. Every configuration works, as far as memory goes: each of its numbers is a
    /// wish or a bound, and one beyond the possible stands for the largest possible.
    ///
    /// ```
    /// # use convoy_engine::{World, WorldConfig};
    /// let mut world = World::with_config(WorldConfig::default().memory_limit_bytes(0));
    /// assert!(world.try_spawn((1_u32,)).is_err(), "no memory, and no panic");
    /// assert_eq!(world.entity_count(), 0);
    /// ```
    pub fn with_config(config: WorldConfig) -> Self {
        let bytes_max = config.chunk_bytes_max.min(WorldConfig::CHUNK_BYTES_LIMIT);
        let shape = ChunkShape { bytes_max, rows_max: config.chunk_rows_max };
        let catalog = Catalog::new(Registry::new(shape), config.schema);
        Self {
            id: WorldId::next(),
            state: State::new(&catalog, config.event_retention),
            catalog: Arc::new(catalog),
            memory: Memory::new(config.memory),
            event_retention: config.event_retention,
            locals: Locals::default(),
            role: Role::Original,
            tick: 0,
            lineage: Lineage::default(),
            source_ids: SourceIds::default(),
            plans: Plans::default(),
            scratch: ScratchLists::default(),
            progress: Progress::default(),
            hashes: StateHashes::default(),
            texts: Texts::new(config.text_bytes_max),
            delta: DeltaNotes::default(),
        }
    }

    /// The schema that the world was made from, or that whose snapshot or types it took over. It may
    /// know other types by now, which come after those of the schema.
    pub fn schema(&self) -> Option<&Schema> {
        self.catalog.schema()
    }

    /// Ends a frame: the tick grows by one, and the memory of snapshots whose last reader has
    /// left goes back to the arena.
    pub fn advance_tick(&mut self) {
        self.tick += 1;
        self.memory.reclaim();
        self.state.index.take_returned(&mut self.memory);
    }

    /// Despawns every entity and drops all events; resources keep their values. Chunks go back to
    /// the arena in bulk, and every capacity is kept, so that filling the world again takes no
    /// memory from the system. All handles become stale; snapshots are unaffected. A replica
    /// becomes an ordinary world.
    ///
    /// # Errors
    ///
    /// When memory runs out for copying the entity index that a snapshot shares. The world is
    /// unchanged.
    pub fn clear(&mut self) -> Result<(), MemoryError> {
        self.attempt(|world| world.state.index.prepare_all(&mut world.memory))?;
        for holder in self.state.holders_mut() {
            match holder {
                HolderMut::Table(table) => table.clear(&mut self.memory),
                HolderMut::Index(index) => index.free_all(self.memory.now()),
                HolderMut::Log(log) => log.clear(&mut self.memory),
                HolderMut::Blocks(blocks) => blocks.clear(&mut self.memory),
                HolderMut::Resource(_) => {}
            }
        }
        self.role = Role::Original;
        Ok(())
    }
}

impl World {
    /// Bars changes of structure where rows lack columns.
    #[inline]
    pub(crate) fn check_whole(&self) -> Result<(), SpawnError> {
        if self.role.is_partial() { Err(SpawnError::PartialReplica) } else { Ok(()) }
    }
}
