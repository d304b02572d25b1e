//! Attempts: operations that need memory in several places get all of it, or none.
//!
//! An operation prepares first: it makes the rows writable that it is going to write, in any number
//! of columns, and each may take a chunk. When one of them finds no memory, those before it have
//! theirs already. So an operation that prepares more than one thing does so inside of
//! [`World::attempt`], which takes every step back when one fails: the columns have their chunks
//! again, the index has its slots again, and the memory is free for others. The code after an
//! attempt has only [`Returns`](crate::storage::history::Returns) to commit with, and can't fail.
//!
//! The common case of one row asks first whether everything is writable, and makes no attempt.

use convoy_pool::MemoryError;

use crate::storage::table::Table;

use super::core::World;
use super::index::ready::IndexMark;

/// An attempt under way. Dropped before it has succeeded, it takes its steps back: after an error,
/// and when the preparation panics.
struct Attempt<'w> {
    world: &'w mut World,
    index: IndexMark,
    succeeded: bool,
}

impl World {
    /// Runs `prepare`, which may take memory in several places. After an error the world has the
    /// memory that it had before, and no more.
    pub(crate) fn attempt<T, E: From<MemoryError>>(
        &mut self,
        prepare: impl FnOnce(&mut Self) -> Result<T, E>,
    ) -> Result<T, E> {
        // Handles that were reserved through a shared world stay so, also when the attempt fails.
        self.state.index.settle(&mut self.memory)?;
        self.memory.begin_steps();
        let index = self.state.index.mark();
        let mut attempt = Attempt { world: self, index, succeeded: false };
        let prepared = prepare(attempt.world)?;
        attempt.succeeded = true;
        Ok(prepared)
    }

    /// Lets go of the chunks that the steps of an attempt have replaced.
    fn keep_steps(&mut self) {
        let mut steps = self.memory.end_steps();
        steps.drain(..).filter_map(|step| step.old).for_each(|old| self.memory.release(old));
        self.memory.keep_step_list(steps);
    }

    /// Takes the steps of an attempt back, the last one first.
    #[cold]
    fn take_steps_back(&mut self, index: &IndexMark) {
        let mut steps = self.memory.end_steps();
        let mut last = 0;
        for step in steps.drain(..).rev() {
            let Self { state, memory, .. } = self;
            let column = state.column_of(&step, &mut last);
            column.undo(step, memory);
        }
        self.memory.keep_step_list(steps);
        self.state.index.go_back(index);
        // Writable chunks may be shared again.
        self.state.tables.iter_mut().for_each(Table::forget_notes);
    }
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        if self.succeeded {
            self.world.keep_steps();
        } else {
            self.world.take_steps_back(&self.index);
        }
    }
}
