//! Compaction: what the last commit needs, in a new file that takes the place of the old one.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::storage::hash::hash_bytes;

use super::appender::Appender;
use super::error::{CheckpointError, CheckpointPart};
use super::header::{HEADERS_BYTES, Header, PAGE_BYTES};
use super::manifest::{Block, Place, TextBlock, grow, read_manifest};
use super::medium::{Medium, Replaceable};
use super::write::{Checkpoint, Compaction, SMALL_ALIGN};

/// How far a compaction of a file has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct CompactionReport {
    /// Blocks that this call copied.
    pub blocks: u64,
    /// Bytes that this call copied.
    pub bytes: u64,
    /// Blocks of the last checkpoint that are still to be copied.
    pub blocks_left: u64,
    /// Whether the new file has taken the place of the old one.
    pub complete: bool,
    /// Bytes of the file.
    pub file_bytes: u64,
}

/// # Compaction
impl<M: Replaceable> Checkpoint<M> {
    /// Copies what the last checkpoint needs to a new file, which takes the place of this one once it has all: every
    /// checkpoint leaves the chunks behind that it replaces, and this is how their room comes back.
    ///
    /// Copies one block at the least, and stops when the budget is spent; the next call goes on from there.
    /// Checkpoints may be written in between. Each call reads the manifest, and the last one flushes the new file. A
    /// crash leaves the old file or the new one, and maybe an unfinished one beside it, which the next compaction
    /// replaces.
    ///
    /// ```
    /// use std::time::Duration;
    /// use convoy_engine::checkpoint::Checkpoint;
    /// use convoy_engine::{ComponentMask, SnapshotPool, World};
    ///
    /// let (mut world, pool) = (World::new(), SnapshotPool::default());
    /// world.spawn_batch((0..10_000_u32).map(|number| (number,)));
    /// let mut checkpoint = Checkpoint::on(Vec::new()).unwrap();
    /// for _ in 0..10 {
    ///     world.query_mut::<&mut u32>().for_each(|number| *number += 1);
    ///     checkpoint.write(&world.capture(ComponentMask::ALL, &pool)).unwrap();
    /// }
    /// let report = checkpoint.compact(Duration::MAX).unwrap();
    /// assert!(report.complete && report.file_bytes < 1 << 20);
    /// ```
    ///
    /// # Errors
    ///
    /// When a block is damaged, or a file can't be made, read or written. The compaction begins anew next time. After a
    /// failure to change places nobody knows which file a crash would leave, and every later call is
    /// [`CheckpointError::Broken`].
    pub fn compact(&mut self, budget: Duration) -> Result<CompactionReport, CheckpointError> {
        if self.is_broken {
            return Err(CheckpointError::Broken);
        }
        let began = Instant::now();
        let mut report = CompactionReport { file_bytes: self.header.end, ..Default::default() };
        if self.header.commit == 0 {
            return Err(CheckpointError::Empty);
        }
        let mut compaction = match self.compaction.take() {
            Some(compaction) => compaction,
            None => Compaction {
                medium: self.medium.sibling()?,
                end: HEADERS_BYTES,
                copied: HashMap::new(),
            },
        };
        let manifest = read_manifest(&self.medium, &self.header)?;
        let places = manifest.places();
        let left = places.iter().filter(|place| !compaction.copied.contains_key(&place.at));
        report.blocks_left = left.clone().count() as u64;
        let mut bytes = Vec::new();
        for place in left.collect::<Vec<_>>() {
            compaction.copy(&self.medium, place, &mut bytes)?;
            report.blocks += 1;
            report.bytes += place.bytes;
            report.blocks_left -= 1;
            if began.elapsed() >= budget && report.blocks_left > 0 {
                self.compaction = Some(compaction);
                return Ok(report);
            }
        }
        let header = self.finish(compaction)?;
        report.complete = true;
        report.file_bytes = header.end;
        Ok(report)
    }

    /// Lets a file that has all blocks take the place of this one.
    fn finish(&mut self, compaction: Compaction<M>) -> Result<Header, CheckpointError> {
        let Compaction { mut medium, end, copied } = compaction;
        let mut manifest = Vec::new();
        grow(&mut manifest, self.header.manifest_bytes)?;
        let at = self.header.manifest_at;
        self.medium.read_at(at, &mut manifest)?;
        if hash_bytes(&manifest) != self.header.manifest_hash {
            return Err(CheckpointError::Damaged { part: CheckpointPart::Manifest, at });
        }
        let (blocks, texts) = (self.header.blocks as usize, self.header.texts as usize);
        let moved = |at: u64| copied.get(&at).copied().unwrap_or(at);
        let (list, rest) = manifest.split_at_mut(blocks * size_of::<Block>());
        let list = list.chunks_exact_mut(size_of::<Block>());
        let texts = rest[..texts * size_of::<TextBlock>()].chunks_exact_mut(size_of::<TextBlock>());
        for entry in list.chain(texts) {
            // Both begin with the place.
            let at = moved(bytemuck::pod_read_unaligned(&entry[..8]));
            entry[..8].copy_from_slice(&at.to_le_bytes());
        }
        let mut appender = Appender { medium: &mut medium, end, bytes: 0 };
        let manifest_at = appender.append(&manifest, PAGE_BYTES)?;
        let manifest_hash = hash_bytes(&manifest);
        let header = Header { manifest_at, manifest_hash, end: appender.end, ..self.header };
        medium.sync()?;
        header.write(&mut medium)?;
        header.before().write(&mut medium)?;
        medium.sync()?;
        let taken = medium.take_place_of(&self.medium);
        // Where it was found to be elsewhere nothing has happened.
        self.is_broken = !matches!(taken, Ok(()) | Err(CheckpointError::Moved));
        taken?;
        (self.medium, self.header) = (medium, header);
        self.last.blocks.iter_mut().for_each(|block| block.at = moved(block.at));
        self.last.text_blocks.iter_mut().for_each(|block| block.at = moved(block.at));
        Ok(header)
    }
}

impl<M: Medium> Compaction<M> {
    /// Copies bytes that are not damaged, by way of a list.
    fn copy(
        &mut self,
        from: &M,
        place: &Place,
        bytes: &mut Vec<u8>,
    ) -> Result<(), CheckpointError> {
        grow(bytes, place.bytes)?;
        from.read_at(place.at, bytes)?;
        if hash_bytes(bytes) != place.hash {
            let part = CheckpointPart::Block;
            return Err(CheckpointError::Damaged { part, at: place.at });
        }
        let align = if bytes.len() < PAGE_BYTES { SMALL_ALIGN } else { PAGE_BYTES };
        let mut appender = Appender { medium: &mut self.medium, end: self.end, bytes: 0 };
        let at = appender.append(bytes, align)?;
        self.end = appender.end;
        self.copied.insert(place.at, at);
        Ok(())
    }
}
