//! Random access: the rows of single entities, by their handles, in the shape of a query.
//!
//! A look-up goes from the handle to the table and row of the entity, asks the plan whether the query
//! visits that table, and opens a run of one row. A kept plan knows the columns already.

#![allow(unsafe_code, reason = "hands out fetched rows")]

use crate::storage::Entity;
use crate::storage::epoch::Epoch;
use crate::world::store::NoHandles;

use super::access::Access;
use super::error::{GetError, not_readable};
use super::filter::Filter;
use super::plan::Plan;
use super::terms::{ReadOnly, Terms};

/// The items of several entities. All are found before the first is opened, and all are opened before
/// the first is handed out.
///
/// # Safety
///
/// As far as the terms write, the store of the plan is live, its columns are the caller's exclusively
/// for `'a`, the access is that of the store, and no entity is named twice.
#[inline]
pub(super) unsafe fn items<'a, Q: Terms, F: Filter, const N: usize>(
    plan: &Plan<'_, 'a, Q>,
    since: Epoch,
    access: Access<'a>,
    entities: [Entity; N],
) -> Result<[Q::Item<'a>; N], GetError> {
    let mut rows = [None; N];
    for (entity, row) in entities.into_iter().zip(&mut rows) {
        // SAFETY: the caller's contract.
        *row = Some(unsafe { find::<Q, F>(plan, since, entity)? });
    }
    let mut runs = [None; N];
    for (row, run) in rows.into_iter().flatten().zip(&mut runs) {
        let Row { bound, row, live } = row;
        // SAFETY: a run of one row lies in one chunk of every column; the caller's contract.
        *run = Some(unsafe { access.open_whole::<Q>(&bound, row..row + 1, live)? });
    }
    Ok(runs.map(|run| {
        let run = run.expect("a run was opened for every entity");
        // SAFETY: the run has a row, which is owned. Rows that are owned stay where they are while
        // others are made writable, and all are of different entities if the terms write.
        unsafe { Q::item(run, 0) }
    }))
}

/// The items of several entities, for reading.
#[inline]
pub(super) fn read<'a, Q: ReadOnly, F: Filter, const N: usize>(
    plan: &Plan<'_, 'a, Q>,
    since: Epoch,
    entities: [Entity; N],
) -> Result<[Q::Item<'a>; N], GetError> {
    // SAFETY: the terms only read.
    unsafe { items::<Q, F, N>(plan, since, Access::READ, entities) }
}

/// A row that was found.
#[derive(Clone, Copy)]
struct Row<B> {
    /// The columns of its table, and how many rows that has.
    bound: B,
    live: usize,
    row: usize,
}

/// The row of an entity, if the query visits it.
///
/// # Safety
///
/// As [`items`].
#[inline]
unsafe fn find<Q: Terms, F: Filter>(
    plan: &Plan<'_, '_, Q>,
    since: Epoch,
    entity: Entity,
) -> Result<Row<Q::Bound>, GetError> {
    let store = plan.store();
    let at = match store.locate(entity) {
        Ok(Some(at)) => at,
        Ok(None) => return Err(GetError::NotAlive { entity }),
        Err(NoHandles) => return Err(not_readable::<Entity>().into()),
    };
    let (table, row) = (store.table(at.archetype.index()), at.row as usize);
    let Some(place) = plan.find::<F>(at.archetype, &table) else {
        return Err(plan.requirements().refusal(&store.catalog().registry, &table, entity));
    };
    let live = table.rows();
    assert!(row < live, "the index names a row of the table");
    let selection = plan.selection::<F>(&table, since);
    // SAFETY: the table is borrowed and has the row.
    if selection.is_some_and(|selection| !unsafe { selection.selects(row) }) {
        return Err(GetError::Filtered { entity });
    }
    // SAFETY: the place was found in this table, or in one of the same archetype and layout; for the
    // rest the caller's contract.
    Ok(Row { bound: unsafe { Q::bind(place, &table) }, live, row })
}

/// Checks that no entity is asked for twice.
pub(super) fn check_distinct(entities: &[Entity]) -> Result<(), GetError> {
    for (index, &entity) in entities.iter().enumerate() {
        if entities[..index].contains(&entity) {
            return Err(GetError::Duplicate { entity });
        }
    }
    Ok(())
}
