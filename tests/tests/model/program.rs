//! What random programs consist of, and how they are made up.

use convoy_engine::WorldConfig;
use convoy_tests::{KINDS, KindMask, Model, SHAPES};
use proptest::prelude::*;

use crate::many::{Many, many};
use crate::one::{One, one};

pub(crate) const WORLDS: usize = 4;
pub(crate) const VIEWS_MAX: usize = 8;

/// On average: shorter programs are made, too, and longer ones shrink to what makes them fail.
pub(crate) const OPERATIONS_PER_PROGRAM: usize = 500;

/// What a program does to one of its worlds.
#[derive(Clone, Debug)]
pub(crate) enum Action {
    Spawn { shape: usize, count: u8, seed: u64 },
    Despawn { pick: u16 },
    Insert { pick: u16, shape: usize, seed: u64 },
    Remove { pick: u16, shape: usize },
    Write { pick: u16, kind: usize, factor: u64 },
    ForEach { kind: usize, filter: u8, factor: u64 },
    Iterate { kind: usize, filter: u8, factor: u64 },
    WriteTwo { factor: u64 },
    One { one: One },
    Many { many: Many },
    Clear,
    Record { command: Command },
    PlayBack,
    ForgetCommands,
    SendEvent { kind: usize, count: u8, seed: u64 },
    FillLog { kind: usize, chunks: usize, more: usize, seed: u64 },
    ClearAndReturn { through: usize, view: usize, kind: usize, count: u8, seed: u64 },
    Tick,
    Capture { mask: u16 },
    Narrow { view: usize, mask: u16 },
    DropView { view: usize },
    Restore { view: usize },
    Diff { older: usize, newer: usize },
    Prepared { factor: u64 },
    Follow { view: usize },
    Branch { from: usize, view: usize },
    Sync { from: usize, mask: u16 },
    Check,
}

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

fn shapes() -> impl Strategy<Value = usize> {
    prop_oneof![20 => 0..SHAPES.len() - 2, 1 => SHAPES.len() - 2..SHAPES.len()]
}

/// Everything in most cases.
fn masks() -> impl Strategy<Value = u16> {
    prop_oneof![2 => Just(KindMask::ALL.0), 1 => 0..KindMask::ALL.0, 1 => (0..KindMask::ALL.0).prop_map(|mask| mask | 1 << KINDS)]
}

fn numbers() -> impl Strategy<Value = u64> {
    any::<u64>()
}

fn picks() -> impl Strategy<Value = u16> {
    any::<u16>()
}

fn commands() -> impl Strategy<Value = Command> {
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

pub(crate) fn actions() -> impl Strategy<Value = Action> {
    let kind = 0..KINDS;
    let pass = || (0..KINDS, 0..4_u8, numbers());
    prop_oneof![
        10 => (shapes(), 1..6_u8, numbers())
            .prop_map(|(shape, count, seed)| Action::Spawn { shape, count, seed }),
        8 => picks().prop_map(|pick| Action::Despawn { pick }),
        8 => (picks(), shapes(), numbers())
            .prop_map(|(pick, shape, seed)| Action::Insert { pick, shape, seed }),
        8 => (picks(), shapes()).prop_map(|(pick, shape)| Action::Remove { pick, shape }),
        6 => (picks(), kind, numbers())
            .prop_map(|(pick, kind, factor)| Action::Write { pick, kind, factor }),
        5 => pass().prop_map(|(kind, filter, factor)| Action::ForEach { kind, filter, factor }),
        4 => pass().prop_map(|(kind, filter, factor)| Action::Iterate { kind, filter, factor }),
        2 => numbers().prop_map(|factor| Action::WriteTwo { factor }),
        16 => one().prop_map(|one| Action::One { one }),
        7 => many().prop_map(|many| Action::Many { many }),
        1 => prop_oneof![5 => Just(Action::Check), 1 => Just(Action::Clear)],
        10 => commands().prop_map(|command| Action::Record { command }),
        3 => Just(Action::PlayBack),
        1 => Just(Action::ForgetCommands),
        4 => (0..2_usize, 1..9_u8, numbers())
            .prop_map(|(kind, count, seed)| Action::SendEvent { kind, count, seed }),
        2 => (0..2_usize, 0..2_usize, prop_oneof![Just(0_usize), 0..40_usize], numbers())
            .prop_map(|(kind, chunks, more, seed)| Action::FillLog { kind, chunks, more, seed }),
        2 => (0..VIEWS_MAX, 0..VIEWS_MAX, 0..2_usize, 0..9_u8, numbers()).prop_map(
            |(through, view, kind, count, seed)| {
                Action::ClearAndReturn { through, view, kind, count, seed }
            }
        ),
        4 => Just(Action::Tick),
        8 => masks().prop_map(|mask| Action::Capture { mask }),
        2 => (0..VIEWS_MAX, masks()).prop_map(|(view, mask)| Action::Narrow { view, mask }),
        6 => (0..VIEWS_MAX).prop_map(|view| Action::DropView { view }),
        5 => (0..VIEWS_MAX).prop_map(|view| Action::Restore { view }),
        5 => (0..VIEWS_MAX, 0..VIEWS_MAX)
            .prop_map(|(older, newer)| Action::Diff { older, newer }),
        3 => numbers().prop_map(|factor| Action::Prepared { factor }),
        4 => (0..2 * VIEWS_MAX).prop_map(|view| Action::Follow { view }),
        3 => (0..WORLDS, 0..VIEWS_MAX).prop_map(|(from, view)| Action::Branch { from, view }),
        4 => (0..WORLDS, masks()).prop_map(|(from, mask)| Action::Sync { from, mask }),
        4 => Just(Action::Check),
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
        let mut config = WorldConfig::default();
        config.chunk_rows_max = self.chunk_rows_max;
        config.chunk_bytes_max = self.chunk_bytes_max;
        config.event_retention = self.event_retention;
        config.memory.limit_bytes = limit_bytes;
        config.schema = self.is_named.then(|| Model::schema(false));
        config
    }
}
