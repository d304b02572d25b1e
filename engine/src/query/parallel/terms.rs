//! [`ParallelTerms`]: terms whose runs can be started ahead, one after the other, and visited
//! later on several threads.

#![allow(unsafe_code, reason = "makes chunks writable apart from copying them")]

use std::ops::Range;

use convoy_pool::{ChunkPtr, MemoryError};

use crate::query::fetch::{Terms, row_in_chunk};
use crate::query::has::Has;
use crate::query::sealed::SealedTerms;
use crate::query::write_term::WriteRun;
use crate::storage::Entity;
use crate::storage::component::Component;
use crate::storage::history::Memory;
use crate::storage::spares::Spares;

/// Terms that a parallel query can have, which is all of them.
///
/// # Safety
///
/// Sealed, as [`Terms`] are, whose contract it has; runs of different rows can be used on different
/// threads.
pub unsafe trait ParallelTerms: Terms + SealedTerms {
    /// The chunks that are replaced where the last run was started, and that hold its old values.
    #[doc(hidden)]
    type Replaced: Copy;

    /// Before the first run of a table.
    #[doc(hidden)]
    const NONE_REPLACED: Self::Replaced;

    /// Allocates spare chunks for what the run at `row` must copy. Changes no chunk.
    ///
    /// # Safety
    ///
    /// `memory` is the one of the bound table, and exclusive; `row` is where a run begins.
    #[doc(hidden)]
    unsafe fn allocate_apart(
        bound: &Self::Bound,
        row: usize,
        memory: *mut Memory,
        spares: &mut Spares,
    ) -> Result<(), MemoryError>;

    /// Makes a run writable and returns where it is. Of a chunk that has to be replaced no row is
    /// copied: that is left to whoever visits its runs.
    ///
    /// # Safety
    ///
    /// `allocate_apart` succeeded for all runs of the table, which are started in their order, and
    /// `replaced` is where the start of the run before left it. All that are shared are copied
    /// before the next reclaim.
    #[doc(hidden)]
    unsafe fn start_apart(
        bound: &Self::Bound,
        replaced: &mut Self::Replaced,
        run: Range<usize>,
        live: usize,
        memory: *mut Memory,
        spares: &mut Spares,
    ) -> Self::Run;
}

/// Terms that only read have nothing to make writable.
macro_rules! reads_only {
    ($([$($parameter:tt)*] $term:ty;)+) => {
        $(
            // SAFETY: reads rows that nobody writes while the query has them.
            unsafe impl<$($parameter)*> ParallelTerms for $term {
                type Replaced = ();

                const NONE_REPLACED: () = ();

                #[inline]
                unsafe fn allocate_apart(
                    _: &Self::Bound,
                    _: usize,
                    _: *mut Memory,
                    _: &mut Spares,
                ) -> Result<(), MemoryError> {
                    Ok(())
                }

                #[inline]
                unsafe fn start_apart(
                    bound: &Self::Bound,
                    _: &mut (),
                    run: Range<usize>,
                    live: usize,
                    memory: *mut Memory,
                    _: &mut Spares,
                ) -> Self::Run {
                    // SAFETY: the caller's contract; reading needs no preparation.
                    unsafe { Self::start(bound, run, live, Self::NO_SPARES, memory) }
                }
            }
        )+
    };
}

reads_only! {
    [T: Component] &T;
    [T: Component] Option<&T>;
    [T: Component] Has<T>;
    [] Entity;
}

/// Whether a chunk of as many rows as `log2` says begins at `row`.
fn begins_chunk(row: usize, log2: u8) -> bool {
    row & ((1 << log2) - 1) == 0
}

// SAFETY: every run is in chunks that are replaced, or owned, before it is handed out, and runs of
// different rows have no address in common.
unsafe impl<T: Component> ParallelTerms for &mut T {
    type Replaced = Option<ChunkPtr>;

    const NONE_REPLACED: Option<ChunkPtr> = None;

    #[inline]
    unsafe fn allocate_apart(
        bound: &Self::Bound,
        row: usize,
        memory: *mut Memory,
        spares: &mut Spares,
    ) -> Result<(), MemoryError> {
        if size_of::<T>() == 0 || !begins_chunk(row, bound.rows_log2) {
            return Ok(());
        }
        // SAFETY: the query has exclusive use of the memory, which no other borrow reaches now.
        let memory = unsafe { &mut *memory };
        // SAFETY: the query has exclusive use of the table, and no other term of this column.
        let column = unsafe { &mut *bound.column };
        column.allocate_apart(row >> bound.rows_log2, memory, spares)
    }

    #[inline]
    unsafe fn start_apart(
        bound: &Self::Bound,
        replaced: &mut Option<ChunkPtr>,
        run: Range<usize>,
        live: usize,
        memory: *mut Memory,
        spares: &mut Spares,
    ) -> Self::Run {
        if size_of::<T>() > 0 && begins_chunk(run.start, bound.rows_log2) {
            // SAFETY: as in `allocate_apart`.
            let memory = unsafe { &mut *memory };
            // SAFETY: as in `allocate_apart`.
            let column = unsafe { &mut *bound.column };
            *replaced = column.own_apart(run.start >> bound.rows_log2, live, memory, spares);
        }
        // SAFETY: nothing was prepared, so this finds the row of the chunk that is in place now.
        let WriteRun { target, .. } =
            unsafe { Self::start(bound, run.clone(), live, None, memory) };
        let source = match *replaced {
            // SAFETY: the replaced chunk is of the class of the one in place, and holds the row.
            Some(chunk) => unsafe { row_in_chunk(chunk, run.start, bound.rows_log2) },
            None => target.cast_const(),
        };
        WriteRun { source, target }
    }
}

macro_rules! tuple_terms {
    ($($name:ident $index:tt),*) => {
        // SAFETY: each part fulfils the contract for what it touches.
        #[allow(unused_variables, clippy::unused_unit, reason = "the empty tuple")]
        unsafe impl<$($name: ParallelTerms),*> ParallelTerms for ($($name,)*) {
            type Replaced = ($($name::Replaced,)*);

            const NONE_REPLACED: Self::Replaced = ($($name::NONE_REPLACED,)*);

            #[inline]
            unsafe fn allocate_apart(
                bound: &Self::Bound,
                row: usize,
                memory: *mut Memory,
                spares: &mut Spares,
            ) -> Result<(), MemoryError> {
                $(
                    // SAFETY: the caller's contract.
                    unsafe { $name::allocate_apart(&bound.$index, row, memory, spares)? };
                )*
                Ok(())
            }

            #[inline]
            unsafe fn start_apart(
                bound: &Self::Bound,
                replaced: &mut Self::Replaced,
                run: Range<usize>,
                live: usize,
                memory: *mut Memory,
                spares: &mut Spares,
            ) -> Self::Run {
                $(
                    let (part, before) = (&bound.$index, &mut replaced.$index);
                    // SAFETY: the caller's contract.
                    let $name = unsafe {
                        $name::start_apart(part, before, run.clone(), live, memory, spares)
                    };
                )*
                ($($name,)*)
            }
        }
    };
}

#[allow(non_snake_case, reason = "a part's value has the name of its type in the macro")]
mod implementations {
    use super::*;

    tuple_terms!();
    tuple_terms!(A 0);
    tuple_terms!(A 0, B 1);
    tuple_terms!(A 0, B 1, C 2);
    tuple_terms!(A 0, B 1, C 2, D 3);
    tuple_terms!(A 0, B 1, C 2, D 3, E 4);
    tuple_terms!(A 0, B 1, C 2, D 3, E 4, F 5);
    tuple_terms!(A 0, B 1, C 2, D 3, E 4, F 5, G 6);
    tuple_terms!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7);
    tuple_terms!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8);
    tuple_terms!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9);
    tuple_terms!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9, K 10);
    tuple_terms!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9, K 10, L 11);
    tuple_terms!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9, K 10, L 11, M 12);
    tuple_terms!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9, K 10, L 11, M 12, N 13);
    tuple_terms!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9, K 10, L 11, M 12, N 13, O 14);
    tuple_terms!(
        A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9, K 10, L 11, M 12, N 13, O 14, P 15
    );
}
