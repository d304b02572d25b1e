//! Component ids: the numbers of a world's types, and how many there can be.

/// How many component, event and entity types one world can register. The one constant that sets
/// the width of every mask.
pub const COMPONENTS_MAX: usize = 1024;

/// The number of a registered type in its world: components and event types share one range, so
/// that one [`ComponentMask`](crate::ComponentMask) speaks of both.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ComponentId(u16);

impl ComponentId {
    /// The entity handles, which every archetype holds in its first column.
    pub const ENTITY: Self = Self(0);

    pub(crate) const fn new(index: usize) -> Self {
        assert!(index < COMPONENTS_MAX, "a component id fits the mask");
        Self(index as u16)
    }

    /// The bit of this id in a [`ComponentMask`](crate::ComponentMask).
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}
