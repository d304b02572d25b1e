//! Running a program: what the property test and the fuzz target have in common.

use convoy_engine::{SnapshotPool, World};
use convoy_tests::{KINDS, KindMask, Model, SHAPES};
use proptest::prelude::*;

use crate::pair::Pair;
use crate::program::{Action, Setting, WORLDS, actions};

/// What is done to which world.
pub(crate) type Program = (Setting, Vec<(usize, Action)>);

/// One operation, and the number of the world that it is done to. Most hit the first worlds, so
/// that these live longer than a sync.
pub(crate) fn operations() -> impl Strategy<Value = (usize, Action)> {
    let world = prop_oneof![4 => Just(0_usize), 2 => Just(1), 2 => Just(2), 1 => Just(3)];
    (world, actions())
}

/// A world that knows every type and every archetype of the model. Worlds that are synced from it
/// at first agree about their numbers, and so can be synced from each other later.
fn template(setting: &Setting) -> World {
    let mut world = World::with_config(setting.config(None));
    KindMask(KindMask::ALL.0 - 1).to_mask(&mut world);
    Model::register(&mut world);
    let [entity, parent, child] = [(); 3].map(|()| world.spawn(()));
    for bits in 0..1_usize << KINDS {
        // The first shapes with components have one each, in the order of their numbers.
        let singles =
            [SHAPES[1], SHAPES[2], SHAPES[3], SHAPES[4], SHAPES[5], SHAPES[6], SHAPES[14]];
        let held = singles.iter().filter(|shape| bits >> shape.kinds[0] & 1 == 1);
        held.clone().for_each(|shape| (shape.insert)(&mut world, entity, 0).unwrap());
        world.set_parent(entity, parent).unwrap();
        world.set_parent(child, entity).unwrap();
        world.remove_parent(entity).unwrap();
        world.remove_parent(child).unwrap();
        held.for_each(|shape| drop((shape.remove)(&mut world, entity).unwrap()));
    }
    world.clear().unwrap();
    world
}

/// Runs a program.
///
/// # Panics
///
/// When a world and its model differ, or memory is missing at the end.
pub(crate) fn run_program((setting, actions): &Program) {
    let template = template(setting);
    let pool = SnapshotPool::for_world(&template);
    let other = setting.other();
    let mut pairs: Vec<Pair> = (0..WORLDS)
        .map(|number| match number {
            // Knows nothing that the others don't, but what it knows first they know last.
            2 if setting.is_mixed => Pair::backwards(&other),
            3 if setting.is_mixed => Pair::new(&other, &template),
            _ => Pair::new(setting, &template),
        })
        .collect();
    for (number, (world, action)) in actions.iter().enumerate() {
        match *action {
            Action::Sync { from, mask } if from != *world => {
                let [pair, source] = pairs.get_disjoint_mut([*world, from]).unwrap();
                pair.sync(source, KindMask(mask));
            }
            // The world that the branch takes the place of may be the one that it comes from.
            Action::Branch { from, view } => {
                if let Some(branch) = pairs[from].branch(view, setting) {
                    std::mem::replace(&mut pairs[*world], branch).finish();
                }
            }
            _ => pairs[*world].run(action, &pool),
        }
        if number % 25 == 24 {
            pairs[*world].assert_all();
        }
    }
    // Branches end before what they come from, so that all is accounted for.
    while let Some(number) = pairs.iter().position(|pair| !pair.ties.is_base()) {
        pairs.swap_remove(number).finish();
    }
    assert!(pairs.is_empty());
}
