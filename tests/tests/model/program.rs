//! What random programs consist of, and how they are made up.

use convoy_tests::{KINDS, KindMask};
use proptest::prelude::*;

use crate::many::{Many, many};
use crate::one::{One, one};
use crate::setting::{Command, VIEWS_MAX, commands, numbers, picks, shapes};

pub(crate) const WORLDS: usize = 4;

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

/// Everything in most cases.
fn masks() -> impl Strategy<Value = u16> {
    prop_oneof![2 => Just(KindMask::ALL.0), 1 => 0..KindMask::ALL.0, 1 => (0..KindMask::ALL.0).prop_map(|mask| mask | 1 << KINDS)]
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
