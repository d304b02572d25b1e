//! Filters: which archetypes a query visits, beyond what its terms need.

use std::marker::PhantomData;

use crate::storage::ComponentMask;
use crate::storage::component::{Component, Kind, Registry};

/// Keeps the entities that have `T`.
pub struct With<T>(PhantomData<fn() -> T>);

/// Keeps the entities that don't have `T`.
pub struct Without<T>(PhantomData<fn() -> T>);

/// A condition on archetypes: [`With`], [`Without`], or a tuple of them, all of which must hold.
///
/// Filters look at which components an entity has and never at their values, so a snapshot
/// answers them also for components that it did not capture.
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
pub trait Filter {
    /// Whether an archetype with these components passes.
    #[doc(hidden)]
    fn passes(registry: &Registry, archetype: &ComponentMask) -> bool;
}

impl Filter for () {
    fn passes(_: &Registry, _: &ComponentMask) -> bool {
        true
    }
}

impl<T: Component> Filter for With<T> {
    fn passes(registry: &Registry, archetype: &ComponentMask) -> bool {
        registry.id_of::<T>(Kind::Component).is_some_and(|id| archetype.contains(id))
    }
}

impl<T: Component> Filter for Without<T> {
    fn passes(registry: &Registry, archetype: &ComponentMask) -> bool {
        !With::<T>::passes(registry, archetype)
    }
}

/// Keeps the entities that pass any filter of a tuple.
///
/// ```
/// # use convoy_engine::{Or, With, World};
/// let mut world = World::new();
/// world.spawn((1_u32, 0.5_f32));
/// world.spawn((2_u32, 1_u8));
/// world.spawn((3_u32,));
/// assert_eq!(world.query::<&u32>().filter::<Or<(With<f32>, With<u8>)>>().count(), 2);
/// ```
pub struct Or<F>(PhantomData<fn() -> F>);

macro_rules! tuple_filter {
    ($($name:ident),+) => {
        impl<$($name: Filter),+> Filter for ($($name,)+) {
            fn passes(registry: &Registry, archetype: &ComponentMask) -> bool {
                $($name::passes(registry, archetype))&&+
            }
        }

        impl<$($name: Filter),+> Filter for Or<($($name,)+)> {
            fn passes(registry: &Registry, archetype: &ComponentMask) -> bool {
                $($name::passes(registry, archetype))||+
            }
        }
    };
}

tuple_filter!(A);
tuple_filter!(A, B);
tuple_filter!(A, B, C);
tuple_filter!(A, B, C, D);
tuple_filter!(A, B, C, D, E);
tuple_filter!(A, B, C, D, E, F);
tuple_filter!(A, B, C, D, E, F, G);
tuple_filter!(A, B, C, D, E, F, G, H);
