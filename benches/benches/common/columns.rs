//! Hand-written columns, and the rows that they hold: a small one and the usual one of 100 bytes.

use super::components::{Health, Position, Rotation, Transform, Velocity};

/// One component of 4 bytes.
pub(crate) type Small = (Health,);
/// Four components of together 100 bytes.
pub(crate) type Wide = (Transform, Position, Rotation, Velocity);

/// The columns of one table.
pub(crate) trait Columns: Default {
    /// One value of each column.
    type Row: Copy;

    /// Adds a row.
    fn push(&mut self, row: Self::Row);

    /// Takes a row out and puts the last one in its place.
    fn swap_remove(&mut self, row: usize) -> Self::Row;

    /// Makes these a copy of `other`, in the memory that they have.
    fn copy_from(&mut self, other: &Self);

    /// Forgets all rows.
    fn clear(&mut self);
}

impl<T: Copy> Columns for Vec<T> {
    type Row = T;

    #[inline]
    fn push(&mut self, row: T) {
        self.push(row);
    }

    #[inline]
    fn swap_remove(&mut self, row: usize) -> T {
        self.swap_remove(row)
    }

    fn copy_from(&mut self, other: &Self) {
        self.clone_from(other);
    }

    fn clear(&mut self) {
        self.clear();
    }
}

/// The columns of rows of 100 bytes.
#[derive(Default)]
pub(crate) struct WideColumns {
    pub(crate) transforms: Vec<Transform>,
    pub(crate) positions: Vec<Position>,
    pub(crate) rotations: Vec<Rotation>,
    pub(crate) velocities: Vec<Velocity>,
}

impl Columns for WideColumns {
    type Row = Wide;

    #[inline]
    fn push(&mut self, (transform, position, rotation, velocity): Wide) {
        self.transforms.push(transform);
        self.positions.push(position);
        self.rotations.push(rotation);
        self.velocities.push(velocity);
    }

    #[inline]
    fn swap_remove(&mut self, row: usize) -> Wide {
        (
            self.transforms.swap_remove(row),
            self.positions.swap_remove(row),
            self.rotations.swap_remove(row),
            self.velocities.swap_remove(row),
        )
    }

    fn copy_from(&mut self, other: &Self) {
        self.transforms.clone_from(&other.transforms);
        self.positions.clone_from(&other.positions);
        self.rotations.clone_from(&other.rotations);
        self.velocities.clone_from(&other.velocities);
    }

    fn clear(&mut self) {
        self.transforms.clear();
        self.positions.clear();
        self.rotations.clear();
        self.velocities.clear();
    }
}
