//! For tests and fuzzers: changed files whose hashes are right.

use crate::storage::hash::hash_bytes;

use super::header::{BLOCK_BYTES, Header, TEXT_BYTES, mend_headers};
use super::manifest::Manifest;

/// Puts the hashes of blocks, manifests and headers right.
pub(super) fn mend(bytes: &mut [u8]) {
    mend_headers(bytes, |bytes, header| {
        let Header { manifest_at, manifest_bytes, .. } = header;
        let place = manifest_at as usize..manifest_at.saturating_add(manifest_bytes) as usize;
        let Some(manifest) = bytes.get(place.clone()) else { return header.manifest_hash };
        let lists = header.blocks * BLOCK_BYTES + header.texts * TEXT_BYTES;
        if let Ok(parsed) = Manifest::parse(manifest, &header) {
            let places = parsed.places();
            let hash_of = |at: u64| {
                let known = places.binary_search_by_key(&at, |place| place.at).ok()?;
                let (start, count) = (places[known].at as usize, places[known].bytes as usize);
                Some(hash_bytes(bytes.get(start..start.checked_add(count)?)?))
            };
            let mut mended = Vec::new();
            for block in &parsed.blocks {
                let hash = hash_of(block.at).unwrap_or(block.hash);
                mended.extend([block.at, hash].iter().flat_map(|word| word.to_le_bytes()));
            }
            for text in &parsed.texts {
                let hash = hash_of(text.at).unwrap_or(text.hash);
                let words = [text.at, text.bytes, hash];
                mended.extend(words.iter().flat_map(|word| word.to_le_bytes()));
            }
            assert_eq!(mended.len() as u64, lists, "all entries were taken apart");
            bytes[place.start..place.start + mended.len()].copy_from_slice(&mended);
        }
        hash_bytes(&bytes[place])
    });
}
