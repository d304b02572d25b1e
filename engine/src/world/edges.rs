//! The archetype graph: what inserting or removing a bundle does to an entity of an archetype,
//! worked out once and cached.

use std::any::TypeId;
use std::collections::HashMap;
use std::hash::BuildHasherDefault;

use crate::storage::ComponentMask;
use crate::storage::archetype::ArchetypeId;
use crate::storage::room::push_tight;
use crate::storage::table::DROPPED;
use crate::storage::type_map::TypeIdHasher;

use super::bundle::{BUNDLE_MAX, BundleInfo, Positions};

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
    /// The type of the bundle, or another one that stands for the change.
    bundle: TypeId,
}

/// As an [`EdgeKey`], with the components themselves in place of a type.
type UntypedKey = (u32, ComponentMask);

fn archetype_and_change(source: ArchetypeId, change: Change) -> u32 {
    source.bits() << 1 | change as u32
}

/// One cached move between archetypes.
pub(crate) struct Edge {
    pub(crate) target: ArchetypeId,
    /// For each column of the source, where its component stands in the target, or [`DROPPED`].
    pub(crate) targets: Box<[u16]>,
    /// Where the bundle's columns stand in the archetype that has them: the target of an
    /// insertion or exchange, the source of a removal.
    pub(crate) positions: Positions,
    /// What few edges have: most worlds have many.
    rare: Option<Box<Rare>>,
}

#[derive(Default)]
struct Rare {
    /// Where the columns of the bundle that an exchange removes stand in the source.
    removed: Positions,
    /// Where the toggles of what is inserted stand in the target: what comes is switched on.
    enabled: Box<[u16]>,
}

impl Edge {
    pub(crate) fn new(
        source: &ComponentMask,
        target: (ArchetypeId, &ComponentMask),
        bundle: &BundleInfo,
        change: Change,
        toggles: &ComponentMask,
    ) -> Self {
        let mut edge = Self::untyped(source, target, &bundle.mask, change, toggles);
        let holder = if change == Change::Remove { source } else { target.1 };
        edge.positions = bundle.positions(holder);
        edge
    }

    /// The edge of an exchange: `removed` goes and `inserted` comes.
    pub(crate) fn exchange(
        source: &ComponentMask,
        target: (ArchetypeId, &ComponentMask),
        removed: &BundleInfo,
        inserted: &BundleInfo,
        toggles: &ComponentMask,
    ) -> Self {
        let mut edge = Self::new(source, target, inserted, Change::Insert, toggles);
        edge.rare.get_or_insert_default().removed = removed.positions(source);
        edge
    }

    /// The edge of components that no bundle stands for: it has no positions. `components` holds
    /// their toggles as well.
    pub(crate) fn untyped(
        source: &ComponentMask,
        (target, target_mask): (ArchetypeId, &ComponentMask),
        components: &ComponentMask,
        change: Change,
        toggles: &ComponentMask,
    ) -> Self {
        let shared = source.intersection(target_mask);
        let kept = match change {
            // The inserted values replace what the entity had.
            Change::Insert => shared.difference(components),
            Change::Remove => shared,
        };
        let targets = source
            .iter()
            .map(|id| if kept.contains(id) { target_mask.rank(id) as u16 } else { DROPPED });
        let none = [0; BUNDLE_MAX];
        let switched = match change {
            Change::Insert => components.intersection(toggles),
            Change::Remove => ComponentMask::NONE,
        };
        let enabled: Box<[u16]> = switched.iter().map(|id| target_mask.rank(id) as u16).collect();
        let rare = (!enabled.is_empty()).then(|| Box::new(Rare { enabled, ..Rare::default() }));
        Self { target, targets: targets.collect(), positions: none, rare }
    }

    /// Where the columns of the bundle that an exchange removes stand in the source.
    pub(crate) fn removed(&self) -> &Positions {
        &self.rare.as_ref().expect("the edge is that of an exchange").removed
    }

    /// Where the toggles of what is inserted stand in the target.
    #[inline]
    pub(crate) fn enabled(&self) -> &[u16] {
        self.rare.as_ref().map_or(&[], |rare| &rare.enabled)
    }
}

/// All edges that were walked so far.
#[derive(Default)]
pub(crate) struct Edges {
    edges: Vec<Edge>,
    numbers: HashMap<EdgeKey, usize, BuildHasherDefault<TypeIdHasher>>,
    /// The edges of components that no bundle stands for.
    untyped: HashMap<UntypedKey, usize>,
    recent_untyped: Option<(UntypedKey, usize)>,
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
        let key = EdgeKey { archetype_and_change: archetype_and_change(source, change), bundle };
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
        let key = EdgeKey { archetype_and_change: archetype_and_change(source, change), bundle };
        push_tight(&mut self.edges, edge);
        self.numbers.insert(key, self.edges.len() - 1);
        self.edges.len() - 1
    }

    /// The number of the edge of components that no bundle stands for, if it is known.
    pub(crate) fn find_untyped(
        &mut self,
        source: ArchetypeId,
        components: &ComponentMask,
        change: Change,
    ) -> Option<usize> {
        let key = (archetype_and_change(source, change), *components);
        if let Some((recent, number)) = self.recent_untyped
            && recent == key
        {
            return Some(number);
        }
        let number = *self.untyped.get(&key)?;
        self.recent_untyped = Some((key, number));
        Some(number)
    }

    pub(crate) fn add_untyped(
        &mut self,
        source: ArchetypeId,
        components: &ComponentMask,
        change: Change,
        edge: Edge,
    ) -> usize {
        push_tight(&mut self.edges, edge);
        let number = self.edges.len() - 1;
        self.untyped.insert((archetype_and_change(source, change), *components), number);
        number
    }

    #[inline]
    pub(crate) fn get(&self, number: usize) -> &Edge {
        &self.edges[number]
    }
}
