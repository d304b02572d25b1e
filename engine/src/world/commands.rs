//! Commands: changes that a reader of a snapshot asks for, played back later on the live world.
//!
//! A buffer records on scratch memory: one fixed-size entry per command and the bytes of its
//! bundle. Handles of entities to be spawned come from a stock that the world fills at playback,
//! and from the shared counter of fresh indices when that runs out, so that recording needs
//! neither the world nor a lock.

use std::mem;
use std::ops::Range;

use bytemuck::{bytes_of, pod_read_unaligned};
use convoy_pool::{Scratch, ScratchSlice};

use crate::storage::Entity;
use crate::storage::component::Component;
use crate::storage::frozen::BufferId;

use super::bundle::{Bundle, ComponentSink, ComponentSource};
use super::core::World;
use super::error::ComponentError;
use super::hierarchy::HierarchyError;
use super::index::Handles;

/// What became of a command.
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

/// What a playback did. The sum is the number of commands recorded.
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
    /// Commands played back, whatever became of them.
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
/// use convoy_engine::{Commands, World};
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
    /// Handles that the world has reserved, the next one last.
    stock: Vec<Entity>,
    /// How many handles a recording starts with: what the largest one so far has needed, so that
    /// a steady recording lives on recycled slots.
    stock_target: usize,
    block: Range<u32>,
    handles: Handles,
    /// Which number the buffer has in its world.
    id: BufferId,
    /// Which state of the world the handles are for: a restore or a sync replaces all slots.
    lineage: u64,
    /// Bytes of the bundle being recorded.
    bytes: Vec<u8>,
}

/// How many reserved handles a buffer starts a recording with at the least.
const STOCK: usize = 64;
/// How many commands a buffer takes before its list grows.
const QUEUE: usize = 256;
/// Scratch bytes that a buffer starts with.
const SCRATCH_BYTES: usize = 16 * 1024;

impl Commands {
    /// An empty buffer whose entities will be spawned in `world`.
    pub fn new(world: &mut World) -> Self {
        let mut commands = Self {
            scratch: Scratch::with_capacity(SCRATCH_BYTES),
            queue: Vec::with_capacity(QUEUE),
            stock: Vec::with_capacity(STOCK),
            stock_target: STOCK,
            block: 0..0,
            handles: world.index.handles().clone(),
            id: world.index.make_buffer(),
            lineage: world.lineage.current(),
            bytes: Vec::with_capacity(256),
        };
        commands.fill_stock(world);
        commands
    }

    /// Commands recorded.
    pub fn len(&self) -> usize {
        self.queue.len()
    }

    /// Whether no command is recorded.
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Records the spawning of an entity. Its handle is valid in later commands at once, and in
    /// the world after the playback.
    ///
    /// # Panics
    ///
    /// When all 2^32 - 2 entity slots are taken.
    #[track_caller]
    pub fn spawn<B: Bundle>(&mut self, bundle: B) -> Entity {
        let entity = self.reserve();
        self.record_spawn_at(entity, bundle);
        if let Some(command) = self.queue.last_mut() {
            command.spawns = true;
        }
        entity
    }

    /// Records the spawning of an entity under a handle that somebody reserved.
    pub(crate) fn record_spawn_at<B: Bundle>(&mut self, entity: Entity, bundle: B) {
        self.record(spawn_apply::<B>, entity, bundle);
    }

    /// Records the insertion of components, which replace those that `entity` has already.
    pub fn insert<B: Bundle>(&mut self, entity: Entity, bundle: B) {
        self.record(insert_apply::<B>, entity, bundle);
    }

    /// Records the removal of components. It fails at playback when `entity` lacks one of them.
    pub fn remove<B: Bundle>(&mut self, entity: Entity) {
        self.record(remove_apply::<B>, entity, ());
    }

    /// Records the despawning of `entity`.
    pub fn despawn(&mut self, entity: Entity) {
        self.record(despawn_apply, entity, ());
    }

    /// Records that `T` of `entity` is switched on. It fails at playback when `entity` has no `T`
    /// or `T` is no toggle.
    pub fn enable<T: Component>(&mut self, entity: Entity) {
        self.record(toggle_apply::<T, true>, entity, ());
    }

    /// Records that `T` of `entity` is switched off, as [`Commands::enable`].
    pub fn disable<T: Component>(&mut self, entity: Entity) {
        self.record(toggle_apply::<T, false>, entity, ());
    }

    /// Records that `child` becomes the last child of `parent`. It fails at playback when `parent`
    /// descends from `child`.
    pub fn set_parent(&mut self, child: Entity, parent: Entity) {
        self.record(set_parent_apply, child, (parent,));
    }

    /// Records that `child` becomes a root.
    pub fn remove_parent(&mut self, child: Entity) {
        self.record(remove_parent_apply, child, ());
    }

    /// Records the despawning of `entity` and all its descendants.
    pub fn despawn_tree(&mut self, entity: Entity) {
        self.record(despawn_tree_apply, entity, ());
    }

    /// Records an event.
    pub fn send_event<T: Component>(&mut self, event: T) {
        self.record(event_apply::<T>, Entity::default(), (event,));
    }

    /// Discards everything that is recorded. The handles of entities that were to be spawned are
    /// given again.
    pub fn clear(&mut self) {
        let spawned = self.queue.iter().rev().filter(|command| command.spawns);
        self.stock.extend(spawned.map(|command| command.entity));
        self.queue.clear();
        self.scratch.reset();
    }

    fn record<B: Bundle>(&mut self, apply: Apply, entity: Entity, bundle: B) {
        self.bytes.clear();
        bundle.put(&mut ByteSink { bytes: &mut self.bytes });
        let payload = self.scratch.store(&self.bytes);
        self.queue.push(Command { apply, entity, payload, spawns: false });
    }

    #[track_caller]
    fn reserve(&mut self) -> Entity {
        if let Some(entity) = self.stock.pop() {
            return entity;
        }
        if self.block.is_empty() {
            self.block = self.handles.claim(STOCK as u32);
        }
        let index = self.block.next().expect("fewer than 2^32 - 2 entity slots are taken");
        Entity::new(index, 1)
    }

    /// Tops the stock up, so that recycled slots are used before fresh ones.
    fn fill_stock(&mut self, world: &mut World) {
        let missing = self.stock_target.saturating_sub(self.stock.len());
        let start = self.stock.len();
        for _ in 0..missing {
            // Short stock is no error: recording falls back to fresh indices.
            let Ok(entity) = world.index.allocate(&mut world.memory) else { break };
            self.stock.push(entity);
        }
        self.stock[start..].reverse();
        world.index.note_stock(self.id, &self.stock);
    }

    /// Whether the buffer is for a state that `world` has left by a restore or a sync: what is
    /// recorded before the next playback is discarded then.
    pub(crate) fn is_outdated(&self, world: &World) -> bool {
        self.lineage != world.lineage.current()
    }

    /// Discards what was recorded for a state that the world has left, and goes on with the handles
    /// that are reserved for this buffer now.
    #[cold]
    fn renew(&mut self, world: &mut World) -> Playback {
        let dead = self.queue.len() as u64;
        self.queue.clear();
        self.scratch.reset();
        self.stock.clear();
        self.stock.extend_from_slice(world.index.stock(self.id));
        self.stock_target = self.stock.len().max(STOCK);
        self.block = 0..0;
        self.lineage = world.lineage.current();
        self.fill_stock(world);
        Playback { dead, ..Playback::default() }
    }
}

impl Drop for Commands {
    /// Gives the handles that were not used back to the world, which takes them at its next tick.
    fn drop(&mut self) {
        self.clear();
        let block = self.block.clone().map(|index| Entity::new(index, 1));
        self.handles.give_back(self.lineage, self.stock.drain(..).chain(block));
        self.handles.drop_buffer(self.id);
    }
}

impl std::fmt::Debug for Commands {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Commands").field("len", &self.len()).finish_non_exhaustive()
    }
}

impl World {
    /// Applies the commands of a buffer in the order of their recording and empties it. Commands
    /// on dead entities are skipped and counted; nothing is applied twice. The handle of an entity
    /// whose spawning failed is given again.
    ///
    /// Commands of a buffer that was filled before the last [`World::restore`], or in a replica
    /// before its last sync, are about entities that are not there any more: they are discarded
    /// and counted as dead.
    ///
    /// # Panics
    ///
    /// When `commands` was made for another world.
    #[track_caller]
    pub fn play_back(&mut self, commands: &mut Commands) -> Playback {
        assert!(
            commands.handles.same(self.index.handles()),
            "a command buffer is played back on the world that it was made for"
        );
        if commands.is_outdated(self) {
            return commands.renew(self);
        }
        let mut playback = Playback::default();
        let spawns = commands.queue.iter().filter(|command| command.spawns).count();
        commands.stock_target = commands.stock_target.max(spawns.next_power_of_two());
        // Taken out, so that a panic on the way leaves nothing to play back twice.
        let mut queue = mem::take(&mut commands.queue);
        for command in &queue {
            let payload = commands.scratch.get(command.payload);
            match (command.apply)(self, command.entity, payload) {
                Outcome::Applied => playback.applied += 1,
                Outcome::Dead => playback.dead += 1,
                Outcome::Failed => {
                    playback.failed += 1;
                    if command.spawns {
                        commands.stock.push(command.entity);
                    }
                }
            }
        }
        queue.clear();
        commands.queue = queue;
        commands.scratch.reset();
        commands.fill_stock(self);
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
    match world.spawn_reserved(entity, B::take(&mut ByteSource { bytes })) {
        Ok(Some(())) => Outcome::Applied,
        Ok(None) => Outcome::Dead,
        Err(_) => Outcome::Failed,
    }
}

fn insert_apply<B: Bundle>(world: &mut World, entity: Entity, bytes: &[u8]) -> Outcome {
    outcome(world.insert(entity, B::take(&mut ByteSource { bytes })))
}

fn remove_apply<B: Bundle>(world: &mut World, entity: Entity, _: &[u8]) -> Outcome {
    outcome(world.remove::<B>(entity).map(|_| ()))
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
    match world.try_send_event(pod_read_unaligned::<T>(bytes)) {
        Ok(()) => Outcome::Applied,
        Err(_) => Outcome::Failed,
    }
}

/// Writes the components of a bundle one after the other.
struct ByteSink<'a> {
    bytes: &'a mut Vec<u8>,
}

impl ComponentSink for ByteSink<'_> {
    fn put<T: Component>(&mut self, _position: usize, value: T) {
        self.bytes.extend_from_slice(bytes_of(&value));
    }
}

/// Reads what a [`ByteSink`] wrote.
struct ByteSource<'a> {
    bytes: &'a [u8],
}

impl ComponentSource for ByteSource<'_> {
    fn take<T: Component>(&mut self) -> T {
        let (value, rest) = self.bytes.split_at(size_of::<T>());
        self.bytes = rest;
        pod_read_unaligned(value)
    }
}
