//! Attempts: operations that need memory in several places get all of it, or none.
//!
//! An operation prepares first: it makes the rows writable that it is going to write, in any number
//! of columns, each of which may take a chunk. When one of them finds no memory, those before it have
//! theirs already. So whatever prepares more than one thing does so inside of [`World::attempt`],
//! which takes every step back when one fails: the columns have their chunks again, the index
//! has its slots again, and the memory is free for others. What follows an attempt has only
//! [`Returns`](crate::storage::history::Returns) to commit with, and can't fail.
//!
//! The common case of one row asks first whether everything is writable, and makes no attempt.

use convoy_pool::MemoryError;

use crate::storage::column::Column;
use crate::storage::component_id::ComponentId;
use crate::storage::history::{Memory, Step};

use super::core::World;
use super::index::ready::IndexMark;

/// An attempt under way. Dropped before it has succeeded, it takes its steps back: after an error,
/// and when what prepares panics.
struct Attempt<'w> {
    world: &'w mut World,
    index: IndexMark,
    succeeded: bool,
}

impl World {
    /// Runs `prepare`, which may take memory in several places. After an error the world has what
    /// it had before, and nothing more.
    pub(crate) fn attempt<T, E: From<MemoryError>>(
        &mut self,
        prepare: impl FnOnce(&mut Self) -> Result<T, E>,
    ) -> Result<T, E> {
        // What was reserved through a shared world stays so whatever becomes of the attempt.
        self.state.index.settle(&mut self.memory)?;
        self.memory.begin_steps();
        let index = self.state.index.mark();
        let mut attempt = Attempt { world: self, index, succeeded: false };
        let prepared = prepare(attempt.world)?;
        attempt.succeeded = true;
        Ok(prepared)
    }

    /// Lets go of what the steps of an attempt have replaced.
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
            let column = self.column_of(&step, &mut last);
            let (column, memory) = self.column_at(column);
            column.undo(step, memory);
        }
        self.memory.keep_step_list(steps);
        self.state.index.go_back(index);
        // What was writable may be shared again.
        self.state.tables.iter_mut().for_each(|table| table.close());
    }

    /// The column that a step was one of. `last` is the table of the last such column.
    fn column_of(&self, step: &Step, last: &mut usize) -> StepColumn {
        let took = |column: Option<&Column>| column.is_some_and(|column| column.took(step));
        let id = step.component;
        if id == ComponentId::ENTITY && took(Some(self.state.index.column())) {
            return StepColumn::Index;
        }
        if !self.state.tables.get(*last).is_some_and(|table| took(table.column(id))) {
            let table = self.state.tables.iter().position(|table| took(table.column(id)));
            let Some(table) = table else { return self.single_column_of(step) };
            *last = table;
        }
        StepColumn::Table(*last, id)
    }

    /// The column of a log or a resource that a step was one of.
    fn single_column_of(&self, step: &Step) -> StepColumn {
        let log = self.state.logs.iter().position(|log| log.column().took(step));
        let resource = || self.state.resources.iter().position(|each| each.column().took(step));
        let column = log.map(StepColumn::Log).or_else(|| resource().map(StepColumn::Resource));
        column.expect("a step was one of a column of the world")
    }

    fn column_at(&mut self, column: StepColumn) -> (&mut Column, &mut Memory) {
        let column = match column {
            StepColumn::Index => self.state.index.column_mut(),
            StepColumn::Table(table, id) => {
                self.state.tables[table].column_mut(id).expect("the table has the column")
            }
            StepColumn::Log(number) => self.state.logs[number].column_mut(),
            StepColumn::Resource(number) => self.state.resources[number].column_mut(),
        };
        (column, &mut self.memory)
    }
}

/// Where a column of a world is.
enum StepColumn {
    Index,
    Table(usize, ComponentId),
    Log(usize),
    Resource(usize),
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
