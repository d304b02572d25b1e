//! The two headers of a file, which take turns: a commit writes the one that is older.

use crate::storage::hash::hash_bytes;

use super::error::{CheckpointError, CheckpointPart};
use super::medium::Medium;

/// The first bytes of every header.
const MAGIC: [u8; 8] = *b"cvycheck";
/// The version of the format.
const VERSION: u32 = 1;
/// The number of the hash: rapidhash, version 3.
const HASH: u32 = 1;
/// Bytes of one copy of a header, its hash among them.
const COPY_BYTES: usize = 2048;
/// Where the hash of a copy stands, which is of all before it.
const HASH_AT: usize = COPY_BYTES - 8;
/// Bytes of a slot: a header, twice.
const SLOT_BYTES: usize = 2 * COPY_BYTES;
/// Bytes of an entry of the list of blocks, and of that of texts.
pub(super) const BLOCK_BYTES: u64 = 16;
pub(super) const TEXT_BYTES: u64 = 24;
/// Bytes of a page: blocks of as many begin on one.
pub(super) const PAGE_BYTES: usize = 4096;
/// Where blocks begin.
pub(super) const HEADERS_BYTES: u64 = 2 * SLOT_BYTES as u64;

/// Where a commit is, and how many blocks it is of.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Header {
    /// One for the first commit of a file; zero where there is none.
    pub(super) commit: u64,
    pub(super) tick: u64,
    pub(super) manifest_at: u64,
    pub(super) manifest_bytes: u64,
    pub(super) manifest_hash: u64,
    /// How many entries the lists of blocks and of texts have, with which the manifest begins.
    pub(super) blocks: u64,
    pub(super) texts: u64,
    /// The end of all bytes that the commit needs.
    pub(super) end: u64,
}

impl Header {
    /// The header of the other slot in a new file: of the commit before, if there was one, which is this one there.
    pub(super) fn before(self) -> Self {
        match self.commit - 1 {
            0 => Self::default(),
            commit => Self { commit, ..self },
        }
    }

    /// Writes the header to its slot. It is the file's once that is synced.
    pub(super) fn write(&self, medium: &mut impl Medium) -> Result<(), CheckpointError> {
        let mut copy = [0; COPY_BYTES];
        copy[..8].copy_from_slice(&MAGIC);
        copy[8..12].copy_from_slice(&VERSION.to_le_bytes());
        copy[12..16].copy_from_slice(&HASH.to_le_bytes());
        for (place, word) in copy[16..].chunks_exact_mut(8).zip(self.to_words()) {
            place.copy_from_slice(&word.to_le_bytes());
        }
        let hash = hash_bytes(&copy[..HASH_AT]);
        copy[HASH_AT..].copy_from_slice(&hash.to_le_bytes());
        let mut slot = [0; SLOT_BYTES];
        slot.chunks_exact_mut(COPY_BYTES).for_each(|place| place.copy_from_slice(&copy));
        Ok(medium.write_at(self.commit % 2 * SLOT_BYTES as u64, &slot)?)
    }

    fn to_words(self) -> [u64; 8] {
        let Self { commit, tick, manifest_at, manifest_bytes, manifest_hash, blocks, texts, end } =
            self;
        [commit, tick, manifest_at, manifest_bytes, manifest_hash, blocks, texts, end]
    }

    /// The header of a copy, if it is one and was not damaged.
    fn of_copy(copy: &[u8]) -> Result<Self, CheckpointError> {
        let damaged = CheckpointError::Damaged { part: CheckpointPart::Header, at: 0 };
        if copy[..8] != MAGIC {
            return Err(CheckpointError::NotCheckpoint);
        }
        let word = |at: usize| u64::from_le_bytes(copy[at..at + 8].try_into().expect("8 bytes"));
        if word(HASH_AT) != hash_bytes(&copy[..HASH_AT]) {
            return Err(damaged);
        }
        let version = u32::from_le_bytes(copy[8..12].try_into().expect("4 bytes"));
        if version != VERSION {
            return Err(CheckpointError::Version { found: version });
        }
        let [commit, tick, manifest_at, manifest_bytes, manifest_hash, blocks, texts, end] =
            [0, 1, 2, 3, 4, 5, 6, 7].map(|number| word(16 + 8 * number));
        let header =
            Self { commit, tick, manifest_at, manifest_bytes, manifest_hash, blocks, texts, end };
        let listed = [(blocks, BLOCK_BYTES), (texts, TEXT_BYTES)];
        if header == Self::default() {
            return Ok(header);
        }
        let listed = listed.map(|(count, bytes)| count.saturating_mul(bytes));
        let is_sound = copy[12..16] == HASH.to_le_bytes()
            && commit > 0
            && commit.max(tick) < u64::MAX / 2
            && i64::try_from(end).is_ok()
            && manifest_at >= HEADERS_BYTES
            && manifest_at.is_multiple_of(8)
            && manifest_at.checked_add(manifest_bytes).is_some_and(|manifest| manifest <= end)
            && listed[0].saturating_add(listed[1]) <= manifest_bytes;
        is_sound
            .then_some(header)
            .ok_or(CheckpointError::Malformed { part: CheckpointPart::Header })
    }
}

/// Puts the hashes of all copies of headers right, after `change` has had the words of each that begins as one.
pub(super) fn mend_headers(bytes: &mut [u8], mut change: impl FnMut(&mut [u8], Header) -> u64) {
    for number in 0..4 {
        let at = number * COPY_BYTES;
        let Some(copy) = bytes.get_mut(at..at + COPY_BYTES) else { return };
        if copy[..8] != MAGIC {
            continue;
        }
        let hash = hash_bytes(&copy[..HASH_AT]);
        copy[HASH_AT..].copy_from_slice(&hash.to_le_bytes());
        let Some(header) = Header::of_copy(copy).ok().filter(|header| header.commit > 0) else {
            continue;
        };
        let manifest_hash = change(bytes, header);
        let copy = &mut bytes[at..at + COPY_BYTES];
        // After the commit, the tick, and the place and length of the manifest.
        copy[48..56].copy_from_slice(&manifest_hash.to_le_bytes());
        let hash = hash_bytes(&copy[..HASH_AT]);
        copy[HASH_AT..].copy_from_slice(&hash.to_le_bytes());
    }
}

/// The headers of a file.
pub(super) struct Headers {
    /// That of the last commit; one of no commit where there is none.
    pub(super) last: Header,
    /// Copies that are no header.
    pub(super) damaged: u32,
    /// Whether there is a header, if only of no commit.
    pub(super) is_begun: bool,
}

impl Headers {
    /// Reads the headers, and finds the one of the last commit.
    pub(super) fn read(medium: &impl Medium) -> Result<Self, CheckpointError> {
        let mut bytes = [0; 2 * SLOT_BYTES];
        let held = medium.len()?.min(HEADERS_BYTES) as usize;
        medium.read_at(0, &mut bytes[..held])?;
        let mut headers = Self { last: Header::default(), damaged: 0, is_begun: false };
        let (mut first_error, mut unwritten) = (None, 0);
        for (number, copy) in (0..).zip(bytes.chunks_exact(COPY_BYTES)) {
            if copy.iter().all(|&byte| byte == 0) {
                unwritten += 1;
                continue;
            }
            let header = Header::of_copy(copy).and_then(|header| {
                let is_here = header.commit % 2 == number / 2;
                is_here
                    .then_some(header)
                    .ok_or(CheckpointError::Malformed { part: CheckpointPart::Header })
            });
            match header {
                Ok(header) => {
                    headers.is_begun = true;
                    if header.commit > headers.last.commit {
                        headers.last = header;
                    }
                }
                Err(error @ CheckpointError::Version { .. }) => return Err(error),
                Err(error) => {
                    headers.damaged += 1;
                    first_error.get_or_insert(error);
                }
            }
        }
        // A file is made with one slot, and the first commit writes the other.
        headers.damaged += if headers.last.commit > 0 { unwritten } else { 0 };
        match first_error {
            // Where the header of no commit is there, the first commit was cut off.
            Some(error) if !headers.is_begun => Err(error),
            _ => Ok(headers),
        }
    }
}
