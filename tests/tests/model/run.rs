//! Running a program: what the property test and the fuzz target have in common.

use convoy_engine::{SnapshotPool, World};
use convoy_tests::{Huge, KINDS, KindMask, Model, SHAPES, Value, step};
use proptest::prelude::*;

use crate::one::One;
use crate::pair::{Pair, with_kind};
use crate::program::{Action, WORLDS, actions};
use crate::setting::Setting;

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

impl Pair {
    fn run(&mut self, action: &Action, pool: &SnapshotPool) {
        match *action {
            Action::Spawn { shape, count, seed } => {
                let count = if SHAPES[shape].kinds.contains(&Huge::KIND) { 1 } else { count };
                (0..count).for_each(|each| self.spawn(&SHAPES[shape], seed ^ u64::from(each)));
            }
            Action::Despawn { pick } => {
                let entity = self.model.pick(pick);
                self.run_whole(|pair| entity.into_iter().for_each(|entity| pair.despawn(entity)));
            }
            Action::Insert { pick, shape, seed } => {
                let Some(entity) = self.model.pick(pick) else { return };
                self.run_whole(|pair| pair.insert(entity, &SHAPES[shape], seed));
            }
            Action::Remove { pick, shape } => {
                let Some(entity) = self.model.pick(pick) else { return };
                self.run_whole(|pair| pair.remove(entity, &SHAPES[shape]));
            }
            Action::Write { pick, kind, factor } => {
                if let Some(entity) = self.model.pick(pick) {
                    with_kind!(kind, T => self.write::<T>(entity, factor));
                }
            }
            Action::ForEach { kind, filter, factor } => {
                with_kind!(kind, T => self.write_all::<T>(true, filter, factor));
            }
            Action::Iterate { kind, filter, factor } => {
                with_kind!(kind, T => self.write_all::<T>(false, filter, factor));
            }
            Action::WriteTwo { factor } => self.write_two(factor),
            // What it has copied before memory runs out stays.
            Action::One { one: ref one @ One::Detach { .. } } => self.run_one(one),
            Action::One { ref one } => self.run_whole(|pair| pair.run_one(one)),
            // Several operations, some of which may be done before one fails.
            Action::Many { ref many } if many.is_several() => self.run_many(many),
            Action::Many { ref many } => self.run_whole(|pair| pair.run_many(many)),
            Action::Clear => self.run_whole(Self::clear),
            Action::Record { ref command } => self.record(command),
            Action::PlayBack => self.play_back(),
            Action::ForgetCommands => self.forget_commands(),
            Action::SendEvent { kind, count, seed } => {
                (0..count).for_each(|each| self.send(kind, seed ^ u64::from(each)));
            }
            Action::FillLog { kind, chunks, more, seed } => {
                self.fill_log(kind, chunks, seed);
                if seed % 2 == 0 {
                    self.capture(KindMask::ALL, pool);
                }
                (0..more as u64).for_each(|each| self.send(kind, step(seed, each)));
            }
            Action::ClearAndReturn { through, view, kind, count, seed } => {
                if view < self.views.len() {
                    self.restore(through);
                    self.clear();
                    (0..count).for_each(|each| self.send(kind, seed ^ u64::from(each)));
                    self.restore(view);
                }
            }
            Action::Tick => self.tick(),
            Action::Capture { mask } => self.capture(KindMask(mask), pool),
            Action::Narrow { view, mask } => self.narrow(view, KindMask(mask)),
            Action::DropView { view } if view < self.views.len() => {
                self.views.swap_remove(view);
            }
            Action::Restore { view } => self.restore(view),
            Action::Diff { older, newer } => self.diff(older, newer),
            Action::Prepared { factor } => self.run_prepared(factor),
            Action::Follow { view } => self.follow(view),
            Action::DropView { .. } | Action::Sync { .. } | Action::Branch { .. } => {}
            Action::Check => self.assert_all(),
        }
    }
}
