//! Archetypes, and the schema: everything about a world's shape that only ever grows.

use std::collections::HashMap;

use super::component::Registry;
use super::component_id::ComponentId;
use super::mask::ComponentMask;
use super::stamp::Stamp;

/// The number of an archetype, and of its table, in a world.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) struct ArchetypeId(u32);

impl ArchetypeId {
    pub(crate) const fn new(index: usize) -> Self {
        Self(index as u32)
    }

    pub(crate) const fn index(self) -> usize {
        self.0 as usize
    }

    pub(crate) const fn bits(self) -> u32 {
        self.0
    }
}

/// One set of component types. The bit of the entity column is always set.
#[derive(Clone)]
pub(crate) struct Archetype {
    mask: ComponentMask,
    stamp: Stamp,
}

impl Archetype {
    pub(crate) fn mask(&self) -> &ComponentMask {
        &self.mask
    }

    /// Two schemas that hold an archetype of this stamp agree on it and on all before it: lists of
    /// archetypes only grow.
    #[inline]
    pub(crate) fn stamp(&self) -> Stamp {
        self.stamp
    }
}

/// The registry and all archetypes of a world.
///
/// Shared by reference count with every snapshot, so that a capture takes it along for one
/// increment. The world clones it before it registers a type or creates an archetype while a
/// snapshot shares it.
#[derive(Clone)]
pub struct Schema {
    pub(crate) registry: Registry,
    archetypes: Vec<Archetype>,
    by_mask: HashMap<ComponentMask, ArchetypeId>,
}

impl Schema {
    pub(crate) fn new(registry: Registry) -> Self {
        let mut schema = Self { registry, archetypes: Vec::new(), by_mask: HashMap::new() };
        schema.add_archetype(ComponentMask::NONE);
        schema
    }

    pub(crate) fn archetype(&self, id: ArchetypeId) -> &Archetype {
        &self.archetypes[id.index()]
    }

    pub(crate) fn archetypes(&self) -> &[Archetype] {
        &self.archetypes
    }

    pub(crate) fn find(&self, components: &ComponentMask) -> Option<ArchetypeId> {
        self.by_mask.get(&with_entity(components)).copied()
    }

    /// Creates the archetype of `components`, which must be new.
    pub(crate) fn add_archetype(&mut self, components: ComponentMask) -> ArchetypeId {
        let mask = with_entity(&components);
        let id = ArchetypeId::new(self.archetypes.len());
        let known = self.by_mask.insert(mask, id);
        assert!(known.is_none(), "an archetype is created once");
        self.archetypes.push(Archetype { mask, stamp: Stamp::next() });
        id
    }

    /// A schema of `registry`, which knows at least the types of this one, whose archetypes begin with
    /// those of `order`; those of this schema that are not among them follow. An archetype keeps its
    /// stamp as long as all before it stay.
    pub(crate) fn arranged(
        &self,
        registry: Registry,
        order: impl Iterator<Item = ComponentMask>,
    ) -> Self {
        let mut arranged = Self { registry, archetypes: Vec::new(), by_mask: HashMap::new() };
        let mut stays = true;
        for mask in order.chain(self.archetypes.iter().map(|archetype| archetype.mask)) {
            let id = ArchetypeId::new(arranged.archetypes.len());
            if arranged.by_mask.contains_key(&mask) {
                continue;
            }
            let known = self.archetypes.get(id.index());
            stays &= known.is_none_or(|known| known.mask == mask);
            let stamp = known.filter(|_| stays).map_or_else(Stamp::next, Archetype::stamp);
            arranged.by_mask.insert(mask, id);
            arranged.archetypes.push(Archetype { mask, stamp });
        }
        arranged
    }

    /// Forgets all archetypes but the first `archetypes`, and all types but the first `types`.
    pub(crate) fn truncate(&mut self, archetypes: usize, types: usize) {
        for archetype in self.archetypes.drain(archetypes..) {
            self.by_mask.remove(&archetype.mask);
        }
        if self.registry.len() > types {
            self.registry.truncate(types);
        }
    }

    /// Whether the archetypes of `other`, a schema of the same world, are the first ones of this one.
    pub(crate) fn begins_with(&self, other: &Self) -> bool {
        let last = other.archetypes.len() - 1;
        let Some(own) = self.archetypes.get(last) else { return false };
        let pairs = || self.archetypes.iter().zip(&other.archetypes);
        own.stamp == other.archetypes[last].stamp
            || pairs().all(|(own, other)| own.mask == other.mask)
    }

    /// Whether `self` holds the same types and archetypes as the first ones of `other`.
    pub(crate) fn is_prefix_of(&self, other: &Self) -> bool {
        self.registry.is_prefix_of(&other.registry)
            && self.archetypes.len() <= other.archetypes.len()
            && self.archetypes.iter().zip(&other.archetypes).all(|(a, b)| a.mask == b.mask)
    }
}

fn with_entity(components: &ComponentMask) -> ComponentMask {
    let mut mask = *components;
    mask.insert(ComponentId::ENTITY);
    mask
}
