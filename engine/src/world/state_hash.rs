//! [`World::state_hash`]: one number for all that a world holds.

use std::ops::Range;

use bytemuck::Zeroable;

use crate::storage::ComponentId;
use crate::storage::hash::{hash_bytes, join};
use crate::storage::heap::hash_lists;
use crate::storage::index_state::IndexHead;
use crate::storage::rows::Rows;
use crate::storage::state_hash::{StateHasher, hash_rows, hash_run};

use super::core::World;
use super::index::{EntityIndex, Slot};
use super::state::HolderMut;

/// Slots that are hashed at once.
const SLOTS: usize = 64;

/// # State hashes
impl World {
    /// A number for the state of the world: equal worlds have equal hashes, and different ones
    /// almost certainly different ones.
    ///
    /// Counted are the entities with their handles, in the order of their rows, all components, the
    /// hierarchy, resources, and which free slots are given out next; in a replica, the part that
    /// it was synced with. Not counted are the tick, events, local resources, the ids of
    /// components, the order and number of archetypes, and anything about memory. The number is the
    /// same in every process and on every machine of one byte order, for one build of the program
    /// and one [`WorldConfig`](crate::WorldConfig). It does not protect against forged data.
    ///
    /// Reads the chunks that were written since the last call, and looks at the mark of every
    /// other. Settles handles reserved through `&World`. Allocates only when a table has grown.
    /// Every chunk is marked as written once more by its first write after the call, as after a
    /// [`World::sync_from`].
    ///
    /// ```
    /// # use convoy_engine::{ComponentMask, SnapshotPool, World};
    /// let (mut world, mut other) = (World::new(), World::new());
    /// let [ship, twin] = [&mut world, &mut other].map(|world| world.spawn((1_u32, 2.0_f32)));
    /// assert_eq!(world.state_hash(), other.state_hash());
    /// *world.get_mut::<u32>(ship).unwrap() = 5;
    /// assert_ne!(world.state_hash(), other.state_hash());
    /// *other.get_mut::<u32>(twin).unwrap() = 5;
    /// let view = other.capture(ComponentMask::ALL, &SnapshotPool::default());
    /// assert_eq!(world.state_hash(), view.state_hash());
    /// ```
    pub fn state_hash(&mut self) -> u64 {
        let Self { state, hashes, catalog, role, memory, .. } = self;
        let readable = role.readable();
        let since = hashes.since;
        let mut hash = StateHasher::new(&catalog.registry);
        let (mut tables, mut resources) = (0, 0);
        let (holders, heaps) = state.holders_beside_heaps();
        for holder in holders {
            match holder {
                HolderMut::Table(table) => {
                    let known = hashes.table(tables, table.columns().len());
                    tables += 1;
                    let columns =
                        table.columns().iter().zip(known).filter_map(|(column, known)| {
                            if !readable.contains(column.component()) {
                                known.clear();
                                return None;
                            }
                            let (id, rows) = (column.component(), table.rows());
                            // Lists are hashed by their elements.
                            let heap = heaps.get(id);
                            let hash = known.hash(column, rows, since, |rows, run| match heap {
                                Some(heap) => hash_lists(rows, run, |handle| heap.bytes(handle)),
                                None => hash_run(rows, run),
                            });
                            Some((id, hash))
                        });
                    hash.add_table(table.rows(), columns);
                }
                HolderMut::Index(_) if !readable.contains(ComponentId::ENTITY) => {
                    hashes.index.clear();
                }
                HolderMut::Index(index) => {
                    hash.add_index(if index.settle(memory).is_ok() {
                        hashes.index.hash(index.column(), index.len(), since, hash_slots)
                    } else {
                        // Short of memory to mark reserved slots: as if they were marked.
                        hashes.index.clear();
                        hash_index(&index.slots(), &index.head())
                    });
                }
                // Events are messages about the state.
                HolderMut::Log(_) | HolderMut::Blocks(_) => {}
                HolderMut::Resource(resource) => {
                    let (column, rows) = (resource.column(), resource.rows());
                    let known = hashes.resource(resources).hash(column, rows, since, hash_run);
                    resources += 1;
                    if rows > 0 && readable.contains(column.component()) {
                        hash.add_resource(column.component(), known);
                    }
                }
            }
        }
        hashes.since = memory.history.close_epoch();
        hash.finish()
    }
}

/// The hash of an entity index that may have slots which are reserved and not marked yet: that of
/// the index in which they are.
pub(crate) fn hash_index(slots: &Rows<'_>, head: &IndexHead) -> u64 {
    let unsettled = EntityIndex::unsettled(slots, head);
    if unsettled.is_empty() {
        return hash_rows(slots, hash_slots);
    }
    let mut next = unsettled.into_iter().peekable();
    hash_rows(slots, |slots, run| {
        hash_slots_as(slots, run, |index, slot| match next.next_if_eq(&(index as u32)) {
            Some(_) => slot.settled(),
            None => slot.without_location(),
        })
    })
}

/// The hash of a run of slots of an entity index, without the locations, as tables tell those.
pub(crate) fn hash_slots(slots: &Rows<'_>, run: Range<usize>) -> u64 {
    hash_slots_as(slots, run, |_, slot| slot.without_location())
}

/// The hash of the slots of a run after `shown`.
fn hash_slots_as(
    slots: &Rows<'_>,
    run: Range<usize>,
    mut shown: impl FnMut(usize, Slot) -> Slot,
) -> u64 {
    let mut buffer = [Slot::zeroed(); SLOTS];
    let mut index = run.start;
    slots.run::<Slot>(run).chunks(SLOTS).fold(0, |hash, part| {
        let buffer = &mut buffer[..part.len()];
        for (slot, &source) in buffer.iter_mut().zip(part) {
            *slot = shown(index, source);
            index += 1;
        }
        join(hash, hash_bytes(bytemuck::cast_slice(buffer)))
    })
}
