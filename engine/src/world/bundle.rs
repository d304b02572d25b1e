//! Bundle types as a world knows them, and the rows that they are written to.

use std::any::TypeId;

use crate::storage::archetype::ArchetypeId;
use crate::storage::component::{Component, Registry};
use crate::storage::epoch::Now;
use crate::storage::recorded::RecordedValue;
use crate::storage::table::Table;
use crate::storage::table::rows_mut::NewRow;
use crate::storage::type_map::TypeMap;
use crate::storage::{ComponentId, ComponentMask};

use super::error::SpawnError;

mod parts;

pub(crate) use parts::{
    BUNDLE_MAX, ColumnPositions, ComponentSink, ComponentSource, Flat, Recorded, RecordedSink,
};
pub use parts::{Bundle, BundleFields, BundlePart, IsBundle, IsComponent, IsList};

/// A bundle type as one world knows it.
#[derive(Clone, Copy)]
pub(crate) struct BundleInfo {
    /// The components, with the toggles of those that can be switched off.
    pub(crate) mask: ComponentMask,
    /// The archetype of exactly this bundle, once an entity was spawned with it.
    pub(crate) archetype: Option<ArchetypeId>,
    ids: [ComponentId; BUNDLE_MAX],
    positions: ColumnPositions,
    len: u8,
}

impl BundleInfo {
    /// The bundle without components.
    pub(crate) const NONE: Self = Self {
        mask: ComponentMask::NONE,
        archetype: None,
        ids: [ComponentId::ENTITY; BUNDLE_MAX],
        positions: [0; BUNDLE_MAX],
        len: 0,
    };

    /// Checks that the components of `B`, which are registered, differ and may be used.
    pub(crate) fn new<B: Bundle>(registry: &Registry) -> Result<Self, SpawnError> {
        let info = Self::of_links::<B>(registry)?;
        let owned = info.ids().iter().map(|&id| registry.info(id)).find(|id| id.is_link());
        match owned {
            Some(owned) => Err(SpawnError::EngineOwned { component: owned.name() }),
            None => Ok(info),
        }
    }

    /// [`BundleInfo::new`] for components that only the engine may use as well.
    pub(crate) fn of_links<B: Bundle>(registry: &Registry) -> Result<Self, SpawnError> {
        // Refuses too many when the program is compiled.
        let _: usize = B::LEN;
        let mut info = Self::NONE;
        let mut duplicate = None;
        let mut reserved = false;
        B::find(registry, &mut |id| {
            let id = id.expect("the components of a bundle are registered first");
            info.ids[usize::from(info.len)] = id;
            info.len += 1;
            reserved |= id == ComponentId::ENTITY;
            if !info.mask.insert(id) {
                duplicate.get_or_insert(id);
            }
        });
        if let Some(id) = duplicate {
            return Err(SpawnError::Duplicate { component: registry.info(id).name() });
        }
        if reserved {
            return Err(SpawnError::Reserved);
        }
        info.mask = registry.with_toggles(&info.mask);
        Ok(info)
    }

    /// The bundle of the components in `mask`, unchecked and without positions.
    pub(crate) fn of(mask: ComponentMask) -> Self {
        Self { mask, ..Self::NONE }
    }

    /// The component ids in the order of the bundle.
    pub(crate) fn ids(&self) -> &[ComponentId] {
        &self.ids[..usize::from(self.len)]
    }

    /// Notes the archetype of exactly this bundle.
    pub(crate) fn set_archetype(&mut self, archetype: ArchetypeId, mask: &ComponentMask) {
        self.archetype = Some(archetype);
        self.positions = self.positions(mask);
    }

    /// [`BundleInfo::positions`] in the archetype of exactly this bundle.
    pub(crate) fn own_positions(&self) -> &ColumnPositions {
        &self.positions
    }

    /// Where each component of the bundle stands among the columns of an archetype with `mask`.
    pub(crate) fn positions(&self, mask: &ComponentMask) -> ColumnPositions {
        let mut positions = [0; BUNDLE_MAX];
        for (position, &id) in positions.iter_mut().zip(self.ids()) {
            *position = mask.rank(id) as u16;
        }
        positions
    }
}

/// All bundle types that a world has met.
pub(crate) struct Bundles {
    infos: Vec<BundleInfo>,
    numbers: TypeMap<usize>,
    /// The type that was asked for last: loops spawn one bundle many times.
    recent: (TypeId, usize),
}

impl Default for Bundles {
    fn default() -> Self {
        // No bundle has the type of this; the number is never used.
        let recent = (TypeId::of::<Self>(), usize::MAX);
        Self { infos: Vec::new(), numbers: TypeMap::default(), recent }
    }
}

impl Bundles {
    /// The number of a bundle type, if it is known.
    #[inline]
    pub(crate) fn find(&mut self, bundle: TypeId) -> Option<usize> {
        if self.recent.0 == bundle {
            return Some(self.recent.1);
        }
        let number = *self.numbers.get(bundle)?;
        self.recent = (bundle, number);
        Some(number)
    }

    pub(crate) fn add(&mut self, bundle: TypeId, info: BundleInfo) -> usize {
        self.infos.push(info);
        self.numbers.insert(bundle, self.infos.len() - 1);
        self.infos.len() - 1
    }

    #[inline]
    pub(crate) fn get(&self, number: usize) -> &BundleInfo {
        &self.infos[number]
    }

    /// Adds the toggles that components have got since.
    pub(crate) fn close(&mut self, registry: &Registry) {
        for info in &mut self.infos {
            info.mask = registry.with_toggles(&info.mask);
        }
    }

    pub(crate) fn get_mut(&mut self, number: usize) -> &mut BundleInfo {
        &mut self.infos[number]
    }
}

/// Writes a bundle into a row that is appended.
pub(crate) struct AppendSink<'a> {
    pub(crate) row: NewRow<'a>,
    pub(crate) positions: &'a ColumnPositions,
}

impl ComponentSink for AppendSink<'_> {
    #[inline(always)]
    fn put<T: Component>(&mut self, position: usize, value: &T) {
        let position = usize::from(self.positions[position]);
        self.row.column_mut(position).write_copy(value);
    }
}

impl RecordedSink for AppendSink<'_> {
    #[inline]
    fn put_recorded<T: Component>(&mut self, position: usize, value: RecordedValue<'_, T>) {
        let position = usize::from(self.positions[position]);
        self.row.column_mut(position).write_recorded(value);
    }
}

/// Writes a bundle into a row of a table that was made writable.
pub(crate) struct RowSink<'a> {
    pub(crate) table: &'a mut Table,
    pub(crate) positions: &'a ColumnPositions,
    pub(crate) row: usize,
    pub(crate) now: Now<'a>,
}

impl ComponentSink for RowSink<'_> {
    #[inline(always)]
    fn put<T: Component>(&mut self, position: usize, value: &T) {
        let position = usize::from(self.positions[position]);
        self.table.row_mut(position, self.row, self.now).write_copy(value);
    }
}

impl RecordedSink for RowSink<'_> {
    #[inline]
    fn put_recorded<T: Component>(&mut self, position: usize, value: RecordedValue<'_, T>) {
        let position = usize::from(self.positions[position]);
        self.table.row_mut(position, self.row, self.now).write_recorded(value);
    }
}

/// The components of `B`, to fill a row with.
pub(crate) trait Values<B: Bundle> {
    fn put_row(&self, sink: &mut (impl ComponentSink + RecordedSink));
}

impl<B: Bundle> Values<B> for B {
    #[inline(always)]
    fn put_row(&self, sink: &mut (impl ComponentSink + RecordedSink)) {
        self.put(sink);
    }
}

impl<B: Bundle> Values<B> for Recorded<'_, B> {
    #[inline]
    fn put_row(&self, sink: &mut (impl ComponentSink + RecordedSink)) {
        B::put_recorded(self, sink);
    }
}
