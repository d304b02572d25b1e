//! Commands: changes that a reader of a snapshot asks for, played back later on the live world.
//!
//! A buffer records on scratch memory: one fixed-size entry per command and the bytes of its
//! bundle. Handles of entities to be spawned come from a stock that the world fills at playback,
//! and from a lane of the buffer's own when that runs out, so that recording needs neither the
//! world nor a lock, and no handle depends on the recordings of other buffers.
//!
//! A command belongs to the lineage in which it was recorded: a restore or a sync replaces all entities,
//! and so voids handles. A buffer asks at each command whether there has been one; that of a host's
//! module asks when a run begins, so that a run counts whole or not at all.

use std::mem;
use std::sync::{Arc, Mutex, PoisonError};

use bytemuck::{bytes_of, pod_read_unaligned};
use convoy_pool::{Scratch, ScratchSlice};

use crate::storage::Entity;
use crate::storage::component::Component;
use crate::storage::lineage::Lineage;
use crate::trace::span;

use super::bundle::{Bundle, ComponentSink, Flat, Recorded};
use super::core::World;
use super::error::ComponentError;
use super::hierarchy::HierarchyError;
use super::index::{LaneCursor, Renewal, ReturnedHandles};
use super::state::State;

/// The outcome of a command.
enum Outcome {
    Applied,
    /// Its entity was not alive.
    Dead,
    /// It could not be applied for another reason: a component is missing, memory ran out.
    Failed,
}

type Apply = fn(&mut World, Entity, &[u8]) -> Outcome;

#[derive(Clone, Copy)]
struct Command {
    apply: Apply,
    entity: Entity,
    payload: ScratchSlice,
    spawns: bool,
}

/// The outcome of a playback. The sum is the number of commands recorded.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct Playback {
    /// Commands that changed the world.
    pub applied: u64,
    /// Commands skipped because their entity was no longer alive.
    pub dead: u64,
    /// Commands that could not be applied: a component to remove was missing, a bundle could not
    /// be registered, or memory ran out.
    pub failed: u64,
}

impl Playback {
    /// Commands played back, successful or not.
    pub fn total(&self) -> u64 {
        self.applied + self.dead + self.failed
    }

    /// Adds the counts of another playback.
    pub fn add(&mut self, other: Self) {
        self.applied += other.applied;
        self.dead += other.dead;
        self.failed += other.failed;
    }
}

/// A buffer of commands, recorded on any thread and played back in order by
/// [`World::play_back`].
///
/// ```
/// use convoy_engine::World;
/// use convoy_engine::commands::Commands;
///
/// let mut world = World::new();
/// let old = world.spawn((1_u32,));
/// let mut commands = Commands::new(&mut world);
/// let new = commands.spawn((2_u32,));
/// commands.insert(new, (0.5_f32,));
/// commands.despawn(old);
/// assert!(!world.contains(new), "nothing happens before the playback");
/// let playback = world.play_back(&mut commands);
/// assert_eq!(playback.applied, 3);
/// assert!(world.contains(new) && !world.contains(old));
/// ```
pub struct Commands {
    scratch: Scratch,
    queue: Vec<Command>,
    /// Commands of an earlier lineage, which the next playback counts as dead.
    outdated: u64,
    /// Handles that the world has reserved, in the order of their use.
    stock: Vec<Entity>,
    /// How many of the stock the recording has used.
    taken: usize,
    /// Where handles come from when the stock is used up; nowhere in a buffer that spawns nothing.
    cursor: Option<LaneCursor>,
    /// How many handles the stock has at the least.
    stock_min: usize,
    returned: ReturnedHandles,
    /// The world's current lineage, and the one that the recording and its handles belong to.
    lineage: Lineage,
    recorded_in: u64,
    /// The handles for the time after a restore; none in the buffer of a module.
    renewal: Option<Arc<Renewal>>,
    /// Handles whose spawning failed in the playback that goes on.
    failed: Vec<Entity>,
    /// Bytes of the bundle being recorded.
    bytes: Vec<u8>,
    /// Where the lists go when the buffer is dropped.
    spares: SpareLists,
}

/// The lists of a buffer that was dropped, all of them empty, for the next one that is made. There
/// are as many as buffers were there at once.
#[derive(Clone, Default)]
struct SpareLists(Arc<Mutex<Vec<Lists>>>);

/// The heap of a buffer.
struct Lists {
    scratch: Scratch,
    queue: Vec<Command>,
    stock: Vec<Entity>,
    failed: Vec<Entity>,
    bytes: Vec<u8>,
    renewal: Option<Arc<Renewal>>,
}

impl Lists {
    fn new() -> Self {
        Self {
            scratch: Scratch::with_capacity(SCRATCH_BYTES),
            queue: Vec::with_capacity(QUEUE),
            stock: Vec::with_capacity(STOCK),
            failed: Vec::new(),
            bytes: Vec::with_capacity(256),
            renewal: None,
        }
    }

    /// Bytes that the lists have room for.
    fn bytes(&self) -> usize {
        self.scratch.statistics().capacity_bytes
            + self.queue.capacity() * size_of::<Command>()
            + (self.stock.capacity() + self.failed.capacity()) * size_of::<Entity>()
            + self.bytes.capacity()
    }

    /// A renewal that no lane has any more, or a new one.
    fn take_renewal(&mut self) -> Arc<Renewal> {
        let mut renewal = self.renewal.take().unwrap_or_default();
        match Arc::get_mut(&mut renewal) {
            Some(free) => free.reset(),
            None => renewal = Arc::default(),
        }
        renewal
    }
}

impl SpareLists {
    /// Those of a world. It keeps them beside its local resources, as it does not know commands.
    fn of(world: &mut World) -> Self {
        if let Some(spares) = world.locals.get::<Self>() {
            return spares.clone();
        }
        let spares = Self::default();
        world.locals.insert(spares.clone());
        spares
    }

    fn take(&self) -> Lists {
        let spare = self.0.lock().unwrap_or_else(PoisonError::into_inner).pop();
        spare.unwrap_or_else(Lists::new)
    }

    fn give(&self, lists: Lists) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(lists);
    }
}

/// Gives back the lists of dropped buffers. Returns their bytes.
pub(crate) fn trim_spares(world: &World) -> usize {
    let Some(spares) = world.locals.get::<SpareLists>() else { return 0 };
    let spares = mem::take(&mut *spares.0.lock().unwrap_or_else(PoisonError::into_inner));
    let bytes = spares.iter().map(Lists::bytes).sum::<usize>();
    bytes + spares.capacity() * size_of::<Lists>()
}

/// How many handles the stock of a buffer of its own has at the least.
const STOCK: usize = 64;
/// How many commands a buffer takes before its list grows.
const QUEUE: usize = 256;
/// Scratch bytes that a buffer starts with.
const SCRATCH_BYTES: usize = 16 * 1024;

impl Commands {
    /// An empty buffer whose entities will be spawned in `world`. It may be recorded to on any
    /// thread, also at the same time as others: its handles follow from the order in which the
    /// world's buffers are made, dropped and played back. A module that may spawn has a buffer as
    /// well, also while it is idle. So where handles must be the same from run to run, don't leave it
    /// to threads which comes first: dropping a buffer, or making one.
    ///
    /// The buffer takes over the lists of one that was dropped before, so a program that makes as
    /// many buffers in each frame, and drops them, allocates nothing for that.
    pub fn new(world: &mut World) -> Self {
        let spares = SpareLists::of(world);
        let mut lists = spares.take();
        world.state.index.vacate_lanes();
        let renewal = lists.take_renewal();
        let cursor = world.state.index.make_lane(Some(Arc::clone(&renewal)));
        let mut commands = Self::with_lane(world, Some(cursor), STOCK, (lists, spares));
        commands.renewal = Some(renewal);
        commands.take_up(world);
        commands
    }

    /// The buffer of a host's module. It holds no handle before it has spawned; one that never
    /// `spawns` leaves everybody else's handles as they are.
    pub(crate) fn for_module(world: &mut World, spawns: bool) -> Self {
        let cursor = spawns.then(|| world.state.index.make_lane(None));
        let spares = SpareLists::of(world);
        let mut commands = Self::with_lane(world, cursor, 0, (spares.take(), spares));
        commands.take_up(world);
        commands
    }

    fn with_lane(
        world: &World,
        cursor: Option<LaneCursor>,
        stock_min: usize,
        (lists, spares): (Lists, SpareLists),
    ) -> Self {
        Self {
            scratch: lists.scratch,
            queue: lists.queue,
            outdated: 0,
            stock: lists.stock,
            taken: 0,
            cursor,
            stock_min,
            returned: world.state.index.returned().clone(),
            lineage: world.lineage.clone(),
            recorded_in: world.lineage.current(),
            renewal: None,
            failed: lists.failed,
            bytes: lists.bytes,
            spares,
        }
    }

    /// Commands recorded since the last playback, those from before a restore included.
    pub fn len(&self) -> usize {
        self.queue.len() + self.outdated as usize
    }

    /// Whether no command is recorded.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Records the spawning of an entity. Its handle is valid in later commands at once, and in
    /// the world after the playback.
    ///
    /// # Panics
    ///
    /// When the recording spawns more than the buffer's stock and its own indices are: of these
    /// the first 64 buffers of a world have 2,246,912 each, the next 128 have 561,728, the next 256
    /// 140,432, the next 512 35,108, and so on. The playback after that fills the stock with as many
    /// handles as were asked for, so that the recording can be made again: see [`World::play_back`].
    ///
    /// In a module that declared that it spawns nothing.
    #[track_caller]
    pub fn spawn<B: Bundle>(&mut self, bundle: B) -> Entity {
        self.notice_restore();
        let entity = self.reserve();
        self.push(spawn_apply::<B>, entity, &bundle, true);
        entity
    }

    /// Records the spawning of an entity under a handle that was reserved.
    pub(crate) fn record_spawn_at<B: Bundle>(&mut self, entity: Entity, bundle: B) {
        self.record(spawn_apply::<B>, entity, &bundle);
    }

    /// Records the insertion of components, which replace those that `entity` has already.
    pub fn insert<B: Bundle>(&mut self, entity: Entity, bundle: B) {
        self.record(insert_apply::<B>, entity, &bundle);
    }

    /// Records the removal of components. It fails at playback when `entity` lacks one of them.
    pub fn remove<B: Bundle>(&mut self, entity: Entity) {
        self.record(remove_apply::<B>, entity, &());
    }

    /// Records the despawning of `entity`.
    pub fn despawn(&mut self, entity: Entity) {
        self.record(despawn_apply, entity, &());
    }

    /// Records that `T` of `entity` is switched on. It fails at playback when `entity` has no `T`
    /// or `T` is no toggle.
    pub fn enable<T: Component>(&mut self, entity: Entity) {
        self.record(toggle_apply::<T, true>, entity, &());
    }

    /// Records that `T` of `entity` is switched off, as [`Commands::enable`].
    pub fn disable<T: Component>(&mut self, entity: Entity) {
        self.record(toggle_apply::<T, false>, entity, &());
    }

    /// Records that `child` becomes the last child of `parent`. It fails at playback when `parent`
    /// descends from `child`.
    pub fn set_parent(&mut self, child: Entity, parent: Entity) {
        self.record(set_parent_apply, child, &(parent,));
    }

    /// Records that `child` becomes a root.
    pub fn remove_parent(&mut self, child: Entity) {
        self.record(remove_parent_apply, child, &());
    }

    /// Records the despawning of `entity` and all its descendants.
    pub fn despawn_tree(&mut self, entity: Entity) {
        self.record(despawn_tree_apply, entity, &());
    }

    /// Records an event.
    pub fn send_event<T: Component>(&mut self, event: T) {
        self.record(event_apply::<T>, Entity::default(), &(event,));
    }

    /// Discards everything that is recorded. The handles of entities that were to be spawned are
    /// given again, in the same order.
    pub fn clear(&mut self) {
        self.queue.clear();
        self.scratch.reset();
        self.outdated = 0;
        self.taken = 0;
        if let Some(cursor) = &mut self.cursor {
            cursor.rewind();
        }
    }

    fn record<B: Bundle>(&mut self, apply: Apply, entity: Entity, bundle: &B) {
        self.notice_restore();
        self.push(apply, entity, bundle, false);
    }

    fn push<B: Bundle>(&mut self, apply: Apply, entity: Entity, bundle: &B, spawns: bool) {
        self.bytes.clear();
        bundle.put(&mut ByteSink { bytes: &mut self.bytes });
        let payload = self.scratch.store(&self.bytes);
        self.queue.push(Command { apply, entity, payload, spawns });
    }

    #[track_caller]
    fn reserve(&mut self) -> Entity {
        if let Some(&entity) = self.stock.get(self.taken) {
            self.taken += 1;
            return entity;
        }
        let cursor = self.cursor.as_mut();
        let cursor = cursor.expect("a module that spawns does not declare that it spawns nothing");
        let drawn = cursor.draw();
        if drawn.is_none() {
            cursor.wish(self.taken);
        }
        drawn.expect("a recording spawns no more entities than the buffer's lane has left")
    }

    /// Leaves the commands from before a restore behind.
    #[inline]
    fn notice_restore(&mut self) {
        if self.lineage.current() > self.recorded_in && self.renewal.is_some() {
            self.begin_anew();
        }
    }

    #[cold]
    fn begin_anew(&mut self) {
        self.outdated += self.queue.len() as u64;
        self.queue.clear();
        self.scratch.reset();
        self.taken = 0;
        if let (Some(renewal), Some(cursor)) = (&self.renewal, &mut self.cursor) {
            self.recorded_in = renewal.take_up(&mut self.stock, cursor);
        }
    }

    /// Takes over the stock of the lane, and tops it up, so that recycled slots are used before
    /// fresh ones.
    fn take_up(&mut self, world: &mut World) {
        self.taken = 0;
        self.recorded_in = world.lineage.current();
        if let Some(cursor) = &mut self.cursor {
            world.state.index.take_up(&mut self.stock, cursor);
        }
        self.fill_stock(world, true);
    }

    fn fill_stock(&mut self, world: &mut World, is_held: bool) {
        if let Some(cursor) = &self.cursor {
            let World { state: State { index, .. }, memory, .. } = world;
            let stock = (&mut self.stock, is_held);
            index.fill_stock(cursor.lane, self.stock_min, stock, memory);
        }
    }

    /// Whether the buffer was made for `world`.
    pub(crate) fn is_of(&self, world: &World) -> bool {
        self.returned.same(world.state.index.returned())
    }

    /// Whether the recording is of a state that `world` has left by a restore or a sync, so that the
    /// next playback discards it.
    pub(crate) fn is_outdated(&self, world: &World) -> bool {
        self.recorded_in != world.lineage.current()
    }

    /// Discards the commands for a state that the world has left, and goes on with the handles that
    /// are reserved for this buffer now.
    #[cold]
    fn renew(&mut self, world: &mut World) -> Playback {
        let dead = self.len() as u64;
        self.queue.clear();
        self.scratch.reset();
        self.outdated = 0;
        self.take_up(world);
        Playback { dead, ..Playback::default() }
    }
}

impl Drop for Commands {
    /// Gives the lane back with all that it holds: to the next buffer that is made, or to the world
    /// at its next tick. The lists go to the next buffer as well, after the lane, which may not be
    /// anybody's when its renewal is used again.
    fn drop(&mut self) {
        if let Some(cursor) = &self.cursor {
            self.returned.give_back_lane(cursor.lane);
        }
        self.clear();
        self.stock.clear();
        self.failed.clear();
        self.spares.give(Lists {
            scratch: mem::take(&mut self.scratch),
            queue: mem::take(&mut self.queue),
            stock: mem::take(&mut self.stock),
            failed: mem::take(&mut self.failed),
            bytes: mem::take(&mut self.bytes),
            renewal: self.renewal.take(),
        });
    }
}

impl std::fmt::Debug for Commands {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Commands").field("len", &self.len()).finish_non_exhaustive()
    }
}

/// # Command buffers
impl World {
    /// Applies the commands of a buffer in the order of their recording and empties it. Commands
    /// on dead entities are skipped and counted; nothing is applied twice. The handle of an entity
    /// whose spawning failed is given again.
    ///
    /// A [`World::restore`], or a sync in a replica, replaces all entities. So a playback after one
    /// discards the commands that were recorded before it, counts them as dead, and applies those
    /// recorded since. The buffer goes on with the handles that were reserved for it in the restored
    /// state.
    ///
    /// **Handles** follow from the order in which buffers are made, recorded to and played back, and not
    /// from threads: a recording first uses the *stock* that the playback before it has filled, with as
    /// many handles as the largest recording has needed, and then indices that are the buffer's own. After
    /// some recordings in a row that need far less, a stock of thousands becomes smaller, and the rest goes
    /// back to the world. The next buffer that is made after one was dropped goes on with its stock and its
    /// indices.
    ///
    /// # Panics
    ///
    /// When `commands` was made for another world.
    #[track_caller]
    pub fn play_back(&mut self, commands: &mut Commands) -> Playback {
        assert!(
            commands.is_of(self),
            "a command buffer is played back on the world that it was made for"
        );
        span!("playback", commands = commands.len());
        if commands.is_outdated(self) {
            return commands.renew(self);
        }
        let mut playback = Playback { dead: commands.outdated, ..Playback::default() };
        commands.outdated = 0;
        // Taken out, so that a panic on the way leaves nothing to play back twice.
        let mut queue = mem::take(&mut commands.queue);
        let taken = mem::take(&mut commands.taken);
        commands.stock.drain(..taken);
        if let Some(cursor) = &mut commands.cursor {
            self.state.index.note_use(cursor, taken + cursor.drawn as usize);
        }
        for command in &queue {
            let payload = commands.scratch.get(command.payload);
            match (command.apply)(self, command.entity, payload) {
                Outcome::Applied => playback.applied += 1,
                Outcome::Dead => playback.dead += 1,
                Outcome::Failed => {
                    playback.failed += 1;
                    if command.spawns {
                        commands.failed.push(command.entity);
                    }
                }
            }
        }
        queue.clear();
        commands.queue = queue;
        commands.scratch.reset();
        let is_held = taken == 0 && commands.failed.is_empty();
        commands.stock.splice(0..0, commands.failed.drain(..));
        commands.fill_stock(self, is_held);
        playback
    }
}

fn outcome(result: Result<(), ComponentError>) -> Outcome {
    match result {
        Ok(()) => Outcome::Applied,
        Err(ComponentError::NotAlive { .. }) => Outcome::Dead,
        Err(_) => Outcome::Failed,
    }
}

fn spawn_apply<B: Bundle>(world: &mut World, entity: Entity, bytes: &[u8]) -> Outcome {
    match world.spawn_reserved::<B>(entity, &Recorded(bytes)) {
        Ok(Some(())) => Outcome::Applied,
        Ok(None) => Outcome::Dead,
        Err(_) => Outcome::Failed,
    }
}

fn insert_apply<B: Bundle>(world: &mut World, entity: Entity, bytes: &[u8]) -> Outcome {
    outcome(world.insert_values::<B>(entity, &Recorded(bytes)))
}

fn remove_apply<B: Bundle>(world: &mut World, entity: Entity, _: &[u8]) -> Outcome {
    outcome(world.remove_unseen::<B>(entity))
}

fn toggle_apply<T: Component, const ENABLED: bool>(
    world: &mut World,
    entity: Entity,
    _: &[u8],
) -> Outcome {
    let switched = world.toggles::<T>().and_then(|mut toggles| toggles.set(entity, ENABLED));
    outcome(switched.map(|_| ()))
}

fn despawn_apply(world: &mut World, entity: Entity, _: &[u8]) -> Outcome {
    outcome(world.despawn(entity))
}

fn set_parent_apply(world: &mut World, child: Entity, bytes: &[u8]) -> Outcome {
    family_outcome(world.set_parent(child, pod_read_unaligned(bytes)))
}

fn remove_parent_apply(world: &mut World, child: Entity, _: &[u8]) -> Outcome {
    family_outcome(world.remove_parent(child).map(|_| ()))
}

fn despawn_tree_apply(world: &mut World, entity: Entity, _: &[u8]) -> Outcome {
    family_outcome(world.despawn_tree(entity).map(|_| ()))
}

fn family_outcome(result: Result<(), HierarchyError>) -> Outcome {
    match result {
        Ok(()) => Outcome::Applied,
        Err(HierarchyError::NotAlive { .. }) => Outcome::Dead,
        Err(_) => Outcome::Failed,
    }
}

fn event_apply<T: Component>(world: &mut World, _: Entity, bytes: &[u8]) -> Outcome {
    match world.send_recorded::<T>(bytes) {
        Ok(()) => Outcome::Applied,
        Err(_) => Outcome::Failed,
    }
}

/// Writes the components of a bundle one after the other, as [`Recorded`] reads them.
struct ByteSink<'a> {
    bytes: &'a mut Vec<u8>,
}

impl ComponentSink for ByteSink<'_> {
    fn put<T: Component>(&mut self, _position: usize, value: &T) {
        self.bytes.extend_from_slice(bytes_of(value));
    }
}
