//! Archetypes, and the catalog: everything about a world's shape that only ever grows.

use std::collections::HashMap;
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::sync::Arc;

use super::component::Registry;
use super::component_id::{COMPONENTS_MAX, ComponentId};
use super::mask::ComponentMask;
use super::room::push_tight;
use super::schema::Schema;
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
    /// Shared with the archetype's table, and with the catalogs of snapshots.
    mask: Arc<ComponentMask>,
    /// Shared with the table as well.
    positions: Arc<[u16]>,
    stamp: Stamp,
    /// An archetype before this one whose components have the same hash.
    same_hash: Option<ArchetypeId>,
}

impl Archetype {
    pub(crate) fn mask(&self) -> &ComponentMask {
        &self.mask
    }

    /// The components, to keep.
    pub(crate) fn shared_mask(&self) -> Arc<ComponentMask> {
        Arc::clone(&self.mask)
    }

    /// Where the columns of the table stand.
    #[inline]
    pub(crate) fn positions(&self) -> ColumnPositions<'_> {
        ColumnPositions(&self.positions)
    }

    /// The positions, to keep.
    pub(crate) fn shared_positions(&self) -> Arc<[u16]> {
        Arc::clone(&self.positions)
    }

    /// Two catalogs that hold an archetype of this stamp agree on it and on all before it: lists of
    /// archetypes only grow.
    #[inline]
    pub(crate) fn stamp(&self) -> Stamp {
        self.stamp
    }
}

/// Where the column of each component id stands in a table, or `ABSENT`; the list is no longer than the
/// largest id needs.
#[derive(Clone, Copy)]
pub(crate) struct ColumnPositions<'a>(pub(super) &'a [u16]);

impl<'a> ColumnPositions<'a> {
    #[inline]
    pub(crate) fn find(&self, id: ComponentId) -> Option<usize> {
        let position = *self.0.get(id.index())?;
        (position != ABSENT).then_some(usize::from(position))
    }
}

/// Marks an id without a column.
const ABSENT: u16 = u16::MAX;

const _: () = assert!(COMPONENTS_MAX <= ABSENT as usize, "no column stands at `ABSENT`");

/// The positions of the columns of a table, which are in the order of component ids.
fn positions_of(mask: &ComponentMask) -> Arc<[u16]> {
    let mut positions = Vec::new();
    for (position, id) in (0..).zip(mask.iter()) {
        positions.resize(id.index(), ABSENT);
        positions.push(position);
    }
    positions.into()
}

/// The registry and all archetypes of a world.
///
/// Shared by reference count with every snapshot, so that a capture takes it along for one
/// increment. The world clones it before it registers a type or creates an archetype while a
/// snapshot shares it.
#[derive(Clone)]
pub(crate) struct Catalog {
    pub(crate) registry: Registry,
    archetypes: Vec<Archetype>,
    /// For each hash of components the last archetype that has it: masks are large, and kept once.
    by_hash: HashMap<u64, ArchetypeId>,
    /// The schema that the world was made from.
    schema: Option<Schema>,
}

impl Catalog {
    /// The catalog of a new world, which knows the types and archetypes of a schema.
    pub(crate) fn new(mut registry: Registry, schema: Option<Schema>) -> Self {
        schema.iter().for_each(|schema| schema.register(&mut registry));
        let mut catalog = Self::empty(registry, schema.clone());
        catalog.add_archetype(ComponentMask::NONE);
        let declared = schema.iter().flat_map(Schema::archetypes);
        declared.for_each(|mask| _ = catalog.add_archetype(*mask));
        catalog
    }

    fn empty(registry: Registry, schema: Option<Schema>) -> Self {
        Self { registry, archetypes: Vec::new(), by_hash: HashMap::new(), schema }
    }

    /// The schema that the world was made from.
    pub(crate) fn schema(&self) -> Option<&Schema> {
        self.schema.as_ref()
    }

    pub(crate) fn archetype(&self, id: ArchetypeId) -> &Archetype {
        &self.archetypes[id.index()]
    }

    pub(crate) fn archetypes(&self) -> &[Archetype] {
        &self.archetypes
    }

    pub(crate) fn find(&self, components: &ComponentMask) -> Option<ArchetypeId> {
        self.find_mask(&with_entity(components))
    }

    /// The archetype of exactly this mask, in which the entity column has its bit.
    fn find_mask(&self, mask: &ComponentMask) -> Option<ArchetypeId> {
        let mut found = self.by_hash.get(&hash_of(mask)).copied();
        while let Some(id) = found {
            let archetype = self.archetype(id);
            if *archetype.mask == *mask {
                break;
            }
            found = archetype.same_hash;
        }
        found
    }

    /// Creates the archetype of `components`, which must be new.
    pub(crate) fn add_archetype(&mut self, components: ComponentMask) -> ArchetypeId {
        let mask = with_entity(&components);
        assert!(self.find_mask(&mask).is_none(), "an archetype is created once");
        self.push(Arc::new(mask), Stamp::next())
    }

    fn push(&mut self, mask: Arc<ComponentMask>, stamp: Stamp) -> ArchetypeId {
        let id = ArchetypeId::new(self.archetypes.len());
        let same_hash = self.by_hash.insert(hash_of(&mask), id);
        let positions = positions_of(&mask);
        push_tight(&mut self.archetypes, Archetype { mask, positions, stamp, same_hash });
        id
    }

    /// A catalog of `registry`, which knows at least the types of this one, whose archetypes begin with
    /// those of `order`; those of this catalog that are not among them follow. An archetype keeps its
    /// stamp as long as all before it stay.
    pub(crate) fn arranged(
        &self,
        registry: Registry,
        order: impl Iterator<Item = ComponentMask>,
    ) -> Self {
        let mut arranged = Self::empty(registry, self.schema.clone());
        let mut stays = true;
        for mask in order.chain(self.archetypes.iter().map(|archetype| *archetype.mask)) {
            if arranged.find_mask(&mask).is_some() {
                continue;
            }
            let known = self.archetypes.get(arranged.archetypes.len());
            stays &= known.is_none_or(|known| *known.mask == mask);
            let stamp = known.filter(|_| stays).map_or_else(Stamp::next, Archetype::stamp);
            let kept = self.find_mask(&mask).map(|id| self.archetype(id).shared_mask());
            arranged.push(kept.unwrap_or_else(|| Arc::new(mask)), stamp);
        }
        arranged
    }

    /// Forgets all archetypes but the first `archetypes`, all types but the first `types`, and all
    /// take-overs of descriptions but the first `taken_over`.
    pub(crate) fn truncate(&mut self, archetypes: usize, types: usize, taken_over: usize) {
        while self.archetypes.len() > archetypes {
            let Some(Archetype { mask, same_hash, .. }) = self.archetypes.pop() else { break };
            // The last archetype is the first of its hash.
            match same_hash {
                Some(before) => self.by_hash.insert(hash_of(&mask), before),
                None => self.by_hash.remove(&hash_of(&mask)),
            };
        }
        if (self.registry.len(), self.registry.taken_over()) != (types, taken_over) {
            self.registry.truncate(types, taken_over);
        }
    }

    /// Whether the archetypes of `other`, a catalog of the same world, are the first ones of this one.
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

/// The hash under which an archetype is found: of few bits in the tests, where many have the same.
fn hash_of(mask: &ComponentMask) -> u64 {
    let hash = BuildHasherDefault::<DefaultHasher>::default().hash_one(mask);
    if cfg!(test) { hash % 4 } else { hash }
}

fn with_entity(components: &ComponentMask) -> ComponentMask {
    let mut mask = *components;
    mask.insert(ComponentId::ENTITY);
    mask
}
