//! Size classes: the few chunk sizes that exist.
//!
//! Small classes go up by half steps (128, 256, 384, 512, 768, ... 16 Ki), which waste less than pure
//! doubling: 1024 rows of a 12-byte component fill a 12 KiB chunk exactly. Above 16 KiB every
//! multiple of 4 KiB is a class. All sizes are multiples of [`CHUNK_ALIGN`], so that chunks carved
//! one after the other stay aligned.

use crate::MemoryError;

/// The alignment of every chunk: two cache lines, because processors fetch lines in pairs.
pub const CHUNK_ALIGN: usize = 128;

/// Large classes are whole multiples of this.
pub(crate) const PAGE_BYTES: usize = 4096;

/// How many small classes there are.
pub(crate) const SMALL_CLASSES: usize = SMALL_BYTES.len();

/// The sizes of the small classes, in ascending order.
const SMALL_BYTES: [usize; 14] =
    [128, 256, 384, 512, 768, 1024, 1536, 2048, 3072, 4096, 6144, 8192, 12_288, 16_384];

/// The largest small chunk: 16 KiB.
const SMALL_BYTES_MAX: usize = SMALL_BYTES[SMALL_CLASSES - 1];

/// The page count of the first large class: one more page than the largest small class has.
const LARGE_PAGES_MIN: usize = SMALL_BYTES_MAX / PAGE_BYTES + 1;

/// One of the sizes in which an [`Arena`](crate::Arena) hands out chunks.
///
/// The number is an index into the small classes, and past them a page count.
///
/// ```
/// use convoy_pool::SizeClass;
///
/// let class = SizeClass::for_bytes(1024 * 12).expect("a small class");
/// assert_eq!(class.bytes(), 12 * 1024);
/// assert_eq!(SizeClass::for_bytes(20_000).expect("five pages").bytes(), 5 * 4096);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct SizeClass(u16);

impl SizeClass {
    /// The largest class: about 256 MiB.
    pub const MAX: SizeClass = SizeClass(u16::MAX);

    /// The smallest class whose chunks hold `bytes`.
    ///
    /// # Errors
    /// [`MemoryError::TooLarge`] above the size of [`SizeClass::MAX`].
    pub fn for_bytes(bytes: usize) -> Result<SizeClass, MemoryError> {
        if bytes <= SMALL_BYTES_MAX {
            return Ok(SizeClass(SMALL_BYTES.partition_point(|&size| size < bytes) as u16));
        }
        let index = bytes.div_ceil(PAGE_BYTES) - LARGE_PAGES_MIN + SMALL_CLASSES;
        match u16::try_from(index) {
            Ok(index) => Ok(SizeClass(index)),
            Err(_) => Err(MemoryError::TooLarge { requested_bytes: bytes }),
        }
    }

    /// The size of a chunk of this class.
    #[inline]
    pub const fn bytes(self) -> usize {
        let index = self.0 as usize;
        if index < SMALL_CLASSES {
            SMALL_BYTES[index]
        } else {
            (index - SMALL_CLASSES + LARGE_PAGES_MIN) * PAGE_BYTES
        }
    }

    /// The class as a number, for lists that keep many.
    #[inline]
    #[must_use]
    pub const fn to_bits(self) -> u16 {
        self.0
    }

    /// The class of a number that [`to_bits`](SizeClass::to_bits) gave. Every number is one of a
    /// class.
    ///
    /// ```
    /// # use convoy_pool::SizeClass;
    /// let class = SizeClass::for_bytes(20_000)?;
    /// assert_eq!(SizeClass::from_bits(class.to_bits()), class);
    /// # Ok::<(), convoy_pool::MemoryError>(())
    /// ```
    #[inline]
    #[must_use]
    pub const fn from_bits(bits: u16) -> SizeClass {
        SizeClass(bits)
    }

    /// The position among the small classes, or a number past them.
    #[inline]
    pub(crate) const fn index(self) -> usize {
        self.0 as usize
    }

    /// The small classes, smallest first.
    pub(crate) fn small() -> impl Iterator<Item = SizeClass> {
        (0..SMALL_CLASSES as u16).map(SizeClass)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed expectation is a failed test")]
    use super::*;

    #[test]
    fn class_is_the_smallest_that_holds_the_bytes() {
        let mut previous = 0;
        for index in 0..200u16 {
            let class = SizeClass(index);
            assert!(class.bytes() > previous);
            assert_eq!(class.bytes() % CHUNK_ALIGN, 0);
            assert_eq!(SizeClass::for_bytes(class.bytes()).unwrap(), class);
            assert_eq!(SizeClass::for_bytes(previous + 1).unwrap(), class);
            previous = class.bytes();
        }
        assert_eq!(SizeClass::for_bytes(0).unwrap().bytes(), CHUNK_ALIGN);
    }

    #[test]
    fn sizes_past_the_largest_class_are_an_error() {
        let bytes = SizeClass::MAX.bytes();
        assert_eq!(SizeClass::for_bytes(bytes).unwrap(), SizeClass::MAX);
        for bytes in [bytes + 1, usize::MAX] {
            let error = SizeClass::for_bytes(bytes).unwrap_err();
            let MemoryError::TooLarge { requested_bytes } = error else { panic!("{error}") };
            assert_eq!(requested_bytes, bytes);
        }
    }
}
