//! All or nothing: an operation that fails has registered no type and made no archetype.
//!
//! Passes visit archetypes in the order of their making, so an archetype that stays behind where
//! memory ran out would change the later course of a simulation. Checks come before anything is
//! made; memory that runs out and panics of a user's iterator are seen later, and everything made
//! until then is taken back here.

use std::sync::Arc;

use super::core::World;
use super::parts::Plans;

impl World {
    /// Runs an operation that may register types and make archetypes, and takes these back where it
    /// fails or panics. Their numbers have not been seen.
    #[inline]
    pub(crate) fn all_or_nothing<R, E>(
        &mut self,
        operation: impl FnOnce(&mut Self) -> Result<R, E>,
    ) -> Result<R, E> {
        let mut unfinished = Unfinished { known: Some(self.catalog_counts()), world: self };
        let result = operation(unfinished.world);
        if result.is_ok() {
            unfinished.known = None;
        }
        result
    }

    /// How many archetypes and types there are, and how many of these took over a description.
    #[inline]
    pub(crate) fn catalog_counts(&self) -> (usize, usize, usize) {
        let registry = &self.catalog.registry;
        (self.state.tables.len(), registry.len(), registry.taken_over())
    }

    /// Takes back the archetypes and types that a failed operation has made beyond the `known`
    /// ones, unless it has come so far that some rows have moved to one of the archetypes.
    #[cold]
    pub(crate) fn forget_catalog(&mut self, known: (usize, usize, usize)) {
        let used = self.state.tables.iter().rposition(|table| table.rows() > 0);
        let used = used.map_or(0, |number| number + 1);
        let counts = self.catalog_counts();
        let kept = if used > known.0 { (used, counts.1, counts.2) } else { known };
        let (archetypes, types, taken_over) = kept;
        if counts == kept {
            return;
        }
        self.state.shrink(archetypes, types, &mut self.memory);
        Arc::make_mut(&mut self.catalog).truncate(archetypes, types, taken_over);
        self.plans = Plans::default();
    }
}

/// An operation that has not come to a good end.
struct Unfinished<'w> {
    /// The types and archetypes that were known before, unless the operation has succeeded.
    known: Option<(usize, usize, usize)>,
    world: &'w mut World,
}

impl Drop for Unfinished<'_> {
    #[inline]
    fn drop(&mut self) {
        if let Some(known) = self.known {
            self.world.forget_catalog(known);
        }
    }
}
