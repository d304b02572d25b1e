//! [`Appender`]: the end of a file, to which a commit is added.

use super::error::CheckpointError;
use super::header::PAGE_BYTES;
use super::joined::Joined;
use super::medium::Medium;

/// Puts bytes behind all that a commit needs.
pub(super) struct Appender<'m, M> {
    pub(super) medium: &'m mut M,
    pub(super) end: u64,
    /// Bytes that were written.
    pub(super) bytes: u64,
}

impl<M: Medium> Appender<'_, M> {
    /// Appends bytes at the next multiple of `align`. Returns where.
    pub(super) fn append(&mut self, bytes: &[u8], align: usize) -> Result<u64, CheckpointError> {
        let at = self.end.next_multiple_of(align as u64);
        self.medium.write_at(at, bytes)?;
        self.end = at + bytes.len() as u64;
        self.bytes += bytes.len() as u64;
        Ok(at)
    }

    /// Appends blocks at the next page.
    pub(super) fn append_joined(&mut self, joined: &mut Joined<'_>) -> Result<(), CheckpointError> {
        let pieces = joined.take();
        if !pieces.is_empty() {
            let bytes: usize = pieces.iter().map(|piece| piece.len()).sum();
            let at = self.end.next_multiple_of(PAGE_BYTES as u64);
            self.medium.write_pieces_at(at, pieces)?;
            self.end = at + bytes as u64;
            self.bytes += bytes as u64;
        }
        Ok(())
    }
}
