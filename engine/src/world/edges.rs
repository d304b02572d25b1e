//! The archetype graph: what inserting or removing a bundle does to an entity of an archetype,
//! worked out once and cached.

use std::any::TypeId;
use std::collections::HashMap;
use std::hash::BuildHasherDefault;

use crate::storage::ComponentMask;
use crate::storage::archetype::ArchetypeId;
use crate::storage::type_map::TypeIdHasher;

use super::bundle::{BundleInfo, Positions};

/// Whether the bundle of an edge comes or goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Change {
    Insert,
    Remove,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct EdgeKey {
    /// Twice the archetype's number, plus one for a removal.
    archetype_and_change: u32,
    bundle: TypeId,
}

/// One cached move between archetypes.
pub(crate) struct Edge {
    pub(crate) target: ArchetypeId,
    /// Columns that both archetypes have: (position in the source, position in the target).
    pub(crate) shared: Box<[(u8, u8)]>,
    /// Where the bundle's columns stand in the archetype that has them: the target of an
    /// insertion, the source of a removal.
    pub(crate) positions: Positions,
}

impl Edge {
    pub(crate) fn new(
        source: &ComponentMask,
        target: (ArchetypeId, &ComponentMask),
        bundle: &BundleInfo,
        change: Change,
    ) -> Self {
        let (target, target_mask) = target;
        let shared = source.intersection(target_mask);
        let kept = match change {
            // The bundle's own values replace what the entity had.
            Change::Insert => shared.difference(&bundle.mask),
            Change::Remove => shared,
        };
        let shared =
            kept.iter().map(|id| (source.rank(id) as u8, target_mask.rank(id) as u8)).collect();
        let holder = match change {
            Change::Insert => target_mask,
            Change::Remove => source,
        };
        Self { target, shared, positions: bundle.positions(holder) }
    }
}

/// All edges that were walked so far.
#[derive(Default)]
pub(crate) struct Edges {
    known: HashMap<EdgeKey, Edge, BuildHasherDefault<TypeIdHasher>>,
}

impl Edges {
    #[inline]
    pub(crate) fn get(&self, source: ArchetypeId, bundle: TypeId, change: Change) -> Option<&Edge> {
        self.known.get(&key(source, bundle, change))
    }

    pub(crate) fn insert(
        &mut self,
        source: ArchetypeId,
        bundle: TypeId,
        change: Change,
        edge: Edge,
    ) {
        self.known.insert(key(source, bundle, change), edge);
    }
}

#[inline]
fn key(source: ArchetypeId, bundle: TypeId, change: Change) -> EdgeKey {
    EdgeKey { archetype_and_change: source.bits() << 1 | change as u32, bundle }
}
