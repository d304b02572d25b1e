//! The contents of a world or a view, byte for byte and in order.

use convoy_engine::{ComponentId, DescribedQuery, Entity, QueryError, Tables, View, World};

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
    /// The contents of `world`.
    pub fn of_world(world: &World) -> Self {
        let tables = tables(world, |required, excluded, visit| {
            world.query_described(required, excluded).map(&mut *visit)
        });
        Self { tick: world.tick(), count: world.entity_count(), tables }
    }

    /// The contents of `view`, which must have everything.
    pub fn of_view(view: &View) -> Self {
        let tables = tables(view, |required, excluded, visit| {
            view.query_described(required, excluded).map(&mut *visit)
        });
        Self { tick: view.tick(), count: view.entity_count(), tables }
    }
}

fn tables<S: Tables>(
    store: &S,
    query: impl Fn(
        &[ComponentId],
        &[ComponentId],
        &mut dyn FnMut(DescribedQuery<'_, S>),
    ) -> Result<(), QueryError>,
) -> Vec<TableContents> {
    let masks = || (0..store.table_count()).map(|number| *store.table(number).mask());
    let all = masks()
        .fold(Default::default(), |all: convoy_engine::ComponentMask, mask| all.union(&mask));
    let mut contents = Vec::new();
    for (number, mask) in masks().enumerate() {
        if store.table(number).rows() == 0 {
            continue;
        }
        let required: Vec<_> = mask.iter().collect();
        let excluded: Vec<_> = all.difference(&mask).iter().collect();
        let mut entities = Vec::new();
        let mut columns = vec![Vec::new(); required.len()];
        let visited = query(&required, &excluded, &mut |query| {
            for run in &query {
                entities.extend_from_slice(run.entities().expect("handles can be read"));
                for (column, bytes) in columns.iter_mut().zip(run.columns()) {
                    column.extend_from_slice(bytes);
                }
            }
        });
        visited.expect("everything can be read");
        contents.push((required, entities, columns));
    }
    contents
}
