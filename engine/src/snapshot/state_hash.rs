//! [`View::state_hash`]: one number for all that a snapshot holds.

use crate::query::readable::Readable;
use crate::storage::ComponentId;
use crate::storage::frozen::FrozenHolder;
use crate::storage::state_hash::{StateHasher, hash_rows, hash_run};
use crate::world::state_hash::hash_index;

use super::view::View;

impl View {
    /// A number for the state that this view may read: that of
    /// [`World::state_hash`](crate::World::state_hash) at the capture, where it may read
    /// everything. Hashes of views with different masks tell nothing about each other.
    ///
    /// Reads every row. Allocates only where handles had been reserved through `&World` just
    /// before.
    pub fn state_hash(&self) -> u64 {
        let (frozen, readable) = (self.frozen(), self.mask());
        let catalog = frozen.catalog();
        let mut state = StateHasher::new(&catalog.registry);
        for holder in frozen.holders() {
            match holder {
                FrozenHolder::Table(table) => {
                    let ids = catalog.archetypes()[table].mask().intersection(&readable);
                    let columns = ids.iter().filter_map(|id| Some((id, frozen.column(table, id)?)));
                    let store = self.store();
                    let hashes = columns.map(|(id, rows)| match store.lists(id) {
                        Some(lists) => (id, hash_rows(&rows, |rows, run| lists.hash(rows, run))),
                        None => (id, hash_rows(&rows, hash_run)),
                    });
                    state.add_table(frozen.table(table).0, hashes);
                }
                FrozenHolder::Index(slots) if readable.contains(ComponentId::ENTITY) => {
                    state.add_index(hash_index(&slots, &frozen.index_state().head));
                }
                FrozenHolder::Resource(id, rows) if readable.contains(id) && rows.len() > 0 => {
                    state.add_resource(id, hash_rows(&rows, hash_run));
                }
                // Events are messages about the state.
                FrozenHolder::Index(_)
                | FrozenHolder::Log
                | FrozenHolder::Resource(..)
                | FrozenHolder::Blocks => {}
            }
        }
        state.finish()
    }
}
