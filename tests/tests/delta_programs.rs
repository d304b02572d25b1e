//! Random programs: two worlds are kept equal by deltas, while both are restored, branched and written.
//!
//! `CONVOY_OPERATIONS=1000000 cargo test -p convoy-tests --test delta_programs` takes longer.
#![allow(clippy::unwrap_used, reason = "a failed expectation is a failed test")]

use std::env;

use convoy_engine::commands::Commands;
use convoy_engine::delta::{Delta, DeltaEncoder, DeltaError};
use convoy_engine::{ComponentMask, SnapshotPool, View, World};
use convoy_tests::{Marked, Mixer, assert_same, delta_config, mutate};

const ALL: ComponentMask = ComponentMask::ALL;

/// Operations in all programs together, unless told otherwise.
const OPERATIONS: usize = 100_000;
const OPERATIONS_PER_PROGRAM: usize = 1_000;
/// Pairs of views that are kept.
const KEPT: usize = 6;

/// A world and its follower, with pairs of views that are equal.
struct Program {
    source: World,
    follower: World,
    commands: Commands,
    pool: SnapshotPool,
    encoder: DeltaEncoder,
    mixer: Mixer,
    /// Views of the source and of the follower in one state, with its hash.
    kept: Vec<(View, View, u64)>,
    /// The one that the follower is at; none where it has gone astray.
    at: Option<View>,
    bytes: Vec<u8>,
}

impl Program {
    fn new(seed: u64) -> Self {
        let rows = [1, 4, 64, usize::MAX][seed as usize % 4];
        let mut source = World::with_config(delta_config(rows));
        Self {
            commands: Commands::new(&mut source),
            follower: World::with_config(delta_config(rows)),
            source,
            pool: SnapshotPool::default(),
            encoder: DeltaEncoder::new(),
            mixer: Mixer::new(seed),
            kept: Vec::new(),
            at: None,
            bytes: Vec::new(),
        }
    }

    fn run(&mut self, operations: usize) {
        for number in 0..operations {
            match self.mixer.below(60) {
                0 => self.restore_source(),
                1 => self.restore_follower(),
                2 => self.branch_source(),
                3 => self.branch_follower(),
                4 => self.go_astray(),
                5..=9 => self.send(),
                10 if self.mixer.below(4) == 0 => self.swap(),
                _ => mutate(&mut self.source, &mut self.mixer, &mut self.commands),
            }
            if number % 50 == 49 {
                self.send();
            }
        }
    }

    /// Brings the follower to the state of the source.
    fn send(&mut self) {
        let view = self.source.capture(ALL, &self.pool);
        if self.mixer.below(2) == 0 {
            self.encoder.encode(self.at.as_ref(), &view, &mut self.bytes).unwrap();
        } else {
            Delta::encode(self.at.as_ref(), &view, &mut self.bytes).unwrap();
        }
        let delta = Delta::parse(&self.bytes).unwrap();
        self.follower.apply(&delta).unwrap();
        assert_eq!(self.follower.delta_mark(), delta.target());
        assert_same(&mut self.source, &mut self.follower);
        // What was kept is as it was.
        for (theirs, own, hash) in &self.kept {
            assert_eq!((theirs.state_hash(), own.state_hash()), (*hash, *hash));
        }
        if self.kept.len() == KEPT {
            let dropped = self.mixer.below(KEPT);
            self.kept.swap_remove(dropped);
        }
        let own = self.follower.capture(ALL, &self.pool);
        let hash = self.source.state_hash();
        self.kept.push((view.clone(), own, hash));
        self.at = Some(view);
    }

    fn pick(&mut self) -> Option<usize> {
        (!self.kept.is_empty()).then(|| self.mixer.below(self.kept.len()))
    }

    fn restore_source(&mut self) {
        let Some(pick) = self.pick() else { return };
        let view = &self.kept[pick].0;
        if view.is_of(&self.source) {
            self.source.restore(view).unwrap();
        }
    }

    fn restore_follower(&mut self) {
        let Some(pick) = self.pick() else { return };
        let (theirs, own, _) = &self.kept[pick];
        if own.is_of(&self.follower) {
            self.follower.restore(own).unwrap();
            self.at = Some(theirs.clone());
        }
    }

    fn branch_source(&mut self) {
        let Some(pick) = self.pick() else { return };
        self.source = World::branch(&self.kept[pick].0).unwrap();
        self.commands = Commands::new(&mut self.source);
    }

    fn branch_follower(&mut self) {
        let Some(pick) = self.pick() else { return };
        self.follower = World::branch(&self.kept[pick].1).unwrap();
        self.at = Some(self.kept[pick].0.clone());
    }

    /// The follower changes by itself, so that it needs a whole world.
    fn go_astray(&mut self) {
        let Some(at) = self.at.take() else { return };
        self.follower.spawn((Marked,));
        let view = self.source.capture(ALL, &self.pool);
        Delta::encode(&at, &view, &mut self.bytes).unwrap();
        let before = self.follower.state_hash();
        let refused = self.follower.apply(&Delta::parse(&self.bytes).unwrap());
        assert!(matches!(refused, Err(DeltaError::Base { .. })), "{refused:?}");
        assert_eq!(self.follower.state_hash(), before);
    }

    /// The follower becomes the source.
    fn swap(&mut self) {
        self.send();
        std::mem::swap(&mut self.source, &mut self.follower);
        self.commands = Commands::new(&mut self.source);
        // The new source may know texts of timelines that the new follower has never seen.
        self.kept.clear();
        self.at = None;
    }
}

#[test]
fn two_worlds_are_kept_equal_by_deltas() {
    let told = env::var("CONVOY_OPERATIONS").ok().and_then(|told| told.parse().ok());
    let operations: usize = told.unwrap_or(OPERATIONS);
    for program in 0..operations.div_ceil(OPERATIONS_PER_PROGRAM) {
        Program::new(program as u64).run(OPERATIONS_PER_PROGRAM);
    }
}
