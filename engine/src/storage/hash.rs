//! The one hash of the engine: portable, so that it is the same on every machine, in every build.

use rapidhash::v3::rapidhash_v3;

pub(crate) fn hash_bytes(bytes: &[u8]) -> u64 {
    rapidhash_v3(bytes)
}

/// The hash of two hashes in this order.
pub(crate) fn join(first: u64, second: u64) -> u64 {
    hash_bytes(bytemuck::bytes_of(&[first, second]))
}
