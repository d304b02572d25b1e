//! [`Has`]: whether an entity has a component, as a term.

#![allow(unsafe_code, reason = "implements the contract of query terms; touches no memory")]

use std::marker::PhantomData;
use std::ops::Range;

use convoy_pool::MemoryError;

use crate::storage::ComponentId;
use crate::storage::component::{Component, Kind};
use crate::storage::epoch::Epoch;
use crate::storage::history::Memory;
use crate::storage::list::{List, ListHandle};
use crate::world::store::{Store, TableRef};

use super::error::QueryError;
use super::requirements::{Claim, Requirements};
use super::sealed::{SealedReadOnly, SealedTerms};
use super::terms::{RUN_LOG2_MAX, ReadOnly, Rest, Terms, reads_only};

/// A term whose item tells whether the entity has `T`. It reads no value, so a snapshot answers
/// it also for components that it did not capture.
///
/// ```
/// # use convoy_engine::World;
/// # use convoy_engine::query::Has;
/// let mut world = World::new();
/// world.spawn((1_u32,));
/// world.spawn((2_u32, 0.5_f32));
/// let rows: Vec<_> = world.query::<(&u32, Has<f32>)>().iter().collect();
/// assert_eq!(rows, [(&1, false), (&2, true)]);
/// ```
pub struct Has<T>(PhantomData<fn() -> T>);

/// The term for a component, or for what stands for one.
macro_rules! has {
    ($($of:ty as $component:ty;)*) => {$(
        impl<T: Component> SealedTerms for Has<$of> {}
        impl<T: Component> SealedReadOnly for Has<$of> {}

        // SAFETY: touches no row.
        unsafe impl<T: Component> Terms for Has<$of> {
            type Item<'a> = bool;
            type Slices<'a> = bool;
            type Resolved = Option<ComponentId>;
            type Place = bool;
            type Bound = bool;
            type Run = bool;
            type Local = bool;

            /// Reaches no row, so it goes with a term that writes.
            #[inline(always)]
            fn claims(_: &mut impl FnMut(Claim)) {}

            fn resolve(store: &Store<'_>, _: &mut Requirements) -> Result<Self::Resolved, QueryError> {
                Ok(store.catalog().registry.id_of::<$component>(Kind::Component))
            }

            #[inline]
            fn place(resolved: Self::Resolved, table: &TableRef<'_>) -> bool {
                resolved.is_some_and(|id| table.mask().contains(id))
            }

            #[inline]
            unsafe fn bind(place: bool, _: &TableRef<'_>) -> bool {
                place
            }

            #[inline]
            fn run_log2(_: &bool) -> u8 {
                RUN_LOG2_MAX
            }

            #[inline]
            unsafe fn start_owned(bound: &bool, _: usize, _: Epoch) -> Option<bool> {
                Some(*bound)
            }

            #[inline]
            unsafe fn item<'a>(run: bool, _: usize) -> Self::Item<'a> {
                run
            }

            #[inline]
            unsafe fn slices<'a>(run: bool, _: usize) -> Self::Slices<'a> {
                run
            }

            #[inline]
            unsafe fn load(run: bool, _: usize) -> bool {
                run
            }

            #[inline]
            unsafe fn lend<'a>(local: *mut bool) -> Self::Item<'a> {
                // SAFETY: `local` is valid by contract.
                unsafe { *local }
            }

            reads_only!();
        }

        // SAFETY: reads nothing at all.
        unsafe impl<T: Component> ReadOnly for Has<$of> {}
    )*};
}

has! {
    T as T;
    List<T> as ListHandle<T>;
}
