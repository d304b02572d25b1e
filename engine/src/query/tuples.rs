//! Tuples of query terms: every operation of a tuple is that of its parts, in order.

#![allow(unsafe_code, reason = "passes the contracts of the parts on")]

use std::ops::Range;
use std::ptr;

use convoy_pool::MemoryError;

use crate::storage::epoch::Epoch;
use crate::storage::history::Memory;
use crate::tuples::for_tuples;
use crate::world::list_mut::ListMemory;
use crate::world::store::{Store, TableRef};

use super::error::QueryError;
use super::requirements::{Claim, Requirements};
use super::sealed::{SealedReadOnly, SealedTerms};
use super::terms::{RUN_LOG2_MAX, ReadOnly, Rest, Terms};

macro_rules! tuple_terms {
    ($($name:ident $index:tt),*) => {
        impl<$($name: Terms),*> SealedTerms for ($($name,)*) {}

        impl<$($name: ReadOnly),*> SealedReadOnly for ($($name,)*) {}

        // SAFETY: each part fulfils the contract for its own columns, and parts that touch the same
        // component conflict when they are resolved.
        #[allow(unused_variables, clippy::unused_unit, reason = "the empty tuple")]
        unsafe impl<$($name: Terms),*> Terms for ($($name,)*) {
            type Item<'a> = ($($name::Item<'a>,)*);
            type Slices<'a> = ($($name::Slices<'a>,)*);
            type Resolved = ($($name::Resolved,)*);
            type Place = ($($name::Place,)*);
            type Bound = ($($name::Bound,)*);
            type Run = ($($name::Run,)*);
            type Replaced = ($($name::Replaced,)*);
            type Local = ($($name::Local,)*);

            const NONE_REPLACED: Self::Replaced = ($($name::NONE_REPLACED,)*);
            const WRITES_LISTS: bool = false $(|| $name::WRITES_LISTS)*;

            #[inline(always)]
            fn claims(each: &mut impl FnMut(Claim)) {
                $($name::claims(each);)*
            }

            fn resolve(
                store: &Store<'_>,
                requirements: &mut Requirements,
            ) -> Result<Self::Resolved, QueryError> {
                Ok(($($name::resolve(store, requirements)?,)*))
            }

            #[inline]
            fn place(resolved: Self::Resolved, table: &TableRef<'_>) -> Self::Place {
                ($($name::place(resolved.$index, table),)*)
            }

            #[inline]
            unsafe fn bind(place: Self::Place, table: &TableRef<'_>) -> Self::Bound {
                $(
                    // SAFETY: the caller's contract.
                    let $name = unsafe { $name::bind(place.$index, table) };
                )*
                ($($name,)*)
            }

            #[inline]
            fn run_log2(bound: &Self::Bound) -> u8 {
                RUN_LOG2_MAX $(.min($name::run_log2(&bound.$index)))*
            }

            #[inline]
            unsafe fn start_owned(
                bound: &Self::Bound,
                row: usize,
                epoch: Epoch,
            ) -> Option<Self::Run> {
                $(
                    // SAFETY: the caller's contract.
                    let $name = unsafe { $name::start_owned(&bound.$index, row, epoch)? };
                )*
                Some(($($name,)*))
            }

            #[inline]
            unsafe fn prepare(
                bound: &Self::Bound,
                row: usize,
                rest: Rest,
                memory: *mut Memory,
            ) -> Result<(), MemoryError> {
                $(
                    // SAFETY: the caller's contract.
                    unsafe { $name::prepare(&bound.$index, row, rest, memory)? };
                )*
                Ok(())
            }

            #[inline]
            unsafe fn start(
                bound: &Self::Bound,
                run: Range<usize>,
                live: usize,
                (rest, replaced): (Rest, &mut Self::Replaced),
                memory: *mut Memory,
            ) -> Self::Run {
                $(
                    let (part, before) = (&bound.$index, (rest, &mut replaced.$index));
                    // SAFETY: the caller's contract.
                    let $name = unsafe { $name::start(part, run.clone(), live, before, memory) };
                )*
                ($($name,)*)
            }

            #[inline]
            unsafe fn open_lists(
                run: &mut Self::Run,
                rows: usize,
                (memory, lists): (&mut Memory, ListMemory),
            ) -> Result<(), MemoryError> {
                $(
                    // SAFETY: the caller's contract.
                    unsafe { $name::open_lists(&mut run.$index, rows, (&mut *memory, lists))? };
                )*
                Ok(())
            }

            #[inline]
            fn is_shared(run: &Self::Run) -> bool {
                false $(|| $name::is_shared(&run.$index))*
            }

            #[inline]
            unsafe fn copy(run: Self::Run, from: usize, to: usize) {
                $(
                    // SAFETY: the caller's contract.
                    unsafe { $name::copy(run.$index, from, to) };
                )*
            }

            #[inline]
            unsafe fn item<'a>(run: Self::Run, index: usize) -> Self::Item<'a> {
                $(
                    // SAFETY: the caller's contract.
                    let $name = unsafe { $name::item(run.$index, index) };
                )*
                ($($name,)*)
            }

            #[inline]
            unsafe fn slices<'a>(run: Self::Run, rows: usize) -> Self::Slices<'a> {
                $(
                    // SAFETY: the caller's contract.
                    let $name = unsafe { $name::slices(run.$index, rows) };
                )*
                ($($name,)*)
            }

            #[inline]
            unsafe fn load(run: Self::Run, index: usize) -> Self::Local {
                $(
                    // SAFETY: the caller's contract.
                    let $name = unsafe { $name::load(run.$index, index) };
                )*
                ($($name,)*)
            }

            #[inline]
            unsafe fn lend<'a>(local: *mut Self::Local) -> Self::Item<'a> {
                $(
                    // SAFETY: `local` is valid by contract, and so is a part of it.
                    let part = unsafe { ptr::addr_of_mut!((*local).$index) };
                    // SAFETY: the caller's contract, for this part.
                    let $name = unsafe { $name::lend(part) };
                )*
                ($($name,)*)
            }

            #[inline]
            unsafe fn store(run: Self::Run, index: usize, local: Self::Local) {
                $(
                    // SAFETY: the caller's contract.
                    unsafe { $name::store(run.$index, index, local.$index) };
                )*
            }
        }

        // SAFETY: every part only reads.
        unsafe impl<$($name: ReadOnly),*> ReadOnly for ($($name,)*) {}
    };
}

#[allow(non_snake_case, reason = "a part's value has the name of its type in the macro")]
mod implementations {
    use super::*;

    tuple_terms!();
    for_tuples!(tuple_terms);
}
