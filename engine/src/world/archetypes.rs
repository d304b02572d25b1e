//! Statistics per archetype, as plain values and as a table for people.

use std::fmt;

use crate::storage::ComponentMask;
use crate::storage::component::Registry;
use crate::storage::table::Table;

use super::core::World;

/// What the entities of one archetype take.
#[derive(Clone, Copy)]
#[non_exhaustive]
pub struct ArchetypeStatistics<'w> {
    registry: &'w Registry,
    /// The components, with the bit of [`Entity`](crate::Entity), whose column every archetype has.
    pub mask: ComponentMask,
    /// Entities.
    pub rows: usize,
    /// Chunks of all columns, those without rows included.
    pub chunks: usize,
    /// Bytes of the rows in all columns.
    pub bytes_used: usize,
    /// Bytes of the chunks.
    pub bytes_reserved: usize,
}

impl<'w> ArchetypeStatistics<'w> {
    fn new(registry: &'w Registry, table: &Table) -> Self {
        let (rows, columns) = (table.rows(), table.columns());
        Self {
            registry,
            mask: *table.mask(),
            rows,
            chunks: columns.iter().map(|column| column.chunk_count()).sum(),
            bytes_used: columns.iter().map(|column| column.size() * rows).sum(),
            bytes_reserved: columns.iter().map(|column| column.reserved_bytes()).sum(),
        }
    }

    /// The names of the components, in the order of their ids. The entity column is left out.
    pub fn components(&self) -> impl Iterator<Item = &'w str> + use<'w> {
        let registry = self.registry;
        self.mask.iter().skip(1).map(move |id| registry.info(id).name())
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
            .field("components", &self.components().collect::<Vec<_>>())
            .field("rows", &self.rows)
            .field("chunks", &self.chunks)
            .field("bytes_used", &self.bytes_used)
            .field("bytes_reserved", &self.bytes_reserved)
            .finish()
    }
}

impl World {
    /// What each archetype takes, in the order of iteration, empty ones included. The cost grows
    /// with columns, not with rows.
    ///
    /// ```
    /// # use convoy_engine::World;
    /// let mut world = World::new();
    /// world.spawn_batch((0..1000_u32).map(|number| (number, 0.5_f64))).unwrap();
    /// let largest = world.archetypes().max_by_key(|archetype| archetype.rows).unwrap();
    /// assert!(largest.components().eq(["u32", "f64"]));
    /// assert_eq!((largest.rows, largest.bytes_used), (1000, 1000 * (8 + 4 + 8)));
    /// println!("{world:#?}"); // the same for all archetypes, as a table
    /// ```
    pub fn archetypes(&self) -> impl ExactSizeIterator<Item = ArchetypeStatistics<'_>> {
        let registry = &self.catalog.registry;
        self.tables.iter().map(move |table| ArchetypeStatistics::new(registry, table))
    }

    fn write_archetypes(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            formatter,
            "{:>10} {:>8} {:>12} {:>12} {:>6}  components",
            "rows", "chunks", "used", "reserved", "full"
        )?;
        let mut empty = 0;
        for archetype in self.archetypes() {
            if archetype.rows == 0 && archetype.chunks == 0 {
                empty += 1;
                continue;
            }
            let ArchetypeStatistics { rows, chunks, bytes_used, bytes_reserved, .. } = archetype;
            let percent = format_args!("{:.0} %", 100.0 * archetype.occupancy()).to_string();
            write!(
                formatter,
                "{rows:>10} {chunks:>8} {bytes_used:>12} {bytes_reserved:>12} {percent:>6}  "
            )?;
            for (number, name) in archetype.components().enumerate() {
                let separator = if number == 0 { "" } else { ", " };
                write!(formatter, "{separator}{}", short_name(name))?;
            }
            writeln!(formatter)?;
        }
        write!(formatter, "and {empty} archetypes without memory")
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

/// In short, or with `{:#?}` a table of all archetypes that have memory: rows, chunks, bytes used
/// and reserved, and how full they are.
impl fmt::Debug for World {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if formatter.alternate() {
            let (tick, entities) = (self.tick, self.entity_count());
            writeln!(formatter, "World at tick {tick} with {entities} entities")?;
            return self.write_archetypes(formatter);
        }
        formatter
            .debug_struct("World")
            .field("tick", &self.tick)
            .field("entities", &self.entity_count())
            .field("archetypes", &self.tables.len())
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
