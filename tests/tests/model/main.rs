//! Random programs against a naive model.
//!
//! Four worlds share one schema. Each of them is mutated in every way that the engine knows, is
//! captured, and is synced from any other, while a [`Model`] of each does the same in ordinary
//! maps. Whatever can be read, worlds, snapshots and replicas, must equal its model at any time.
//! Some programs run with so little memory that operations fail at random: a failure must change
//! nothing.
//!
//! `CONVOY_OPERATIONS` sets how many operations run in all (50,000 by default), `CONVOY_SEED`
//! which programs.
#![allow(clippy::unwrap_used, reason = "a failed expectation is a failed test")]

mod pair;
mod program;

use std::env;

use convoy_engine::{SnapshotPool, World};
use convoy_tests::{KINDS, KindMask, Model, SHAPES};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use pair::Pair;
use program::{Action, OPERATIONS_PER_PROGRAM, Setting, WORLDS, actions, settings};

/// A world that knows every type and every archetype of the model. Worlds that are synced from it
/// at first agree about their numbers, and so can be synced from each other later.
fn template(setting: &Setting) -> World {
    let mut world = World::with_config(setting.config(None));
    Model::register(&mut world);
    let entity = world.spawn(());
    for bits in 0..1_usize << KINDS {
        // The first shapes with components have one each, in the order of their numbers.
        let singles =
            [SHAPES[1], SHAPES[2], SHAPES[3], SHAPES[4], SHAPES[5], SHAPES[6], SHAPES[14]];
        let held = singles.iter().filter(|shape| bits >> shape.kinds[0] & 1 == 1);
        held.clone().for_each(|shape| (shape.insert)(&mut world, entity, 0).unwrap());
        held.for_each(|shape| drop((shape.remove)(&mut world, entity).unwrap()));
    }
    world.clear().unwrap();
    world
}

fn run_program(setting: &Setting, program: &[(usize, Action)]) {
    let template = template(setting);
    let pool = SnapshotPool::for_world(&template);
    let mut pairs: Vec<Pair> = (0..WORLDS).map(|_| Pair::new(setting, &template)).collect();
    for (number, (world, action)) in program.iter().enumerate() {
        match *action {
            Action::Sync { from, mask } if from != *world => {
                let [pair, source] = pairs.get_disjoint_mut([*world, from]).unwrap();
                pair.sync(source, KindMask(mask));
            }
            _ => pairs[*world].run(action, &pool),
        }
        if number % 25 == 24 {
            pairs[*world].assert_all();
        }
    }
    pairs.into_iter().for_each(Pair::finish);
}

fn number_from(variable: &str, default: u64) -> u64 {
    env::var(variable).map_or(default, |number| number.parse().expect("a number"))
}

#[test]
fn random_programs_agree_with_the_model() {
    let operations = number_from("CONVOY_OPERATIONS", 50_000);
    let mut seed = [0; 32];
    seed[..8].copy_from_slice(&number_from("CONVOY_SEED", 0).to_le_bytes());
    let config = Config {
        cases: operations.div_ceil(OPERATIONS_PER_PROGRAM as u64) as u32,
        failure_persistence: None,
        max_shrink_iters: 3_000,
        ..Config::default()
    };
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &seed);
    // Most actions hit the first worlds, so that these live longer than a sync.
    let world = prop_oneof![4 => Just(0_usize), 2 => Just(1), 2 => Just(2), 1 => Just(3)];
    let program = vec((world, actions()), 1..2 * OPERATIONS_PER_PROGRAM);
    let result =
        TestRunner::new_with_rng(config, rng).run(&(settings(), program), |(setting, program)| {
            run_program(&setting, &program);
            Ok(())
        });
    if let Err(error) = result {
        panic!("{error}");
    }
}
