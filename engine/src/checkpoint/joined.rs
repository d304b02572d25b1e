//! [`Joined`]: blocks that are neighbours in the file, and are written in one call.
//!
//! A call of the system for each block costs more than its bytes do, and leaves them in the page cache in pieces that
//! are no larger, which readers and mappings of the file pay for again. Blocks wait here after they were hashed, so
//! there are no more of them than stay near.

use std::io::IoSlice;

use super::header::PAGE_BYTES;

/// Blocks and the padding between them: no more than the system takes in one call.
const PIECES_MAX: usize = 128;
/// Bytes after which no more are added, so that they are still in a cache when they are written.
const BYTES_MAX: usize = 1 << 20;

static PADDING: [u8; PAGE_BYTES] = [0; PAGE_BYTES];

/// Blocks, each on pages of its own, that begin where the first page does.
pub(super) struct Joined<'a> {
    pieces: [IoSlice<'a>; PIECES_MAX],
    count: usize,
    bytes: usize,
}

impl<'a> Joined<'a> {
    pub(super) fn new() -> Self {
        Self { pieces: [IoSlice::new(&[]); PIECES_MAX], count: 0, bytes: 0 }
    }

    /// Whether a block is added that has others before it.
    pub(super) fn has_room(&self) -> bool {
        self.count + 2 <= PIECES_MAX && self.bytes < BYTES_MAX
    }

    /// Adds a block. Returns where it begins after the first one.
    pub(super) fn add(&mut self, block: &'a [u8]) -> usize {
        let start = self.bytes.next_multiple_of(PAGE_BYTES);
        self.push(&PADDING[..start - self.bytes]);
        self.push(block);
        start
    }

    fn push(&mut self, piece: &'a [u8]) {
        if !piece.is_empty() {
            self.pieces[self.count] = IoSlice::new(piece);
            self.count += 1;
            self.bytes += piece.len();
        }
    }

    /// The blocks, which are none of these any more.
    pub(super) fn take(&mut self) -> &mut [IoSlice<'a>] {
        self.bytes = 0;
        &mut self.pieces[..std::mem::take(&mut self.count)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_begin_on_pages_and_have_zeros_between_them() {
        let blocks = [vec![1; PAGE_BYTES + 5], vec![2; 2 * PAGE_BYTES], vec![3; PAGE_BYTES]];
        let mut joined = Joined::new();
        let starts = blocks.each_ref().map(|block| joined.add(block));
        assert_eq!(starts, [0, 2, 4].map(|page| page * PAGE_BYTES));
        let bytes: Vec<u8> = joined.take().iter().flat_map(|piece| piece.iter().copied()).collect();
        for (start, block) in starts.into_iter().zip(&blocks) {
            assert_eq!(&bytes[start..start + block.len()], block);
        }
        assert!(bytes[PAGE_BYTES + 5..2 * PAGE_BYTES].iter().all(|&byte| byte == 0));
        assert!(joined.take().is_empty());
        assert_eq!(joined.add(&blocks[0]), 0);
    }

    #[test]
    fn there_is_room_until_the_pieces_or_the_bytes_are_many() {
        for (block, expected) in [(vec![1; 300_001], 4), (vec![1; 4_097], PIECES_MAX / 2)] {
            let (mut joined, mut blocks) = (Joined::new(), 0);
            while joined.has_room() {
                joined.add(&block);
                blocks += 1;
            }
            assert_eq!(blocks, expected);
        }
    }
}
