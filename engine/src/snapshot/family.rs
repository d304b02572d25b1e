//! The hierarchy of a snapshot: parents, children and descendants at the capture.

use crate::storage::Entity;
use crate::storage::links::{ChildOf, Children};
use crate::world::family::{ChildIter, Descendants, Links};

use super::view::{ReadError, View};

impl View {
    /// The parent that `entity` had.
    ///
    /// # Errors
    ///
    /// When [`ChildOf`] or [`Entity`] is not among what this view may read, or the handle was
    /// stale.
    ///
    /// ```
    /// # use convoy_engine::{ComponentMask, SnapshotPool, World};
    /// # let (mut world, pool) = (World::new(), SnapshotPool::default());
    /// let [ship, turret] = [1_u32, 2].map(|number| world.spawn((number,)));
    /// world.set_parent(turret, ship).unwrap();
    /// let view = world.capture(ComponentMask::ALL, &pool);
    /// world.despawn_tree(ship).unwrap();
    /// assert_eq!(view.parent(turret), Ok(Some(ship)));
    /// assert!(view.children(ship).unwrap().eq([turret]));
    /// ```
    pub fn parent(&self, entity: Entity) -> Result<Option<Entity>, ReadError> {
        Ok(present(self.get::<ChildOf>(entity))?.map(|link| link.parent()))
    }

    /// The children that `entity` had, in their order.
    ///
    /// # Errors
    ///
    /// When [`ChildOf`], [`Children`] or [`Entity`] is not among what this view may read, or the
    /// handle was stale.
    pub fn children(&self, entity: Entity) -> Result<ChildIter<'_, Self>, ReadError> {
        Ok(ChildIter::new(self, self.readable_children(entity)?))
    }

    /// All descendants that `entity` had, depth first, each before its own children.
    ///
    /// # Errors
    ///
    /// As [`View::children`].
    pub fn descendants(&self, entity: Entity) -> Result<Descendants<'_, Self>, ReadError> {
        Ok(Descendants::new(self, entity, self.readable_children(entity)?))
    }

    fn readable_children(&self, entity: Entity) -> Result<Option<Children>, ReadError> {
        let children = present(self.get::<Children>(entity))?.copied();
        if let Some(children) = children {
            self.get::<ChildOf>(children.first())?;
        }
        Ok(children)
    }
}

impl Links for View {
    fn child_of(&self, entity: Entity) -> Option<ChildOf> {
        self.get(entity).ok().copied()
    }

    fn children_of(&self, entity: Entity) -> Option<Children> {
        self.get(entity).ok().copied()
    }
}

/// A link that may be missing.
fn present<T>(link: Result<&T, ReadError>) -> Result<Option<&T>, ReadError> {
    match link {
        Ok(link) => Ok(Some(link)),
        Err(ReadError::Missing { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}
