//! Filters: which archetypes a query visits, and which of their rows, beyond its terms' needs.

#![allow(unsafe_code, reason = "passes the contract of conditions on")]

use std::marker::PhantomData;
use std::ops::Range;

use crate::storage::component::{Component, Kind, Registry};
use crate::storage::epoch::Epoch;
use crate::storage::list::{List, ListHandle};
use crate::storage::{ComponentId, ComponentMask, Entity};
use crate::tuples::for_tuples;
use crate::world::store::TableRef;

use super::condition::Condition;
use super::error::{QueryError, not_readable};
use super::sealed::SealedFilter;

/// Keeps the entities that have `T`, and have it switched on if it is a toggle.
pub struct With<T>(PhantomData<fn() -> T>);

/// Keeps the entities that don't have `T`, or have it switched off if it is a toggle.
pub struct Without<T>(PhantomData<fn() -> T>);

/// Keeps entities by the chunk: those in a chunk of the column of `T` that any operation wrote to after the mark that
/// [`Query::since`](super::query::Query::since) names. Without a mark it keeps all entities that
/// have `T`.
///
/// So these may have changed. For exactly those that have, compare with a snapshot:
/// [`World::changed_since`](crate::World::changed_since). A chunk is
/// [`ComponentInfo::chunk_rows`](crate::component::ComponentInfo::chunk_rows) rows: the neighbours
/// of a changed row are kept as well, and so are values that were lent out for writing and not
/// changed. No change is missed. A value without bytes never changes; of a tag the filter keeps
/// chunks of entities that rows came into.
///
/// It costs writers nothing: chunks know when they were last written for the sake of replicas.
///
/// ```
/// # use convoy_engine::World;
/// # use convoy_engine::query::Changed;
/// let mut world = World::new();
/// let ships: Vec<_> = world.spawn_batch((0..9_u32).map(|n| (n,))).unwrap().collect();
/// let mark = world.change_mark();
/// assert_eq!(world.query::<&u32>().filter::<Changed<u32>>().since(mark).count(), 0);
/// *world.get_mut::<u32>(ships[3]).unwrap() += 1;
/// let changed = world.query::<&u32>().filter::<Changed<u32>>().since(mark);
/// assert!(changed.iter().any(|number| *number == 4));
/// ```
pub struct Changed<T>(PhantomData<fn() -> T>);

/// Keeps entities by the chunk that may have got `T` since a mark: by spawning, insertion, or anything else
/// that brought their row into its table. It keeps those in a chunk of entity handles *and* in a chunk
/// of `T` that were both written to after the mark that
/// [`Query::since`](super::query::Query::since) names; without a mark, all that have `T`.
///
/// The granularity is a chunk, as for [`Changed`]: neighbours of an added row are kept as well, and
/// so are rows that moved within their table because another one left it.
///
/// ```
/// # use convoy_engine::World;
/// # use convoy_engine::query::Added;
/// let mut world = World::new();
/// let ship = world.spawn((1_u32,));
/// let mark = world.change_mark();
/// *world.get_mut::<u32>(ship).unwrap() += 1;
/// assert_eq!(world.query::<&u32>().filter::<Added<u32>>().since(mark).count(), 0);
/// world.spawn((2_u32, 0.5_f32));
/// assert_eq!(world.query::<&u32>().filter::<Added<u32>>().since(mark).count(), 1);
/// ```
pub struct Added<T>(PhantomData<fn() -> T>);

/// A condition on entities: [`With`], [`Without`], [`Changed`], [`Added`], or a tuple of them, which
/// must all hold.
///
/// [`With`] and [`Without`] look at which components an entity has and never at their values, so
/// a snapshot answers them also for components that it did not capture, unless these can be
/// switched off: [`World::register_toggle`](crate::World::register_toggle).
///
/// ```
/// # use convoy_engine::{With, Without, World};
/// let mut world = World::new();
/// world.spawn((1_u32,));
/// world.spawn((2_u32, 0.5_f32));
/// let with = world.query::<&u32>().filter::<With<f32>>().iter().copied().collect::<Vec<_>>();
/// let without = world.query::<&u32>().filter::<(Without<f32>, Without<u8>)>().count();
/// assert_eq!((with, without), (vec![2], 1));
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a filter",
    label = "not a filter",
    note = "filters are `With<T>`, `Without<T>`, `Changed<T>` and `Added<T>`, where `T` is a component, \
            tuples of up to sixteen filters, and `Or<(..)>` of a tuple"
)]
pub trait Filter: SealedFilter {
    /// Whether the archetype alone decides where no component can be switched off, so that rows
    /// need not be asked for.
    #[doc(hidden)]
    const BY_ARCHETYPE: bool;

    /// The condition on the rows of one table.
    #[doc(hidden)]
    type Bound: Copy;

    /// Checks that the columns that the filter looks at may be read.
    #[doc(hidden)]
    fn check(registry: &Registry, readable: &ComponentMask) -> Result<(), QueryError>;

    /// Whether an archetype with these components may have entities that pass.
    #[doc(hidden)]
    fn passes(registry: &Registry, archetype: &ComponentMask) -> bool;

    /// The condition on the rows of a table; changes newer than `since` count.
    #[doc(hidden)]
    fn bind(table: &TableRef<'_>, registry: &Registry, since: Epoch) -> Self::Bound;

    /// Whether all rows of the bound table pass.
    #[doc(hidden)]
    fn selects_all(bound: &Self::Bound) -> bool;

    /// Which of `rows` pass, the first in the lowest bit.
    ///
    /// # Safety
    ///
    /// As for [`Condition::select`], for the table that `bound` was made for.
    #[doc(hidden)]
    unsafe fn select(bound: &mut Self::Bound, rows: Range<usize>) -> u64;
}

impl SealedFilter for () {}

impl Filter for () {
    const BY_ARCHETYPE: bool = true;
    type Bound = ();

    fn check(_: &Registry, _: &ComponentMask) -> Result<(), QueryError> {
        Ok(())
    }

    fn passes(_: &Registry, _: &ComponentMask) -> bool {
        true
    }

    fn bind(_: &TableRef<'_>, _: &Registry, _: Epoch) {}

    fn selects_all((): &()) -> bool {
        true
    }

    unsafe fn select((): &mut (), _: Range<usize>) -> u64 {
        u64::MAX
    }
}

/// The part that filters of one condition share.
macro_rules! one_condition {
    () => {
        type Bound = Condition;

        fn selects_all(bound: &Condition) -> bool {
            bound.selects_all()
        }

        unsafe fn select(bound: &mut Condition, rows: Range<usize>) -> u64 {
            // SAFETY: the caller's contract.
            unsafe { bound.select(rows) }
        }
    };
}

impl<T: Component> SealedFilter for With<T> {}

impl<T: Component> Filter for With<T> {
    const BY_ARCHETYPE: bool = true;

    fn check(registry: &Registry, readable: &ComponentMask) -> Result<(), QueryError> {
        check_toggle::<T>(registry, readable)
    }

    fn passes(registry: &Registry, archetype: &ComponentMask) -> bool {
        registry.id_of::<T>(Kind::Component).is_some_and(|id| archetype.contains(id))
    }

    fn bind(table: &TableRef<'_>, registry: &Registry, _: Epoch) -> Condition {
        match registry.id_of::<T>(Kind::Component) {
            Some(id) => Condition::has(table, registry, id, true),
            None => Condition::constant(false),
        }
    }

    one_condition!();
}

/// Filters of lists are those of their handles.
macro_rules! list_filters {
    ($($filter:ident)*) => {$(
        impl<T: Component> SealedFilter for $filter<List<T>> {}

        impl<T: Component> Filter for $filter<List<T>> {
            const BY_ARCHETYPE: bool = $filter::<ListHandle<T>>::BY_ARCHETYPE;
            type Bound = <$filter<ListHandle<T>> as Filter>::Bound;

            fn check(registry: &Registry, readable: &ComponentMask) -> Result<(), QueryError> {
                $filter::<ListHandle<T>>::check(registry, readable)
            }

            fn passes(registry: &Registry, archetype: &ComponentMask) -> bool {
                $filter::<ListHandle<T>>::passes(registry, archetype)
            }

            fn bind(table: &TableRef<'_>, registry: &Registry, since: Epoch) -> Self::Bound {
                $filter::<ListHandle<T>>::bind(table, registry, since)
            }

            fn selects_all(bound: &Self::Bound) -> bool {
                $filter::<ListHandle<T>>::selects_all(bound)
            }

            unsafe fn select(bound: &mut Self::Bound, rows: Range<usize>) -> u64 {
                // SAFETY: the caller's contract.
                unsafe { $filter::<ListHandle<T>>::select(bound, rows) }
            }
        }
    )*};
}

list_filters!(With Without Changed Added);

impl<T: Component> SealedFilter for Without<T> {}

impl<T: Component> Filter for Without<T> {
    const BY_ARCHETYPE: bool = true;

    fn check(registry: &Registry, readable: &ComponentMask) -> Result<(), QueryError> {
        check_toggle::<T>(registry, readable)
    }

    fn passes(registry: &Registry, archetype: &ComponentMask) -> bool {
        let held = registry.id_of::<T>(Kind::Component).filter(|&id| archetype.contains(id));
        held.is_none_or(|id| registry.info(id).toggle().is_some())
    }

    fn bind(table: &TableRef<'_>, registry: &Registry, _: Epoch) -> Condition {
        match registry.id_of::<T>(Kind::Component) {
            Some(id) => Condition::has(table, registry, id, false),
            None => Condition::constant(true),
        }
    }

    one_condition!();
}

impl<T: Component> SealedFilter for Changed<T> {}

impl<T: Component> Filter for Changed<T> {
    const BY_ARCHETYPE: bool = false;

    fn check(registry: &Registry, readable: &ComponentMask) -> Result<(), QueryError> {
        check_readable::<T>(registry, readable)?;
        if size_of::<T>() == 0 { check_readable::<Entity>(registry, readable) } else { Ok(()) }
    }

    fn passes(registry: &Registry, archetype: &ComponentMask) -> bool {
        With::<T>::passes(registry, archetype)
    }

    fn bind(table: &TableRef<'_>, registry: &Registry, since: Epoch) -> Condition {
        match registry.id_of::<T>(Kind::Component) {
            Some(id) if table.mask().contains(id) => Condition::written(table, registry, id, since),
            _ => Condition::constant(false),
        }
    }

    one_condition!();
}

impl<T: Component> SealedFilter for Added<T> {}

impl<T: Component> Filter for Added<T> {
    const BY_ARCHETYPE: bool = false;
    type Bound = [Condition; 2];

    fn check(registry: &Registry, readable: &ComponentMask) -> Result<(), QueryError> {
        check_readable::<T>(registry, readable)?;
        check_readable::<Entity>(registry, readable)
    }

    fn passes(registry: &Registry, archetype: &ComponentMask) -> bool {
        With::<T>::passes(registry, archetype)
    }

    fn bind(table: &TableRef<'_>, registry: &Registry, since: Epoch) -> [Condition; 2] {
        let entity = Condition::written(table, registry, ComponentId::ENTITY, since);
        [Changed::<T>::bind(table, registry, since), entity]
    }

    fn selects_all(bound: &[Condition; 2]) -> bool {
        bound.iter().all(Condition::selects_all)
    }

    unsafe fn select(bound: &mut [Condition; 2], rows: Range<usize>) -> u64 {
        // SAFETY: the caller's contract.
        let [value, entity] = bound.each_mut().map(|each| unsafe { each.select(rows.clone()) });
        value & entity
    }
}

/// Checks that the toggle of `T` may be read, if `T` has one.
fn check_toggle<T: Component>(
    registry: &Registry,
    readable: &ComponentMask,
) -> Result<(), QueryError> {
    let id = registry.id_of::<T>(Kind::Component);
    let toggle = id.and_then(|id| registry.info(id).toggle());
    match toggle {
        Some(toggle) if !readable.contains(toggle) => Err(not_readable::<T>()),
        _ => Ok(()),
    }
}

/// Checks that the column of `T` may be read, as where a term reads it.
fn check_readable<T: Component>(
    registry: &Registry,
    readable: &ComponentMask,
) -> Result<(), QueryError> {
    let readable = match registry.id_of::<T>(Kind::Component) {
        Some(id) => readable.contains(id),
        None => readable.is_all(),
    };
    if readable { Ok(()) } else { Err(not_readable::<T>()) }
}

/// Keeps the entities that pass any filter of a tuple.
///
/// ```
/// # use convoy_engine::query::Or;
/// # use convoy_engine::{With, World};
/// let mut world = World::new();
/// world.spawn((1_u32, 0.5_f32));
/// world.spawn((2_u32, 1_u8));
/// world.spawn((3_u32,));
/// assert_eq!(world.query::<&u32>().filter::<Or<(With<f32>, With<u8>)>>().count(), 2);
/// ```
pub struct Or<F>(PhantomData<fn() -> F>);

/// A filter of several: `$join` joins the answers of the parts to `$all` or `$bits`.
macro_rules! joined_filter {
    ($filter:ty, $join:tt, $all:literal, $bits:literal, $($name:ident $index:tt),+) => {
        impl<$($name: Filter),+> SealedFilter for $filter {}

        impl<$($name: Filter),+> Filter for $filter {
            const BY_ARCHETYPE: bool = true $(& $name::BY_ARCHETYPE)+;
            type Bound = ($($name::Bound,)+);

            fn check(registry: &Registry, readable: &ComponentMask) -> Result<(), QueryError> {
                $($name::check(registry, readable)?;)+
                Ok(())
            }

            fn passes(registry: &Registry, archetype: &ComponentMask) -> bool {
                $all $($join $name::passes(registry, archetype))+
            }

            fn bind(table: &TableRef<'_>, registry: &Registry, since: Epoch) -> Self::Bound {
                ($($name::bind(table, registry, since),)+)
            }

            fn selects_all(bound: &Self::Bound) -> bool {
                $all $($join $name::selects_all(&bound.$index))+
            }

            unsafe fn select(bound: &mut Self::Bound, rows: Range<usize>) -> u64 {
                // SAFETY: the caller's contract.
                $bits $($join unsafe { $name::select(&mut bound.$index, rows.clone()) })+
            }
        }
    };
}

macro_rules! tuple_filter {
    ($($name:ident $index:tt),+) => {
        joined_filter!(($($name,)+), &, true, 0xffff_ffff_ffff_ffff, $($name $index),+);
        joined_filter!(Or<($($name,)+)>, |, false, 0, $($name $index),+);
    };
}

for_tuples!(tuple_filter);
