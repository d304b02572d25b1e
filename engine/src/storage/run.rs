//! Runs of rows: the rows of a list of entities, sorted, and how tables move them.
//!
//! A list names entities in any order. An operation needs their rows: as few runs
//! of consecutive rows as possible, each row once, by table and ascending. Then a column moves
//! with one copy of memory for each run and chunk, instead of one for each row.
//!
//! Rows that leave a table leave *holes*. The table will be shorter by as many rows, so the rows
//! past its new end that stay, the *survivors*, are exactly as many as the holes before it, and
//! they move into the holes in ascending order. No row is moved twice.

use std::ops::Range;

use convoy_pool::MemoryError;

use super::archetype::ArchetypeId;
use super::epoch::Now;
use super::history::{Memory, Returns};
use super::room::{list_bytes, shrink_list};
use super::table::Table;

/// Consecutive rows of one table.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RowRun {
    archetype: ArchetypeId,
    first: u32,
    end: u32,
}

impl RowRun {
    pub(crate) fn archetype(&self) -> ArchetypeId {
        self.archetype
    }

    /// The order of runs, as one number.
    fn key(&self) -> u64 {
        u64::from(self.archetype.bits()) << 32 | u64::from(self.first)
    }

    pub(crate) fn rows(&self) -> Range<usize> {
        self.first as usize..self.end as usize
    }
}

/// The rows of all runs of one table.
pub(crate) fn row_count(runs: &[RowRun]) -> usize {
    runs.iter().map(|run| run.rows().len()).sum()
}

/// The runs of one list, kept from one list to the next for their memory.
#[derive(Default)]
pub(crate) struct RowRuns {
    runs: Vec<RowRun>,
    incoming: Incoming,
}

/// Per archetype: how many rows a list brings to it.
#[derive(Default)]
pub(crate) struct Incoming(Vec<usize>);

impl Incoming {
    /// Counts `rows` more on their way to `target`, and tells how many that makes.
    pub(crate) fn add(&mut self, target: ArchetypeId, rows: usize) -> usize {
        if self.0.len() <= target.index() {
            self.0.resize(target.index() + 1, 0);
        }
        self.0[target.index()] += rows;
        self.0[target.index()]
    }
}

impl RowRuns {
    /// Forgets the last list.
    pub(crate) fn clear(&mut self) {
        self.runs.clear();
        self.incoming.0.clear();
    }

    /// Bytes of the lists.
    pub(crate) fn list_bytes(&self) -> usize {
        list_bytes(&self.runs) + list_bytes(&self.incoming.0)
    }

    /// Gives back room that the last list did not need. Returns its bytes.
    pub(crate) fn trim_lists(&mut self) -> usize {
        shrink_list(&mut self.runs) + shrink_list(&mut self.incoming.0)
    }

    pub(crate) fn push(&mut self, archetype: ArchetypeId, rows: Range<usize>) {
        let (first, end) = (rows.start as u32, rows.end as u32);
        match self.runs.last_mut() {
            Some(last) if last.archetype == archetype && last.end == first => last.end = end,
            _ => self.runs.push(RowRun { archetype, first, end }),
        }
    }

    /// Sorts the runs by table and row and joins those that touch. Returns how many rows were in
    /// the list a second time.
    pub(crate) fn arrange(&mut self) -> usize {
        if !self.runs.is_sorted_by_key(RowRun::key) {
            self.runs.sort_unstable_by_key(RowRun::key);
        }
        let mut repeated = 0;
        self.runs.dedup_by(|run, kept| {
            let touches = run.archetype == kept.archetype && run.first <= kept.end;
            if touches {
                repeated += (run.end.min(kept.end) - run.first) as usize;
                kept.end = kept.end.max(run.end);
            }
            touches
        });
        repeated
    }

    /// The runs of each table.
    pub(crate) fn tables(&self) -> impl Iterator<Item = &[RowRun]> {
        self.runs.chunk_by(|one, other| one.archetype == other.archetype)
    }

    /// The runs of each table, and the count of the rows that they bring to others.
    pub(crate) fn split(&mut self) -> (impl Iterator<Item = &[RowRun]>, &mut Incoming) {
        let tables = self.runs.chunk_by(|one, other| one.archetype == other.archetype);
        (tables, &mut self.incoming)
    }

    /// Drops the runs of the tables that don't pass. Returns how many rows those had.
    pub(crate) fn retain_tables(&mut self, mut passes: impl FnMut(ArchetypeId) -> bool) -> usize {
        let before = row_count(&self.runs);
        let mut last = None;
        self.runs.retain(|run| match last {
            Some((archetype, passed)) if archetype == run.archetype => passed,
            _ => {
                let passed = passes(run.archetype);
                last = Some((run.archetype, passed));
                passed
            }
        });
        before - row_count(&self.runs)
    }
}

/// Where the runs leave holes below `end`.
fn holes(runs: &[RowRun], end: usize) -> impl Iterator<Item = Range<usize>> {
    let clipped = runs.iter().map(move |run| run.rows().start..run.rows().end.min(end));
    clipped.take_while(|hole| !hole.is_empty())
}

/// The rows of `tail` that are in none of the runs.
pub(crate) fn survivors(runs: &[RowRun], tail: Range<usize>) -> impl Iterator<Item = Range<usize>> {
    let first = runs.partition_point(|run| run.rows().end <= tail.start);
    let mut next = tail.start;
    let ends = tail.end..tail.end;
    runs[first..].iter().map(RowRun::rows).chain([ends]).filter_map(move |run| {
        let gap = next..run.start.max(next);
        next = run.end;
        (!gap.is_empty()).then_some(gap)
    })
}

/// Which survivors move into which holes: from where, to where, and how many rows.
fn fills(runs: &[RowRun], end: usize, rows: usize) -> impl Iterator<Item = (usize, Range<usize>)> {
    let mut survivors = survivors(runs, end..rows);
    let mut left = 0..0;
    let mut holes = holes(runs, end);
    let mut hole = 0..0;
    std::iter::from_fn(move || {
        if hole.is_empty() {
            hole = holes.next()?;
        }
        if left.is_empty() {
            left = survivors.next().expect("there are as many survivors as holes");
        }
        let count = hole.len().min(left.len());
        let (from, to) = (left.start, hole.start..hole.start + count);
        left.start += count;
        hole.start += count;
        Some((from, to))
    })
}

impl Table {
    /// Makes everything writable that [`Table::close_holes`] will write. Changes no row.
    pub(crate) fn prepare_holes(
        &mut self,
        runs: &[RowRun],
        memory: &mut Memory,
    ) -> Result<(), MemoryError> {
        let rows = self.rows();
        let end = rows - row_count(runs);
        for position in 0..self.columns().len() {
            for hole in holes(runs, end) {
                self.own_values(position, hole, memory)?;
            }
        }
        Ok(())
    }

    /// Moves the survivors into the holes that the runs leave, which [`Table::prepare_holes`] made
    /// writable, and forgets as many rows as the runs have. Calls `moved` with the rows that
    /// survivors were put into.
    pub(crate) fn close_holes(
        &mut self,
        runs: &[RowRun],
        memory: &mut Returns,
        mut moved: impl FnMut(&Self, Range<usize>, Now<'_>),
    ) {
        let rows = self.rows();
        let end = rows - row_count(runs);
        for position in 0..self.columns().len() {
            for (from, to) in fills(runs, end, rows) {
                let now = memory.now();
                match to.len() {
                    1 => self.row_mut(position, to.start, now).copy_within(from),
                    _ => self.run_mut(position, to, now).copy_within(from),
                }
            }
        }
        self.shrink(end, memory);
        for (_, to) in fills(runs, end, rows) {
            moved(self, to, memory.now());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arranged(rows: &[Range<usize>]) -> (RowRuns, usize) {
        let mut runs = RowRuns::default();
        for run in rows {
            runs.push(ArchetypeId::new(0), run.clone());
        }
        let repeated = runs.arrange();
        (runs, repeated)
    }

    #[test]
    fn touching_runs_join_and_repeated_rows_are_counted() {
        let (runs, repeated) = arranged(&[5..6, 4..5, 0..3, 1..2, 2..4, 9..10, 9..10]);
        let found: Vec<_> = runs.runs.iter().map(RowRun::rows).collect();
        assert_eq!((found, repeated), (vec![0..6, 9..10], 3));
    }

    #[test]
    fn survivors_fill_the_holes_in_order() {
        let (runs, _) = arranged(&[1..3, 4..5, 7..8, 9..10]);
        let runs = &runs.runs[..];
        assert!(survivors(runs, 5..10).eq([5..7, 8..9]));
        assert!(fills(runs, 5, 10).eq([(5, 1..3), (8, 4..5)]));
        let (all, _) = arranged(std::slice::from_ref(&(0..10)));
        assert_eq!(fills(&all.runs, 0, 10).count(), 0);
        let (tail, _) = arranged(std::slice::from_ref(&(8..10)));
        assert_eq!(fills(&tail.runs, 8, 10).count(), 0);
    }
}
