//! [`WorldConfig`]: how a world is made.

use convoy_pool::{ArenaConfig, SizeClass};

use crate::storage::schema::Schema;

/// How a world is made.
///
/// ```
/// use convoy_engine::{World, WorldConfig};
///
/// let config = WorldConfig::default().memory_limit_bytes(64 << 20).event_retention(1_000);
/// let mut world = World::with_config(config);
/// assert!(world.reserve::<([u8; 1024],)>(100_000).is_err(), "100 MB are beyond the limit");
/// ```
#[derive(Clone, Debug)]
pub struct WorldConfig {
    pub(crate) memory: ArenaConfig,
    pub(crate) chunk_bytes_max: usize,
    pub(crate) chunk_rows_max: usize,
    pub(crate) event_retention: usize,
    pub(crate) text_bytes_max: usize,
    pub(crate) schema: Option<Schema>,
}

impl WorldConfig {
    /// The bytes of the largest chunk there is, and so of the largest value: almost 256 MiB.
    pub const CHUNK_BYTES_LIMIT: usize = SizeClass::MAX.bytes();

    /// The most memory that the world maps, as [`ArenaConfig::limit_bytes`]: without a limit by
    /// default.
    #[must_use]
    pub fn memory_limit_bytes(mut self, bytes: impl Into<Option<usize>>) -> Self {
        self.memory = self.memory.limit_bytes(bytes);
        self
    }

    /// How the world maps memory. Replaces the limit as well.
    #[must_use]
    pub fn memory(mut self, memory: ArenaConfig) -> Self {
        self.memory = memory;
        self
    }

    /// The most bytes of a chunk, unless one value is larger: 16 KiB by default. Smaller chunks copy
    /// less when writes are scattered, and make captures and iteration dearer. No chunk has more
    /// than [`WorldConfig::CHUNK_BYTES_LIMIT`], however large the number.
    #[must_use]
    pub fn chunk_bytes_max(mut self, bytes: usize) -> Self {
        self.chunk_bytes_max = bytes;
        self
    }

    /// The most rows of a chunk: without a limit by default. Tests lower it to cross every
    /// boundary. A chunk has at least one row.
    #[must_use]
    pub fn chunk_rows_max(mut self, rows: usize) -> Self {
        self.chunk_rows_max = rows;
        self
    }

    /// How many events of one type are kept at least: 65,536 by default. Older ones are dropped by
    /// whole chunks, and cursors that had not read them count the loss.
    #[must_use]
    pub fn event_retention(mut self, events: usize) -> Self {
        self.event_retention = events;
        self
    }

    /// The most bytes of the contents of texts that the world keeps: without a limit by default. See
    /// [`World::text`](crate::World::text).
    #[must_use]
    pub fn text_bytes_max(mut self, bytes: impl Into<Option<usize>>) -> Self {
        self.text_bytes_max = bytes.into().unwrap_or(usize::MAX);
        self
    }

    /// The types that the world knows from the beginning, under the ids that they have in all worlds
    /// of the schema; `None` by default.
    #[must_use]
    pub fn schema(mut self, schema: impl Into<Option<Schema>>) -> Self {
        self.schema = schema.into();
        self
    }
}

impl Default for WorldConfig {
    fn default() -> Self {
        Self {
            memory: ArenaConfig::default(),
            chunk_bytes_max: 16 * 1024,
            chunk_rows_max: usize::MAX,
            event_retention: 65_536,
            text_bytes_max: usize::MAX,
            schema: None,
        }
    }
}
