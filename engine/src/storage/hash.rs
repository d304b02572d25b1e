//! The one hash of the engine: portable, so that it is the same on every machine, in every build.

use rapidhash::v3::rapidhash_v3;

pub(crate) fn hash_bytes(bytes: &[u8]) -> u64 {
    rapidhash_v3(bytes)
}

/// The hash of two hashes in this order.
pub(crate) fn join(first: u64, second: u64) -> u64 {
    hash_bytes(bytemuck::bytes_of(&[first, second]))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Files and deltas of every version have these hashes.
    #[test]
    fn hashes_never_change() {
        let counted: Vec<u8> = (0..=255).cycle().take(100_000).collect();
        let hashes = [0, 1, 3, 8, 16, 17, 48, 112, 113, 1_000, 100_000]
            .map(|length| hash_bytes(&counted[..length]));
        let expected = [
            232_177_599_295_442_350,
            5_702_620_981_742_189_058,
            15_839_320_130_220_386_324,
            15_732_834_091_190_890_302,
            15_474_299_862_025_619_993,
            8_433_212_297_523_712_870,
            17_065_807_216_024_460_433,
            7_381_809_234_932_091_623,
            12_371_122_282_927_455_779,
            3_056_788_941_061_946_099,
            918_655_296_485_465_198,
        ];
        assert_eq!(hashes, expected);
        let two = [[1, 0, 0, 0, 0, 0, 0, 0], [2, 0, 0, 0, 0, 0, 0, 0]].concat();
        assert_eq!(join(1, 2), hash_bytes(&two));
        assert_ne!(join(1, 2), join(2, 1));
    }
}
