//! Exchange: one bundle goes and another comes, in one move of the row.

use crate::storage::Entity;

use super::bundle::{Bundle, Flat};
use super::core::World;
use super::edge_kind::Exchanging;
use super::error::ComponentError;

/// # Exchanging components
impl World {
    /// Removes the components of `R` from `entity`, returns them, and inserts those of `inserted`.
    /// A component that is in both is replaced. Constant time, and one copy of the row where
    /// removing and inserting would take two.
    ///
    /// ```
    /// # use convoy_engine::World;
    /// let mut world = World::new();
    /// let ship = world.spawn((7_u64, 1.5_f32));
    /// let (speed,) = world.exchange::<(f32,), _>(ship, (3_u8,)).unwrap();
    /// assert_eq!(speed, 1.5);
    /// assert!(world.get::<f32>(ship).is_err());
    /// assert_eq!(*world.get::<u8>(ship).unwrap(), 3);
    /// ```
    ///
    /// # Errors
    ///
    /// When the handle is stale, `entity` lacks a component of `R`, a bundle can't be used, or
    /// memory runs out. The world is unchanged.
    pub fn exchange<R: Bundle, I: Bundle>(
        &mut self,
        entity: Entity,
        inserted: I,
    ) -> Result<R, ComponentError> {
        self.change_row::<Exchanging<R, I>, _>(entity, &inserted, |source| R::take(source))
    }
}
