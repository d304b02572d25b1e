//! [`HeapCounts`]: how often a thread, or several, used the heap.

use std::fmt;
use std::ops::{Add, Sub};

/// How often the heap was used, and with how many bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct HeapCounts {
    /// Blocks allocated.
    pub allocations: u64,
    /// Blocks freed.
    pub frees: u64,
    /// Blocks that were given another size.
    pub reallocations: u64,
    /// Bytes of the blocks allocated, and those by which reallocations made blocks larger.
    pub bytes: u64,
    /// The most bytes that were allocated and not freed at one time, above those at the start of the count. Each
    /// request counts for the thread that makes it, whichever thread a block came from.
    pub peak_bytes: u64,
}

impl HeapCounts {
    /// Whether the heap was not used.
    pub fn is_zero(&self) -> bool {
        (self.allocations, self.frees, self.reallocations) == (0, 0, 0)
    }
}

impl Add for HeapCounts {
    type Output = Self;

    /// The counts of two threads: at most as many bytes at one time as the sum.
    fn add(self, other: Self) -> Self {
        Self {
            allocations: self.allocations + other.allocations,
            frees: self.frees + other.frees,
            reallocations: self.reallocations + other.reallocations,
            bytes: self.bytes + other.bytes,
            peak_bytes: self.peak_bytes + other.peak_bytes,
        }
    }
}

impl Sub for HeapCounts {
    type Output = Self;

    /// The counts since `before`; the peak stays that of `self`.
    fn sub(self, before: Self) -> Self {
        Self {
            allocations: self.allocations - before.allocations,
            frees: self.frees - before.frees,
            reallocations: self.reallocations - before.reallocations,
            bytes: self.bytes - before.bytes,
            peak_bytes: self.peak_bytes,
        }
    }
}

impl fmt::Display for HeapCounts {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { allocations, frees, reallocations, bytes, peak_bytes } = self;
        write!(
            formatter,
            "{}, {}, {}, {}, at most {peak_bytes} at one time",
            plural(*allocations, "allocation"),
            plural(*frees, "free"),
            plural(*reallocations, "reallocation"),
            plural(*bytes, "byte"),
        )
    }
}

/// A number with its noun.
pub(crate) fn plural(number: u64, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
}

/// A request to the heap.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum Request {
    /// A block was allocated.
    Allocation {
        /// The size of the block.
        bytes: usize,
    },
    /// A block was freed.
    Free {
        /// The size of the block.
        bytes: usize,
    },
    /// A block was given another size.
    Reallocation {
        /// The size before.
        from_bytes: usize,
        /// The size after.
        to_bytes: usize,
    },
}

impl fmt::Display for Request {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Allocation { bytes } => {
                write!(formatter, "allocation of {}", plural(*bytes as u64, "byte"))
            }
            Self::Free { bytes } => {
                write!(formatter, "free of {}", plural(*bytes as u64, "byte"))
            }
            Self::Reallocation { from_bytes, to_bytes } => {
                let from = plural(*from_bytes as u64, "byte");
                write!(formatter, "reallocation of {from} to {to_bytes}")
            }
        }
    }
}
