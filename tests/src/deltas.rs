//! Deltas: a world that changes in every way that a delta knows, another one that follows it, and deltas
//! that nobody wrote.

use std::hint::black_box;

use bytemuck::{CheckedBitPattern, NoUninit, Pod, Zeroable};
use convoy_engine::commands::Commands;
use convoy_engine::delta::{Delta, DeltaError};
use convoy_engine::events::EventCursor;
use convoy_engine::hierarchy::{ChildOf, Children};
use convoy_engine::list::List;
use convoy_engine::schema::{Schema, TypeEntry, TypeLayout};
use convoy_engine::snapshot::first_difference;
use convoy_engine::text::Text;
use convoy_engine::{ComponentMask, Entity, SnapshotPool, View, World, WorldConfig};

use crate::values::Mixer;

const ALL: ComponentMask = ComponentMask::ALL;

/// A component of which not all bytes are one.
#[derive(Clone, Copy, PartialEq, Eq, Debug, NoUninit, CheckedBitPattern, TypeLayout)]
#[repr(u8)]
pub enum Mode {
    /// The first one.
    Idle,
    /// The second one.
    Busy,
    /// The third one.
    Broken,
}

/// A place, in twelve bytes.
#[derive(Clone, Copy, PartialEq, Debug, Pod, Zeroable, TypeLayout)]
#[repr(C)]
pub struct Place(pub [f32; 3]);

/// An entity and a text in a component.
#[derive(Clone, Copy, PartialEq, Debug, Pod, Zeroable, TypeLayout)]
#[repr(C)]
pub struct Order {
    /// The one that is meant.
    pub target: Entity,
    /// What it is to do.
    pub words: Text,
}

/// A component without bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Pod, Zeroable, TypeLayout)]
#[repr(C)]
pub struct Marked;

/// A component that can be switched off.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Pod, Zeroable, TypeLayout)]
#[repr(C)]
pub struct Engine(pub u16);

/// The schema of the worlds of deltas.
///
/// # Panics
///
/// When it can't be made.
pub fn delta_schema() -> Schema {
    let schema = Schema::builder()
        .component(TypeEntry::<Place>::new().named("place", 1).with_layout())
        .component(TypeEntry::<Mode>::new().named("mode", 1).with_layout())
        .toggle(TypeEntry::<Engine>::new().named("engine", 1).with_layout())
        .component(TypeEntry::<Order>::new().named("order", 1).with_layout())
        .component(TypeEntry::<Marked>::new().named("marked", 1).with_layout())
        .component(TypeEntry::<ChildOf>::new().named("child of", 1).with_layout())
        .component(TypeEntry::<Children>::new().named("children", 1).with_layout())
        .list(TypeEntry::<Order>::new().named("orders", 1).with_layout())
        .list(TypeEntry::<Mode>::new().named("modes", 1).with_layout())
        .event(TypeEntry::<Order>::new().named("ordered", 1).with_layout())
        .event(TypeEntry::<Marked>::new().named("marked", 1).with_layout())
        .event(TypeEntry::<Mode>::new().named("changed", 1).with_layout())
        .resource(TypeEntry::<Mode>::new().named("mode", 1).with_layout())
        .resource(TypeEntry::<Order>::new().named("order", 1).with_layout());
    schema.build().unwrap_or_else(|error| panic!("{error}"))
}

/// The configuration of the worlds of deltas, with chunks of so many rows at the most.
pub fn delta_config(chunk_rows_max: usize) -> WorldConfig {
    WorldConfig::default().schema(delta_schema()).chunk_rows_max(chunk_rows_max).event_retention(6)
}

/// Changes a world by one random operation. A command buffer records now and then.
pub fn mutate(world: &mut World, mixer: &mut Mixer, commands: &mut Commands) {
    let pick = |world: &World, mixer: &mut Mixer| {
        let count = world.entity_count();
        let skipped = if count == 0 { 0 } else { mixer.below(count) };
        world.query::<Entity>().iter().nth(skipped).unwrap_or(Entity::NONE)
    };
    let (one, other) = (pick(world, mixer), pick(world, mixer));
    let number = mixer.next_number();
    let mode = [Mode::Idle, Mode::Busy, Mode::Broken][mixer.below(3)];
    let place = Place([number as u16 as f32, 1.0, 2.0]);
    let words = format!("text number {}", number % 40);
    match mixer.below(42) {
        0 | 1 => _ = world.spawn((place,)),
        2 => _ = world.spawn((place, mode, Engine(number as u16))),
        3 => {
            let words = world.text(&words);
            _ = world.spawn((Order { target: one, words }, Marked));
        }
        4 => _ = world.spawn(()),
        5 => _ = world.spawn_batch((0..number % 9).map(|_| (place, Marked))),
        6..=8 => _ = world.despawn(one),
        9 => _ = world.despawn_tree(one),
        10 => _ = world.insert(one, (mode,)),
        11 => _ = world.insert(one, (Engine(number as u16), Marked)),
        12 => _ = world.remove::<(Mode,)>(one),
        13 => _ = world.remove::<(Marked,)>(one),
        14 => _ = world.disable::<Engine>(one),
        15 => _ = world.enable::<Engine>(one),
        16 | 17 => _ = world.set_parent(one, other),
        18 => _ = world.set_parent_at(one, other, 0),
        19 => _ = world.remove_parent(one),
        20 => _ = world.get_mut::<Place>(one).map(|each| *each = place),
        21 => world.query_mut::<&mut Place>().for_each(|place| place.0[1] += 1.0),
        22 => _ = world.get_mut::<Mode>(one).map(|each| *each = mode),
        23 => {
            let words = world.text(&words);
            world.send_event(Order { target: one, words });
        }
        24 => (0..number % 12).for_each(|_| world.send_event(mode)),
        25 => world.send_event(Marked),
        26 => _ = world.insert_resource(mode),
        27 => _ = world.remove_resource::<Mode>(),
        28 => {
            let words = world.text(&words);
            _ = world.insert_resource(Order { target: other, words });
        }
        29 => {
            (0..number % 5).for_each(|_| _ = commands.spawn((place, mode)));
            commands.despawn(other);
            _ = world.play_back(commands);
        }
        30 => {
            let reserved: Vec<Entity> = (0..number % 4).map(|_| world.reserve_entity()).collect();
            if number % 8 < 4 {
                reserved.into_iter().for_each(|each| _ = world.spawn_at(each, (place,)));
            }
        }
        31 if number.is_multiple_of(16) => _ = world.clear(),
        32 => drop(world.reserve_entities(number as usize % 50)),
        33 => _ = world.spawn((List::<Mode>::new(), List::<Order>::new())),
        34 => _ = world.insert(one, (List::<Mode>::new(),)),
        35 => _ = world.insert(one, (List::<Order>::new(), place)),
        36 => _ = world.remove::<(List<Mode>,)>(one),
        37 => {
            let words = world.text(&words);
            if let Ok(mut orders) = world.list_mut::<Order>(one) {
                orders.extend((0..number % 7).map(|_| Order { target: other, words }));
            }
        }
        38 => {
            if let Ok(mut orders) = world.list_mut::<Order>(one) {
                let len = orders.len();
                orders.truncate(number as usize % (len + 1));
            }
        }
        39 => world.query_mut::<&mut List<Mode>>().for_each(|mut modes| modes.push(mode)),
        40 => world.query_mut::<&mut List<Mode>>().for_each(|mut modes| {
            modes.pop();
            modes.reverse();
        }),
        _ => world.advance_tick(),
    }
}

/// Gives each list some elements: `mutate` alone leaves nearly all of them empty.
pub(crate) fn fill_lists(world: &mut World, mixer: &mut Mixer) {
    let words = world.text("words that are longer than those that a text has in itself");
    world.query_mut::<(Entity, &mut List<Order>)>().for_each(|(target, mut orders)| {
        orders.extend((0..mixer.below(4)).map(|_| Order { target, words }));
    });
    let modes = [Mode::Idle, Mode::Busy, Mode::Broken].repeat(3);
    world.query_mut::<&mut List<Mode>>().for_each(|mut list| {
        list.extend(&modes[..mixer.below(modes.len())]);
    });
}

/// Compares two worlds in everything that a delta makes equal: what can be read, the order of rows, and the
/// handles that come next.
///
/// # Panics
///
/// When anything differs.
pub fn assert_same(one: &mut World, other: &mut World) {
    assert_eq!(one.state_hash(), other.state_hash(), "the state");
    if let Some(difference) = first_difference(&*one, &*other) {
        panic!("{difference}");
    }
    let rows = |world: &World| world.query::<Entity>().iter().collect::<Vec<_>>();
    assert_eq!(rows(one), rows(other), "rows in their order");
    assert_eq!(one.tick(), other.tick());
    assert_eq!(events(one), events(other), "events");
    let held = one.held_texts().unwrap_or_else(|error| panic!("{error}"));
    for text in held {
        assert_eq!(one.resolve(&text), other.resolve(&text), "the content of a text");
    }
    let pool = SnapshotPool::default();
    let [mut one, mut other] = [one, other].map(|world| branch_of(&world.capture(ALL, &pool)));
    assert_eq!(later_handles(&mut one), later_handles(&mut other), "later handles");
    assert_eq!(later_lists(&mut one), later_lists(&mut other), "no two lists share a block");
}

/// The state after lists have grown, come and grown again: with blocks that were out of use.
fn later_lists(world: &mut World) -> u64 {
    for round in 0..3 {
        let modes = [Mode::Busy; 9];
        world.query_mut::<&mut List<Mode>>().for_each(|mut list| list.extend(&modes[..round * 4]));
        let new: Vec<Entity> = (0..20).map(|_| world.spawn((List::<Mode>::new(),))).collect();
        for entity in new {
            if let Ok(mut list) = world.list_mut::<Mode>(entity) {
                list.extend([Mode::Broken; 3]);
            }
        }
    }
    world.state_hash()
}

fn branch_of(view: &View) -> World {
    World::branch(view).unwrap_or_else(|error| panic!("{error}"))
}

/// The handles that a world gives out next, in every way.
fn later_handles(world: &mut World) -> Vec<Entity> {
    let mut handles = vec![world.reserve_entity()];
    let mut commands = Commands::new(world);
    handles.extend((0..3).map(|_| commands.spawn((Marked,))));
    _ = world.play_back(&mut commands);
    world.advance_tick();
    handles.extend((0..20).map(|_| world.spawn(())));
    handles
}

/// The records of all events, with the numbers of the next ones.
fn events(world: &World) -> (Vec<Order>, Vec<Mode>, usize, [u64; 3]) {
    let mut cursors = (
        EventCursor::<Order>::default(),
        EventCursor::<Mode>::default(),
        EventCursor::<Marked>::default(),
    );
    let orders = world.events(&mut cursors.0).collect();
    let modes = world.events(&mut cursors.1).collect();
    let marks = world.events(&mut cursors.2).count();
    let next = [cursors.0.next_sequence(), cursors.1.next_sequence(), cursors.2.next_sequence()];
    (orders, modes, marks, next)
}

/// Uses a world that a delta from anywhere has made, up to the last entity.
///
/// # Panics
///
/// When it is no sound world.
pub fn assert_sound(world: &mut World) {
    let alive: Vec<Entity> = world.query::<Entity>().iter().collect();
    assert_eq!(alive.len(), world.entity_count());
    for &entity in &alive {
        assert!(world.contains(entity));
        let mode = world.get::<Mode>(entity).copied().ok();
        let modes = world.list::<Mode>(entity).unwrap_or_default();
        let mut modes = modes.iter().copied().chain(mode);
        // A comparison that the compiler can't take for granted.
        assert!(modes.all(|mode| black_box(mode as u8) <= 2));
        if let Ok(mut modes) = world.list_mut::<Mode>(entity) {
            modes.push(Mode::Idle);
            modes.pop();
        }
        for child in world.children(entity).unwrap_or_else(|error| panic!("{error}")) {
            assert_eq!(world.parent(child), Ok(Some(entity)));
        }
        let root = std::iter::successors(Some(entity), |&each| world.parent(each).ok().flatten());
        assert!(root.count() <= alive.len());
    }
    let (pool, hash) = (SnapshotPool::default(), world.state_hash());
    let view = world.capture(ALL, &pool);
    assert_eq!(view.state_hash(), hash);
    let mut bytes = Vec::new();
    Delta::encode(None, &view, &mut bytes).unwrap_or_else(|error| panic!("{error}"));
    let mut copy = World::with_config(delta_config(4));
    let delta = Delta::parse(&bytes).unwrap_or_else(|error| panic!("{error}"));
    copy.apply(&delta).unwrap_or_else(|error| panic!("{error}"));
    assert_same(&mut copy, &mut branch_of(&view));
    let handles = later_handles(&mut copy);
    assert!(alive.iter().all(|each| !handles.contains(each)), "handles are given out once");
    for entity in alive {
        if copy.contains(entity) {
            copy.despawn_tree(entity).unwrap_or_else(|error| panic!("{error}"));
        }
    }
    assert_eq!(copy.query::<&Place>().count(), 0);
}

/// The worlds and deltas that [`feed_delta`] changes.
pub struct DeltaSeeds {
    /// A delta from a base, one back to nothing, a whole world, and a delta of few changes from another base, whose
    /// counter of indices is past those of command buffers.
    pub deltas: Vec<Vec<u8>>,
    bases: [View; 2],
    _pool: SnapshotPool,
}

/// How many of the deltas are for the first base.
const DELTAS_OF_FIRST: usize = 3;

impl Default for DeltaSeeds {
    fn default() -> Self {
        Self::new()
    }
}

impl DeltaSeeds {
    /// Makes them: always the same ones.
    ///
    /// # Panics
    ///
    /// When a delta can't be made.
    pub fn new() -> Self {
        let mut world = World::with_config(delta_config(4));
        let (pool, mut mixer) = (SnapshotPool::default(), Mixer::new(7));
        let mut commands = Commands::new(&mut world);
        let empty = world.capture(ALL, &pool);
        (0..150).for_each(|_| mutate(&mut world, &mut mixer, &mut commands));
        fill_lists(&mut world, &mut mixer);
        let base = world.capture(ALL, &pool);
        (0..100).for_each(|_| mutate(&mut world, &mut mixer, &mut commands));
        fill_lists(&mut world, &mut mixer);
        let newer = world.capture(ALL, &pool);
        let (lanes, after_lanes) = lanes_in_use(&pool);
        let pairs = [
            (Some(&base), &newer),
            (Some(&base), &empty),
            (None, &newer),
            (Some(&lanes), &after_lanes),
        ];
        let deltas = pairs.map(|(older, newer)| {
            let mut bytes = Vec::new();
            Delta::encode(older, newer, &mut bytes).unwrap_or_else(|error| panic!("{error}"));
            bytes
        });
        Self { deltas: deltas.into(), bases: [base, lanes], _pool: pool }
    }

    /// Applies bytes to a world of the base of delta number `of`. A refusal changes nothing, and anything else
    /// makes a sound world. Tells which it was.
    ///
    /// # Panics
    ///
    /// When it is neither.
    pub fn try_bytes(&self, of: usize, bytes: &[u8]) -> Result<(), DeltaError> {
        let base = &self.bases[usize::from(of >= DELTAS_OF_FIRST)];
        let mut world = branch_of(base);
        let pool = SnapshotPool::default();
        let (view, hash) = (world.capture(ALL, &pool), world.state_hash());
        let applied = Delta::parse(bytes).and_then(|delta| world.apply(&delta));
        match applied {
            Ok(_) => assert_sound(&mut world),
            Err(_) => assert_same(&mut world, &mut branch_of(base)),
        }
        assert_eq!(view.state_hash(), hash, "views stay as they are");
        applied.map(drop)
    }
}

/// A world in which command buffers have used indices of their own, between those of the world, and the same after one
/// change more.
fn lanes_in_use(pool: &SnapshotPool) -> (View, View) {
    let mut world = World::with_config(delta_config(4));
    // The world's own indices go on behind those of the first level of lanes.
    drop(world.reserve_entities(40_000).unwrap_or_else(|error| panic!("{error}")));
    let mut commands = Commands::new(&mut world);
    // A few more than a buffer has at first: these are of its lane.
    (0..BUFFER_SPAWNS).for_each(|_| _ = commands.spawn((Marked,)));
    _ = world.play_back(&mut commands);
    let before = world.capture(ALL, pool);
    world.spawn((Marked,));
    (before, world.capture(ALL, pool))
}

/// So many entities recorded in one buffer take some of the indices that are its own.
const BUFFER_SPAWNS: usize = 71;

/// Changes a delta as bytes say, puts its checksum right, and applies it: for a fuzzer.
///
/// The first byte picks the delta; each change is a place, in two bytes, what is done there, and a value.
///
/// # Panics
///
/// When a delta that was refused has changed the world, or one that was not makes no sound world.
pub fn feed_delta(seeds: &DeltaSeeds, bytes: &[u8]) {
    let Some((&first, changes)) = bytes.split_first() else { return };
    if first == 255 {
        let mut whole = changes.to_vec();
        Delta::mend(&mut whole);
        _ = seeds.try_bytes(0, &whole);
        return;
    }
    let of = usize::from(first) % seeds.deltas.len();
    let mut delta = seeds.deltas[of].clone();
    for change in changes.chunks_exact(4) {
        let at = usize::from(u16::from_le_bytes([change[0], change[1]])) % delta.len().max(1);
        let (what, value) = (change[2], change[3]);
        match what % 6 {
            0 => delta[at] = value,
            1 => delta[at] = delta[at].wrapping_add(1),
            2 => delta[at] = delta[at].wrapping_sub(1),
            3 => delta.insert(at, value),
            4 if delta.len() > 1 => _ = delta.remove(at),
            _ => {
                let end = delta.len().min(at + usize::from(value));
                let piece = delta[at..end].to_vec();
                delta.splice(at..at, piece);
            }
        }
    }
    Delta::mend(&mut delta);
    _ = seeds.try_bytes(of, &delta);
}
