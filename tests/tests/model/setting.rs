//! How the worlds of random programs are made, and what is recorded for them.

use convoy_engine::WorldConfig;
use convoy_tests::{Model, SHAPES};
use proptest::prelude::*;

pub(crate) const VIEWS_MAX: usize = 8;

/// On average: shorter programs are made, too, and longer ones shrink to what makes them fail.
pub(crate) const OPERATIONS_PER_PROGRAM: usize = 500;

/// What a program records into a command buffer.
#[derive(Clone, Debug)]
pub(crate) enum Command {
    Spawn {
        shape: usize,
        seed: u64,
    },
    /// More than a buffer's first stock.
    SpawnMany {
        shape: usize,
        seed: u64,
    },
    Insert {
        pick: u16,
        shape: usize,
        seed: u64,
    },
    Remove {
        pick: u16,
        shape: usize,
    },
    Despawn {
        pick: u16,
    },
    SendEvent {
        kind: usize,
        seed: u64,
    },
}

/// How the worlds of a program are made.
#[derive(Clone, Debug)]
pub(crate) struct Setting {
    pub(crate) chunk_rows_max: usize,
    pub(crate) chunk_bytes_max: usize,
    /// Whether some worlds begin with other chunks, and with types registered in another order.
    pub(crate) is_mixed: bool,
    /// Whether worlds are made from a schema, in one of two orders.
    pub(crate) is_named: bool,
    pub(crate) limit_bytes: Option<usize>,
    pub(crate) event_retention: usize,
}

pub(crate) fn shapes() -> impl Strategy<Value = usize> {
    prop_oneof![20 => 0..SHAPES.len() - 2, 1 => SHAPES.len() - 2..SHAPES.len()]
}

pub(crate) fn numbers() -> impl Strategy<Value = u64> {
    any::<u64>()
}

pub(crate) fn picks() -> impl Strategy<Value = u16> {
    any::<u16>()
}

pub(crate) fn commands() -> impl Strategy<Value = Command> {
    // The last two shapes are too large to be spawned in numbers.
    let small = 0..SHAPES.len() - 2;
    prop_oneof![
        30 => one_command(),
        1 => (small, numbers()).prop_map(|(shape, seed)| Command::SpawnMany { shape, seed }),
    ]
}

fn one_command() -> impl Strategy<Value = Command> {
    prop_oneof![
        3 => (shapes(), numbers()).prop_map(|(shape, seed)| Command::Spawn { shape, seed }),
        3 => (picks(), shapes(), numbers())
            .prop_map(|(pick, shape, seed)| Command::Insert { pick, shape, seed }),
        2 => (picks(), shapes()).prop_map(|(pick, shape)| Command::Remove { pick, shape }),
        2 => picks().prop_map(|pick| Command::Despawn { pick }),
        1 => (0..2_usize, numbers()).prop_map(|(kind, seed)| Command::SendEvent { kind, seed }),
    ]
}

pub(crate) fn settings() -> impl Strategy<Value = Setting> {
    let shape = prop_oneof![
        3 => Just((4, 16 * 1024)),
        1 => Just((1, 16 * 1024)),
        2 => Just((usize::MAX, 512)),
        1 => Just((usize::MAX, 16 * 1024)),
    ];
    let limit = prop_oneof![
        2 => Just(None),
        1 => (16_usize..400).prop_map(|kibibytes| Some(kibibytes * 1024)),
    ];
    let retention = prop_oneof![Just(0), Just(10), Just(65_536)];
    (shape, limit, retention, any::<bool>(), any::<bool>()).prop_map(
        |((chunk_rows_max, chunk_bytes_max), limit_bytes, event_retention, is_mixed, is_named)| {
            let (rows, bytes) = (chunk_rows_max, chunk_bytes_max);
            Setting {
                chunk_rows_max: rows,
                chunk_bytes_max: bytes,
                is_mixed,
                is_named,
                limit_bytes,
                event_retention,
            }
        },
    )
}

impl Setting {
    /// The setting of the worlds that begin with other chunks.
    pub(crate) fn other(&self) -> Self {
        let rows = if self.chunk_rows_max == 4 { usize::MAX } else { 4 };
        Self { chunk_rows_max: rows, chunk_bytes_max: 2 * 1024, ..self.clone() }
    }

    pub(crate) fn config(&self, limit_bytes: Option<usize>) -> WorldConfig {
        WorldConfig::default()
            .chunk_rows_max(self.chunk_rows_max)
            .chunk_bytes_max(self.chunk_bytes_max)
            .event_retention(self.event_retention)
            .memory_limit_bytes(limit_bytes)
            .schema(self.is_named.then(|| Model::schema(false)))
    }
}
