//! Looking around: which components entities and archetypes have, and their memory, as plain values
//! and as a table for people.

use std::collections::HashMap;
use std::fmt;

use crate::storage::archetype::{ArchetypeId, Catalog};
use crate::storage::component::{ComponentInfo, Kind, Registry};
use crate::storage::{ComponentId, ComponentMask, Entity};

use super::core::World;
use super::read_error::ReadError;
use super::store::Store;

/// The components of an entity or an archetype, in the order of their ids. The entity handles are
/// left out, as every archetype has them.
#[derive(Clone)]
pub struct Components<'a> {
    registry: &'a Registry,
    mask: &'a ComponentMask,
    next: usize,
}

impl<'a> Components<'a> {
    pub(crate) fn new(catalog: &'a Catalog, archetype: ArchetypeId) -> Self {
        let mask = catalog.archetype(archetype).mask();
        Self { registry: &catalog.registry, mask, next: ComponentId::ENTITY.index() + 1 }
    }
}

impl<'a> Iterator for Components<'a> {
    type Item = (ComponentId, &'a ComponentInfo);

    fn next(&mut self) -> Option<Self::Item> {
        while self.next < self.registry.len() {
            let id = ComponentId::new(self.next);
            self.next += 1;
            if let Some(info) = self.registry.component(id).filter(|_| self.mask.contains(id)) {
                return Some((id, info));
            }
        }
        None
    }
}

impl fmt::Debug for Components<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_list().entries(self.clone().map(|(_, info)| info.name())).finish()
    }
}

/// The memory that the entities of one archetype take.
#[derive(Clone)]
#[non_exhaustive]
pub struct ArchetypeStatistics<'w> {
    components: Components<'w>,
    /// The components, with the bit of [`Entity`], whose column every archetype has.
    pub mask: ComponentMask,
    /// Entities.
    pub rows: usize,
    /// Chunks of all columns, those without rows included; in a view, of the columns that it may
    /// read.
    pub chunks: usize,
    /// Bytes of the rows in these columns.
    pub bytes_used: usize,
    /// Bytes of the chunks.
    pub bytes_reserved: usize,
}

impl<'w> ArchetypeStatistics<'w> {
    /// Of an archetype with `rows` rows. `columns` tells the chunks of each column, and their bytes.
    pub(crate) fn new(
        catalog: &'w Catalog,
        archetype: ArchetypeId,
        rows: usize,
        columns: impl Iterator<Item = (ComponentId, usize, usize)>,
    ) -> Self {
        let components = Components::new(catalog, archetype);
        let mask = *components.mask;
        let mut statistics =
            Self { components, mask, rows, chunks: 0, bytes_used: 0, bytes_reserved: 0 };
        for (id, chunks, bytes) in columns {
            statistics.chunks += chunks;
            statistics.bytes_used += catalog.registry.info(id).size() * rows;
            statistics.bytes_reserved += bytes;
        }
        statistics
    }

    /// The components, in the order of their ids.
    pub fn components(&self) -> Components<'w> {
        self.components.clone()
    }

    /// The names of the components, in the order of their ids.
    pub fn names(&self) -> impl Iterator<Item = &'static str> + use<'w> {
        self.components().map(|(_, info)| info.name())
    }

    /// The part of the reserved bytes that rows use, from 0 to 1; 1 where nothing is reserved.
    pub fn occupancy(&self) -> f64 {
        if self.bytes_reserved == 0 {
            return 1.0;
        }
        self.bytes_used as f64 / self.bytes_reserved as f64
    }
}

impl fmt::Debug for ArchetypeStatistics<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("ArchetypeStatistics")
            .field("components", &self.components)
            .field("rows", &self.rows)
            .field("chunks", &self.chunks)
            .field("bytes_used", &self.bytes_used)
            .field("bytes_reserved", &self.bytes_reserved)
            .finish()
    }
}

/// The archetypes of a world or view, with their memory. Made by
/// [`World::archetypes`](World::archetypes).
#[derive(Clone)]
pub struct Archetypes<'a> {
    store: Store<'a>,
    next: usize,
}

impl<'a> Iterator for Archetypes<'a> {
    type Item = ArchetypeStatistics<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        let (store, table) = (self.store, self.next);
        if table == store.table_count() {
            return None;
        }
        self.next += 1;
        let (archetype, held) = (ArchetypeId::new(table), store.table(table));
        let ids = held.mask().intersection(store.readable());
        let columns = ids.iter().filter_map(|id| {
            let (chunks, bytes) = store.column_use(table, id)?;
            Some((id, chunks, bytes))
        });
        Some(ArchetypeStatistics::new(store.catalog(), archetype, held.rows(), columns))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.store.table_count() - self.next;
        (left, Some(left))
    }
}

impl ExactSizeIterator for Archetypes<'_> {}

impl<'a> Store<'a> {
    pub(crate) fn components_of(&self, entity: Entity) -> Result<Components<'a>, ReadError> {
        Ok(Components::new(self.catalog(), self.locate_alive(entity)?.archetype))
    }

    pub(crate) fn archetypes(&self) -> Archetypes<'a> {
        Archetypes { store: *self, next: 0 }
    }

    /// Prints the archetypes as a table.
    pub(crate) fn write_archetypes(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_table(formatter, &self.catalog().registry, self.archetypes())
    }
}

/// Prints archetypes as a table: those that have rows or memory.
fn write_table<'a>(
    formatter: &mut fmt::Formatter<'_>,
    registry: &Registry,
    archetypes: impl Iterator<Item = ArchetypeStatistics<'a>>,
) -> fmt::Result {
    writeln!(
        formatter,
        "{:>10} {:>8} {:>12} {:>12} {:>6}  components",
        "rows", "chunks", "used", "reserved", "full"
    )?;
    let names = Names::of(registry);
    let mut empty = 0;
    for archetype in archetypes {
        if archetype.rows == 0 && archetype.chunks == 0 {
            empty += 1;
            continue;
        }
        let ArchetypeStatistics { rows, chunks, bytes_used, bytes_reserved, .. } = archetype;
        let percent = format!("{:.0} %", 100.0 * archetype.occupancy());
        let components: Vec<_> =
            archetype.components().map(|(id, info)| names.name(id, info)).collect();
        writeln!(
            formatter,
            "{rows:>10} {chunks:>8} {bytes_used:>12} {bytes_reserved:>12} {percent:>6}  {}",
            components.join(", ")
        )?;
    }
    write!(formatter, "and {empty} archetypes without memory")
}

/// How many components share a short name, and a full one.
struct Names {
    short: HashMap<String, usize>,
    full: HashMap<&'static str, usize>,
}

impl Names {
    fn of(registry: &Registry) -> Self {
        let mut names = Self { short: HashMap::new(), full: HashMap::new() };
        for id in registry.ids_of(Kind::Component) {
            let name = registry.info(id).name();
            *names.short.entry(short_name(name)).or_default() += 1;
            *names.full.entry(name).or_default() += 1;
        }
        names
    }

    /// The short name of a component, where no other one has it; else the full name, with the id
    /// where another one has that as well.
    fn name(&self, id: ComponentId, info: &ComponentInfo) -> String {
        let (name, short) = (info.name(), short_name(info.name()));
        match (self.short[&short], self.full[name]) {
            (1, _) => short,
            (_, 1) => name.to_owned(),
            _ => format!("{name} (id {})", id.index()),
        }
    }
}

/// The name of a type without the paths of its parts: `Pair<u8>` for `geometry::Pair<u8>`.
fn short_name(name: &str) -> String {
    let mut short = String::with_capacity(name.len());
    let mut rest = name;
    while let Some(at) = rest.find("::") {
        let before = &rest[..at];
        let part = before.rfind(|letter: char| !letter.is_alphanumeric() && letter != '_');
        short.push_str(&before[..part.map_or(0, |part| part + 1)]);
        rest = &rest[at + 2..];
    }
    short.push_str(rest);
    short
}

/// In short, or with `{:#?}` a table of all archetypes that have rows or memory: rows, chunks, bytes
/// used and reserved, and how full they are.
impl fmt::Debug for World {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (tick, entities) = (self.tick, self.entity_count());
        if formatter.alternate() {
            writeln!(formatter, "World at tick {tick} with {entities} entities")?;
            return self.store().write_archetypes(formatter);
        }
        formatter
            .debug_struct("World")
            .field("tick", &tick)
            .field("entities", &entities)
            .field("archetypes", &self.state.tables.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::short_name;

    #[test]
    fn short_names_keep_what_is_between_paths() {
        let names = [
            ("u32", "u32"),
            ("geometry::flat::Point", "Point"),
            ("[geometry::Point; 3]", "[Point; 3]"),
            ("a::Pair<b::c::Left, right::Right<u8>>", "Pair<Left, Right<u8>>"),
        ];
        for (name, short) in names {
            assert_eq!(short_name(name), short);
        }
    }
}
