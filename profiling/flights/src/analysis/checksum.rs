//! A running checksum over results.

use std::fmt;
use std::hash::Hasher;

use twox_hash::XxHash64;

/// A checksum of 64 bits (XXH64) over the values added so far, in their order.
///
/// It keeps its state in place and never allocates. Numbers are added as little-endian bytes, so
/// equal values give equal checksums on every machine. It tells accidents, not attacks.
///
/// # Example
///
/// ```
/// use profiling::analysis::Checksum;
///
/// let mut checksum = Checksum::new(2001);
/// checksum.add_u64(7);
/// let before = checksum.value();
/// checksum.add_f32(0.5);
/// assert_ne!(checksum.value(), before);
/// ```
#[derive(Clone)]
pub struct Checksum(XxHash64);

impl Checksum {
    /// An empty checksum; different seeds give different values for the same input.
    pub fn new(seed: u64) -> Self {
        Self(XxHash64::with_seed(seed))
    }

    /// Adds bytes.
    #[inline]
    pub fn add_bytes(&mut self, bytes: &[u8]) {
        self.0.write(bytes);
    }

    /// Adds a number.
    #[inline]
    pub fn add_u32(&mut self, number: u32) {
        self.add_bytes(&number.to_le_bytes());
    }

    /// Adds a number.
    #[inline]
    pub fn add_u64(&mut self, number: u64) {
        self.add_bytes(&number.to_le_bytes());
    }

    /// Adds a number by its bits: -0.0 and 0.0 differ.
    #[inline]
    pub fn add_f32(&mut self, number: f32) {
        self.add_u32(number.to_bits());
    }

    /// Everything that the checksum needs to go on elsewhere.
    ///
    /// ```
    /// use profiling::analysis::Checksum;
    ///
    /// let mut checksum = Checksum::new(7);
    /// checksum.add_u32(1);
    /// let mut other = Checksum::from_saved(&checksum.save()).unwrap();
    /// checksum.add_u32(2);
    /// other.add_u32(2);
    /// assert_eq!(other.value(), checksum.value());
    /// ```
    pub fn save(&self) -> Vec<u8> {
        serde_json::to_vec(&self.0).expect("its numbers are JSON")
    }

    /// A checksum that was saved.
    ///
    /// # Errors
    ///
    /// When the bytes are something else.
    pub fn from_saved(bytes: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(bytes).map(Self)
    }

    /// The checksum of everything added so far; more may follow.
    pub fn value(&self) -> u64 {
        self.0.finish()
    }
}

impl fmt::Debug for Checksum {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Checksum({:#018x})", self.value())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn value_is_that_of_the_published_algorithm() {
        assert_eq!(Checksum::new(0).value(), 0xef46_db37_51d8_e999);
    }

    #[test]
    fn order_and_seed_matter() {
        let of = |seed, numbers: [u64; 2]| {
            let mut checksum = Checksum::new(seed);
            numbers.iter().for_each(|number| checksum.add_u64(*number));
            checksum.value()
        };
        assert_ne!(of(0, [1, 2]), of(0, [2, 1]));
        assert_ne!(of(0, [1, 2]), of(1, [1, 2]));
    }
}
