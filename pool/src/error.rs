//! Why memory cannot be had. Running out is an expected failure and therefore a value, never an
//! abort: the caller keeps everything it had before the call.

use std::{error, fmt, io};

/// Why the arena cannot serve a request. Allocated memory stays so in every case, and free memory
/// stays free.
///
/// ```
/// use convoy_pool::{Arena, ArenaConfig, MemoryError, SizeClass};
///
/// let mut arena = Arena::new(ArenaConfig::default().limit_bytes(4096));
/// let class = SizeClass::for_bytes(8192).expect("a small class");
/// assert!(matches!(arena.allocate(class), Err(MemoryError::Limit { limit_bytes: 4096, .. })));
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum MemoryError {
    /// Mapping enough for the request would exceed the configured limit.
    Limit {
        /// The bytes that were asked for.
        requested_bytes: usize,
        /// The bytes that the arena has mapped.
        mapped_bytes: usize,
        /// The most bytes that the arena may map.
        limit_bytes: usize,
    },
    /// The operating system declined the mapping.
    Map {
        /// The length of the declined mapping.
        requested_bytes: usize,
        /// The system's reason.
        source: io::Error,
    },
    /// The heap declined the room of a list. Asked for before anything is taken, so that a number
    /// that is far too large is an error and not the end of the process.
    Heap {
        /// Bytes of the list.
        requested_bytes: usize,
    },
    /// No chunk is this large, or, of memory that is reserved, no address space.
    TooLarge {
        /// The bytes that were asked for.
        requested_bytes: usize,
    },
}

impl fmt::Display for MemoryError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            MemoryError::Limit { requested_bytes, mapped_bytes, limit_bytes } => write!(
                formatter,
                "{requested_bytes} bytes requested, but {mapped_bytes} of at most {limit_bytes} \
                 bytes are mapped: raise limit_bytes, or release memory"
            ),
            MemoryError::Map { requested_bytes, .. } => {
                write!(formatter, "the system declined a mapping of {requested_bytes} bytes")
            }
            MemoryError::Heap { requested_bytes } => {
                write!(formatter, "the heap declined a list of {requested_bytes} bytes")
            }
            MemoryError::TooLarge { requested_bytes } => {
                write!(
                    formatter,
                    "{requested_bytes} bytes can't be had in one piece: they are more than the \
                     largest chunk has, or than the address space"
                )
            }
        }
    }
}

impl error::Error for MemoryError {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match self {
            MemoryError::Map { source, .. } => Some(source),
            MemoryError::Limit { .. } | MemoryError::Heap { .. } | MemoryError::TooLarge { .. } => {
                None
            }
        }
    }
}
