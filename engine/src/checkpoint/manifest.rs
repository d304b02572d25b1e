//! The manifest of a commit: which types, archetypes and rows there are, and in which blocks of the file they lie.

use std::ops::Range;

use bytemuck::{Pod, Zeroable};

use crate::storage::COMPONENTS_MAX;
use crate::storage::component::{ChunkShape, ComponentInfo, Kind};
use crate::storage::encoding;
use crate::storage::forks::Forks;
use crate::storage::hash::hash_bytes;
use crate::storage::index_state::IndexState;
use crate::storage::list::{BLOCKS_MAX, ListShape};
use crate::storage::names::name_of;
use crate::storage::schema::put_layout;
use crate::world::index::Slot;

use super::error::{CheckpointError, CheckpointPart};
use super::header::{BLOCK_BYTES, HEADERS_BYTES, Header, TEXT_BYTES};
use super::medium::Medium;

/// Where the rows of one chunk are in the file, and their hash. One at 0 stands for slots that were never used.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Pod, Zeroable)]
#[repr(C)]
pub(super) struct Block {
    pub(super) at: u64,
    pub(super) hash: u64,
}

const _: () = assert!(size_of::<Block>() as u64 == BLOCK_BYTES, "as the header counts them");
const _: () = assert!(size_of::<TextBlock>() as u64 == TEXT_BYTES, "as the header counts them");

impl Block {
    /// Slots that were never used.
    pub(super) const BLANK: Self = Self { at: 0, hash: 0 };
}

/// Contents of texts in the file.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Pod, Zeroable)]
#[repr(C)]
pub(super) struct TextBlock {
    pub(super) at: u64,
    pub(super) bytes: u64,
    pub(super) hash: u64,
}

type Reader<'a> = encoding::Reader<'a, CheckpointPart>;

/// The links of the hierarchy, which only the engine writes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Link {
    ChildOf,
    Children,
}

/// A type of the file.
#[derive(Clone, Debug)]
pub(super) struct TypeRecord {
    pub(super) kind: Kind,
    pub(super) name: String,
    pub(super) is_stable: bool,
    pub(super) version: u32,
    pub(super) size: usize,
    pub(super) align: usize,
    pub(super) list: Option<ListShape>,
    /// The component that a toggle is for.
    pub(super) switches: usize,
    /// The link of the hierarchy that it is.
    pub(super) link: Option<Link>,
    pub(super) layout: Option<Vec<u8>>,
}

/// A column of the file: rows of so many bytes, and its blocks.
#[derive(Clone, Debug)]
pub(super) struct ColumnRecord {
    pub(super) rows: usize,
    pub(super) size: usize,
    /// log2 of the rows of a block.
    pub(super) rows_log2: u8,
    /// Some of all blocks.
    pub(super) blocks: Range<usize>,
}

impl ColumnRecord {
    /// The blocks of the column, with their rows.
    pub(super) fn blocks<'m>(
        &self,
        all: &'m [Block],
    ) -> impl Iterator<Item = (Range<usize>, &'m Block)> + use<'m> {
        let (rows, log2) = (self.rows, self.rows_log2);
        let blocks = all[self.blocks.clone()].iter().enumerate();
        blocks.map(move |(number, block)| {
            let start = number << log2;
            (start..rows.min(start + (1 << log2)), block)
        })
    }
}

/// A table of the file: its rows, and the columns that have bytes, by the number of their type.
#[derive(Clone, Debug)]
pub(super) struct TableRecord {
    pub(super) rows: usize,
    pub(super) columns: Vec<(usize, ColumnRecord)>,
}

/// An event log of the file.
#[derive(Clone, Debug)]
pub(super) struct LogRecord {
    pub(super) of: usize,
    pub(super) first: u64,
    pub(super) rows: usize,
    pub(super) forks: Forks,
    pub(super) column: Option<ColumnRecord>,
}

/// A resource of the file: whether there is a value, and where, if it has bytes.
#[derive(Clone, Debug)]
pub(super) struct ResourceRecord {
    pub(super) of: usize,
    pub(super) is_set: bool,
    pub(super) column: Option<ColumnRecord>,
}

/// The blocks of one size of a list: the elements and the owners.
#[derive(Clone, Debug)]
pub(super) struct ClassRecord {
    pub(super) of: usize,
    pub(super) class: usize,
    pub(super) columns: [ColumnRecord; 2],
}

/// A manifest, taken apart. Nothing of it was compared with a world yet.
#[derive(Default)]
pub(super) struct Manifest {
    /// That of the chunks of the world that was saved.
    pub(super) shape: Option<ChunkShape>,
    pub(super) types: Vec<TypeRecord>,
    /// The types of each archetype, in ascending order.
    pub(super) archetypes: Vec<Vec<usize>>,
    pub(super) tables: Vec<TableRecord>,
    pub(super) index: Option<ColumnRecord>,
    pub(super) index_state: IndexState,
    pub(super) logs: Vec<LogRecord>,
    pub(super) resources: Vec<ResourceRecord>,
    pub(super) classes: Vec<ClassRecord>,
    pub(super) texts: Vec<TextBlock>,
    pub(super) blocks: Vec<Block>,
    /// Names and bytes that go with the checkpoint.
    pub(super) attachments: Vec<(String, Vec<u8>)>,
}

/// Set for a name that was chosen.
pub(super) const STABLE: u8 = 1;
/// Set for lists: the size and alignment of an element follow.
pub(super) const LIST: u8 = 2;
/// Set where a layout follows.
pub(super) const LAYOUT: u8 = 4;
/// Set for the links of children to their parents, and for those of parents to their children.
pub(super) const CHILD_OF: u8 = 8;
pub(super) const CHILDREN: u8 = 16;

impl Manifest {
    /// Takes the manifest of a commit apart. Every place in it is found to be one of the file, and all lists have no
    /// more entries than the manifest has bytes.
    pub(super) fn parse(bytes: &[u8], header: &Header) -> Result<Self, CheckpointError> {
        // The header was found to have fewer blocks and texts than the manifest has bytes.
        let (blocks, rest) = bytes.split_at((header.blocks * BLOCK_BYTES) as usize);
        let (texts, described) = rest.split_at((header.texts * TEXT_BYTES) as usize);
        let mut manifest = Self::default();
        let blocks = blocks.chunks_exact(size_of::<Block>());
        manifest.blocks.extend(blocks.map(bytemuck::pod_read_unaligned::<Block>));
        let texts = texts.chunks_exact(size_of::<TextBlock>());
        manifest.texts.extend(texts.map(bytemuck::pod_read_unaligned::<TextBlock>));
        let reader = Reader { bytes: described, at: 0, part: CheckpointPart::Types };
        let mut parsing = Parsing { reader, manifest: &mut manifest, taken: 0, end: header.end };
        parsing.parse()?;
        manifest.check_overlaps()?;
        Ok(manifest)
    }

    /// Gives the logs timelines of this process.
    pub(super) fn renew_forks(&mut self) -> Result<(), CheckpointError> {
        for log in &mut self.logs {
            if !log.forks.end_by(log.first + log.rows as u64) {
                return Err(CheckpointError::Malformed { part: CheckpointPart::Events });
            }
            log.forks = log.forks.renewed();
        }
        Ok(())
    }

    /// How many entities there are: one for each row.
    pub(super) fn alive(&self) -> u32 {
        let rows: usize = self.tables.iter().map(|table| table.rows).sum();
        u32::try_from(rows).expect("the parser has found fewer")
    }

    /// Visits where all blocks and texts are, with how many bytes and their hashes.
    fn for_each_place(&self, mut visit: impl FnMut(Place)) {
        let columns = self.tables.iter().flat_map(|table| table.columns.iter().map(|each| &each.1));
        let logs = self.logs.iter().filter_map(|log| log.column.as_ref());
        let resources = self.resources.iter().filter_map(|each| each.column.as_ref());
        let lists = self.classes.iter().flat_map(|class| &class.columns);
        let columns = columns.chain(&self.index).chain(logs).chain(resources).chain(lists);
        columns.for_each(|column| {
            let blocks = column.blocks(&self.blocks).filter(|(_, block)| **block != Block::BLANK);
            blocks.for_each(|(rows, &Block { at, hash })| {
                visit(Place { at, bytes: rows.len() as u64 * column.size as u64, hash });
            });
        });
        let texts = self.texts.iter();
        texts.for_each(|&TextBlock { at, bytes, hash }| visit(Place { at, bytes, hash }));
    }

    /// All of these places, in ascending order.
    pub(super) fn places(&self) -> Vec<Place> {
        let mut places = Vec::with_capacity(self.blocks.len() + self.texts.len());
        self.for_each_place(|place| places.push(place));
        // They come in a few ascending runs, which this sort finds.
        places.sort_by_key(|place| place.at);
        places
    }

    /// No two blocks share a byte.
    fn check_overlaps(&self) -> Result<(), CheckpointError> {
        // Most blocks lie side by side with the next ones of their columns: these count as one.
        let mut runs: Vec<Range<u64>> = Vec::new();
        self.for_each_place(|Place { at, bytes, .. }| match runs.last_mut() {
            Some(run) if run.end == at => run.end += bytes,
            _ => runs.push(at..at + bytes),
        });
        runs.sort_by_key(|run| run.start);
        let are_apart = runs.windows(2).all(|pair| pair[0].end <= pair[1].start);
        are_apart.then_some(()).ok_or(CheckpointError::Malformed { part: CheckpointPart::Manifest })
    }
}

/// Bytes of the file, and their hash.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) at: u64,
    pub(super) bytes: u64,
    pub(super) hash: u64,
}

/// A manifest that is being taken apart.
struct Parsing<'a, 'm> {
    reader: Reader<'a>,
    manifest: &'m mut Manifest,
    /// How many blocks belong to columns so far.
    taken: usize,
    /// The end of the file.
    end: u64,
}

impl Parsing<'_, '_> {
    fn parse(&mut self) -> Result<(), CheckpointError> {
        let (bytes_max, rows_max) = (self.count()?, self.count()?);
        self.manifest.shape = Some(ChunkShape { bytes_max, rows_max });
        self.take_types()?;
        self.reader.part = CheckpointPart::Archetypes;
        self.take_archetypes()?;
        self.reader.part = CheckpointPart::Tables;
        self.take_tables()?;
        self.reader.part = CheckpointPart::Index;
        self.take_index()?;
        self.reader.part = CheckpointPart::Events;
        self.take_logs()?;
        self.reader.part = CheckpointPart::Resources;
        self.take_resources()?;
        self.reader.part = CheckpointPart::Lists;
        self.take_lists()?;
        self.reader.part = CheckpointPart::Texts;
        self.check_texts()?;
        self.reader.part = CheckpointPart::Manifest;
        self.take_attachments()?;
        let is_all =
            self.reader.at == self.reader.bytes.len() && self.taken == self.manifest.blocks.len();
        if is_all { Ok(()) } else { self.reader.malformed() }
    }

    /// A number that counts something in memory.
    fn count(&mut self) -> Result<usize, CheckpointError> {
        let number = self.reader.number()?;
        usize::try_from(number).or_else(|_| self.reader.malformed())
    }

    fn take_types(&mut self) -> Result<(), CheckpointError> {
        let count = self.count()?;
        if count == 0 || count > COMPONENTS_MAX {
            return self.reader.malformed();
        }
        for number in 0..count {
            let record = self.take_type(number)?;
            self.manifest.types.push(record);
        }
        Ok(())
    }

    fn take_type(&mut self, number: usize) -> Result<TypeRecord, CheckpointError> {
        let kind = match self.reader.u8()? {
            0 => Kind::Component,
            1 => Kind::Event,
            2 => Kind::Resource,
            3 => Kind::Toggle,
            _ => return self.reader.malformed(),
        };
        let flags = self.reader.u8()?;
        let name = self.reader.text()?.to_owned();
        let (version, size, align) = (self.reader.short()?, self.count()?, self.count()?);
        let list = match flags & LIST {
            0 => None,
            _ => Some(ListShape { size: self.count()?, align: self.count()? }),
        };
        let switches = if kind == Kind::Toggle { self.count()? } else { 0 };
        let layout = match flags & LAYOUT {
            0 => None,
            _ => {
                let length = self.reader.u32()?;
                let layout = self.reader.skip(u64::from(length))?;
                Some(self.reader.bytes[layout].to_vec())
            }
        };
        let is_stable = flags & STABLE != 0;
        let link = match flags & (CHILD_OF | CHILDREN) {
            0 => None,
            CHILD_OF => Some(Link::ChildOf),
            CHILDREN => Some(Link::Children),
            _ => return self.reader.malformed(),
        };
        let record = TypeRecord {
            kind,
            name,
            is_stable,
            version,
            size,
            align,
            list,
            switches,
            link,
            layout,
        };
        let is_power = |align: usize| align.is_power_of_two();
        let is_entity = record.name == name_of::<crate::Entity>()
            && (kind, size, align) == (Kind::Component, 8, align_of::<crate::Entity>());
        let types = &self.manifest.types;
        let is_sound = flags <= STABLE | LIST | LAYOUT | CHILD_OF | CHILDREN
            && (link.is_none() || (kind, list) == (Kind::Component, None))
            && is_power(align)
            && size.checked_rem(align) == Some(0)
            && list.is_none_or(|list| {
                let is_element = list.size > 0 && is_power(list.align);
                is_element && (kind, size) == (Kind::Component, 8)
            })
            && (kind != Kind::Toggle || {
                let switched = types.get(switches).map(|switched| switched.kind);
                let is_first = types
                    .iter()
                    .all(|other| other.kind != Kind::Toggle || other.switches != switches);
                (switched, size) == (Some(Kind::Component), 1) && is_first && switches > 0
            })
            && (number > 0 || is_entity);
        if is_sound { Ok(record) } else { self.reader.malformed() }
    }

    fn take_archetypes(&mut self) -> Result<(), CheckpointError> {
        for _ in 0..self.count()? {
            let mut types = Vec::new();
            for _ in 0..self.count()? {
                let number = self.count()?;
                let kind = self.manifest.types.get(number).map(|known| known.kind);
                let is_column = matches!(kind, Some(Kind::Component | Kind::Toggle));
                if !is_column || types.last().is_some_and(|last| *last >= number) {
                    return self.reader.malformed();
                }
                types.push(number);
            }
            if types.first() != Some(&0) {
                return self.reader.malformed();
            }
            self.manifest.archetypes.push(types);
        }
        Ok(())
    }

    /// The next column, of `rows` rows, whose blocks have `1 << rows_log2` each.
    fn column(
        &mut self,
        (rows, size): (usize, usize),
        rows_log2: u8,
    ) -> Result<ColumnRecord, CheckpointError> {
        if rows_log2 >= 32 || size == 0 {
            return self.reader.malformed();
        }
        let blocks = self.taken..self.taken.saturating_add(rows.div_ceil(1 << rows_log2));
        let column = ColumnRecord { rows, size, rows_log2, blocks };
        if column.blocks.end > self.manifest.blocks.len() {
            return self.reader.malformed();
        }
        self.taken = column.blocks.end;
        for (rows, block) in column.blocks(&self.manifest.blocks) {
            let is_blank = *block == Block::BLANK
                && self.reader.part == CheckpointPart::Index
                && rows.start > 0;
            let bytes = (rows.len() as u64).saturating_mul(size as u64);
            let is_inside = block.at >= HEADERS_BYTES && self.is_inside(block.at, bytes);
            if !is_blank && !is_inside {
                return self.reader.malformed();
            }
        }
        Ok(column)
    }

    fn is_inside(&self, at: u64, bytes: u64) -> bool {
        at.checked_add(bytes).is_some_and(|end| end <= self.end)
    }

    fn take_tables(&mut self) -> Result<(), CheckpointError> {
        let mut all = 0_u32;
        for number in 0..self.manifest.archetypes.len() {
            let rows = self.reader.short()?;
            let Some(sum) = all.checked_add(rows) else { return self.reader.malformed() };
            all = sum;
            let rows = rows as usize;
            let mut table = TableRecord { rows, columns: Vec::new() };
            let types = self.manifest.archetypes[number].clone();
            for id in types.into_iter().filter(|_| rows > 0) {
                let size = self.manifest.types[id].size;
                if size > 0 {
                    let rows_log2 = self.reader.u8()?;
                    table.columns.push((id, self.column((rows, size), rows_log2)?));
                }
            }
            self.manifest.tables.push(table);
        }
        Ok(())
    }

    fn take_index(&mut self) -> Result<(), CheckpointError> {
        let rows = self.reader.short()? as usize;
        let rows_log2 = self.reader.u8()?;
        self.manifest.index = Some(self.column((rows, size_of::<Slot>()), rows_log2)?);
        self.manifest.index_state.decode(&mut self.reader)
    }

    /// The numbers of the types of a kind.
    fn types_of(&self, kind: Kind) -> Vec<usize> {
        let types = self.manifest.types.iter().enumerate();
        types.filter(|(_, record)| record.kind == kind).map(|(number, _)| number).collect()
    }

    fn take_logs(&mut self) -> Result<(), CheckpointError> {
        for of in self.types_of(Kind::Event) {
            let (first, rows) = (self.reader.number()?, self.count()?);
            let forks = Forks::decode(&mut self.reader)?;
            let rows_log2 = self.reader.u8()?;
            let is_short = first.checked_add(rows as u64).is_some_and(|end| end < u64::MAX / 2);
            if !is_short {
                return self.reader.malformed();
            }
            let size = self.manifest.types[of].size;
            let column = match rows > 0 && size > 0 {
                true => Some(self.column((rows, size), rows_log2)?),
                false => None,
            };
            self.manifest.logs.push(LogRecord { of, first, rows, forks, column });
        }
        Ok(())
    }

    fn take_resources(&mut self) -> Result<(), CheckpointError> {
        for of in self.types_of(Kind::Resource) {
            let is_set = self.reader.flag()?;
            let size = self.manifest.types[of].size;
            let column = match is_set && size > 0 {
                true => Some(self.column((1, size), 0)?),
                false => None,
            };
            self.manifest.resources.push(ResourceRecord { of, is_set, column });
        }
        Ok(())
    }

    fn take_lists(&mut self) -> Result<(), CheckpointError> {
        let types = self.manifest.types.iter().enumerate();
        let lists: Vec<_> =
            types.filter_map(|(number, record)| Some((number, record.list?))).collect();
        for (of, shape) in lists {
            let classes = self.count()?;
            if classes > shape.classes() {
                return self.reader.malformed();
            }
            for class in 0..classes {
                let rows = self.reader.short()? as usize;
                if rows == 0 {
                    continue;
                }
                if rows > BLOCKS_MAX {
                    return self.reader.malformed();
                }
                let (elements, owners) = (self.reader.u8()?, self.reader.u8()?);
                let elements = self.column((rows, shape.block_bytes(class)), elements)?;
                let owners = self.column((rows, size_of::<crate::Entity>()), owners)?;
                let columns = [elements, owners];
                self.manifest.classes.push(ClassRecord { of, class, columns });
            }
        }
        Ok(())
    }

    /// The attachments; none where the manifest ends here.
    fn take_attachments(&mut self) -> Result<(), CheckpointError> {
        if self.reader.at == self.reader.bytes.len() {
            return Ok(());
        }
        for _ in 0..self.reader.number()? {
            let (name, bytes) = (self.reader.text()?, self.reader.piece()?);
            self.manifest.attachments.push((name.to_owned(), bytes.to_vec()));
        }
        Ok(())
    }

    fn check_texts(&self) -> Result<(), CheckpointError> {
        let mut texts = self.manifest.texts.iter();
        let are_inside =
            texts.all(|text| text.at >= HEADERS_BYTES && self.is_inside(text.at, text.bytes));
        let have_bytes = self.manifest.texts.iter().all(|text| text.bytes > 0);
        if are_inside && have_bytes { Ok(()) } else { self.reader.malformed() }
    }
}

/// The layout of a type as bytes.
pub(super) fn layout_of(info: &ComponentInfo) -> Option<Vec<u8>> {
    info.layout().map(|layout| {
        let mut bytes = Vec::new();
        put_layout(&mut bytes, layout);
        bytes
    })
}

/// Reads the manifest of a commit.
pub(super) fn read_manifest(
    medium: &impl Medium,
    header: &Header,
) -> Result<Manifest, CheckpointError> {
    let Header { manifest_at: at, manifest_bytes, manifest_hash, end, .. } = *header;
    let damaged = CheckpointError::Damaged { part: CheckpointPart::Manifest, at };
    if end > medium.len()? {
        return Err(damaged);
    }
    let mut bytes = Vec::new();
    grow(&mut bytes, manifest_bytes)?;
    medium.read_at(at, &mut bytes)?;
    if hash_bytes(&bytes) != manifest_hash {
        return Err(damaged);
    }
    Manifest::parse(&bytes, header)
}

/// Gives a list of bytes `length` of them, where the heap has as many.
pub(super) fn grow(bytes: &mut Vec<u8>, length: u64) -> Result<(), CheckpointError> {
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    if bytes.len() < length {
        let room = bytes.try_reserve_exact(length - bytes.len());
        room.map_err(|error| CheckpointError::Io(error.into()))?;
    }
    bytes.resize(length, 0);
    Ok(())
}
