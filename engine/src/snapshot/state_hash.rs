//! [`View::state_hash`]: one number for all that a snapshot holds.

use crate::storage::ComponentId;
use crate::storage::component::Kind;
use crate::storage::state_hash::{StateHasher, hash_rows, hash_run};
use crate::world::index::Slot;
use crate::world::state_hash::hash_index;

use super::view::View;

impl View {
    /// A number for what this view may read: that of
    /// [`World::state_hash`](crate::World::state_hash) at the capture, where it may read
    /// everything. Hashes of views with different masks tell nothing about each other.
    ///
    /// Reads every row. Allocates only where handles had been reserved through `&World` just
    /// before.
    pub fn state_hash(&self) -> u64 {
        let (frozen, readable) = (self.frozen(), self.mask());
        let catalog = frozen.catalog();
        let mut state = StateHasher::new(&catalog.registry);
        for (table, archetype) in catalog.archetypes()[..frozen.table_count()].iter().enumerate() {
            let ids = archetype.mask().intersection(&readable);
            let columns = ids.iter().filter_map(|id| Some((id, frozen.column(table, id)?)));
            let hashes = columns.map(|(id, rows)| (id, hash_rows(&rows, hash_run)));
            state.add_table(frozen.table(table).0, hashes);
        }
        let slots = frozen.index(size_of::<Slot>());
        if let Some(slots) = slots.filter(|_| readable.contains(ComponentId::ENTITY)) {
            state.add_index(hash_index(&slots, &frozen.handles().head));
        }
        for id in catalog.registry.ids_of(Kind::Resource).filter(|&id| readable.contains(id)) {
            if let Some(rows) = frozen.resource(id).filter(|rows| rows.len() > 0) {
                state.add_resource(id, hash_rows(&rows, hash_run));
            }
        }
        state.finish()
    }
}
