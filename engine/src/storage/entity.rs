//! Entity handles.

use std::fmt;

use bytemuck::{Pod, Zeroable};

/// A handle to an entity: the index of its slot and the generation of that slot.
///
/// Eight bytes with an alignment of 4, and itself plain old data, so that components, events and files
/// may hold one. A slot's generation grows when its entity is despawned, so a stale handle is told
/// from a live one in every build. [`Entity::NONE`], all zero, never names a living entity: a
/// component with a target that may be missing holds that, and asks with [`Entity::some`].
///
/// ```
/// # use convoy_engine::{Entity, World};
/// let mut world = World::new();
/// let first = world.spawn(());
/// world.despawn(first).unwrap();
/// let second = world.spawn(());
/// assert_eq!(first.index(), second.index());
/// assert!(!world.contains(first) && world.contains(second));
/// assert!(!world.contains(Entity::NONE));
/// assert_eq!((Entity::NONE.some(), second.some()), (None, Some(second)));
/// ```
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Pod, Zeroable)]
#[repr(C)]
pub struct Entity {
    index: u32,
    generation: u32,
}

impl Entity {
    /// The handle that never names a living entity: all zero, and the default.
    pub const NONE: Self = Self { index: 0, generation: 0 };

    /// The handle, unless it is [`Entity::NONE`] or another one of generation zero, which no entity
    /// ever has. Whether its entity is alive the world tells.
    pub const fn some(self) -> Option<Self> {
        if self.generation == 0 { None } else { Some(self) }
    }

    pub(crate) const fn new(index: u32, generation: u32) -> Self {
        Self { index, generation }
    }

    /// The slot's index. Two entities that are alive at one time have different indices.
    pub const fn index(self) -> u32 {
        self.index
    }

    /// The slot's generation; zero only in [`Entity::NONE`].
    pub const fn generation(self) -> u32 {
        self.generation
    }

    /// The handle as one number, for files and foreign code.
    pub const fn to_bits(self) -> u64 {
        (self.generation as u64) << 32 | self.index as u64
    }

    /// The handle that [`Entity::to_bits`] wrote. Any number is safe: one that names no living
    /// entity is a stale handle.
    pub const fn from_bits(bits: u64) -> Self {
        Self { index: bits as u32, generation: (bits >> 32) as u32 }
    }
}

impl fmt::Debug for Entity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}v{}", self.index, self.generation)
    }
}

impl fmt::Display for Entity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, formatter)
    }
}
