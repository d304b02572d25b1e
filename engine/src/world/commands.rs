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
use std::sync::Arc;

use convoy_pool::Scratch;

use crate::storage::Entity;
use crate::storage::component::Component;
use crate::storage::index_state::LaneId;
use crate::storage::lineage::Lineage;
use crate::storage::text::Text;
use crate::trace::span;

use super::bundle::Bundle;
use super::core::World;
use super::index::{LaneCursor, Renewal, ReturnedHandles};
use super::state::State;

mod lists;
mod order;

pub(crate) use lists::trim_spares;
use lists::{Lists, RecordedTexts, STOCK, SpareLists};
use order::{Command, Order, Outcome};

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
    /// Texts that the world could not keep: see [`World::try_text`]. They are no commands, and those that use them are
    /// applied: such a text is unknown to the world, or, after a collision, means the other content.
    pub texts_refused: u64,
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
        self.texts_refused += other.texts_refused;
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
    /// Texts that the world is to keep.
    texts: RecordedTexts,
    /// Where the lists go when the buffer is dropped.
    spares: SpareLists,
}

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

    /// The buffer of a host's module that goes on with the lane of a number, as [`Commands::for_module`]; `None` where
    /// another buffer has it, or the world has no such lane.
    pub(crate) fn of_lane(world: &mut World, lane: LaneId) -> Option<Self> {
        let cursor = world.state.index.take_lane(lane)?;
        let spares = SpareLists::of(world);
        let mut commands = Self::with_lane(world, Some(cursor), 0, (spares.take(), spares));
        commands.take_up(world);
        Some(commands)
    }

    /// The lane that the buffer draws handles from; none where it spawns nothing.
    pub(crate) fn lane(&self) -> Option<LaneId> {
        self.cursor.as_ref().map(|cursor| cursor.lane)
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
            texts: lists.texts,
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

    /// Whether it has texts for the world to keep.
    pub(crate) fn has_texts(&self) -> bool {
        self.texts.iter().next().is_some()
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
        self.push::<order::Spawn<B>>(entity, &bundle, true);
        entity
    }

    /// Records the spawning of an entity under a handle that was reserved.
    pub(crate) fn record_spawn_at<B: Bundle>(&mut self, entity: Entity, bundle: B) {
        self.record::<order::Spawn<B>>(entity, &bundle);
    }

    /// Records the insertion of components, which replace those that `entity` has already.
    pub fn insert<B: Bundle>(&mut self, entity: Entity, bundle: B) {
        self.record::<order::Insert<B>>(entity, &bundle);
    }

    /// Records the removal of components. It fails at playback when `entity` lacks one of them.
    pub fn remove<B: Bundle>(&mut self, entity: Entity) {
        self.record::<order::Remove<B>>(entity, &());
    }

    /// Records the despawning of `entity`.
    pub fn despawn(&mut self, entity: Entity) {
        self.record::<order::Despawn>(entity, &());
    }

    /// Records that `T` of `entity` is switched on. It fails at playback when `entity` has no `T`
    /// or `T` is no toggle.
    pub fn enable<T: Component>(&mut self, entity: Entity) {
        self.record::<order::Switch<T, true>>(entity, &());
    }

    /// Records that `T` of `entity` is switched off, as [`Commands::enable`].
    pub fn disable<T: Component>(&mut self, entity: Entity) {
        self.record::<order::Switch<T, false>>(entity, &());
    }

    /// Records that `child` becomes the last child of `parent`. It fails at playback when `parent`
    /// descends from `child`.
    pub fn set_parent(&mut self, child: Entity, parent: Entity) {
        self.record::<order::SetParent>(child, &(parent,));
    }

    /// Records that `child` becomes a root.
    pub fn remove_parent(&mut self, child: Entity) {
        self.record::<order::RemoveParent>(child, &());
    }

    /// Records the despawning of `entity` and all its descendants.
    pub fn despawn_tree(&mut self, entity: Entity) {
        self.record::<order::DespawnTree>(entity, &());
    }

    /// Records that elements are added to the list of `T` of `entity`. It fails at playback when `entity` has no such
    /// list, or it has no room for all of them.
    ///
    /// ```
    /// # use convoy_engine::World;
    /// # use convoy_engine::commands::Commands;
    /// # use convoy_engine::list::List;
    /// let mut world = World::new();
    /// let mut commands = Commands::new(&mut world);
    /// let squad = commands.spawn((List::<u32>::new(),));
    /// commands.list_extend(squad, &[1_u32, 2]);
    /// commands.list_extend(squad, &[3_u32]);
    /// assert_eq!(world.play_back(&mut commands).applied, 3);
    /// assert_eq!(world.list::<u32>(squad).unwrap(), [1, 2, 3]);
    /// ```
    pub fn list_extend<T: Component>(&mut self, entity: Entity, elements: &[T]) {
        self.record_list(entity, elements, false);
    }

    /// Records that the list of `T` of `entity` has these elements and no others, as [`Commands::list_extend`].
    ///
    /// ```
    /// # use convoy_engine::World;
    /// # use convoy_engine::commands::Commands;
    /// # use convoy_engine::list::List;
    /// let mut world = World::new();
    /// let squad = world.spawn((List::<u32>::new(),));
    /// world.list_mut::<u32>(squad).unwrap().extend([7, 8, 9]);
    /// let mut commands = Commands::new(&mut world);
    /// commands.list_set(squad, &[1_u32]);
    /// world.play_back(&mut commands);
    /// assert_eq!(world.list::<u32>(squad).unwrap(), [1]);
    /// ```
    pub fn list_set<T: Component>(&mut self, entity: Entity, elements: &[T]) {
        self.record_list(entity, elements, true);
    }

    fn record_list<T: Component>(&mut self, entity: Entity, elements: &[T], clears: bool) {
        const { assert!(size_of::<T>() > 0, "the elements of a list have bytes") }
        self.notice_restore();
        let command = Command::record_list(entity, elements, clears, &mut self.scratch);
        self.queue.push(command);
    }

    /// The text with this content. The bytes of a long one travel with the commands, and the world keeps them from the
    /// playback on: before that it is [`TextError::Unknown`](crate::text::TextError::Unknown) to it.
    ///
    /// ```
    /// # use convoy_engine::World;
    /// # use convoy_engine::commands::Commands;
    /// # use convoy_engine::text::Text;
    /// let mut world = World::new();
    /// let mut commands = Commands::new(&mut world);
    /// let title = commands.text("Captain of the guard");
    /// let guard = commands.spawn((title,));
    /// world.play_back(&mut commands);
    /// let title = world.get::<Text>(guard).unwrap();
    /// assert_eq!(world.resolve(title).unwrap(), "Captain of the guard");
    /// ```
    pub fn text(&mut self, content: &str) -> Text {
        let text = Text::new(content);
        if !text.is_inline() {
            self.texts.push(content);
        }
        text
    }

    /// Records an event.
    pub fn send_event<T: Component>(&mut self, event: T) {
        self.record::<order::SendEvent<T>>(Entity::default(), &(event,));
    }

    /// Discards everything that is recorded. The handles of entities that were to be spawned are
    /// given again, in the same order.
    pub fn clear(&mut self) {
        self.texts.clear();
        self.discard();
    }

    /// Discards the commands, and keeps texts: whoever has one may record it again.
    pub(crate) fn discard(&mut self) {
        self.queue.clear();
        self.scratch.reset();
        self.outdated = 0;
        self.taken = 0;
        if let Some(cursor) = &mut self.cursor {
            cursor.rewind();
        }
    }

    fn record<O: Order>(&mut self, entity: Entity, payload: &O::Payload) {
        self.notice_restore();
        self.push::<O>(entity, payload, false);
    }

    fn push<O: Order>(&mut self, entity: Entity, payload: &O::Payload, spawns: bool) {
        let memory = (&mut self.bytes, &mut self.scratch);
        self.queue.push(Command::record::<O>(entity, payload, spawns, memory));
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
            texts: mem::take(&mut self.texts),
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
        // Texts follow from their content and not from a lineage.
        let texts_refused = self.keep_texts_of(commands);
        if commands.is_outdated(self) {
            return Playback { texts_refused, ..commands.renew(self) };
        }
        let dead = mem::take(&mut commands.outdated);
        let mut playback = Playback { dead, texts_refused, ..Playback::default() };
        // Taken out, so that a panic on the way leaves nothing to play back twice.
        let mut queue = mem::take(&mut commands.queue);
        let taken = mem::take(&mut commands.taken);
        commands.stock.drain(..taken);
        if let Some(cursor) = &mut commands.cursor {
            self.state.index.note_use(cursor, taken + cursor.drawn as usize);
        }
        for command in &queue {
            match command.apply(self, &commands.scratch) {
                Outcome::Applied => playback.applied += 1,
                Outcome::Dead => playback.dead += 1,
                Outcome::Failed => {
                    playback.failed += 1;
                    commands.failed.extend(command.spawned());
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

    /// Keeps the texts that a buffer was asked for. Returns how many were refused.
    pub(crate) fn keep_texts_of(&mut self, commands: &mut Commands) -> u64 {
        let refused =
            commands.texts.iter().filter(|content| self.try_text(content).is_err()).count();
        commands.texts.clear();
        refused as u64
    }
}
