//! The archetype graph: the effect of inserting or removing a bundle on entities of an archetype,
//! worked out once and cached.

use std::any::TypeId;
use std::collections::HashMap;
use std::hash::{BuildHasher, BuildHasherDefault, Hash, RandomState};

use crate::storage::ComponentMask;
use crate::storage::archetype::ArchetypeId;
use crate::storage::room::push_tight;
use crate::storage::table::DROPPED;
use crate::storage::type_map::TypeIdHasher;

use super::bundle::{BundleInfo, ColumnPositions};
use super::edge_kind::EdgeKind;

/// Whether the components of an edge that no type stands for come or go.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Direction {
    Insert,
    Remove,
}

/// The components of an edge that no type stands for, with their toggles.
pub(crate) type UntypedName = (Direction, ComponentMask);

/// The key of an edge with the name `N`.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct EdgeKey<N> {
    source: ArchetypeId,
    name: N,
}

/// One cached move between archetypes.
pub(crate) struct Edge {
    pub(crate) target: ArchetypeId,
    /// For each column of the source, where its component stands in the target, or [`DROPPED`].
    pub(crate) targets: Box<[u16]>,
    /// The columns of the inserted bundle in the target; of a removal, those of the removed bundle
    /// in the source.
    pub(crate) positions: ColumnPositions,
    /// Boxed, as few edges have any of it, and worlds have many edges.
    rare: Option<Box<Rare>>,
}

struct Rare {
    /// Of an exchange: the columns of the removed bundle in the source.
    removed: ColumnPositions,
    /// The toggles of the inserted components in the target, which are switched on.
    enabled: Box<[u16]>,
}

impl Edge {
    /// The edge along which the components of `removed` go and those of `inserted` come, from the
    /// archetype with the components `source` to `target`. Inserted values replace those that the
    /// entity has.
    pub(crate) fn new(
        source: &ComponentMask,
        (target, target_mask): (ArchetypeId, &ComponentMask),
        (removed, inserted): (&BundleInfo, &BundleInfo),
        toggles: &ComponentMask,
    ) -> Self {
        let kept = source.intersection(target_mask).difference(&inserted.mask);
        let column_of = |id| target_mask.rank(id) as u16;
        let targets =
            source.iter().map(|id| if kept.contains(id) { column_of(id) } else { DROPPED });
        let enabled = inserted.mask.intersection(toggles);
        let from_source = removed.positions(source);
        let is_removal = inserted.ids().is_empty();
        let positions = if is_removal { from_source } else { inserted.positions(target_mask) };
        let is_exchange = !is_removal && !removed.ids().is_empty();
        let rare = (is_exchange || !enabled.is_empty()).then(|| {
            let enabled = enabled.iter().map(column_of).collect();
            Box::new(Rare { removed: from_source, enabled })
        });
        Self { target, targets: targets.collect(), positions, rare }
    }

    /// The columns of the removed bundle in the source.
    pub(crate) fn removed(&self) -> &ColumnPositions {
        self.rare.as_ref().map_or(&self.positions, |rare| &rare.removed)
    }

    /// The toggles of the inserted components in the target.
    #[inline]
    pub(crate) fn enabled(&self) -> &[u16] {
        self.rare.as_ref().map_or(&[], |rare| &rare.enabled)
    }
}

/// The edges of one kind of name, by key.
struct Numbers<N, S> {
    numbers: HashMap<EdgeKey<N>, usize, S>,
    /// The edge that was walked last: loops walk one edge many times.
    recent: Option<(EdgeKey<N>, usize)>,
}

impl<N, S: Default> Default for Numbers<N, S> {
    fn default() -> Self {
        Self { numbers: HashMap::default(), recent: None }
    }
}

impl<N: Copy + Eq + Hash, S: BuildHasher> Numbers<N, S> {
    #[inline]
    fn find(&mut self, key: EdgeKey<N>) -> Option<usize> {
        if let Some((recent, number)) = self.recent
            && recent == key
        {
            return Some(number);
        }
        self.find_other(key)
    }

    // Cold, so that loops along one edge hash nothing.
    #[inline(never)]
    fn find_other(&mut self, key: EdgeKey<N>) -> Option<usize> {
        let number = *self.numbers.get(&key)?;
        self.recent = Some((key, number));
        Some(number)
    }
}

/// All edges that were walked so far.
#[derive(Default)]
pub(crate) struct Edges {
    edges: Vec<Edge>,
    /// By kinds of edges.
    typed: Numbers<TypeId, BuildHasherDefault<TypeIdHasher>>,
    untyped: Numbers<UntypedName, RandomState>,
}

impl Edges {
    /// The edge of the kind `K`, if it is known.
    #[inline]
    pub(crate) fn find<K: EdgeKind>(&mut self, source: ArchetypeId) -> Option<&Edge> {
        let number = self.typed.find(EdgeKey { source, name: TypeId::of::<K>() })?;
        Some(&self.edges[number])
    }

    /// The edge of components that no type stands for, if it is known.
    pub(crate) fn find_untyped(&mut self, source: ArchetypeId, name: UntypedName) -> Option<&Edge> {
        let number = self.untyped.find(EdgeKey { source, name })?;
        Some(&self.edges[number])
    }

    /// Adds an edge that is not known yet.
    pub(crate) fn add<K: EdgeKind>(&mut self, source: ArchetypeId, edge: Edge) {
        let name = TypeId::of::<K>();
        self.typed.numbers.insert(EdgeKey { source, name }, self.edges.len());
        push_tight(&mut self.edges, edge);
    }

    /// [`Edges::add`] of one that no type stands for.
    pub(crate) fn add_untyped(&mut self, source: ArchetypeId, name: UntypedName, edge: Edge) {
        self.untyped.numbers.insert(EdgeKey { source, name }, self.edges.len());
        push_tight(&mut self.edges, edge);
    }
}
