//! The bytes of a delta: the head, the checksum, and a reader of its parts.

use std::ops::Range;

use crate::storage::encoding::{self, Part};
use crate::storage::hash::{hash_bytes, join};

use super::error::{DeltaError, DeltaPart};
use super::mark::DeltaMark;

/// The first bytes of every delta.
pub(super) const MAGIC: [u8; 8] = *b"cvydelta";
/// The version of the format.
pub(super) const VERSION: u32 = 1;
/// Bytes of the head.
pub(super) const HEAD_BYTES: usize = 104;
/// Where the checksum stands, between the part of the head before it and the bytes that it is for.
const CHECKSUM: Range<usize> = 24..32;
/// Set where the delta is a whole world.
const WHOLE: u32 = 1;

/// The head of a delta.
#[derive(Clone, Copy, Debug)]
pub(super) struct Head {
    pub(super) is_whole: bool,
    pub(super) fingerprint: u64,
    pub(super) base: DeltaMark,
    pub(super) target: DeltaMark,
    pub(super) tick: u64,
    /// How many types the fingerprint is of.
    pub(super) types: u32,
    /// How many archetypes the base has up to the last with rows, and a hash of their components.
    pub(super) base_archetypes: u32,
    pub(super) base_order: u64,
    /// How many archetypes base and target have in common, and how many the target has.
    pub(super) common: u32,
    pub(super) archetypes: u32,
}

impl Head {
    /// Writes the head, but for the checksum, over the first bytes of a complete delta.
    fn put(&self, bytes: &mut [u8]) {
        let total = bytes.len() as u64;
        let flags = if self.is_whole { WHOLE } else { 0 };
        let mut at = 0;
        let mut put = |number: &[u8]| {
            bytes[at..at + number.len()].copy_from_slice(number);
            at += number.len();
        };
        put(&MAGIC);
        put(&VERSION.to_le_bytes());
        put(&flags.to_le_bytes());
        put(&total.to_le_bytes());
        put(&[0; 8]);
        for number in [
            self.fingerprint,
            self.base.state,
            self.base.events,
            self.target.state,
            self.target.events,
            self.tick,
        ] {
            put(&number.to_le_bytes());
        }
        put(&self.types.to_le_bytes());
        put(&self.base_archetypes.to_le_bytes());
        put(&self.base_order.to_le_bytes());
        put(&self.common.to_le_bytes());
        put(&self.archetypes.to_le_bytes());
        assert_eq!(at, HEAD_BYTES, "the head is as long as it says");
    }

    /// Reads the head of bytes that are a delta, and none that was damaged.
    pub(super) fn read(bytes: &[u8]) -> Result<Self, DeltaError> {
        let found = bytes.len() as u64;
        if !bytes.starts_with(&MAGIC[..MAGIC.len().min(bytes.len())]) {
            return Err(DeltaError::NotDelta);
        }
        let too_short = DeltaError::Length { expected: HEAD_BYTES as u64, found };
        let head = bytes.get(..HEAD_BYTES).ok_or(too_short)?;
        let mut reader = Reader { bytes: head, at: MAGIC.len(), part: DeltaPart::Head };
        let (version, flags, expected) = (reader.u32()?, reader.u32()?, reader.u64()?);
        if version != VERSION {
            return Err(DeltaError::Version { found: version });
        }
        if expected != found {
            return Err(DeltaError::Length { expected, found });
        }
        if reader.u64()? != checksum(bytes) {
            return Err(DeltaError::Damaged);
        }
        let fingerprint = reader.u64()?;
        let base = DeltaMark { state: reader.u64()?, events: reader.u64()? };
        let target = DeltaMark { state: reader.u64()?, events: reader.u64()? };
        let head = Self {
            is_whole: flags & WHOLE != 0,
            fingerprint,
            base,
            target,
            tick: reader.u64()?,
            types: reader.u32()?,
            base_archetypes: reader.u32()?,
            base_order: reader.u64()?,
            common: reader.u32()?,
            archetypes: reader.u32()?,
        };
        let is_sound = flags <= WHOLE
            && head.tick < u64::MAX / 2
            && head.common <= head.archetypes
            && head.common <= head.base_archetypes
            && (!head.is_whole || (head.base_archetypes == 0 && base == DeltaMark::NOTHING));
        is_sound.then_some(head).ok_or(DeltaError::Malformed { part: DeltaPart::Head })
    }
}

/// Puts the checksum right, so that changed bytes reach the checks behind it: for tests.
pub(super) fn mend_checksum(bytes: &mut [u8]) {
    if bytes.len() < HEAD_BYTES {
        return;
    }
    let total = bytes.len() as u64;
    bytes[16..24].copy_from_slice(&total.to_le_bytes());
    let checksum = checksum(bytes);
    bytes[CHECKSUM].copy_from_slice(&checksum.to_le_bytes());
}

/// Bytes of a block of the body, which are hashed together: while they are still near.
const BLOCK_BYTES: usize = 32 * 1024;

/// The hash of all bytes but those of the checksum itself: of the head, and of the blocks of the body.
fn checksum(bytes: &[u8]) -> u64 {
    head_checksum(bytes, body_checksum(0, &bytes[HEAD_BYTES..]))
}

fn head_checksum(bytes: &[u8], body: u64) -> u64 {
    let parts = [&bytes[..CHECKSUM.start], &bytes[CHECKSUM.end..HEAD_BYTES]].map(hash_bytes);
    join(join(parts[0], parts[1]), body)
}

/// Goes on with the hash of a body, from the start of a block on.
fn body_checksum(start: u64, bytes: &[u8]) -> u64 {
    bytes.chunks(BLOCK_BYTES).fold(start, |sum, block| join(sum, hash_bytes(block)))
}

/// The buffer of a delta that is written, and the hash of the blocks that are full.
pub(super) struct Body<'b> {
    pub(super) bytes: &'b mut Vec<u8>,
    hashed: usize,
    sum: u64,
}

impl<'b> Body<'b> {
    /// Begins a delta, with room for its head.
    pub(super) fn begin(bytes: &'b mut Vec<u8>) -> Self {
        bytes.clear();
        bytes.resize(HEAD_BYTES, 0);
        Self { bytes, hashed: HEAD_BYTES, sum: 0 }
    }

    /// Adds the bytes of rows, which stay.
    #[inline]
    pub(super) fn push_rows(&mut self, rows: &[u8]) {
        self.bytes.extend_from_slice(rows);
        if self.bytes.len() - self.hashed >= BLOCK_BYTES {
            let end = self.bytes.len() - (self.bytes.len() - self.hashed) % BLOCK_BYTES;
            self.sum = body_checksum(self.sum, &self.bytes[self.hashed..end]);
            self.hashed = end;
        }
    }

    /// Ends the delta.
    pub(super) fn finish(self, head: &Head) {
        head.put(self.bytes);
        let body = body_checksum(self.sum, &self.bytes[self.hashed..]);
        let checksum = head_checksum(self.bytes, body);
        self.bytes[CHECKSUM].copy_from_slice(&checksum.to_le_bytes());
    }
}

/// Reads the parts of a delta, one after the other.
pub(super) type Reader<'a> = encoding::Reader<'a, DeltaPart>;

impl Part for DeltaPart {
    type Error = DeltaError;

    fn malformed(self) -> DeltaError {
        DeltaError::Malformed { part: self }
    }
}

impl Reader<'_> {
    /// Begins a part, which has its number in front.
    pub(super) fn begin(&mut self, part: DeltaPart, number: u8) -> Result<(), DeltaError> {
        if self.u8()? != number {
            return Err(DeltaError::Malformed { part: DeltaPart::Head });
        }
        self.part = part;
        Ok(())
    }
}
