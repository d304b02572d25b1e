//! [`State`]: the columns of a world, which snapshots capture, in five kinds of holders.
//!
//! Every operation on all of them goes through one of three functions, which take the state apart
//! whole: [`State::holders`], [`State::holders_mut`] and [`State::for_each_pair`]. Their callers
//! match the kinds without a wildcard. So the compiler names every operation that a new kind of holder
//! needs, and those that only want columns know it already.

use std::ops::ControlFlow;
use std::slice;

use crate::storage::archetype::Catalog;
use crate::storage::column::Column;
use crate::storage::component::{ComponentInfo, Kind};
use crate::storage::heap::{Blocks, Heap};
use crate::storage::history::{Returns, Step};
use crate::storage::list::{BlockPlace, Handle};
use crate::storage::room::push_tight;
use crate::storage::table::Table;
use crate::storage::{ComponentId, Entity};

use super::event_log::EventLog;
use super::heaps::Heaps;
use super::index::{EntityIndex, Slot};
use super::resource::Resource;
use super::source_ids::SourceIds;

/// Everything that a world holds and snapshots capture.
pub(crate) struct State {
    /// By the numbers of archetypes.
    pub(crate) tables: Vec<Table>,
    pub(crate) index: EntityIndex,
    /// One for each event type, in the order of ids.
    pub(crate) logs: Vec<EventLog>,
    /// One for each resource type, in the order of ids.
    pub(crate) resources: Vec<Resource>,
    /// One for each list component, in the order of ids.
    pub(crate) heaps: Heaps,
}

/// One of the holders of a world's columns.
#[derive(Clone, Copy)]
pub(crate) enum Holder<'w> {
    Table(&'w Table),
    Index(&'w EntityIndex),
    Log(&'w EventLog),
    Resource(&'w Resource),
    Blocks(&'w Blocks),
}

/// One of the holders of a world's columns, for writing.
pub(crate) enum HolderMut<'w> {
    Table(&'w mut Table),
    Index(&'w mut EntityIndex),
    Log(&'w mut EventLog),
    Resource(&'w mut Resource),
    Blocks(&'w mut Blocks),
}

/// A holder of a replica's columns, and the one of its source that it follows.
pub(crate) enum Pair<'w> {
    Table(&'w mut Table, &'w Table),
    Index(&'w mut EntityIndex, &'w EntityIndex),
    Log(&'w mut EventLog, &'w EventLog),
    Resource(&'w mut Resource, &'w Resource),
    Blocks(&'w mut Blocks, &'w Blocks),
}

impl<'w> Holder<'w> {
    /// The columns, and the rows that each of them has.
    #[inline]
    pub(crate) fn columns(self) -> (&'w [Column], usize) {
        match self {
            Self::Table(table) => (table.columns(), table.rows()),
            Self::Index(index) => (slice::from_ref(index.column()), index.len()),
            Self::Log(log) => (slice::from_ref(log.column()), log.rows()),
            Self::Resource(resource) => (slice::from_ref(resource.column()), resource.rows()),
            Self::Blocks(blocks) => (blocks.columns(), blocks.rows()),
        }
    }
}

impl<'w> HolderMut<'w> {
    /// The columns, whose chunks may be replaced, and the rows that each of them has.
    pub(crate) fn columns(self) -> (&'w mut [Column], usize) {
        match self {
            Self::Table(table) => {
                let rows = table.rows();
                (table.columns_mut(), rows)
            }
            Self::Index(index) => {
                let rows = index.len();
                (slice::from_mut(index.column_mut()), rows)
            }
            Self::Log(log) => {
                let rows = log.rows();
                (slice::from_mut(log.column_mut()), rows)
            }
            Self::Resource(resource) => {
                let rows = resource.rows();
                (slice::from_mut(resource.column_mut()), rows)
            }
            Self::Blocks(blocks) => {
                let rows = blocks.rows();
                (&mut blocks.columns_mut()[..], rows)
            }
        }
    }

    /// Gives back room in lists. Returns its bytes.
    pub(crate) fn trim_lists(mut self) -> usize {
        let own = match &mut self {
            Self::Index(index) => index.trim_lists(),
            Self::Blocks(blocks) => blocks.trim_lists(),
            Self::Table(_) | Self::Log(_) | Self::Resource(_) => 0,
        };
        own + self.columns().0.iter_mut().map(Column::trim_list).sum::<usize>()
    }
}

impl State {
    /// The state of a new world.
    pub(crate) fn new(catalog: &Catalog, retention: usize) -> Self {
        let slot = ComponentInfo::unregistered::<Slot>(catalog.registry.shape());
        let index = EntityIndex::new(&slot);
        let (logs, resources, heaps) = (Vec::new(), Vec::new(), Heaps::default());
        let mut state = Self { tables: Vec::new(), index, logs, resources, heaps };
        state.grow(catalog, retention);
        state
    }

    /// All holders of columns: the tables come first.
    #[inline]
    pub(crate) fn holders(&self) -> impl Iterator<Item = Holder<'_>> {
        let Self { tables, index, logs, resources, heaps } = self;
        let tables = tables.iter().map(Holder::Table);
        let logs = logs.iter().map(Holder::Log);
        let resources = resources.iter().map(Holder::Resource);
        let blocks = heaps.iter().flat_map(Heap::classes).map(Holder::Blocks);
        tables.chain([Holder::Index(index)]).chain(logs).chain(resources).chain(blocks)
    }

    /// All holders of columns, in the order of [`State::holders`].
    #[inline]
    pub(crate) fn holders_mut(&mut self) -> impl Iterator<Item = HolderMut<'_>> {
        let Self { tables, index, logs, resources, heaps } = self;
        let tables = tables.iter_mut().map(HolderMut::Table);
        let logs = logs.iter_mut().map(HolderMut::Log);
        let resources = resources.iter_mut().map(HolderMut::Resource);
        let blocks = heaps.iter_mut().flat_map(Heap::classes_mut).map(HolderMut::Blocks);
        tables.chain([HolderMut::Index(index)]).chain(logs).chain(resources).chain(blocks)
    }

    /// The holders but for blocks, and beside them the heaps that have those.
    pub(crate) fn holders_beside_heaps(&mut self) -> (impl Iterator<Item = HolderMut<'_>>, &Heaps) {
        let Self { tables, index, logs, resources, heaps } = self;
        let tables = tables.iter_mut().map(HolderMut::Table);
        let logs = logs.iter_mut().map(HolderMut::Log);
        let resources = resources.iter_mut().map(HolderMut::Resource);
        (tables.chain([HolderMut::Index(index)]).chain(logs).chain(resources), heaps)
    }

    /// Calls `visit` with each holder of `source` and the one that follows it here: the first tables,
    /// and those of the types that `ids` names.
    pub(crate) fn for_each_pair<E>(
        &mut self,
        source: &Self,
        ids: &SourceIds,
        mut visit: impl FnMut(Pair<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let Self { tables, index, logs, resources, heaps } = self;
        for (table, from) in tables.iter_mut().zip(&source.tables) {
            visit(Pair::Table(table, from))?;
        }
        visit(Pair::Index(index, &source.index))?;
        for from in &source.logs {
            let log = log_number(logs, ids.of(from.component()));
            visit(Pair::Log(&mut logs[log.expect("the types of the source are known")], from))?;
        }
        for from in &source.resources {
            let known = resource_number(resources, ids.of(from.component()));
            let known = known.expect("the types of the source are known");
            visit(Pair::Resource(&mut resources[known], from))?;
        }
        for from in source.heaps.iter() {
            let heap = heaps.get_mut(ids.of(from.component()));
            let heap = heap.expect("the types of the source are known");
            let pairs = heap.classes_mut().iter_mut().zip(from.classes());
            for (blocks, from) in pairs {
                visit(Pair::Blocks(blocks, from))?;
            }
        }
        Ok(())
    }

    /// Calls `visit` with all holders, beginning with number `next`, until it breaks. Notes where that
    /// was.
    pub(crate) fn visit_from<B>(
        &mut self,
        next: &mut usize,
        mut visit: impl FnMut(HolderMut<'_>) -> ControlFlow<B>,
    ) -> ControlFlow<B> {
        let first = *next;
        for numbers in [first..usize::MAX, 0..first] {
            let holders = self.holders_mut().enumerate().take(numbers.end).skip(numbers.start);
            for (number, holder) in holders {
                *next = number;
                visit(holder)?;
            }
        }
        *next = 0;
        ControlFlow::Continue(())
    }

    /// The column that a step of an attempt was one of. Most steps are of one table, so the one of
    /// number `last` is asked first.
    pub(crate) fn column_of(&mut self, step: &Step, last: &mut usize) -> &mut Column {
        let position = |holder: Holder<'_>| {
            let mut columns = holder.columns().0.iter();
            columns.position(|each| each.component() == step.component && each.took(step))
        };
        let known = self.tables.get(*last).map(Holder::Table).and_then(position);
        let position = known.unwrap_or_else(|| {
            let mut holders = self.holders().map(position).enumerate();
            let found = holders.find_map(|(number, found)| Some((number, found?)));
            let (number, found) = found.expect("a step was one of a column of the world");
            *last = number;
            found
        });
        let holder = match self.tables.len() > *last {
            true => HolderMut::Table(&mut self.tables[*last]),
            false => self.holders_mut().nth(*last).expect("it was just looked at"),
        };
        &mut holder.columns().0[position]
    }

    /// Adds a holder for each archetype, event type, resource type and list of the catalog that has none.
    pub(crate) fn grow(&mut self, catalog: &Catalog, retention: usize) {
        self.add_tables(catalog);
        self.add_heaps(catalog);
        let Self { tables: _, index: _, logs, resources, heaps: _ } = self;
        let registry = &catalog.registry;
        for id in registry.ids_of(Kind::Event).skip(logs.len()) {
            let mut log = EventLog::new(id, registry.info(id));
            log.reserve_list(retention);
            logs.push(log);
        }
        for id in registry.ids_of(Kind::Resource).skip(resources.len()) {
            resources.push(Resource::new(id, registry.info(id)));
        }
    }

    /// Adds a heap for each list of the catalog that has none.
    pub(crate) fn add_heaps(&mut self, catalog: &Catalog) {
        for (id, shape) in catalog.registry.lists().skip(self.heaps.len()) {
            self.heaps.push(Heap::new(id, shape, catalog.registry.shape()));
        }
    }

    /// Adds a table for each archetype of the catalog that has none.
    pub(crate) fn add_tables(&mut self, catalog: &Catalog) {
        for archetype in &catalog.archetypes()[self.tables.len()..] {
            push_tight(&mut self.tables, Table::new(archetype, &catalog.registry));
        }
    }

    /// Takes away the holders of [`State::grow`] for all but the first `archetypes` and `types`.
    pub(crate) fn shrink(&mut self, archetypes: usize, types: usize, memory: &mut Returns) {
        let Self { tables, index: _, logs, resources, heaps } = self;
        let is_kept = |id: ComponentId| id.index() < types;
        let logs_kept = logs.partition_point(|log| is_kept(log.component()));
        let resources_kept = resources.partition_point(|each| is_kept(each.component()));
        let archetypes = archetypes.min(tables.len());
        tables.drain(archetypes..).for_each(|mut table| table.clear(memory));
        logs.drain(logs_kept..).for_each(|mut log| log.clear(memory));
        resources.drain(resources_kept..).for_each(|mut each| each.clear(memory));
        heaps.shrink(is_kept, memory);
    }

    /// The log of an event type.
    #[inline]
    pub(crate) fn log(&self, id: ComponentId) -> Option<&EventLog> {
        Some(&self.logs[log_number(&self.logs, id)?])
    }

    /// The log of an event type, for writing.
    #[inline]
    pub(crate) fn log_mut(&mut self, id: ComponentId) -> Option<&mut EventLog> {
        let number = self.log_number(id)?;
        Some(&mut self.logs[number])
    }

    /// The number of the log of an event type.
    pub(crate) fn log_number(&self, id: ComponentId) -> Option<usize> {
        log_number(&self.logs, id)
    }

    /// The resource of a type.
    #[inline]
    pub(crate) fn resource(&self, id: ComponentId) -> Option<&Resource> {
        Some(&self.resources[resource_number(&self.resources, id)?])
    }

    /// The resource of a type, for writing.
    #[inline]
    pub(crate) fn resource_mut(&mut self, id: ComponentId) -> Option<&mut Resource> {
        let number = resource_number(&self.resources, id)?;
        Some(&mut self.resources[number])
    }
}

impl State {
    /// Whether enough blocks were given out that it is time to look for others.
    pub(crate) fn wants_sweep(&self) -> bool {
        self.heaps.iter().any(Heap::wants_sweep)
    }

    /// Looks for blocks that are out of use, as far as those given out allow: at no more than `most` of each size of
    /// each list.
    pub(crate) fn sweep(&mut self, most: usize) {
        let Self { tables, index, logs: _, resources: _, heaps } = self;
        for heap in heaps.iter_mut().filter(|heap| heap.wants_sweep()) {
            let list = heap.component();
            heap.sweep(most, |owner, place| names(tables, index, (owner, list), place));
        }
    }
}

/// Whether the list `id` of an entity names a block.
pub(crate) fn names(
    tables: &[Table],
    index: &EntityIndex,
    (owner, id): (Entity, ComponentId),
    place: BlockPlace,
) -> bool {
    let Some(at) = index.locate(owner) else { return false };
    let table = &tables[at.archetype.index()];
    let handles = table.column(id).map(|column| column.rows(table.rows()));
    handles.is_some_and(|handles| handles.get::<Handle>(at.row as usize).place == place)
}

#[inline]
fn log_number(logs: &[EventLog], id: ComponentId) -> Option<usize> {
    logs.binary_search_by_key(&id, EventLog::component).ok()
}

#[inline]
fn resource_number(resources: &[Resource], id: ComponentId) -> Option<usize> {
    resources.binary_search_by_key(&id, Resource::component).ok()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::world::World;

    /// Room in the lists of resources was forgotten.
    #[test]
    fn every_holder_gives_room_in_its_lists_back() {
        let mut world = World::new();
        world.spawn((1_u32,));
        world.send_event(1_u32);
        world.insert_resource(1_u32).expect("there is memory");
        world.register_list::<u32>().expect("there is room for a type");
        world.trim(Duration::MAX);
        let mut lists = 0;
        for holder in world.state.holders_mut() {
            for column in holder.columns().0 {
                // 4,096 chunks at the least.
                column.reserve_list(1 << 24).expect("there is memory");
                lists += 1;
            }
        }
        let blocks = world.state.heaps.iter().map(|heap| 2 * heap.classes().len()).sum::<usize>();
        assert_eq!(lists, 1 + 2 + 1 + 1 + 1 + blocks);
        assert!(world.trim(Duration::MAX) > lists * 4_000 * 24);
        assert_eq!(world.trim(Duration::MAX), 0);
    }
}
