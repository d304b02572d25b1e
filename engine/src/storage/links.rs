//! The links of the hierarchy: they tie children to their parent, as plain old data.
//!
//! Links are components like any other, so snapshots capture them, queries see them and replicas
//! hold them. They differ in one thing: only the engine writes them. A link has a counterpart in
//! another entity, and a value that comes from elsewhere would break the two apart.

use std::any::TypeId;

use bytemuck::{Pod, Zeroable};
use convoy_derive::TypeLayout;

use super::entity::Entity;

/// The link of a child to its parent and to the siblings beside it; the list of siblings ends with
/// [`Entity::NONE`].
///
/// Every entity that has a parent has it, and no other: `Without<ChildOf>` finds the roots. It is
/// read like any component and written by [`World::set_parent`](crate::World::set_parent) and its
/// neighbours only.
///
/// ```
/// # use convoy_engine::World;
/// # use convoy_engine::hierarchy::ChildOf;
/// let mut world = World::new();
/// let (ship, turret) = (world.spawn((1_u32,)), world.spawn((2_u32,)));
/// world.set_parent(turret, ship).unwrap();
/// assert_eq!(world.get::<ChildOf>(turret).unwrap().parent(), ship);
/// assert!(world.try_query_mut::<&mut ChildOf>().is_err(), "read-only");
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug, Pod, Zeroable, TypeLayout)]
#[repr(C)]
pub struct ChildOf {
    pub(crate) parent: Entity,
    pub(crate) previous: Entity,
    pub(crate) next: Entity,
}

/// The link of a parent to its children: the ends of their list, and how many there are.
///
/// Every entity that has children has it, and no other: `Without<Children>` finds the leaves.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Pod, Zeroable, TypeLayout)]
#[repr(C)]
pub struct Children {
    pub(crate) first: Entity,
    pub(crate) last: Entity,
    pub(crate) count: u32,
}

impl ChildOf {
    /// The parent.
    pub fn parent(&self) -> Entity {
        self.parent
    }

    /// The sibling before this child.
    pub fn previous(&self) -> Option<Entity> {
        self.previous.some()
    }

    /// The sibling after this child.
    pub fn next(&self) -> Option<Entity> {
        self.next.some()
    }
}

impl Children {
    /// The first child.
    pub fn first(&self) -> Entity {
        self.first
    }

    /// The last child.
    pub fn last(&self) -> Entity {
        self.last
    }

    /// How many children there are, one at the least.
    pub fn count(&self) -> usize {
        self.count as usize
    }
}

/// Whether a type is a link, which only the engine writes.
#[inline]
pub(crate) fn engine_owns(component: TypeId) -> bool {
    component == TypeId::of::<ChildOf>() || component == TypeId::of::<Children>()
}
