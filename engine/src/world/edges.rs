//! The archetype graph: what inserting or removing a bundle does to an entity of an archetype,
//! worked out once and cached.

use std::any::TypeId;
use std::collections::HashMap;
use std::hash::BuildHasherDefault;

use crate::storage::ComponentMask;
use crate::storage::archetype::ArchetypeId;
use crate::storage::table::DROPPED;
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
    /// For each column of the source, where its component stands in the target, or [`DROPPED`].
    pub(crate) targets: Box<[u16]>,
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
        let targets = source
            .iter()
            .map(|id| if kept.contains(id) { target_mask.rank(id) as u16 } else { DROPPED });
        let targets = targets.collect();
        let holder = match change {
            Change::Insert => target_mask,
            Change::Remove => source,
        };
        Self { target, targets, positions: bundle.positions(holder) }
    }
}

/// All edges that were walked so far.
#[derive(Default)]
pub(crate) struct Edges {
    edges: Vec<Edge>,
    numbers: HashMap<EdgeKey, usize, BuildHasherDefault<TypeIdHasher>>,
    /// The edge that was walked last: loops walk one edge many times.
    recent: Option<(EdgeKey, usize)>,
}

impl Edges {
    /// The number of an edge, if it is known.
    #[inline]
    pub(crate) fn find(
        &mut self,
        source: ArchetypeId,
        bundle: TypeId,
        change: Change,
    ) -> Option<usize> {
        let key = EdgeKey { archetype_and_change: source.bits() << 1 | change as u32, bundle };
        if let Some((recent, number)) = self.recent
            && recent == key
        {
            return Some(number);
        }
        let number = *self.numbers.get(&key)?;
        self.recent = Some((key, number));
        Some(number)
    }

    pub(crate) fn add(
        &mut self,
        source: ArchetypeId,
        bundle: TypeId,
        change: Change,
        edge: Edge,
    ) -> usize {
        let key = EdgeKey { archetype_and_change: source.bits() << 1 | change as u32, bundle };
        self.edges.push(edge);
        self.numbers.insert(key, self.edges.len() - 1);
        self.edges.len() - 1
    }

    #[inline]
    pub(crate) fn get(&self, number: usize) -> &Edge {
        &self.edges[number]
    }
}
