//! [`Captured`]: how many rows of a column snapshots may see.
//!
//! A snapshot looks no further than the rows that there were at its capture. So a row past all of
//! these is written in place, even in a chunk that snapshots share. The length never shrinks while a
//! snapshot is active, also where a removal, a restore or a sync leaves fewer rows: the next rows at
//! their place are written to a copy.

/// The rows of a column that an active snapshot may see, counted from the first row.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Captured(usize);

impl Captured {
    /// No snapshot sees a row.
    pub(super) const NONE: Self = Self(0);

    /// Whether a snapshot may see `row`.
    #[inline]
    pub(super) fn covers(self, row: usize) -> bool {
        row < self.0
    }

    /// The first row that no snapshot sees.
    pub(super) fn end(self) -> usize {
        self.0
    }

    /// Notes that a snapshot captures the first `rows` rows. `others` tells whether older snapshots
    /// of the column are still active.
    pub(super) fn note(&mut self, rows: usize, others: bool) {
        self.0 = if others { self.0.max(rows) } else { rows };
    }

    /// Notes that snapshots may see the first `rows` rows.
    pub(super) fn raise(&mut self, rows: usize) {
        self.0 = self.0.max(rows);
    }

    /// Notes that the first `rows` rows are gone, and that others count from zero now.
    pub(super) fn drop_front(&mut self, rows: usize) {
        self.0 = self.0.saturating_sub(rows);
    }

    /// Notes that `rows` rows have come before the first one.
    pub(super) fn add_front(&mut self, rows: usize) {
        self.0 = self.0.saturating_add(rows);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_captured_length_shrinks_only_when_no_other_snapshot_is_active() {
        let mut captured = Captured::NONE;
        captured.note(8, false);
        captured.note(5, true);
        assert!(captured.covers(7) && !captured.covers(8));
        captured.note(5, false);
        assert_eq!(captured.end(), 5);
        captured.raise(3);
        assert_eq!(captured.end(), 5);
    }

    #[test]
    fn rows_that_leave_and_come_in_front_shift_the_length() {
        let mut captured = Captured::NONE;
        captured.note(10, false);
        captured.drop_front(4);
        assert_eq!(captured.end(), 6);
        captured.add_front(4);
        assert_eq!(captured.end(), 10);
        captured.drop_front(40);
        assert_eq!(captured, Captured::NONE);
    }
}
