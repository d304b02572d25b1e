//! [`Checkpoint`]: writes what a view has that the last commit of the file lacks.
//!
//! Chunks have marks of their last change, so a chunk of the world of the last commit that has as many rows and a mark
//! no newer than that commit is in the file already. All others are appended: the large ones first, each on pages of
//! its own, then the small ones, packed. Nothing is written over that a commit needs.

use std::collections::HashMap;
use std::fmt;
use std::ops::{ControlFlow, Range};
use std::path::Path;
use std::sync::Arc;

use crate::snapshot::View;
use crate::storage::archetype::Catalog;
use crate::storage::encoding::put_number;
use crate::storage::epoch::Epoch;
use crate::storage::frozen::Frozen;
use crate::storage::hash::hash_bytes;
use crate::storage::rows::Rows;
use crate::storage::text::Texts;
use crate::storage::world_id::WorldId;
use crate::trace::span;
use crate::world::index::{EntityIndex, Slot};

use super::appender::Appender;
use super::columns::{Key, for_each_column, is_blank, runs};
use super::describe::{describe, describe_attachments};
use super::error::{CheckpointError, CheckpointPart};
use super::header::{HEADERS_BYTES, Header, Headers, PAGE_BYTES};
use super::joined::Joined;
use super::manifest::{Block, TextBlock};
use super::medium::{DiskFile, Medium};

/// The alignment of all others.
pub(super) const SMALL_ALIGN: usize = 128;
/// Bytes of small blocks that are written at once.
const BUFFER_BYTES: usize = 64 * 1024;

/// The amount that a checkpoint has written.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct CheckpointReport {
    /// The number of the commit in the file, from 1 on.
    pub commit: u64,
    /// Chunks of the view, but for those of slots that were never used.
    pub chunks: u64,
    /// Chunks that were written, as the file lacked them.
    pub chunks_written: u64,
    /// Bytes that were written, but for the header.
    pub bytes_written: u64,
    /// Bytes of the file up to the end of this checkpoint.
    pub file_bytes: u64,
}

/// How far a checkpoint has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct CheckpointProgress {
    /// Chunks of the view.
    pub chunks: u64,
    /// Chunks that are in the file, were written to it, or go there with the next ones.
    pub chunks_done: u64,
    /// Bytes that were written.
    pub bytes_written: u64,
}

/// A file that worlds are saved to, again and again: see the [page of the module](super).
///
/// ```
/// use convoy_engine::checkpoint::Checkpoint;
/// use convoy_engine::{ComponentMask, SnapshotPool, World, WorldConfig};
///
/// let (mut world, pool) = (World::new(), SnapshotPool::default());
/// let ships: Vec<_> = (0..10_000_u32).map(|number| world.spawn((number,))).collect();
/// # let folder = std::env::temp_dir().join(format!("convoy-doc-{}", std::process::id()));
/// # std::fs::create_dir_all(&folder).unwrap();
/// # let path = folder.join("write.cvy");
/// # let _ = std::fs::remove_file(&path);
/// let mut checkpoint = Checkpoint::create(&path).unwrap();
/// let first = checkpoint.write(&world.capture(ComponentMask::ALL, &pool)).unwrap();
///
/// *world.get_mut::<u32>(ships[7]).unwrap() = 70;
/// let view = world.capture(ComponentMask::ALL, &pool);
/// let writer = std::thread::spawn(move || checkpoint.write(&view).map(|report| report.chunks_written));
/// assert_eq!(writer.join().unwrap().unwrap(), 1, "of {}", first.chunks);
///
/// let mut loaded = Checkpoint::read(&path, WorldConfig::default()).unwrap();
/// loaded.register::<u32>().unwrap();
/// assert_eq!(loaded.get::<u32>(ships[7]), Ok(&70));
/// assert_eq!(loaded.state_hash(), world.state_hash());
/// # std::fs::remove_dir_all(&folder).unwrap();
/// ```
pub struct Checkpoint<M = DiskFile> {
    pub(super) medium: M,
    /// That of the last commit.
    pub(super) header: Header,
    pub(super) last: Commit,
    next: Commit,
    manifest: Vec<u8>,
    small: Vec<u8>,
    /// Whether nobody knows any more what the medium holds.
    pub(super) is_broken: bool,
    pub(super) compaction: Option<Compaction<M>>,
}

/// A medium that takes the place of another one, and where blocks of that one are in it.
pub(super) struct Compaction<M> {
    pub(super) medium: M,
    pub(super) end: u64,
    pub(super) copied: HashMap<u64, u64>,
}

/// A commit, as far as the next one needs to know of it. The lists keep their room.
#[derive(Default)]
pub(super) struct Commit {
    /// The world, the epoch that its capture closed, and its catalog.
    of: Option<(WorldId, Epoch, Arc<Catalog>)>,
    /// In ascending order of keys.
    columns: Vec<SavedColumn>,
    pub(super) blocks: Vec<Block>,
    texts: Texts,
    pub(super) text_blocks: Vec<TextBlock>,
    /// Slots that are reserved though their chunks say that they are free, in ascending order: in the file they are
    /// reserved.
    unsettled: Vec<u32>,
}

impl Commit {
    fn clear(&mut self) {
        self.columns.clear();
        self.blocks.clear();
        self.text_blocks.clear();
    }
}

/// A column of a commit.
#[derive(Clone, Copy)]
struct SavedColumn {
    key: Key,
    rows: usize,
    rows_log2: u8,
    /// In a log, the number of the first record.
    first: u64,
    /// Where its blocks begin.
    start: usize,
}

/// A column of the last commit: how many of its blocks are no more, and the epoch after which chunks were written
/// that it does not have.
#[derive(Clone, Copy)]
struct KnownColumn {
    column: SavedColumn,
    gone: usize,
    since: Epoch,
}

/// # Files
impl Checkpoint {
    /// Makes a file to save to, which must not be there yet, and locks it against other writers. It holds no
    /// checkpoint before the first [`Checkpoint::write`] has returned. On Windows nobody else can read a locked file.
    ///
    /// # Errors
    ///
    /// When the file is there, or can't be made or locked.
    pub fn create(path: impl AsRef<Path>) -> Result<Self, CheckpointError> {
        Self::on(DiskFile::create(path.as_ref())?)
    }

    /// Opens a file to go on saving to it, and locks it against other writers. The first checkpoint writes all
    /// chunks: only those of one world are told apart by their marks.
    ///
    /// # Errors
    ///
    /// When the file can't be opened or locked, or is none of this format.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, CheckpointError> {
        Self::on(DiskFile::open(path.as_ref())?)
    }

    /// The path of the file, without links.
    pub fn path(&self) -> &Path {
        self.medium.path()
    }
}

/// # Writing
impl<M: Medium> Checkpoint<M> {
    /// Goes on where the last checkpoint on `medium` has ended; nothing needs to be there yet.
    ///
    /// # Errors
    ///
    /// When there is something else.
    pub fn on(mut medium: M) -> Result<Self, CheckpointError> {
        if cfg!(target_endian = "big") {
            return Err(CheckpointError::BigEndian);
        }
        let Headers { last: header, is_begun, .. } = Headers::read(&medium)?;
        if !is_begun {
            header.write(&mut medium)?;
            medium.sync()?;
        }
        if header.commit > 0 {
            if header.end > medium.len()? {
                let at = header.manifest_at;
                return Err(CheckpointError::Damaged { part: CheckpointPart::Manifest, at });
            }
            // After a flush that failed, the system may show a header that the disk does not have.
            header.write(&mut medium)?;
            medium.sync()?;
        }
        Ok(Self {
            medium,
            header,
            last: Commit::default(),
            next: Commit::default(),
            manifest: Vec::new(),
            small: Vec::new(),
            is_broken: false,
            compaction: None,
        })
    }

    /// Saves a view of everything. Once this has returned, a [`read`](Checkpoint::read) finds it, whatever happens to
    /// the process or the power. Where it is cut off, or its last flush fails, that finds it or the checkpoint
    /// before, and where it fails earlier the one before.
    ///
    /// Runs on any thread. Costs the chunks that were written since the last checkpoint of the same world, the manifest
    /// of 16 bytes a chunk, and two flushes of the disk. Allocates as its lists grow, for texts that are new, and where
    /// handles were reserved through `&World`. The world pays for the capture, and for copies of chunks that it writes
    /// while the view is held.
    ///
    /// # Errors
    ///
    /// When the view lacks a type, or the medium fails. The checkpoints before stay readable. After a write that failed
    /// it can be tried again; after a flush that failed nobody knows what the disk holds, and every later call is
    /// [`CheckpointError::Broken`].
    pub fn write(&mut self, view: &View) -> Result<CheckpointReport, CheckpointError> {
        self.write_attached(view, &[])
    }

    /// [`Checkpoint::write`], with bytes of any kind beside the view, each under a name. They are part of this
    /// checkpoint and of no other, and written whole:
    /// [`CheckpointReader::attachment`](super::CheckpointReader::attachment) has those of the last one.
    ///
    /// ```
    /// # use convoy_engine::checkpoint::{Checkpoint, CheckpointReader};
    /// # use convoy_engine::{ComponentMask, SnapshotPool, World};
    /// # let mut world = World::new();
    /// let view = world.capture(ComponentMask::ALL, &SnapshotPool::default());
    /// let mut checkpoint = Checkpoint::on(Vec::new()).unwrap();
    /// checkpoint.write_attached(&view, &[("camera", &[1, 2, 3])]).unwrap();
    /// let reader = CheckpointReader::new(checkpoint.into_medium()).unwrap();
    /// assert_eq!(reader.attachment("camera"), Some(&[1, 2, 3][..]));
    /// assert_eq!(reader.attachment("host"), None);
    /// ```
    ///
    /// # Errors
    ///
    /// As [`Checkpoint::write`].
    pub fn write_attached(
        &mut self,
        view: &View,
        attachments: &[(&str, &[u8])],
    ) -> Result<CheckpointReport, CheckpointError> {
        self.write_with(view, attachments, |_| ControlFlow::Continue(()))
    }

    /// [`Checkpoint::write_attached`], which tells how far it has come after each block, and ends where it is told to.
    ///
    /// ```
    /// # use std::ops::ControlFlow;
    /// # use convoy_engine::checkpoint::{Checkpoint, CheckpointError};
    /// # use convoy_engine::{ComponentMask, SnapshotPool, World};
    /// # let mut world = World::new();
    /// # (0..10_000_u32).for_each(|number| _ = world.spawn((number,)));
    /// let view = world.capture(ComponentMask::ALL, &SnapshotPool::default());
    /// let mut checkpoint = Checkpoint::on(Vec::new()).unwrap();
    /// let cancelled = checkpoint.write_with(&view, &[], |progress| match progress.chunks_done {
    ///     0..3 => ControlFlow::Continue(()),
    ///     _ => ControlFlow::Break(()),
    /// });
    /// assert!(matches!(cancelled, Err(CheckpointError::Cancelled)));
    /// assert_eq!(checkpoint.write(&view).unwrap().commit, 1);
    /// ```
    ///
    /// # Errors
    ///
    /// As [`Checkpoint::write`], and [`CheckpointError::Cancelled`].
    pub fn write_with(
        &mut self,
        view: &View,
        attachments: &[(&str, &[u8])],
        each: impl FnMut(&CheckpointProgress) -> ControlFlow<()>,
    ) -> Result<CheckpointReport, CheckpointError> {
        if self.is_broken {
            return Err(CheckpointError::Broken);
        }
        if let Some(component) = view.first_missing() {
            return Err(CheckpointError::NotCaptured { component });
        }
        let frozen = view.frozen();
        span!("checkpoint", tick = frozen.head.tick);
        let Self { medium, header, last, next, manifest, small, .. } = self;
        next.clear();
        small.clear();
        let progress =
            CheckpointProgress { chunks: frozen.chunks().len() as u64, ..Default::default() };
        let appender = Appender { medium, end: header.end.max(HEADERS_BYTES), bytes: 0 };
        let joined = Joined::new();
        let mut writing =
            Writing { appender, joined, frozen, last, next, small, each, progress, written: 0 };
        writing.note_unsettled();
        writing.write_columns()?;
        writing.write_texts()?;
        let (mut appender, chunks_written) = (writing.appender, writing.written);
        let chunks = next.blocks.iter().filter(|block| **block != Block::BLANK).count() as u64;
        manifest.clear();
        manifest.extend_from_slice(bytemuck::cast_slice(&next.blocks));
        manifest.extend_from_slice(bytemuck::cast_slice(&next.text_blocks));
        describe(frozen, manifest);
        describe_attachments(attachments, manifest);
        let manifest_at = appender.append(manifest, PAGE_BYTES)?;
        let new = Header {
            commit: header.commit + 1,
            tick: frozen.head.tick,
            manifest_at,
            manifest_bytes: manifest.len() as u64,
            manifest_hash: hash_bytes(manifest),
            blocks: next.blocks.len() as u64,
            texts: next.text_blocks.len() as u64,
            end: appender.end,
        };
        let bytes_written = appender.bytes;
        next.of = Some((frozen.head.world, frozen.head.epoch, Arc::clone(frozen.shared_catalog())));
        next.texts.capture(&frozen.texts);
        self.commit(new)?;
        let file_bytes = new.end;
        Ok(CheckpointReport {
            commit: new.commit,
            chunks,
            chunks_written,
            bytes_written,
            file_bytes,
        })
    }

    /// Makes what was written the last commit.
    fn commit(&mut self, header: Header) -> Result<(), CheckpointError> {
        self.is_broken = true;
        self.medium.sync()?;
        header.write(&mut self.medium)?;
        self.medium.sync()?;
        self.is_broken = false;
        self.header = header;
        std::mem::swap(&mut self.last, &mut self.next);
        Ok(())
    }

    /// How many checkpoints were completed on the medium.
    pub fn commits(&self) -> u64 {
        self.header.commit
    }

    /// The medium.
    pub fn into_medium(self) -> M {
        self.medium
    }
}

impl<M> fmt::Debug for Checkpoint<M> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Checkpoint")
            .field("commits", &self.header.commit)
            .field("file_bytes", &self.header.end)
            .field("is_broken", &self.is_broken)
            .finish_non_exhaustive()
    }
}

/// A checkpoint under way, before its manifest.
struct Writing<'a, 'm, M, E> {
    appender: Appender<'m, M>,
    /// Large blocks that are not written yet.
    joined: Joined<'a>,
    frozen: &'a Frozen,
    last: &'a Commit,
    next: &'a mut Commit,
    /// Small blocks that are not written yet.
    small: &'a mut Vec<u8>,
    each: E,
    progress: CheckpointProgress,
    /// Chunks that were written.
    written: u64,
}

/// A block that is written once the large ones are.
const PENDING: Block = Block { at: u64::MAX, hash: 0 };

impl<'a, M: Medium, E: FnMut(&CheckpointProgress) -> ControlFlow<()>> Writing<'a, '_, M, E> {
    fn note_unsettled(&mut self) {
        let slots = self.frozen.index().unwrap_or(Rows::EMPTY);
        self.next.unsettled = EntityIndex::unsettled(&slots, &self.frozen.index_state().head);
    }

    /// Whether slots of a chunk of the index are others in the file, in this commit or in the last one.
    fn is_unsettled(&self, run: &Range<usize>) -> bool {
        [&self.last.unsettled, &self.next.unsettled].into_iter().any(|unsettled| {
            let first = unsettled.partition_point(|&index| (index as usize) < run.start);
            unsettled.get(first).is_some_and(|&index| (index as usize) < run.end)
        })
    }

    /// The slots of a chunk as they are in the file.
    fn settled(&self, rows: &Rows<'_>, run: &Range<usize>) -> Vec<Slot> {
        let mut slots = rows.run::<Slot>(run.clone()).to_vec();
        for (index, slot) in run.clone().zip(&mut slots) {
            if self.next.unsettled.binary_search(&(index as u32)).is_ok() {
                *slot = slot.settled();
            }
        }
        slots
    }

    fn write_columns(&mut self) -> Result<(), CheckpointError> {
        let frozen = self.frozen;
        for_each_column(frozen, |key, rows, first| {
            let known = self.known(key, &rows, first);
            self.write_column(key, &rows, first, known)
        })?;
        self.appender.append_joined(&mut self.joined)?;
        let mut number = 0;
        for_each_column(frozen, |_, rows, _| {
            number += 1;
            self.write_small(number - 1, &rows)
        })?;
        self.flush()
    }

    /// Where the last commit has the column, if it is of the same world and no newer.
    fn known(&self, key: Key, rows: &Rows<'_>, first: u64) -> Option<KnownColumn> {
        let (world, since, catalog) = self.last.of.as_ref()?;
        let (head, own) = (&self.frozen.head, self.frozen.catalog());
        if *world != head.world || *since > head.epoch {
            return None;
        }
        if let Key::Table(table, _) = key {
            let mask = |catalog: &Catalog| {
                catalog.archetypes().get(table).map(|archetype| *archetype.mask())
            };
            let is_same = std::ptr::eq(&**catalog, own) || mask(catalog) == mask(own);
            is_same.then_some(())?;
        }
        let found = self.last.columns.binary_search_by_key(&key, |column| column.key).ok()?;
        let column = self.last.columns[found];
        // Logs lose whole chunks at the front.
        let gone = usize::try_from(first.checked_sub(column.first)?).ok()?;
        let is_aligned = gone & ((1 << column.rows_log2) - 1) == 0;
        let is_same = is_aligned && column.rows_log2 == rows.rows_log2();
        let gone = gone >> column.rows_log2;
        is_same.then_some(KnownColumn { column, gone, since: *since })
    }

    /// Writes the large blocks of a column, and notes where the last commit has others.
    fn write_column(
        &mut self,
        key: Key,
        rows: &Rows<'a>,
        first: u64,
        known: Option<KnownColumn>,
    ) -> Result<(), CheckpointError> {
        let (start, rows_log2) = (self.next.blocks.len(), rows.rows_log2());
        self.next.columns.push(SavedColumn { key, rows: rows.len(), rows_log2, first, start });
        for (number, run) in runs(rows).enumerate() {
            let is_unsettled = key == Key::Index && self.is_unsettled(&run);
            let kept = known.filter(|_| !is_unsettled);
            let kept = kept.and_then(|known| self.kept(known, number, rows, &run));
            let block = match kept {
                Some(block) => block,
                None if is_unsettled => {
                    let slots = self.settled(rows, &run);
                    let bytes = bytemuck::cast_slice::<Slot, u8>(&slots);
                    self.appender.append_joined(&mut self.joined)?;
                    let at = self.appender.append(bytes, PAGE_BYTES)?;
                    self.written += 1;
                    Block { at, hash: hash_bytes(bytes) }
                }
                None if key == Key::Index && is_blank(rows, &run) => Block::BLANK,
                None if run.len() * rows.size() < PAGE_BYTES => PENDING,
                None => {
                    let bytes = rows.bytes(run);
                    let hash = hash_bytes(bytes);
                    let at = self.join(bytes)?;
                    self.written += 1;
                    Block { at, hash }
                }
            };
            self.next.blocks.push(block);
            if block != PENDING {
                self.note_done()?;
            }
        }
        Ok(())
    }

    /// Appends a large block, together with its neighbours. Returns where.
    fn join(&mut self, bytes: &'a [u8]) -> Result<u64, CheckpointError> {
        if !self.joined.has_room() {
            self.appender.append_joined(&mut self.joined)?;
        }
        let first = self.appender.end.next_multiple_of(PAGE_BYTES as u64);
        Ok(first + self.joined.add(bytes) as u64)
    }

    /// The block of the last commit that has the rows of a chunk, if nothing was written since.
    fn kept(
        &self,
        KnownColumn { column, gone, since }: KnownColumn,
        number: usize,
        rows: &Rows<'_>,
        run: &Range<usize>,
    ) -> Option<Block> {
        let number = number + gone;
        let then = column.rows.checked_sub(number << column.rows_log2)?.min(1 << column.rows_log2);
        let is_kept = then == run.len() && rows.written(run.start) <= since;
        is_kept.then(|| self.last.blocks[column.start + number])
    }

    /// Writes the small blocks of a column.
    fn write_small(&mut self, number: usize, rows: &Rows<'_>) -> Result<(), CheckpointError> {
        let start = self.next.columns[number].start;
        for (block, run) in runs(rows).enumerate() {
            if self.next.blocks[start + block] != PENDING {
                continue;
            }
            let bytes = rows.bytes(run);
            if self.small.len() + bytes.len() > BUFFER_BYTES {
                self.flush()?;
            }
            // The buffer is appended on a page.
            let at =
                self.appender.end.next_multiple_of(PAGE_BYTES as u64) + self.small.len() as u64;
            self.next.blocks[start + block] = Block { at, hash: hash_bytes(bytes) };
            self.small.extend_from_slice(bytes);
            let padded = self.small.len().next_multiple_of(SMALL_ALIGN);
            self.small.resize(padded, 0);
            self.written += 1;
            self.note_done()?;
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), CheckpointError> {
        if !self.small.is_empty() {
            self.appender.append(self.small, PAGE_BYTES)?;
            self.small.clear();
        }
        Ok(())
    }

    fn note_done(&mut self) -> Result<(), CheckpointError> {
        self.progress.chunks_done += 1;
        self.progress.bytes_written = self.appender.bytes;
        match (self.each)(&self.progress) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => Err(CheckpointError::Cancelled),
        }
    }

    /// Writes the texts that the last commit lacks; all of them where it has some that are no more.
    fn write_texts(&mut self) -> Result<(), CheckpointError> {
        let (texts, mut contents) = (&self.frozen.texts, Vec::new());
        texts.list_new(Some(&self.last.texts), &mut contents);
        let kept = self.last.texts.statistics().texts;
        let are_kept =
            !self.last.text_blocks.is_empty() && texts.statistics().texts == kept + contents.len();
        if are_kept {
            self.next.text_blocks.extend_from_slice(&self.last.text_blocks);
        } else {
            texts.list_new(None, &mut contents);
        }
        if contents.is_empty() {
            return Ok(());
        }
        self.small.clear();
        for content in contents {
            put_number(self.small, content.len() as u64);
            self.small.extend_from_slice(content.as_bytes());
        }
        let (bytes, hash) = (self.small.len() as u64, hash_bytes(self.small));
        let at = self.appender.append(self.small, PAGE_BYTES)?;
        self.small.clear();
        self.next.text_blocks.push(TextBlock { at, bytes, hash });
        Ok(())
    }
}
