//! [`SourceIds`]: which type of a replica is which one of its source.

use crate::storage::archetype::Catalog;
use crate::storage::stamp::Stamp;
use crate::storage::{ComponentId, ComponentMask};

/// Which id a type of the source has here.
#[derive(Default)]
pub(crate) struct SourceIds {
    /// In the order of the source's ids; `None` where all ids are the same.
    ids: Option<Box<[ComponentId]>>,
    /// The states of both catalogs for which this holds.
    known: Option<[CatalogStamps; 2]>,
}

impl SourceIds {
    pub(crate) fn new(ids: Box<[ComponentId]>) -> Self {
        Self { ids: Some(ids), known: None }
    }

    /// Notes for which states of both catalogs the ids are right.
    pub(crate) fn note(&mut self, stamps: Option<[CatalogStamps; 2]>) {
        self.known = stamps;
    }

    /// Whether the ids are right for these states.
    pub(crate) fn hold_for(&self, stamps: Option<[CatalogStamps; 2]>) -> bool {
        self.known.is_some() && self.known == stamps
    }

    pub(crate) fn of(&self, id: ComponentId) -> ComponentId {
        self.ids.as_ref().map_or(id, |ids| ids[id.index()])
    }

    /// The ids here of the types of `mask`, which has ids of the source. Types that the source does
    /// not know yet are left out where ids differ.
    pub(crate) fn known(&self, mask: &ComponentMask) -> ComponentMask {
        match &self.ids {
            None => *mask,
            Some(ids) => mask.iter().filter_map(|id| ids.get(id.index()).copied()).collect(),
        }
    }

    /// As [`SourceIds::known`], where everything stays everything.
    pub(crate) fn mask(&self, mask: &ComponentMask) -> ComponentMask {
        if *mask == ComponentMask::ALL { *mask } else { self.known(mask) }
    }

    /// Whether `ids` begins with the ids that are known here.
    pub(crate) fn agrees_with(&self, ids: &[ComponentId]) -> bool {
        match &self.ids {
            None => ids.iter().enumerate().all(|(number, id)| id.index() == number),
            Some(known) => ids.starts_with(known),
        }
    }
}

/// The state of a registry and of the first archetypes of a catalog.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct CatalogStamps {
    registry: Stamp,
    last: Stamp,
}

impl CatalogStamps {
    /// Of the first `count` archetypes.
    pub(crate) fn of(catalog: &Catalog, count: usize) -> Option<Self> {
        let last = catalog.archetypes().get(count - 1)?.stamp();
        Some(Self { registry: catalog.registry.stamp(), last })
    }
}
