//! Checkpoints of programs with other types: random plans, and the same done by hand.

use std::collections::BTreeMap;

use bytemuck::{Pod, Zeroable};
use convoy_engine::checkpoint::{
    Checkpoint, CheckpointError, CheckpointReader, ReadPlan, ReadReport, TypeName, Unknown,
};
use convoy_engine::events::EventCursor;
use convoy_engine::hierarchy::{ChildOf, Children};
use convoy_engine::list::List;
use convoy_engine::schema::{Schema, SchemaBuilder, TypeEntry};
use convoy_engine::snapshot::first_difference;
use convoy_engine::text::Text;
use convoy_engine::{Component, ComponentMask, Entity, SnapshotPool, World, WorldConfig};

use crate::checkpoints::CheckpointSeeds;
use crate::deltas::{Engine, Marked, Mode, Order, Place, delta_config};
use crate::values::Mixer;

/// The file of one checkpoint of a world.
///
/// # Panics
///
/// When it can't be made.
pub fn saved(world: &mut World) -> Vec<u8> {
    let checkpoint = Checkpoint::on(Vec::new());
    let mut checkpoint = checkpoint.unwrap_or_else(|error| panic!("{error}"));
    let written = checkpoint.write(&world.capture(ComponentMask::ALL, &SnapshotPool::default()));
    written.unwrap_or_else(|error| panic!("{error}"));
    checkpoint.into_medium()
}

/// The configuration of worlds of a schema.
///
/// # Panics
///
/// When the schema can't be built.
pub fn config_of(builder: SchemaBuilder) -> WorldConfig {
    WorldConfig::default().schema(builder.build().unwrap_or_else(|error| panic!("{error}")))
}

/// Reads bytes as a checkpoint by a plan.
///
/// # Errors
///
/// As [`CheckpointReader::read_with`].
pub fn read_by_plan(
    bytes: &[u8],
    config: WorldConfig,
    plan: &ReadPlan,
) -> Result<(World, ReadReport), CheckpointError> {
    CheckpointReader::new(bytes.to_vec())?.read_with(config, plan)
}

/// Saves a world that was read, reads it again by the same schema, and uses it up to the last entity.
///
/// # Panics
///
/// When anything about it is odd.
pub fn assert_whole(world: &mut World, config: WorldConfig) {
    let again = read_by_plan(&saved(world), config, &ReadPlan::new());
    let (mut again, _) = again.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(again.state_hash(), world.state_hash());
    let alive: Vec<Entity> = world.query::<Entity>().iter().collect();
    assert_eq!(alive.len(), world.entity_count());
    for &entity in &alive {
        assert!(!world.contains(entity) || world.despawn_tree(entity).is_ok());
    }
    assert_eq!(world.entity_count(), 0);
    let new: Vec<Entity> = (0..20).map(|_| world.spawn(())).collect();
    assert!(new.iter().all(|entity| world.contains(*entity) && !alive.contains(entity)));
}

/// A task as it follows an [`Order`].
#[derive(Clone, Copy, PartialEq, Debug, Pod, Zeroable)]
#[repr(C)]
pub struct Task {
    /// The one that is meant.
    pub target: Entity,
    /// Its text.
    pub words: Text,
    /// How urgent it is.
    pub urgency: u64,
}

impl Task {
    /// The task of an order.
    pub fn of(order: &Order) -> Self {
        let Order { target, words } = *order;
        Self { target, words, urgency: 7 }
    }
}

/// How many decisions of [`Decisions`] there are.
const DECISIONS: usize = 13;

/// Which types of a world of [`delta_schema`](crate::delta_schema) are dropped.
#[derive(Clone, Copy, Debug)]
pub struct Decisions([bool; DECISIONS]);

impl Decisions {
    /// Drops few types, many or all.
    pub fn new(mixer: &mut Mixer) -> Self {
        let part = [8, 3, 2, 1][mixer.below(4)];
        Self([(); DECISIONS].map(|()| mixer.below(part) == 0))
    }

    fn names(self) -> impl Iterator<Item = TypeName> {
        let [component, event, resource] =
            [TypeName::component, TypeName::event, TypeName::resource];
        let names = [
            vec![component("place")],
            vec![component("mode")],
            vec![component("engine")],
            vec![component("order")],
            vec![component("marked")],
            vec![component("child of"), component("children")],
            vec![component("orders")],
            vec![component("modes")],
            vec![event("ordered")],
            vec![event("marked")],
            vec![event("changed")],
            vec![resource("mode")],
            vec![resource("order")],
        ];
        names.into_iter().zip(self.0).filter(|(_, dropped)| *dropped).flat_map(|(names, _)| names)
    }

    /// A plan that drops the types.
    pub fn plan(self) -> ReadPlan {
        self.names().fold(ReadPlan::new(), ReadPlan::drop_type)
    }

    /// Changes a world of the file's types by hand as the plan does, but for events.
    pub fn drop_by_hand(self, world: &mut World) {
        let alive: Vec<Entity> = world.query::<Entity>().iter().collect();
        let [place, mode, engine, order, marked, links, orders, modes, .., one, other] = self.0;
        for entity in alive {
            place.then(|| world.remove::<(Place,)>(entity));
            mode.then(|| world.remove::<(Mode,)>(entity));
            engine.then(|| world.remove::<(Engine,)>(entity));
            order.then(|| world.remove::<(Order,)>(entity));
            marked.then(|| world.remove::<(Marked,)>(entity));
            links.then(|| world.remove_parent(entity));
            orders.then(|| world.remove::<(List<Order>,)>(entity));
            modes.then(|| world.remove::<(List<Mode>,)>(entity));
        }
        one.then(|| world.remove_resource::<Mode>());
        other.then(|| world.remove_resource::<Order>());
    }

    /// Compares a world that was read by [`Decisions::plan`] with the one that was saved.
    ///
    /// # Panics
    ///
    /// When anything differs.
    pub fn check_dropped(self, base: &mut World, loaded: &mut World) {
        let view = base.capture(ComponentMask::ALL, &SnapshotPool::default());
        let mut by_hand = World::branch(&view).unwrap_or_else(|error| panic!("{error}"));
        self.drop_by_hand(&mut by_hand);
        if let Some(difference) = first_difference(&*loaded, &by_hand) {
            panic!("{difference}");
        }
        let has = |world: &World, entity: Entity| {
            let [engine, orders, modes] = [
                world.get::<Engine>(entity).is_ok(),
                world.list::<Order>(entity).is_ok(),
                world.list::<Mode>(entity).is_ok(),
            ];
            let tags = [world.get::<Marked>(entity).is_ok(), world.get::<Mode>(entity).is_ok()];
            let [up, down] =
                [world.get::<ChildOf>(entity).is_ok(), world.get::<Children>(entity).is_ok()];
            let rest = [world.get::<Place>(entity).is_ok(), world.get::<Order>(entity).is_ok()];
            (engine, orders, modes, tags, up, down, rest)
        };
        // Rows of tables that became one are in the order of the file.
        let mut tables: Vec<(_, Vec<Entity>)> = Vec::new();
        for entity in base.query::<Entity>().iter() {
            let components = has(loaded, entity);
            match tables.iter_mut().find(|(known, _)| *known == components) {
                Some((_, rows)) => rows.push(entity),
                None => tables.push((components, vec![entity])),
            }
        }
        for (components, rows) in tables {
            let own =
                loaded.query::<Entity>().iter().filter(|&each| has(loaded, each) == components);
            assert!(own.eq(rows), "rows in their order");
        }
        let switched = |world: &World| {
            let all = world.query::<Entity>().iter();
            all.map(|entity| (entity, world.is_enabled::<Engine>(entity).ok())).collect()
        };
        let [one, other]: [BTreeMap<_, _>; 2] = [switched(loaded), switched(&by_hand)];
        assert_eq!(one, other, "switched on");
        self.check_events(base, loaded, |order| *order);
        for _ in 0..5 {
            assert_eq!(loaded.spawn(()), by_hand.spawn(()), "later handles");
        }
    }

    fn check_events<T: Component + PartialEq + std::fmt::Debug>(
        self,
        base: &World,
        loaded: &World,
        order: impl Fn(&Order) -> T,
    ) {
        let [.., ordered, marked, changed, _, _] = self.0;
        let (orders, next) = records::<Order>(base);
        let expected =
            if ordered { (Vec::new(), 0) } else { (orders.iter().map(order).collect(), next) };
        assert_eq!(records::<T>(loaded), expected);
        let expected = if marked { (Vec::new(), 0) } else { records::<Marked>(base) };
        assert_eq!(records::<Marked>(loaded), expected);
        let expected = if changed { (Vec::new(), 0) } else { records::<Mode>(base) };
        assert_eq!(records::<Mode>(loaded), expected);
    }

    /// A schema of other versions of most types, some under other names.
    pub fn new_schema() -> SchemaBuilder {
        Schema::builder()
            .resource(TypeEntry::<Order>::new().named("order", 1).with_layout())
            .resource(TypeEntry::<[u8; 3]>::new().named("mode", 4))
            .event(TypeEntry::<Mode>::new().named("altered", 1))
            .event(TypeEntry::<Marked>::new().named("marked", 1))
            .event(TypeEntry::<Task>::new().named("ordered", 2))
            .list(TypeEntry::<u16>::new().named("modes", 1))
            .list(TypeEntry::<Task>::new().named("tasks", 2))
            .component(TypeEntry::<u8>::new().named("marked", 2))
            .component(TypeEntry::<Task>::new().named("task", 1))
            .component(TypeEntry::<Children>::new().named("children", 1))
            .toggle(TypeEntry::<u64>::new().named("engine", 9))
            .component(TypeEntry::<ChildOf>::new().named("child of", 1))
            .component(TypeEntry::<u32>::new().named("mode", 2))
            .component(TypeEntry::<[f64; 2]>::new().named("place", 2))
    }

    /// A plan that drops the types and migrates the others to those of [`Decisions::new_schema`].
    pub fn new_plan(self) -> ReadPlan {
        let component = TypeName::component;
        let plan = ReadPlan::new()
            .migrate_bytes(TypeName::resource("mode"), 1, 1, |old, new| {
                new.fill(old[0]);
                Ok(())
            })
            .migrate("ordered", 1, Task::of)
            .migrate("modes", 1, |mode: &Mode| *mode as u16 + 500)
            .migrate("tasks", 1, Task::of)
            .migrate(component("marked"), 1, |_: &Marked| 33_u8)
            .migrate("task", 1, Task::of)
            .migrate("engine", 1, |engine: &Engine| u64::from(engine.0) << 20)
            .migrate(component("mode"), 1, |mode: &Mode| *mode as u32 + 5)
            .migrate("place", 1, |place: &Place| [f64::from(place.0[0]), f64::from(place.0[1])]);
        let aliases = [
            (TypeName::event("changed"), "altered"),
            (component("orders"), "tasks"),
            (component("order"), "task"),
        ];
        let stays = |name: &TypeName| self.names().all(|dropped| dropped != *name);
        let plan = aliases
            .into_iter()
            .filter(|(old, _)| stays(old))
            .fold(plan, |plan, (old, new)| plan.alias(old, new));
        self.names().fold(plan, ReadPlan::drop_type)
    }

    /// Compares a world that was read by [`Decisions::new_plan`] with the one that was saved.
    ///
    /// # Panics
    ///
    /// When anything differs.
    pub fn check_migrated(self, base: &World, loaded: &World) {
        let [place, mode, engine, order, marked, links, orders, modes, .., one, other] = self.0;
        assert_eq!((base.entity_count(), base.tick()), (loaded.entity_count(), loaded.tick()));
        for entity in base.query::<Entity>().iter() {
            let places = base.get::<Place>(entity).ok().filter(|_| !place);
            let places = places.map(|each| [f64::from(each.0[0]), f64::from(each.0[1])]);
            assert_eq!(loaded.get::<[f64; 2]>(entity).ok(), places.as_ref());
            let found =
                base.get::<Mode>(entity).ok().filter(|_| !mode).map(|mode| *mode as u32 + 5);
            assert_eq!(loaded.get::<u32>(entity).ok(), found.as_ref());
            let found = base.get::<Engine>(entity).ok().filter(|_| !engine);
            let found = found.map(|engine| u64::from(engine.0) << 20);
            assert_eq!(loaded.get::<u64>(entity).ok(), found.as_ref());
            let found = base.is_enabled::<Engine>(entity).ok().filter(|_| !engine);
            assert_eq!(loaded.is_enabled::<u64>(entity).ok(), found);
            let found = base.get::<Order>(entity).ok().filter(|_| !order).map(Task::of);
            assert_eq!(loaded.get::<Task>(entity).ok(), found.as_ref());
            let found = base.get::<Marked>(entity).ok().filter(|_| !marked).map(|_| &33);
            assert_eq!(loaded.get::<u8>(entity).ok(), found);
            let list = base.list::<Order>(entity).ok().filter(|_| !orders);
            let list: Option<Vec<Task>> = list.map(|list| list.iter().map(Task::of).collect());
            assert_eq!(loaded.list::<Task>(entity).ok(), list.as_deref());
            let list = base.list::<Mode>(entity).ok().filter(|_| !modes);
            let list: Option<Vec<u16>> =
                list.map(|list| list.iter().map(|mode| *mode as u16 + 500).collect());
            assert_eq!(loaded.list::<u16>(entity).ok(), list.as_deref());
            let parent = base.parent(entity).map(|parent| parent.filter(|_| !links));
            assert_eq!(loaded.parent(entity), parent);
        }
        let value = base.resource::<Mode>().ok().filter(|_| !one).map(|mode| [*mode as u8; 3]);
        assert_eq!(loaded.resource::<[u8; 3]>().ok(), value.as_ref());
        assert_eq!(loaded.resource::<Order>().ok(), base.resource().ok().filter(|_| !other));
        self.check_events(base, loaded, Task::of);
    }
}

/// All records of an event, and the number of the next one.
fn records<T: Component>(world: &World) -> (Vec<T>, u64) {
    let mut cursor = EventCursor::<T>::default();
    let records = world.events(&mut cursor).collect();
    (records, cursor.next_sequence())
}

/// Changes a file as [`feed_checkpoint`](crate::feed_checkpoint) does, and reads it by a plan, of types as they were or
/// of others. Tells whether it was read.
///
/// # Panics
///
/// When a file that can be read makes no sound world.
pub fn feed_evolution(seeds: &CheckpointSeeds, bytes: &[u8]) -> bool {
    let Some(file) = seeds.changed_file(bytes) else { return false };
    let seed = bytes.iter().fold(0, |seed: u64, &byte| seed.wrapping_mul(31) + u64::from(byte));
    try_evolution(&file, &mut Mixer::new(seed)).is_ok()
}

/// Reads bytes as a checkpoint by a random plan: an error, or a sound world.
///
/// # Errors
///
/// As [`CheckpointReader::read_with`].
///
/// # Panics
///
/// When it is neither.
pub fn try_evolution(file: &[u8], mixer: &mut Mixer) -> Result<(), CheckpointError> {
    let decisions = Decisions::new(mixer);
    let unknown = [Unknown::Keep, Unknown::Drop][mixer.below(2)];
    let (plan, config) = match mixer.below(2) {
        0 => (decisions.plan(), delta_config(4)),
        _ => (decisions.new_plan(), config_of(Decisions::new_schema()).chunk_rows_max(4)),
    };
    let (mut world, report) = read_by_plan(file, config.clone(), &plan.unknown(unknown))?;
    assert!(!report.to_string().is_empty());
    let modes = world.query::<Entity>().iter().filter_map(|entity| world.get::<Mode>(entity).ok());
    assert!(modes.into_iter().all(|mode| matches!(mode, Mode::Idle | Mode::Busy | Mode::Broken)));
    // A world of kept types finds them in its own file as well.
    assert_whole(&mut world, config);
    Ok(())
}
