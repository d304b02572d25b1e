//! [`MappedCheckpoint`]: the last checkpoint of a file, read where it lies.
//!
//! Blocks are rows as they are in memory, so an entry of a snapshot's list of chunks can name one. Views are made of
//! such lists, for the columns of a mask, once all of these were verified.

#![allow(unsafe_code, reason = "takes the word of callers for files that nobody writes")]

use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use convoy_pool::{Mapping, SizeClass, VacantCell};

use crate::snapshot::{SnapshotPool, View};
use crate::storage::archetype::Catalog;
use crate::storage::base::Holds;
use crate::storage::chunk_entry::ChunkEntry;
use crate::storage::column::Column;
use crate::storage::component::{ChunkShape, ComponentInfo, Kind, Registry};
use crate::storage::epoch::{Epoch, EpochCounter};
use crate::storage::forks::Forks;
use crate::storage::frozen::{Frozen, FrozenHead};
use crate::storage::hash::hash_bytes;
use crate::storage::lineage::Lineage;
use crate::storage::links::{ChildOf, Children};
use crate::storage::rows::Rows;
use crate::storage::text::Texts;
use crate::storage::world_id::WorldId;
use crate::storage::{ComponentId, ComponentMask, Entity};
use crate::world::WorldConfig;
use crate::world::bundle::{Bundle, Flat};
use crate::world::index::Slot;

use super::check::Contents;
use super::error::{CheckpointError, CheckpointPart};
use super::load::{Blocks, arranged_catalog};
use super::manifest::{Block, ColumnRecord, Manifest};
use super::plan::ReadPlan;
use super::read::CheckpointReader;
use super::write::Checkpoint;

/// The last checkpoint of a file, mapped into memory: nothing is read before it is used, and nothing is copied.
///
/// A [`View`] of some columns is a snapshot as any other: all read-only queries run on it, on any thread, and
/// [`World::branch`](crate::World::branch) makes a world of a view of everything, whose chunks stay in the file until
/// they are written. The blocks of a column are verified when the first view of it is made.
///
/// ```
/// use convoy_engine::checkpoint::Checkpoint;
/// use convoy_engine::schema::{Schema, TypeEntry};
/// use convoy_engine::{ComponentMask, Entity, SnapshotPool, World, WorldConfig};
///
/// # let folder = std::env::temp_dir().join(format!("convoy-map-{}", std::process::id()));
/// # std::fs::create_dir_all(&folder).unwrap();
/// # let path = folder.join("world.cvy");
/// # let _ = std::fs::remove_file(&path);
/// let builder = Schema::builder().component(TypeEntry::<u32>::new().named("hull", 1));
/// let schema = builder.component(TypeEntry::<f64>::new().named("fuel", 1)).build().unwrap();
/// let mut world = World::with_schema(&schema);
/// let ships: Vec<_> = (0..1_000_u32).map(|number| world.spawn((number, 0.5_f64))).collect();
/// let view = world.capture(ComponentMask::ALL, &SnapshotPool::default());
/// Checkpoint::create(&path).unwrap().write(&view).unwrap();
///
/// // SAFETY: nobody else knows the file.
/// let mapped = unsafe { Checkpoint::map(&path, WorldConfig::default().schema(schema)) }.unwrap();
/// let hulls = mapped.view(mapped.mask_of::<(Entity, u32)>()).unwrap();
/// assert_eq!(hulls.query::<&u32>().iter().sum::<u32>(), 499_500);
/// assert_eq!(hulls.get::<u32>(ships[7]), Ok(&7));
///
/// let mut ahead = World::branch(&mapped.verify().unwrap()).unwrap();
/// *ahead.get_mut::<u32>(ships[7]).unwrap() = 70; // copies one chunk
/// assert_eq!(hulls.get::<u32>(ships[7]), Ok(&7));
/// # drop((ahead, hulls));
/// # std::fs::remove_dir_all(&folder).unwrap();
/// ```
pub struct MappedCheckpoint {
    manifest: Manifest,
    /// The id of each type of the file, and the number that each type of the catalog has there.
    ids: Vec<ComponentId>,
    numbers: Vec<Option<usize>>,
    /// Where each block is in memory.
    entries: Vec<ChunkEntry>,
    catalog: Arc<Catalog>,
    mapping: Arc<Mapping>,
    texts: Texts,
    pool: SnapshotPool,
    head: FrozenHead,
    lineage: Lineage,
    /// The types whose columns were found sound.
    verified: Mutex<ComponentMask>,
}

impl fmt::Debug for MappedCheckpoint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("MappedCheckpoint")
            .field("tick", &self.head.tick)
            .field("file_bytes", &self.mapping.mapped_bytes())
            .finish_non_exhaustive()
    }
}

impl Checkpoint {
    /// Maps the last checkpoint of a file. Of `config` the schema, the retention of events and the limit of texts
    /// count; chunks are those of the world that was saved.
    ///
    /// Reads the manifest and the contents of texts, and nothing else.
    ///
    /// # Safety
    ///
    /// As long as there is the mapped checkpoint, a view of it, a branch of such a view with chunks of it, or a
    /// snapshot or a branch of such a branch, nobody writes to what the file has now, or cuts it short. A
    /// [`Checkpoint`] that appends to it, or puts a compacted file in its place, does neither. Where the disk fails
    /// meanwhile, the process ends by a signal.
    ///
    /// # Errors
    ///
    /// As [`CheckpointReader::open`], as [`CheckpointReader::read`] where types are concerned, and when the system
    /// declines to map the file.
    pub unsafe fn map(
        path: impl AsRef<Path>,
        config: WorldConfig,
    ) -> Result<MappedCheckpoint, CheckpointError> {
        let reader = CheckpointReader::open(path)?;
        let mut texts = Texts::new(config.text_bytes_max);
        Blocks::new(&reader.medium, &reader.manifest.blocks)
            .read_texts(&reader.manifest, |content| {
                texts.keep(content).map(drop).map_err(CheckpointError::Text)
            })?;
        let CheckpointReader { medium, header, manifest, .. } = reader;
        let shape = manifest.shape.expect("a manifest that was parsed has one");
        let shape =
            ChunkShape { bytes_max: shape.bytes_max.min(WorldConfig::CHUNK_BYTES_LIMIT), ..shape };
        let catalog = Catalog::new(Registry::new(shape), config.schema);
        let plan = ReadPlan::new();
        let (catalog, fates, _) = arranged_catalog(&catalog, &manifest, &plan)?;
        let ids = fates.iter().map(|fate| fate.id().expect("nothing is dropped without a plan"));
        let ids: Vec<ComponentId> = ids.collect();
        let mut numbers = vec![None; catalog.registry.len()];
        ids.iter().enumerate().for_each(|(number, id)| numbers[id.index()] = Some(number));
        let lineage = Lineage::default();
        let head = FrozenHead {
            world: WorldId::next(),
            epoch: EpochCounter::new().close(),
            lineage: lineage.current(),
            tick: header.tick,
            mask: ComponentMask::NONE,
            is_whole: false,
            alive: manifest.alive(),
            event_retention: config.event_retention,
        };
        let bytes = usize::try_from(header.end).unwrap_or(usize::MAX);
        let mapping = Mapping::of_file(medium.file(), bytes)?;
        let entries = place_blocks((&manifest, &ids), &mapping, &catalog.registry, head.epoch)?;
        Ok(MappedCheckpoint {
            mapping: Arc::new(mapping),
            manifest,
            ids,
            numbers,
            entries,
            catalog: Arc::new(catalog),
            texts,
            pool: SnapshotPool::default(),
            head,
            lineage,
            verified: Mutex::new(ComponentMask::NONE),
        })
    }
}

impl MappedCheckpoint {
    /// A view of the columns of a mask. Those that no view has had before are verified: the hashes of their blocks,
    /// their values, and where handles, links or lists are among them, that they are sound.
    ///
    /// Costs an entry for each chunk, and the first time all bytes of the columns.
    ///
    /// # Errors
    ///
    /// When blocks are damaged, or are of no world. Other columns can be read.
    pub fn view(&self, mask: ComponentMask) -> Result<View, CheckpointError> {
        let registry = &self.catalog.registry;
        let mask = registry.with_toggles(&mask);
        let closed = self.closed(&mask);
        {
            // The mask is whole after every statement.
            let mut verified = self.verified.lock().unwrap_or_else(PoisonError::into_inner);
            let new = closed.intersection(&registry.ids()).difference(&verified);
            if !new.is_empty() {
                let cell = self.cell(closed);
                self.verify_columns(&cell, &new)?;
                *verified = verified.union(&new);
                if closed == mask {
                    return Ok(View::new(cell.share()));
                }
            }
        }
        Ok(View::new(self.cell(mask).share()))
    }

    /// A view of everything, all of which is verified now.
    ///
    /// # Errors
    ///
    /// As [`MappedCheckpoint::view`].
    pub fn verify(&self) -> Result<View, CheckpointError> {
        self.view(ComponentMask::ALL)
    }

    /// A view of everything, of which nothing is verified, and nothing read: for files that this program has just
    /// written itself.
    ///
    /// # Safety
    ///
    /// The checkpoint is as a [`Checkpoint`] wrote it.
    pub unsafe fn view_unverified(&self) -> View {
        View::new(self.cell(ComponentMask::ALL).share())
    }

    /// The types of the components of a bundle, as far as the schema has them. See
    /// [`World::mask_of`](crate::World::mask_of).
    pub fn mask_of<B: Bundle>(&self) -> ComponentMask {
        let mut mask = ComponentMask::NONE;
        B::find(&self.catalog.registry, &mut |id| mask.extend(id));
        self.catalog.registry.with_toggles(&mask)
    }

    /// The tick of the world that was saved.
    pub fn tick(&self) -> u64 {
        self.head.tick
    }

    /// The columns of a mask, and those without which nobody can tell whether they are sound.
    fn closed(&self, mask: &ComponentMask) -> ComponentMask {
        let registry = &self.catalog.registry;
        let mut closed = *mask;
        let links = [
            registry.id_of::<ChildOf>(Kind::Component),
            registry.id_of::<Children>(Kind::Component),
        ];
        if links.into_iter().flatten().any(|link| mask.contains(link)) {
            closed.extend(links.into_iter().flatten().chain([ComponentId::ENTITY]));
        }
        if registry.lists().any(|(list, _)| mask.contains(list)) {
            closed.insert(ComponentId::ENTITY);
        }
        closed
    }

    /// The entries of the blocks of a column.
    fn entries(&self, record: &ColumnRecord) -> &[ChunkEntry] {
        &self.entries[record.blocks.clone()]
    }

    /// A cell with the columns of a mask.
    fn cell(&self, mask: ComponentMask) -> VacantCell<Frozen> {
        let mut cell = self.pool.take().cell;
        let (manifest, registry) = (&self.manifest, &self.catalog.registry);
        let is_whole = mask.is_all();
        let head = FrozenHead { mask, is_whole, ..self.head };
        cell.begin(head, &self.lineage, (&self.catalog, &self.mapping));
        cell.texts.capture(&self.texts);
        let number_of = |id: ComponentId| self.numbers[id.index()];
        for (table, archetype) in self.catalog.archetypes().iter().enumerate() {
            let record = manifest.tables.get(table);
            cell.push_table(record.map_or(0, |record| record.rows));
            if !mask.intersects(archetype.mask()) {
                continue;
            }
            for id in archetype.mask().iter().filter(|&id| mask.contains(id)) {
                let mut columns = record.into_iter().flat_map(|record| &record.columns);
                let column = columns.find(|(of, _)| Some(*of) == number_of(id));
                cell.push_column(column.map_or(&[], |(_, record)| self.entries(record)));
            }
        }
        if let Some(record) = manifest.index.as_ref().filter(|_| mask.contains(ComponentId::ENTITY))
        {
            let info = ComponentInfo::unregistered::<Slot>(registry.shape());
            let slots = (self.entries(record), record.rows);
            cell.push_index((info.size(), info.rows_log2()), slots);
            cell.index_state_mut().clone_from(&manifest.index_state);
        }
        for id in registry.ids_of(Kind::Event).filter(|&id| mask.contains(id)) {
            let record = manifest.logs.iter().find(|log| Some(log.of) == number_of(id));
            let Some(record) = record else {
                cell.push_log(id, (0, Forks::new()), (&[], 0));
                continue;
            };
            let entries = record.column.as_ref().map_or(&[][..], |column| self.entries(column));
            cell.push_log(id, (record.first, record.forks), (entries, record.rows));
        }
        for id in registry.ids_of(Kind::Resource).filter(|&id| mask.contains(id)) {
            let record = manifest.resources.iter().find(|each| Some(each.of) == number_of(id));
            let column = record.and_then(|record| record.column.as_ref());
            let entries = column.map_or(&[][..], |column| self.entries(column));
            let rows = usize::from(record.is_some_and(|record| record.is_set));
            cell.push_resource(id, (entries, rows));
        }
        for (list, shape) in registry.lists().filter(|(list, _)| mask.contains(*list)) {
            for class in 0..shape.classes() {
                let mut known = manifest.classes.iter();
                let known =
                    known.find(|each| Some(each.of) == number_of(list) && each.class == class);
                let entries = known.map_or([&[][..]; 2], |class| {
                    let [elements, owners] = &class.columns;
                    [self.entries(elements), self.entries(owners)]
                });
                let rows = known.map_or(0, |class| class.columns[0].rows);
                let log2s = [
                    ComponentInfo::of_blocks(
                        shape.block_bytes(class),
                        shape.align,
                        registry.shape(),
                    ),
                    ComponentInfo::unregistered::<Entity>(registry.shape()),
                ];
                let starts = entries.map(|entries| cell.push_chunks(entries));
                cell.push_blocks(list, (rows, log2s.map(|info| info.rows_log2()), starts));
            }
        }
        cell.finish(Holds::default(), false, |_| None);
        cell
    }

    /// Finds out whether columns of some types are as they were written, and sound.
    fn verify_columns(&self, frozen: &Frozen, new: &ComponentMask) -> Result<(), CheckpointError> {
        let (manifest, registry) = (&self.manifest, &self.catalog.registry);
        let new_id = |of: usize| Some(self.ids[of]).filter(|&id| new.contains(id));
        for (table, record) in manifest.tables.iter().enumerate() {
            for (of, record) in &record.columns {
                let Some(id) = new_id(*of) else { continue };
                let rows = frozen.column(table, id).unwrap_or(Rows::EMPTY);
                self.verify_rows(&rows, record, Some(id), CheckpointPart::Tables)?;
            }
        }
        for log in &manifest.logs {
            let Some((id, record)) = new_id(log.of).zip(log.column.as_ref()) else { continue };
            let rows = frozen.log(id).map_or(Rows::EMPTY, |(rows, ..)| rows);
            self.verify_rows(&rows, record, Some(id), CheckpointPart::Events)?;
        }
        for resource in &manifest.resources {
            let record = resource.column.as_ref();
            let Some((id, record)) = new_id(resource.of).zip(record) else { continue };
            let rows = frozen.resource(id).unwrap_or(Rows::EMPTY);
            self.verify_rows(&rows, record, Some(id), CheckpointPart::Resources)?;
        }
        for record in &manifest.classes {
            let shape = new_id(record.of).and_then(|id| Some((id, registry.info(id).list()?)));
            let Some((id, shape)) = shape else { continue };
            let blocks = &frozen.heap(id)[record.class];
            let elements = frozen.elements(blocks, shape.block_bytes(record.class));
            self.verify_rows(&elements, &record.columns[0], None, CheckpointPart::Lists)?;
            let owners = frozen.owners(blocks);
            self.verify_rows(&owners, &record.columns[1], None, CheckpointPart::Lists)?;
        }
        let contents = Contents::Snapshot(frozen);
        if new.contains(ComponentId::ENTITY) {
            let slots = frozen.index().unwrap_or(Rows::EMPTY);
            let mut blocks =
                manifest.index.iter().flat_map(|record| record.blocks(&manifest.blocks));
            contents.check_entities(&manifest.index_state, |run| {
                let (rows, block) = blocks.next().expect("each chunk of slots is a block");
                assert_eq!(rows, run, "blocks are as chunks are");
                self.verify_block(slots.bytes(run), block, None, CheckpointPart::Index)
            })?;
        }
        let links = [
            registry.id_of::<ChildOf>(Kind::Component),
            registry.id_of::<Children>(Kind::Component),
        ];
        if links.into_iter().flatten().any(|link| new.contains(link)) {
            contents.check_links()?;
        }
        let mut lists = registry.lists().filter(|(list, _)| new.contains(*list));
        lists.try_for_each(|(list, _)| contents.check_lists(list))
    }

    /// Looks at each block once: its hash, and while it is near whether it is values of a type.
    fn verify_rows(
        &self,
        rows: &Rows<'_>,
        record: &ColumnRecord,
        id: Option<ComponentId>,
        part: CheckpointPart,
    ) -> Result<(), CheckpointError> {
        let mut blocks = record.blocks(&self.manifest.blocks);
        blocks.try_for_each(|(run, block)| self.verify_block(rows.bytes(run), block, id, part))
    }

    fn verify_block(
        &self,
        bytes: &[u8],
        block: &Block,
        id: Option<ComponentId>,
        part: CheckpointPart,
    ) -> Result<(), CheckpointError> {
        let registry = &self.catalog.registry;
        if *block != Block::BLANK && hash_bytes(bytes) != block.hash {
            return Err(CheckpointError::Damaged { part, at: block.at });
        }
        match id.filter(|&id| registry.values(id, bytes).is_none()) {
            Some(id) => Err(CheckpointError::Value { component: registry.info(id).name() }),
            None => Ok(()),
        }
    }
}

/// The entries of all blocks of a file, in their order, which is that of the columns. Each block is where a chunk of
/// its column can be.
fn place_blocks(
    (manifest, ids): (&Manifest, &[ComponentId]),
    mapping: &Mapping,
    registry: &Registry,
    epoch: Epoch,
) -> Result<Vec<ChunkEntry>, CheckpointError> {
    let malformed = || CheckpointError::Malformed { part: CheckpointPart::Manifest };
    let mut entries = Vec::with_capacity(manifest.blocks.len());
    let (chunks, mut blank) = (mapping.file_chunks(), None);
    let mut place = |record: &ColumnRecord, info: &ComponentInfo, rows_log2: u8| {
        assert_eq!(entries.len(), record.blocks.start, "columns have blocks in their order");
        if record.rows > 0 && record.rows_log2 != rows_log2 {
            return Err(malformed());
        }
        let Some((rows, _)) = record.blocks(&manifest.blocks).next() else { return Ok(()) };
        // A chunk with others behind it is a full one, and all are of one class.
        let class = SizeClass::for_bytes(rows.len() * record.size)?;
        for (rows, block) in record.blocks(&manifest.blocks) {
            if *block == Block::BLANK {
                let entry = blank.map_or_else(|| blank_entry(info), Ok)?;
                blank = Some(entry);
                entries.push(entry);
                continue;
            }
            let bytes = rows.len() * record.size;
            let at = usize::try_from(block.at).unwrap_or(usize::MAX);
            let chunk = chunks.get(at, bytes).ok_or_else(malformed)?;
            entries.push(ChunkEntry::new(chunk, class, epoch, epoch));
        }
        Ok(())
    };
    for (of, record) in manifest.tables.iter().flat_map(|table| &table.columns) {
        let info = registry.info(ids[*of]);
        place(record, info, info.rows_log2())?;
    }
    let slots = ComponentInfo::unregistered::<Slot>(registry.shape());
    if let Some(record) = &manifest.index {
        place(record, &slots, slots.rows_log2())?;
    }
    for log in &manifest.logs {
        let info = registry.info(ids[log.of]);
        log.column.iter().try_for_each(|record| place(record, info, info.rows_log2()))?;
    }
    for resource in &manifest.resources {
        // One row, whatever the chunks are.
        let info = registry.info(ids[resource.of]);
        resource.column.iter().try_for_each(|record| place(record, info, 0))?;
    }
    let owners = ComponentInfo::unregistered::<Entity>(registry.shape());
    for class in &manifest.classes {
        let align = registry.info(ids[class.of]).list().map_or(1, |list| list.align);
        let [elements, own] = &class.columns;
        let info = ComponentInfo::of_blocks(elements.size, align, registry.shape());
        place(elements, &info, info.rows_log2())?;
        place(own, &owners, owners.rows_log2())?;
    }
    Ok(entries)
}

/// The entry of a chunk of slots that were never used. It has as many bytes as the first one, which is in the file.
#[cold]
fn blank_entry(info: &ComponentInfo) -> Result<ChunkEntry, CheckpointError> {
    Ok(Column::new(ComponentId::ENTITY, info).blank_entry(Slot::UNUSED)?)
}
