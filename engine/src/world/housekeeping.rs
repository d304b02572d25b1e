//! Housekeeping: unneeded memory goes back to the arena, and from there to the system.
//!
//! Neither happens by itself, as a running simulation wants its capacities kept. Both take a time
//! budget, so that they fit into the rest of a frame.

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use crate::storage::Entity;
use crate::storage::column::{Column, Surplus};
use crate::storage::heap::{Heap, NextMove};
use crate::storage::list::{BlockPlace, Handle};
use crate::trace::span;

use super::commands::trim_spares;
use super::core::World;
use super::list_order::{ListOrder, is_scattered};
use super::parts::Progress;
use super::role::Role;
use super::state::{HolderMut, State, names};

/// The memory that a compaction gave back.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct CompactReport {
    /// Bytes of chunks that went back to the arena, or will when the snapshots that see them end.
    pub bytes: usize,
    /// Chunks that are gone; one that was replaced by a smaller one counts in the bytes only.
    pub chunks: usize,
    /// Tables looked at.
    pub tables: usize,
    /// Chunks that were copied to lie beside their neighbours.
    pub gathered: usize,
    /// Whether the compaction came to the end. Otherwise the next one goes on from here.
    pub complete: bool,
}

impl CompactReport {
    fn add(&mut self, surplus: Surplus) {
        self.bytes += surplus.bytes;
        self.chunks += surplus.chunks;
    }
}

/// Blocks of lists that a compaction looks at before it looks at the clock.
const LOOKS: usize = 64;

/// # Giving memory back
impl World {
    /// Gives surplus memory back to the arena: chunks without rows, and the first chunks of small
    /// tables that were large once. Then puts lists that lie anywhere in the order of their rows, and copies
    /// chunks that single writes have scattered to neighbours, as passes are faster over those. No row gets
    /// another number. Lists that are moved count as written.
    ///
    /// Looks at one table at the least, and stops when the budget is spent; the next call goes on
    /// from there. Compact tables cost a few nanoseconds a column and about one a chunk; a copied
    /// chunk costs as much time as a write to a shared one, and as much memory where a snapshot has
    /// the one before, until that ends. Growing again after a compaction takes memory from the
    /// arena. Lists keep their room, so that a world which is compacted every few frames does not
    /// come to the heap; [`World::trim`] gives that back.
    ///
    /// ```
    /// # use convoy_engine::World;
    /// # use std::time::Duration;
    /// let mut world = World::new();
    /// let entities: Vec<_> = world.spawn_batch((0..10_000_u64).map(|row| (row,))).unwrap().collect();
    /// for &entity in &entities[10..] {
    ///     world.despawn(entity).unwrap();
    /// }
    /// let before = world.memory().live_bytes;
    /// let report = world.compact(Duration::MAX);
    /// assert!(report.complete);
    /// assert_eq!(world.memory().live_bytes, before - report.bytes);
    /// ```
    pub fn compact(&mut self, budget: Duration) -> CompactReport {
        let began = Instant::now();
        // Chunks that ended snapshots keep are surplus, too.
        self.memory.reclaim();
        let mut report = CompactReport::default();
        let Self { state, memory, progress: Progress { compact_next, .. }, .. } = self;
        let tables = state.tables.len();
        let first = tables.min(*compact_next);
        for (number, holder) in state.holders_mut().enumerate().skip(first) {
            let (columns, rows) = holder.columns();
            report.add(columns.iter_mut().map(|column| column.compact(rows, memory)).sum());
            if number < tables {
                report.tables += 1;
                *compact_next = number + 1;
                if began.elapsed() >= budget {
                    return report;
                }
            }
        }
        *compact_next = 0;
        let mut looks = 0_usize;
        // The clock is dearer than a look. The first ones are free, so that calls of any budget come to an end.
        let mut is_time = |count: usize| {
            let before = looks;
            looks += count;
            before / LOOKS == looks / LOOKS || began.elapsed() < budget
        };
        // Lists that are being put in order come first, so that this comes to its end as well.
        let is_begun = self.progress.list_order.is_some();
        report.complete = (!is_begun || self.order_lists(&mut is_time))
            && self.compact_lists(|| is_time(1))
            && self.order_lists(&mut is_time)
            && self.gather(began, budget, &mut report.gathered);
        report
    }

    /// Moves the blocks of lists together, from the last ones to those that are out of use, as long as there `is_time`.
    /// Tells whether all are. Goes on where the last call stopped.
    fn compact_lists(&mut self, mut is_time: impl FnMut() -> bool) -> bool {
        if self.role.is_partial() {
            return true;
        }
        let Self { state, memory, catalog, progress: Progress { lists_next, .. }, .. } = self;
        let State { tables, index, heaps, .. } = state;
        let classes = heaps.iter_mut().flat_map(Heap::classes_mut);
        for (number, blocks) in classes.enumerate().skip(*lists_next) {
            let (list, class) = (blocks.list(), blocks.class());
            *lists_next = number;
            loop {
                let is_in_use = |owner: Entity, block| {
                    names(tables, index, (owner, list), BlockPlace::new(class, block))
                };
                let (owner, block) = match blocks.next_move(is_in_use, &mut is_time) {
                    NextMove::Move(owner, block) => (owner, block),
                    NextMove::None => break,
                    NextMove::Late => {
                        blocks.release_surplus(memory);
                        return false;
                    }
                };
                let at = index.locate(owner).expect("the owner of a block in use is alive");
                let (table, row) = (&mut tables[at.archetype.index()], at.row as usize);
                let position = table.position(list).expect("the owner has the list");
                let Handle { len, .. } = *table.column_at(position).rows(row + 1).get(row);
                let handle = Handle { len, place: BlockPlace::new(class, block) };
                let value = catalog.registry.value(list, bytemuck::bytes_of(&handle));
                let value = value.expect("all bytes of a handle are values");
                // The handle becomes writable first, as it must follow the block.
                let Ok(_) = table.own_value(position, row, memory) else { break };
                let Ok(()) = blocks.move_last((owner, block), memory) else { break };
                table.row_mut(position, row, memory.now()).write_bytes(value);
            }
            blocks.release_surplus(memory);
        }
        *lists_next = 0;
        true
    }

    /// Puts lists that lie apart in the order of their rows as long as there `is_time` for so many looks, from where
    /// the last call stopped. Tells whether all lie well.
    fn order_lists(&mut self, mut is_time: impl FnMut(usize) -> bool) -> bool {
        if self.role.is_partial() {
            return true;
        }
        let Self { state, memory, catalog, progress, .. } = self;
        let mut begun = progress.list_order.take();
        for heap in begun.as_ref().map_or(0, |begun| begun.heap)..state.heaps.len() {
            let mut order = match begun.take() {
                Some(begun) => begun,
                None if is_scattered(state, heap) => ListOrder::of(heap),
                None => continue,
            };
            // Without memory the lists stay as they are.
            let put = order.put(state, &catalog.registry, &mut is_time, memory);
            if !put.unwrap_or(true) {
                progress.list_order = Some(order);
                return false;
            }
        }
        true
    }

    /// Copies scattered chunks to neighbours until the budget is spent, from where the last call
    /// stopped. Tells whether it came around.
    fn gather(&mut self, began: Instant, budget: Duration, gathered: &mut usize) -> bool {
        let Self { state, memory, progress: Progress { gather_next, .. }, role, .. } = self;
        let is_replica = matches!(role, Role::Replica { .. });
        let mut born = None;
        let mut gather = |column: &mut Column, rows| {
            let mut next = 0;
            while let Some(window) = column.next_scattered(next) {
                // One at the least, so that calls of any budget come to an end.
                if born.is_some() && began.elapsed() >= budget {
                    return ControlFlow::Break(());
                }
                let born = *born.get_or_insert_with(|| memory.history.close_epoch());
                let copied = column.gather(window.clone(), rows, (born, is_replica), memory);
                if copied == 0 {
                    // The windows after it need the same memory.
                    break;
                }
                *gathered += copied;
                next = window.start + copied;
            }
            ControlFlow::Continue(())
        };
        let visited = state.visit_from(gather_next, |holder| {
            let (columns, rows) = match holder {
                HolderMut::Table(_) | HolderMut::Index(_) | HolderMut::Blocks(_) => {
                    holder.columns()
                }
                // No pass visits their rows.
                HolderMut::Log(_) | HolderMut::Resource(_) => return ControlFlow::Continue(()),
            };
            columns.iter_mut().try_for_each(|column| gather(column, rows))
        });
        visited.is_continue()
    }

    /// Gives free memory of the arena back to the system, and then most of the room in lists that
    /// have more than twice the room that they need back to the heap, until the budget is spent.
    /// Returns the bytes; call it again until it returns 0. The arena's address space stays mapped
    /// and counted. Memory that is needed again costs page faults, and blocks of the heap.
    ///
    /// ```
    /// # use convoy_engine::World;
    /// # use std::time::Duration;
    /// let mut world = World::new();
    /// world.spawn_batch((0..100_000_u64).map(|row| (row,))).unwrap();
    /// world.clear().unwrap();
    /// assert!(world.trim(Duration::MAX) > 800_000);
    /// assert_eq!(world.trim(Duration::MAX), 0);
    /// ```
    pub fn trim(&mut self, budget: Duration) -> usize {
        span!("trim");
        let began = Instant::now();
        self.memory.reclaim();
        let bytes = self.memory.trim(budget);
        bytes + self.trim_lists(began, budget)
    }

    /// Gives back room in lists. The cost depends on the slack, so the budget is checked after each
    /// holder once there was any.
    fn trim_lists(&mut self, began: Instant, budget: Duration) -> usize {
        let mut bytes = 0;
        if began.elapsed() >= budget {
            return bytes;
        }
        for holder in self.state.holders_mut() {
            bytes += holder.trim_lists();
            if bytes > 0 && began.elapsed() >= budget {
                return bytes;
            }
        }
        bytes += trim_spares(self) + self.scratch.trim_lists() + self.hashes.trim_lists();
        bytes += self.delta.trim_lists();
        bytes + self.memory.trim_list()
    }
}
