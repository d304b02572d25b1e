//! The contents of a world or a view, byte for byte and in order.

use convoy_engine::component::ComponentId;
use convoy_engine::query::Readable;
use convoy_engine::{ComponentMask, Entity};

/// One archetype: its components, its entities in their order, and the bytes of each column.
type TableContents = (Vec<ComponentId>, Vec<Entity>, Vec<Vec<u8>>);

/// All entities, rows and components of a world or view, with the tick. Archetypes without rows are
/// left out, so that contents from before and after one was created can be compared.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Contents {
    tick: u64,
    count: usize,
    tables: Vec<TableContents>,
}

impl Contents {
    /// What a world or a view holds, of which everything must be readable.
    pub fn of(readable: &impl Readable) -> Self {
        let masks = || readable.archetypes().map(|archetype| archetype.mask);
        let all = masks().fold(ComponentMask::NONE, |all, mask| all.union(&mask));
        let mut tables = Vec::new();
        for archetype in readable.archetypes().filter(|archetype| archetype.rows > 0) {
            let required: Vec<_> = archetype.mask.iter().collect();
            let excluded: Vec<_> = all.difference(&archetype.mask).iter().collect();
            let mut entities = Vec::new();
            let mut columns = vec![Vec::new(); required.len()];
            let query = readable.query_described(&required, &excluded);
            for run in &query.expect("everything can be read") {
                entities.extend_from_slice(run.entities().expect("handles can be read"));
                for (column, bytes) in columns.iter_mut().zip(run.columns()) {
                    column.extend_from_slice(bytes);
                }
            }
            tables.push((required, entities, columns));
        }
        Self { tick: readable.tick(), count: readable.entity_count(), tables }
    }
}
