//! [`CheckpointReader`]: opens a file, finds its last checkpoint, and makes a world of it.

use std::fmt;
use std::path::Path;

use crate::trace::span;
use crate::world::{World, WorldConfig};

use super::error::CheckpointError;
use super::header::{Header, Headers};
use super::load::load;
use super::manifest::{Manifest, read_manifest};
use super::medium::{DiskFile, Medium};
use super::mend::mend;
use super::plan::ReadPlan;
use super::report::ReadReport;
use super::write::Checkpoint;

/// A file with the last checkpoint in it, whose manifest was read and found sound.
///
/// ```
/// use convoy_engine::checkpoint::{Checkpoint, CheckpointReader};
/// use convoy_engine::{ComponentMask, SnapshotPool, World, WorldConfig};
///
/// let mut world = World::new();
/// world.spawn((1_u32,));
/// let mut checkpoint = Checkpoint::on(Vec::new()).unwrap();
/// checkpoint.write(&world.capture(ComponentMask::ALL, &SnapshotPool::default())).unwrap();
///
/// let reader = CheckpointReader::new(checkpoint.into_medium()).unwrap();
/// assert_eq!((reader.commit(), reader.tick(), reader.damaged_headers()), (1, 0, 0));
/// assert_eq!(reader.read(WorldConfig::default()).unwrap().entity_count(), 1);
/// ```
pub struct CheckpointReader<M = DiskFile> {
    pub(super) medium: M,
    pub(super) header: Header,
    damaged: u32,
    pub(super) manifest: Manifest,
}

impl<M> fmt::Debug for CheckpointReader<M> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("CheckpointReader")
            .field("commit", &self.header.commit)
            .field("tick", &self.header.tick)
            .field("damaged_headers", &self.damaged)
            .finish_non_exhaustive()
    }
}

impl CheckpointReader {
    /// Opens a file. A writer may go on in it: what is read stays as it is.
    ///
    /// # Errors
    ///
    /// When the file can't be read, is no checkpoint or has none yet, or its manifest is damaged or malformed.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, CheckpointError> {
        Self::new(DiskFile::open_to_read(path.as_ref())?)
    }
}

impl<M: Medium> CheckpointReader<M> {
    /// Finds the last checkpoint on a medium.
    ///
    /// # Errors
    ///
    /// As [`CheckpointReader::open`].
    pub fn new(medium: M) -> Result<Self, CheckpointError> {
        if cfg!(target_endian = "big") {
            return Err(CheckpointError::BigEndian);
        }
        let Headers { last: header, damaged, .. } = Headers::read(&medium)?;
        if header.commit == 0 {
            return Err(CheckpointError::Empty);
        }
        let mut manifest = read_manifest(&medium, &header)?;
        manifest.renew_forks()?;
        Ok(Self { medium, header, damaged, manifest })
    }

    /// The number of the checkpoint: how many were completed in the file.
    pub fn commit(&self) -> u64 {
        self.header.commit
    }

    /// The tick of the world that was saved.
    pub fn tick(&self) -> u64 {
        self.header.tick
    }

    /// The bytes that go with the checkpoint under a name; of several, the first.
    pub fn attachment(&self, name: &str) -> Option<&[u8]> {
        self.attachments().find(|(each, _)| *each == name).map(|(_, bytes)| bytes)
    }

    /// The names and bytes of all that goes with the checkpoint.
    pub fn attachments(&self) -> impl ExactSizeIterator<Item = (&str, &[u8])> {
        self.manifest.attachments.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice()))
    }

    /// How many of the four copies of headers are not whole. A crash while a header was written leaves up to two, and
    /// this is the checkpoint that was under way or the one before. Without a crash it is damage: one of a header
    /// leaves its other copy, and where both are gone this may be an older checkpoint than the last.
    pub fn damaged_headers(&self) -> u32 {
        self.damaged
    }

    /// Makes a world of the checkpoint. It knows the types of the configuration's schema, and those of the file, by
    /// their names: components that the schema lacks by their bytes alone, until a type of that name and shape is
    /// registered.
    ///
    /// Reads all bytes once, and checks all of them before anybody sees the world: hashes, values of types, rows and
    /// slots, links, lists, and which handles come next. Its chunks may be of other sizes than those of the saved
    /// world.
    ///
    /// # Errors
    ///
    /// When bytes can't be read, are damaged or are of no world, when the file has another version or shape of a type
    /// than the schema, or an event, resource, list or tag that the schema lacks, and when memory runs out.
    pub fn read(&self, config: WorldConfig) -> Result<World, CheckpointError> {
        self.read_with(config, &ReadPlan::new()).map(|(world, _)| world)
    }

    /// [`CheckpointReader::read`] by a plan for types that are not those of the configuration's schema: some are
    /// renamed, migrated or dropped. The report has every decision. [`ReadPlan`] has an example.
    ///
    /// The migrations of the plan are called with values that were checked, in no particular order. Memory is in
    /// proportion to the file, and to the new values of migrated ones.
    ///
    /// # Errors
    ///
    /// As [`CheckpointReader::read`], and when [the plan is for no file](super::PlanError), drops one link of the
    /// hierarchy without the other, or has a migration that takes other bytes than the file has or makes no value.
    pub fn read_with(
        &self,
        config: WorldConfig,
        plan: &ReadPlan,
    ) -> Result<(World, ReadReport), CheckpointError> {
        span!("read checkpoint", tick = self.header.tick);
        load(&self.medium, &self.manifest, self.header.tick, (config, plan))
    }
}

/// # Reading
impl Checkpoint {
    /// Makes a world of the last checkpoint in a file: [`CheckpointReader::open`] and [`CheckpointReader::read`].
    ///
    /// # Errors
    ///
    /// As those.
    pub fn read(path: impl AsRef<Path>, config: WorldConfig) -> Result<World, CheckpointError> {
        CheckpointReader::open(path)?.read(config)
    }

    /// Makes a world of the last checkpoint in a file, by a plan for its types: [`CheckpointReader::open`] and
    /// [`CheckpointReader::read_with`].
    ///
    /// # Errors
    ///
    /// As those.
    pub fn read_with(
        path: impl AsRef<Path>,
        config: WorldConfig,
        plan: &ReadPlan,
    ) -> Result<(World, ReadReport), CheckpointError> {
        CheckpointReader::open(path)?.read_with(config, plan)
    }
}

impl<M: Medium> Checkpoint<M> {
    /// Makes a world of the last checkpoint on a medium.
    ///
    /// # Errors
    ///
    /// As [`CheckpointReader::new`] and [`CheckpointReader::read`].
    pub fn read_from(medium: &M, config: WorldConfig) -> Result<World, CheckpointError> {
        CheckpointReader::new(Borrowed(medium))?.read(config)
    }
}

impl Checkpoint<Vec<u8>> {
    /// Puts hashes in changed bytes right, as far as they can be taken apart, so that they get to the checks behind.
    /// For tests and fuzzers: whatever the bytes are, reading them is an error or leads to a sound world.
    #[doc(hidden)]
    pub fn mend(bytes: &mut [u8]) {
        mend(bytes);
    }
}

/// A medium that is read where it is.
struct Borrowed<'m, M>(&'m M);

impl<M: Medium> Medium for Borrowed<'_, M> {
    fn len(&self) -> std::io::Result<u64> {
        self.0.len()
    }

    fn read_at(&self, at: u64, buffer: &mut [u8]) -> std::io::Result<()> {
        self.0.read_at(at, buffer)
    }

    fn write_at(&mut self, _: u64, _: &[u8]) -> std::io::Result<()> {
        Err(std::io::ErrorKind::PermissionDenied.into())
    }

    fn sync(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
