//! Exchange: one bundle goes and another comes, in one move of the row.

use std::any::TypeId;
use std::marker::PhantomData;

use crate::storage::Entity;
use crate::storage::archetype::ArchetypeId;

use super::bundle::{Bundle, Flat};
use super::core::World;
use super::edges::{Direction, EdgeName};
use super::error::ComponentError;
use super::insert::RowSource;

/// Stands for an exchange where a bundle's type stands for its insertion.
struct Exchange<R, I>(PhantomData<(R, I)>);

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
        let from = self.locate(entity)?;
        self.check_whole()?;
        let key = TypeId::of::<Exchange<R, I>>();
        let number = match self.plans.edges.find(from.archetype, key, Direction::Insert) {
            Some(number) => number,
            None => {
                self.check_held::<R>(entity, from.archetype)?;
                self.all_or_nothing(|world| {
                    let number = world.add_exchange::<R, I>(from.archetype)?;
                    world.prepare_edge(number, (entity, from))?;
                    Ok::<_, ComponentError>(number)
                })?
            }
        };
        let (edge, row) = (self.plans.edges.get(number), from.row as usize);
        let table = &self.state.tables[from.archetype.index()];
        let removed = R::take(&mut RowSource { table, positions: edge.removed().iter(), row });
        let to = self.reach::<I>(number, (entity, from))?;
        self.put_along(number, to, |sink, _| inserted.put(sink));
        Ok(removed)
    }

    #[cold]
    fn add_exchange<R: Bundle, I: Bundle>(
        &mut self,
        source: ArchetypeId,
    ) -> Result<usize, ComponentError> {
        let (removed, inserted) = (self.bundle::<R>()?, self.bundle::<I>()?);
        let (removed, inserted) =
            (*self.plans.bundles.get(removed), *self.plans.bundles.get(inserted));
        let name = EdgeName::Type(TypeId::of::<Exchange<R, I>>());
        Ok(self.add_edge(source, (name, Direction::Insert), (removed, inserted)))
    }
}
