//! [`CheckpointContents`]: the contents of a file, told from its manifest alone.

use crate::storage::Layout;
use crate::storage::component::Kind;
use crate::storage::encoding::Reader;
use crate::storage::layout_reader::read_layout;

use super::error::{CheckpointError, CheckpointPart};
use super::header::HEADERS_BYTES;
use super::manifest::{ColumnRecord, TypeRecord};
use super::medium::Medium;
use super::read::CheckpointReader;
use super::type_name::TypeKind;

/// The contents of the last checkpoint of a file: its types, and how much there is of each.
///
/// Told from the manifest, so blocks are neither read nor verified, and no type of the program is needed. Tables, logs
/// and the others name a type by its place in `types`.
///
/// ```
/// use bytemuck::{Pod, Zeroable};
/// use convoy_engine::checkpoint::{Checkpoint, CheckpointReader};
/// use convoy_engine::schema::{Schema, TypeEntry, TypeLayout};
/// use convoy_engine::{ComponentMask, SnapshotPool, World};
///
/// #[derive(Clone, Copy, Pod, Zeroable, TypeLayout)]
/// #[repr(C)]
/// struct Tank {
///     litres: f32,
///     capacity: f32,
/// }
///
/// let tank = TypeEntry::<Tank>::new().named("tank", 2).with_layout();
/// let schema = Schema::builder().component(tank).build().unwrap();
/// let mut world = World::with_schema(&schema);
/// world.spawn_batch((0..5).map(|_| (Tank { litres: 12.5, capacity: 50.0 },)));
/// let mut checkpoint = Checkpoint::on(Vec::new()).unwrap();
/// checkpoint.write(&world.capture(ComponentMask::ALL, &SnapshotPool::default())).unwrap();
///
/// let contents = CheckpointReader::new(checkpoint.into_medium()).unwrap().contents().unwrap();
/// let tank = &contents.types[1];
/// assert_eq!((tank.name.as_str(), tank.version, tank.size), ("tank", 2, 8));
/// assert_eq!(tank.layout.unwrap().field("capacity").unwrap().offset, 4);
/// let table = contents.tables.iter().find(|table| table.rows > 0).unwrap();
/// assert_eq!((table.components.as_slice(), table.rows), (&[0, 1][..], 5));
/// assert_eq!((contents.entities, table.bytes), (5, 5 * (8 + 8)));
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct CheckpointContents {
    /// The types, in the order of their ids. The first is [`Entity`](crate::Entity).
    pub types: Vec<StoredType>,
    /// The tables in their order, also those without rows.
    pub tables: Vec<StoredTable>,
    /// The event logs, one for each type of events.
    pub events: Vec<StoredEvents>,
    /// The resources, one for each type of resources, set or not.
    pub resources: Vec<StoredResource>,
    /// The elements of lists, one entry for each type of lists.
    pub lists: Vec<StoredLists>,
    /// The contents of texts that don't lie in the texts themselves.
    pub texts: StoredTexts,
    /// Entities that are alive.
    pub entities: u32,
    /// Slots of the entity index, free ones included.
    pub slots: u32,
    /// The most bytes of a chunk in the world that was saved.
    pub chunk_bytes_max: usize,
    /// The most rows of a chunk there.
    pub chunk_rows_max: usize,
    /// Blocks of rows: of tables, of the entity index, of events, of resources and of lists.
    pub blocks: u64,
    /// Bytes of these blocks.
    pub block_bytes: u64,
    /// Bytes that the checkpoint needs: headers, manifest, blocks and texts, without gaps between them.
    pub needed_bytes: u64,
    /// Bytes of the file, with those of earlier checkpoints, which a
    /// [compaction](super::Checkpoint::compact) drops.
    pub file_bytes: u64,
}

/// A type of a file.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct StoredType {
    /// Its name.
    pub name: String,
    /// Whether the name was chosen, by a [`Schema`](crate::schema::Schema) or a description; otherwise it is the
    /// compiler's.
    pub is_name_chosen: bool,
    /// Its use.
    pub kind: TypeKind,
    /// Its version, 0 where none was given.
    pub version: u32,
    /// Bytes of a value; of a list those of its handle.
    pub size: usize,
    /// The alignment of a value in bytes.
    pub align: usize,
    /// The elements, if values are lists.
    pub list: Option<ElementShape>,
    /// Whether it is one of the links of the [hierarchy](crate::hierarchy), which come together.
    pub is_link: bool,
    /// The component that a toggle switches off, by its place.
    pub toggle_of: Option<usize>,
    /// The meaning of a value's bytes, of a list those of an element, if the file has it.
    ///
    /// Types inside of it are called `struct` and `enum`, as files lack their names. It is kept for as long as the
    /// process runs, once.
    pub layout: Option<&'static Layout>,
}

/// The shape of the elements of lists.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct ElementShape {
    /// Bytes of an element.
    pub size: usize,
    /// Its alignment in bytes.
    pub align: usize,
}

/// A table of a file.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct StoredTable {
    /// The places of its components and their toggles, in ascending order: the handles of entities first.
    pub components: Vec<usize>,
    /// Entities in it.
    pub rows: u64,
    /// Bytes of all its columns.
    pub bytes: u64,
}

/// An event log of a file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct StoredEvents {
    /// The place of its type.
    pub of: usize,
    /// The number of the first record.
    pub first: u64,
    /// How many records there are.
    pub records: u64,
    /// Bytes of the records.
    pub bytes: u64,
}

/// A resource of a file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct StoredResource {
    /// The place of its type.
    pub of: usize,
    /// Whether there is a value.
    pub is_set: bool,
    /// Bytes of the value, 0 where there is none.
    pub bytes: u64,
}

/// The elements of the lists of one type.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct StoredLists {
    /// The place of the type.
    pub of: usize,
    /// Blocks of elements, each of one list or free.
    pub blocks: u64,
    /// Bytes of the elements, of the room for more, and of the handles of owners.
    pub bytes: u64,
}

/// The contents of texts in a file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct StoredTexts {
    /// Blocks of texts.
    pub blocks: u64,
    /// Their bytes, with those that tell lengths.
    pub bytes: u64,
}

impl<M: Medium> CheckpointReader<M> {
    /// The contents of the checkpoint, told from its manifest. Costs memory in proportion to the manifest, and reads
    /// nothing.
    ///
    /// # Errors
    ///
    /// When the layout of a type is malformed, or the length of the file is not known.
    pub fn contents(&self) -> Result<CheckpointContents, CheckpointError> {
        let Self { medium, header, manifest, .. } = self;
        let types = manifest.types.iter().map(stored_type).collect::<Result<Vec<_>, _>>()?;
        let tables = manifest.archetypes.iter().zip(&manifest.tables).map(|(types, table)| {
            let columns = table.columns.iter().map(|(_, column)| bytes_of(column));
            StoredTable { components: types.clone(), rows: table.rows as u64, bytes: columns.sum() }
        });
        let events = manifest.logs.iter().map(|log| StoredEvents {
            of: log.of,
            first: log.first,
            records: log.rows as u64,
            bytes: log.column.as_ref().map_or(0, bytes_of),
        });
        let resources = manifest.resources.iter().map(|resource| StoredResource {
            of: resource.of,
            is_set: resource.is_set,
            bytes: resource.column.as_ref().map_or(0, bytes_of),
        });
        let lists = manifest.types.iter().enumerate().filter(|(_, record)| record.list.is_some());
        let lists = lists.map(|(of, _)| {
            let mut lists = StoredLists { of, blocks: 0, bytes: 0 };
            for class in manifest.classes.iter().filter(|class| class.of == of) {
                lists.blocks += class.columns[0].rows as u64;
                lists.bytes += class.columns.iter().map(bytes_of).sum::<u64>();
            }
            lists
        });
        let text_bytes = manifest.texts.iter().map(|text| text.bytes).sum();
        // The parser has found that no two places share a byte, so sums are no larger than the file.
        let places = manifest.places();
        let place_bytes: u64 = places.iter().map(|place| place.bytes).sum();
        let shape = manifest.shape.expect("a manifest that was parsed has one");
        Ok(CheckpointContents {
            types,
            tables: tables.collect(),
            events: events.collect(),
            resources: resources.collect(),
            lists: lists.collect(),
            texts: StoredTexts { blocks: manifest.texts.len() as u64, bytes: text_bytes },
            entities: manifest.alive(),
            // The parser has found fewer than 2^32.
            slots: manifest.index.as_ref().map_or(0, |index| index.rows as u32),
            chunk_bytes_max: shape.bytes_max,
            chunk_rows_max: shape.rows_max,
            blocks: (places.len() - manifest.texts.len()) as u64,
            block_bytes: place_bytes - text_bytes,
            needed_bytes: HEADERS_BYTES + header.manifest_bytes + place_bytes,
            file_bytes: medium.len()?,
        })
    }
}

/// Bytes of the rows of a column in the file.
fn bytes_of(column: &ColumnRecord) -> u64 {
    column.rows as u64 * column.size as u64
}

fn stored_type(record: &TypeRecord) -> Result<StoredType, CheckpointError> {
    let TypeRecord { kind, name, is_stable, version, size, align, list, switches, link, layout } =
        record;
    let of_value = list.map_or((*size, *align), |list| (list.size, list.align));
    let layout = layout.as_ref().map(|bytes| {
        let mut reader = Reader { bytes, at: 0, part: CheckpointPart::Types };
        read_layout(&mut reader, name, of_value)
    });
    Ok(StoredType {
        name: name.clone(),
        is_name_chosen: *is_stable,
        kind: TypeKind::of(*kind),
        version: *version,
        size: *size,
        align: *align,
        list: list.map(|list| ElementShape { size: list.size, align: list.align }),
        is_link: link.is_some(),
        toggle_of: (*kind == Kind::Toggle).then_some(*switches),
        layout: layout.transpose()?,
    })
}
