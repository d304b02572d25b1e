//! [`View`]: a reader's lease on a snapshot.

use std::fmt;
use std::sync::Arc;

use convoy_pool::Lease;

use crate::query::readable::{Readable, reading_methods};
use crate::query::sealed::SealedReadable;
use crate::storage::charge::Charge;
use crate::storage::component::Component;
use crate::storage::frozen::Frozen;
use crate::storage::text::{Text, TextError};
use crate::storage::{ComponentId, ComponentMask, Entity, SnapshotId, SnapshotUse};
use crate::world::World;
use crate::world::index::Slot;
use crate::world::read_error::ReadError;
use crate::world::read_error::not_readable;
use crate::world::store::Store;

/// A reader's lease on a snapshot. Dropping it is the release; when the last view of a snapshot
/// is dropped, its cell goes back to its pool, and the world reuses the memory.
///
/// A view is `Clone + Send + Sync + 'static`: another reader costs one atomic operation, on any
/// thread, for as long as it likes, also after the world is gone. It never waits, and no thread
/// waits for it.
///
/// A release can't be written twice, as it takes the view:
///
/// ```compile_fail,E0382
/// # use convoy_engine::{ComponentMask, SnapshotPool, World};
/// # let (mut world, pool) = (World::new(), SnapshotPool::default());
/// let view = world.capture(ComponentMask::ALL, &pool);
/// drop(view);
/// drop(view);
/// ```
pub struct View {
    lease: Lease<Frozen>,
    /// The member that is charged with the lease, if there is one. Dropped after the lease.
    charge: Option<Charge>,
    /// The mask of this reader, where it is narrower than that of the capture.
    narrowed: Option<Arc<ComponentMask>>,
}

impl Clone for View {
    /// One more reader of the snapshot. Neither locks nor allocates.
    ///
    /// # Panics
    ///
    /// When the snapshot has 2^23 readers.
    #[track_caller]
    fn clone(&self) -> Self {
        let (lease, charge) = (self.lease.clone(), self.charge.clone());
        Self { lease, charge, narrowed: self.narrowed.clone() }
    }
}

impl View {
    pub(crate) fn new(lease: Lease<Frozen>) -> Self {
        Self { lease, charge: None, narrowed: None }
    }

    /// The components, event types and resources that this view may read.
    #[inline]
    pub(super) fn readable(&self) -> &ComponentMask {
        match &self.narrowed {
            Some(mask) => mask,
            None => &self.lease.head.mask,
        }
    }

    /// The component `T` of `entity`.
    ///
    /// # Errors
    ///
    /// When the handle was stale, `entity` had no `T`, or `T` or [`Entity`] may not be read.
    #[inline]
    pub fn get<T: Component>(&self, entity: Entity) -> Result<&T, ReadError> {
        // As in `World::get`: errors are told apart only where there is one.
        match self.find(entity) {
            Some(value) => Ok(value),
            None => Err(self.why_unreadable::<T>(entity)),
        }
    }

    // Always: it is the whole of a look-up but for errors, and a loop over look-ups has more of them under
    // way at one time the fewer instructions they have.
    #[inline(always)]
    fn find<T: Component>(&self, entity: Entity) -> Option<&T> {
        let (frozen, readable) = (self.frozen(), self.readable());
        if !readable.contains(ComponentId::ENTITY) {
            return None;
        }
        let slot = frozen.slot::<Slot>(entity.index() as usize)?;
        let (table, row) = slot.place_of(entity.generation())?;
        let id = frozen.catalog().registry.component_of::<T>()?;
        if !readable.contains(id) {
            return None;
        }
        frozen.get(table, id, row as usize)
    }

    /// Why [`View::get`] found nothing.
    #[cold]
    #[inline(never)]
    fn why_unreadable<T: Component>(&self, entity: Entity) -> ReadError {
        self.store().get::<T>(entity).err().unwrap_or_else(not_readable::<T>)
    }

    /// The same view, charged with all its clones to the holder of `charge`.
    pub(crate) fn charged_to(self, charge: Charge) -> Self {
        Self { charge: Some(charge), ..self }
    }

    /// The member that is charged with the view.
    pub(crate) fn charge(&self) -> Option<&Charge> {
        self.charge.as_ref()
    }

    pub(crate) fn frozen(&self) -> &Frozen {
        &self.lease
    }

    /// The first type that its world knew and that it can't read.
    pub(crate) fn first_missing(&self) -> Option<&'static str> {
        let registry = &self.lease.catalog().registry;
        let missing = registry.ids().difference(self.readable()).iter().next();
        missing.map(|id| registry.info(id).name())
    }

    /// Whether this is a snapshot of `world`.
    pub fn is_of(&self, world: &World) -> bool {
        self.lease.head.world == world.id
    }

    /// Whether this is a snapshot of `world` as it is or was before: of the same world, and no
    /// restore or sync has replaced its state since.
    pub fn is_past_of(&self, world: &World) -> bool {
        self.is_of(world) && !self.is_superseded()
    }

    /// Whether a restore or a sync has replaced the world's state since the capture:
    /// [`View::is_past_of`] without the world, on any thread.
    ///
    /// ```
    /// # use convoy_engine::{ComponentMask, SnapshotPool, World};
    /// # let (mut world, pool) = (World::new(), SnapshotPool::default());
    /// let past = world.capture(ComponentMask::ALL, &pool);
    /// world.spawn((1_u32,));
    /// let present = world.capture(ComponentMask::ALL, &pool);
    /// world.restore(&past).unwrap();
    /// assert!(present.is_superseded());
    /// ```
    pub fn is_superseded(&self) -> bool {
        self.lease.is_superseded()
    }

    /// How many ticks `world` has advanced since the capture; `None` when this is not a snapshot of
    /// `world`. Zero where a restore has taken the tick back further.
    pub fn lag(&self, world: &World) -> Option<u64> {
        self.is_of(world).then(|| world.tick().saturating_sub(self.tick()))
    }

    /// Which snapshot of its world this is a view of.
    pub fn id(&self) -> SnapshotId {
        SnapshotId { world: self.lease.head.world, epoch: self.lease.head.epoch }
    }

    /// The cost of the snapshot for `world` now: its lag in ticks, its readers and the chunks it retains.
    /// `None` when this is not a snapshot of `world`. The cost grows with the logarithm of the
    /// number of active snapshots.
    ///
    /// ```
    /// # use convoy_engine::{ComponentMask, SnapshotPool, World};
    /// # let (mut world, pool) = (World::new(), SnapshotPool::default());
    /// let entity = world.spawn((1_u32,));
    /// let view = world.capture(ComponentMask::ALL, &pool);
    /// let other = view.clone();
    /// *world.get_mut::<u32>(entity).unwrap() = 2;
    /// world.advance_tick();
    /// let usage = view.usage(&world).unwrap();
    /// assert_eq!((usage.lag, usage.readers, usage.retained_chunks), (1, 2, 1));
    /// assert_eq!(view.exclusive_bytes(&world), usage.retained_bytes);
    /// assert_eq!(view.share_bytes(&world), usage.retained_bytes / 2);
    /// ```
    pub fn usage(&self, world: &World) -> Option<SnapshotUse> {
        world.snapshot(self.id())
    }

    /// Bytes that this snapshot alone keeps alive, and that dropping all its views would free. Zero when this
    /// is not a snapshot of `world`. The cost grows with the chunks that the snapshot retains, times the
    /// older snapshots.
    pub fn exclusive_bytes(&self, world: &World) -> usize {
        world.exclusive_bytes(self.id())
    }

    /// This reader's share of [`View::exclusive_bytes`], which all readers of the snapshot keep
    /// alive together: all of it for a lone reader, a fifth in a convoy of five.
    pub fn share_bytes(&self, world: &World) -> usize {
        self.exclusive_bytes(world) / self.readers()
    }

    /// The components, event types and resources that this view may read.
    pub fn mask(&self) -> ComponentMask {
        *self.readable()
    }

    /// The same snapshot, with the intersection of both masks to read. A snapshot's cell keeps the first
    /// few masks that its views are narrowed to, one block of the heap each, from one capture to the
    /// next.
    #[must_use]
    pub fn narrow(self, mask: ComponentMask) -> Self {
        self.narrow_to(&mask)
    }

    pub(crate) fn narrow_to(mut self, mask: &ComponentMask) -> Self {
        let mask = self.lease.catalog().registry.with_toggles(mask);
        if !self.readable().is_subset(&mask) {
            let mask = self.readable().intersection(&mask);
            self.narrowed = Some(self.lease.narrowing(&mask));
        }
        self
    }

    /// How many views of this snapshot there are, and how many branches, and snapshots of those, that
    /// have chunks of it.
    pub fn readers(&self) -> usize {
        self.lease.readers() as usize + self.frozen().holds().count()
    }

    /// Whether both are views of one snapshot.
    pub fn shares_with(&self, other: &Self) -> bool {
        self.lease.same_cell(&other.lease)
    }

    /// The content of a text, as [`World::resolve`](crate::World::resolve) had it at the capture. Needs no column.
    ///
    /// # Errors
    ///
    /// [`TextError::Unknown`] when the world did not keep the text, [`TextError::Malformed`] when these bytes are none.
    #[inline]
    pub fn resolve<'a>(&'a self, text: &'a Text) -> Result<&'a str, TextError> {
        self.frozen().texts.resolve(text)
    }

    /// Bytes of the snapshot's own lists: chunk pointers and lengths. Replaced chunks that it
    /// keeps are counted by [`World::memory`].
    pub fn list_bytes(&self) -> usize {
        self.lease.list_bytes()
    }
}

impl SealedReadable for View {}

impl Readable for View {
    fn store(&self) -> Store<'_> {
        Store::frozen(self.frozen(), self.readable())
    }
}

impl View {
    reading_methods!(pub methods);
}

/// In short, or with `{:#?}` a table of all archetypes that have rows, as that of a [`World`].
impl fmt::Debug for View {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (tick, entities, readers) = (self.tick(), self.entity_count(), self.readers());
        if formatter.alternate() {
            writeln!(
                formatter,
                "View of tick {tick} with {entities} entities, one of {readers} readers"
            )?;
            return self.store().write_archetypes(formatter);
        }
        formatter
            .debug_struct("View")
            .field("tick", &tick)
            .field("entities", &entities)
            .field("readers", &readers)
            .finish_non_exhaustive()
    }
}
