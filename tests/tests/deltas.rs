//! Deltas: a world that applies one equals the world that it was made of, and one that refuses one stays
//! as it was.
#![allow(clippy::unwrap_used, reason = "a failed expectation is a failed test")]

use convoy_engine::commands::Commands;
use convoy_engine::delta::{Delta, DeltaEncoder, DeltaError};
use convoy_engine::events::EventCursor;
use convoy_engine::list::List;
use convoy_engine::schema::{Schema, TypeEntry};
use convoy_engine::{ComponentMask, Entity, SnapshotPool, View, World, WorldConfig};
use convoy_tests::{
    DeltaSeeds, Engine, Marked, Mixer, Mode, Order, Place, assert_same, delta_config, feed_delta,
    mutate,
};

const ALL: ComponentMask = ComponentMask::ALL;

/// A world, and one that follows it by deltas.
struct Twins {
    source: World,
    follower: World,
    pool: SnapshotPool,
    encoder: DeltaEncoder,
    last: Option<View>,
    bytes: Vec<u8>,
}

impl Twins {
    fn new(chunk_rows_max: usize) -> Self {
        let [source, follower] = [(); 2].map(|()| World::with_config(delta_config(chunk_rows_max)));
        let pool = SnapshotPool::default();
        Self { source, follower, pool, encoder: DeltaEncoder::new(), last: None, bytes: Vec::new() }
    }

    /// Captures the source, and applies what has changed to the follower.
    fn send(&mut self) {
        let view = self.source.capture(ALL, &self.pool);
        self.encoder.encode(self.last.as_ref(), &view, &mut self.bytes).unwrap();
        let delta = Delta::parse(&self.bytes).unwrap();
        self.follower.apply(&delta).unwrap();
        assert_eq!(self.follower.delta_mark(), delta.target());
        assert_eq!(self.follower.state_hash(), delta.target().state_hash());
        assert_same(&mut self.source, &mut self.follower);
        self.last = Some(view);
    }
}

/// A row with the same elements under another entity was not sent, so its block still belonged to the one that had
/// gone, counted as out of use, and was given to another list.
#[test]
fn equal_list_of_another_entity_has_a_block_of_its_own() {
    let [mut source, mut follower] = [(); 2].map(|()| World::with_config(delta_config(64)));
    let pool = SnapshotPool::default();
    let modes = |world: &mut World, mode| {
        let entity = world.spawn((List::<Mode>::new(),));
        world.list_mut::<Mode>(entity).unwrap().extend([mode; 3]);
        entity
    };
    let entities: Vec<Entity> = (0..40).map(|_| modes(&mut source, Mode::Busy)).collect();
    let mut last = source.capture(ComponentMask::ALL, &pool);
    let mut bytes = Vec::new();
    Delta::encode(None, &last, &mut bytes).unwrap();
    follower.apply(&Delta::parse(&bytes).unwrap()).unwrap();
    for &entity in &entities[..30] {
        source.despawn(entity).unwrap();
        let view = source.capture(ComponentMask::ALL, &pool);
        Delta::encode(&last, &view, &mut bytes).unwrap();
        follower.apply(&Delta::parse(&bytes).unwrap()).unwrap();
        last = view;
    }
    // Blocks out of use are looked for, and used again.
    let idle: Vec<Entity> = (0..200).map(|_| modes(&mut follower, Mode::Idle)).collect();
    for &entity in &idle {
        follower.query_mut::<Entity>().for_each(|_| ());
        follower.list_mut::<Mode>(entity).unwrap().extend([Mode::Broken; 9]);
    }
    let kept = &entities[30..];
    assert!(kept.iter().all(|&each| follower.list::<Mode>(each).unwrap() == [Mode::Busy; 3]));
}

#[test]
fn every_kind_of_change_comes_across() {
    let mut twins = Twins::new(4);
    twins.send();
    let place = Place([1.0, 2.0, 3.0]);
    let ships: Vec<_> = (0..30).map(|n| twins.source.spawn((place, Engine(n)))).collect();
    twins.send();
    for &ship in &ships[3..9] {
        twins.source.despawn(ship).unwrap();
    }
    twins.send();
    twins.source.insert(ships[0], (Mode::Busy, Marked)).unwrap();
    twins.source.remove::<(Engine,)>(ships[1]).unwrap();
    twins.source.disable::<Engine>(ships[20]).unwrap();
    twins.send();
    assert!(!twins.follower.is_enabled::<Engine>(ships[20]).unwrap());
    twins.source.set_parent(ships[10], ships[11]).unwrap();
    twins.source.set_parent(ships[12], ships[11]).unwrap();
    twins.send();
    assert!(twins.follower.children(ships[11]).unwrap().eq([ships[10], ships[12]]));
    twins.source.despawn(ships[11]).unwrap();
    twins.send();
    let words = twins.source.text("a text that no handle holds");
    let order = Order { target: ships[0], words };
    twins.source.send_event(order);
    twins.source.insert_resource(order).unwrap();
    twins.source.insert_resource(Mode::Broken).unwrap();
    twins.send();
    assert_eq!(twins.follower.resolve(&words), Ok("a text that no handle holds"));
    assert_eq!(twins.follower.resource::<Mode>(), Ok(&Mode::Broken));
    twins.source.remove_resource::<Mode>().unwrap();
    (0..40).for_each(|_| twins.source.send_event(Mode::Idle));
    twins.source.advance_tick();
    twins.send();
    assert_eq!(twins.follower.tick(), 1);
    twins.source.clear().unwrap();
    twins.send();
    let nothing = twins.bytes.len();
    twins.send();
    assert!(twins.bytes.len() <= nothing, "no change is a short delta");
}

#[test]
fn a_cursor_of_the_follower_reads_each_event_once() {
    let mut twins = Twins::new(4);
    let mut cursor = EventCursor::<Mode>::default();
    let mut read = 0;
    for round in 0..20 {
        (0..round % 5).for_each(|_| twins.source.send_event(Mode::Busy));
        twins.send();
        read += twins.follower.events(&mut cursor).count();
        if round == 10 {
            twins.last = None;
        }
    }
    assert_eq!((read as u64, cursor.lost(), cursor.taken_back()), (cursor.next_sequence(), 0, 0));
}

#[test]
fn views_of_the_follower_stay_as_they_are() {
    let mut twins = Twins::new(4);
    let (mut mixer, mut held) = (Mixer::new(3), Vec::new());
    let mut commands = Commands::new(&mut twins.source);
    for _ in 0..20 {
        (0..20).for_each(|_| mutate(&mut twins.source, &mut mixer, &mut commands));
        twins.send();
        let view = twins.follower.capture(ALL, &twins.pool);
        let hash = view.state_hash();
        held.push((view, hash));
        assert!(held.iter().all(|(view, hash)| view.state_hash() == *hash));
    }
}

#[test]
fn deltas_lead_between_any_two_views_in_either_direction() {
    let mut twins = Twins::new(4);
    let mut mixer = Mixer::new(5);
    let mut commands = Commands::new(&mut twins.source);
    let mut views = Vec::new();
    for _ in 0..8 {
        (0..30).for_each(|_| mutate(&mut twins.source, &mut mixer, &mut commands));
        twins.send();
        views.push(twins.source.capture(ALL, &twins.pool));
    }
    // A branch goes its own way, with archetypes of its own.
    let mut branch = World::branch(&views[0]).unwrap();
    let mut commands = Commands::new(&mut branch);
    (0..60).for_each(|_| mutate(&mut branch, &mut mixer, &mut commands));
    views.push(branch.capture(ALL, &twins.pool));
    twins.last = views.get(7).cloned();
    for _ in 0..60 {
        let (from, to) = (twins.last.take().unwrap(), &views[mixer.below(views.len())]);
        Delta::encode(&from, to, &mut twins.bytes).unwrap();
        twins.follower.apply(&Delta::parse(&twins.bytes).unwrap()).unwrap();
        assert_same(&mut twins.follower, &mut World::branch(to).unwrap());
        twins.last = Some(to.clone());
    }
}

#[test]
fn a_world_that_came_to_the_base_by_itself_takes_the_delta() {
    let build = |world: &mut World| (0..9).for_each(|n| _ = world.spawn((Engine(n), Marked)));
    let mut twins = Twins::new(4);
    build(&mut twins.source);
    build(&mut twins.follower);
    twins.last = Some(twins.source.capture(ALL, &twins.pool));
    twins.source.query_mut::<&mut Engine>().for_each(|engine| engine.0 += 1);
    twins.send();
    assert!(twins.bytes.len() < 400, "{}", twins.bytes.len());
}

#[test]
fn repeated_and_reordered_deltas_are_refused_and_a_whole_world_mends_it() {
    let mut twins = Twins::new(4);
    let mut deltas = Vec::new();
    for number in 0..4 {
        twins.source.spawn((Engine(number),));
        twins.send();
        deltas.push(twins.bytes.clone());
    }
    let is_base = |world: &mut World, bytes: &[u8]| {
        let before = world.state_hash();
        let refused = world.apply(&Delta::parse(bytes).unwrap());
        assert!(matches!(refused, Err(DeltaError::Base { .. })), "{refused:?}");
        assert_eq!(world.state_hash(), before);
    };
    is_base(&mut twins.follower, &deltas[3]);
    is_base(&mut twins.follower, &deltas[1]);
    twins.follower.spawn((Engine(7),));
    let view = twins.source.capture(ALL, &twins.pool);
    Delta::encode(&view, &view, &mut twins.bytes).unwrap();
    is_base(&mut twins.follower, &twins.bytes);
    twins.last = None;
    twins.send();
}

#[test]
fn worlds_of_other_types_are_refused() {
    let mut twins = Twins::new(4);
    twins.source.spawn((Engine(1),));
    twins.send();
    let delta = Delta::parse(&twins.bytes).unwrap();
    let schema = Schema::builder().component(TypeEntry::<Place>::new().named("place", 2));
    for mut world in [
        World::new(),
        World::with_schema(&schema.build().unwrap()),
        World::with_config(delta_config(8)),
    ] {
        let refused = world.apply(&delta);
        assert!(matches!(refused, Err(DeltaError::Schema { .. })), "{refused:?}");
        assert_eq!(world.entity_count(), 0);
    }
    // A type that only the source knows, and one that only the follower knows.
    twins.source.register::<u64>().unwrap();
    let view = twins.source.capture(ALL, &twins.pool);
    Delta::encode(&view, &view, &mut twins.bytes).unwrap();
    let delta = Delta::parse(&twins.bytes).unwrap();
    assert!(matches!(twins.follower.apply(&delta), Err(DeltaError::Schema { .. })));
    twins.follower.register::<u64>().unwrap();
    twins.follower.apply(&delta).unwrap();
    twins.follower.register::<u32>().unwrap();
    twins.follower.apply(&delta).unwrap();
    let narrow = view.narrow(ComponentMask::NONE);
    assert!(matches!(
        Delta::encode(None, &narrow, &mut twins.bytes),
        Err(DeltaError::NotCaptured { .. })
    ));
    let mut replica = World::new();
    let mask = twins.source.register::<Place>().unwrap();
    replica.sync_from(&twins.source, [mask].into_iter().collect()).unwrap();
    let whole = twins.source.capture(ALL, &twins.pool);
    Delta::encode(None, &whole, &mut twins.bytes).unwrap();
    let refused = replica.apply(&Delta::parse(&twins.bytes).unwrap());
    assert!(matches!(refused, Err(DeltaError::PartialReplica)));
}

#[test]
fn a_delta_that_is_cut_short_or_changed_in_any_byte_is_refused() {
    let seeds = DeltaSeeds::new();
    for delta in &seeds.deltas {
        for end in 0..delta.len() {
            assert!(Delta::parse(&delta[..end]).is_err(), "{end}");
        }
        let mut changed = delta.clone();
        for at in 0..delta.len() {
            changed[at] ^= 1 << (at % 8);
            assert!(Delta::parse(&changed).is_err(), "{at}");
            changed[at] = delta[at];
        }
        assert!(Delta::parse(&[&delta[..], &[0]].concat()).is_err());
    }
}

/// With the checksum put right, so that only the checks of the contents are left.
#[test]
fn a_delta_that_means_another_world_is_refused_or_makes_a_sound_one() {
    let seeds = DeltaSeeds::new();
    let (mut taken, mut refused) = (0, 0);
    for (of, delta) in seeds.deltas.iter().enumerate() {
        let mut changed = delta.clone();
        for at in 0..delta.len() {
            let byte = delta[at];
            let values = [byte ^ 1, byte.wrapping_add(2), 0xff];
            // In short ones, each byte is made less as well.
            let less = (delta.len() < 1_000).then_some(byte.wrapping_sub(4));
            for value in less.into_iter().chain([values[at % 3]]) {
                changed.clone_from(delta);
                changed[at] = value;
                Delta::mend(&mut changed);
                match seeds.try_bytes(of, &changed) {
                    Ok(()) => taken += 1,
                    Err(_) => refused += 1,
                }
            }
        }
        for end in (0..delta.len()).step_by(7) {
            changed.clone_from(delta);
            changed.truncate(end);
            Delta::mend(&mut changed);
            assert!(seeds.try_bytes(of, &changed).is_err());
        }
    }
    assert!(taken > 100 && refused > 1000, "{taken} {refused}");
}

/// Slots before the counter of the world were not looked at when a lane had given out fewer indices than before: an
/// entity stayed there, and the next command buffer gave its handle out again.
#[test]
fn a_lane_takes_no_index_of_an_entity_back() {
    let (mut world, pool) = (World::with_config(delta_config(usize::MAX)), SnapshotPool::default());
    // The world's own indices go on behind those of the first level of lanes.
    world.spawn_batch((0..40_000).map(|_| (Marked,))).unwrap();
    let mut commands = Commands::new(&mut world);
    // Seven more than a buffer has at first: these are of its lane.
    (0..71).for_each(|_| _ = commands.spawn((Marked,)));
    _ = world.play_back(&mut commands);
    let base = world.capture(ALL, &pool);
    world.spawn((Marked,));
    let mut delta = Vec::new();
    Delta::encode(&base, &world.capture(ALL, &pool), &mut delta).unwrap();
    let mut refused = 0;
    // One of these bytes is the count of the lane.
    for at in (0..delta.len()).filter(|&at| delta[at] == 7) {
        let mut changed = delta.clone();
        changed[at] = 3;
        Delta::mend(&mut changed);
        let mut branch = World::branch(&base).unwrap();
        refused += u32::from(branch.apply(&Delta::parse(&changed).unwrap()).is_err());
        let mut commands = Commands::new(&mut branch);
        let handles: Vec<Entity> = (0..200).map(|_| commands.spawn((Marked,))).collect();
        let known = handles.into_iter().find(|&handle| branch.contains(handle));
        assert_eq!(known, None, "handles are given out once");
    }
    assert!(refused > 0);
}

#[test]
fn random_changes_of_deltas_never_make_an_unsound_world() {
    let (seeds, mut mixer) = (DeltaSeeds::new(), Mixer::new(11));
    for _ in 0..3_000 {
        let count = 1 + 4 * (1 + mixer.below(4));
        let bytes: Vec<u8> = (0..count).map(|_| mixer.next_number() as u8).collect();
        feed_delta(&seeds, &bytes);
    }
}

/// An order whose last archetype stood in it before made a world of fewer tables than the delta has, as the order was
/// compared only as far as there were archetypes, and the checks looked past the last table.
#[test]
fn an_archetype_that_comes_twice_is_refused() {
    let mut twins = Twins::new(4);
    twins.source.spawn((Place([0.5; 3]),));
    twins.source.spawn((Marked,));
    let view = twins.source.capture(ALL, &twins.pool);
    Delta::encode(None, &view, &mut twins.bytes).unwrap();
    // After the head: the part, the archetype of the entity alone, and two of one more component each.
    let (part, last) = ([1, 1, 0, 2, 0], 104 + 8);
    assert!(twins.bytes[104..].starts_with(&part) && twins.bytes[last - 2..last] == [2, 0]);
    twins.bytes[last] = twins.bytes[last - 3];
    Delta::mend(&mut twins.bytes);
    let refused = twins.follower.apply(&Delta::parse(&twins.bytes).unwrap());
    assert!(matches!(refused, Err(DeltaError::Malformed { .. })), "{refused:?}");
    let mut untouched = World::with_config(delta_config(4));
    assert_same(&mut twins.follower, &mut untouched);
}

#[test]
fn a_follower_without_memory_stays_as_it_is() {
    let mut source = World::with_config(delta_config(usize::MAX));
    let pool = SnapshotPool::default();
    let fill = |world: &mut World, count: u16| {
        for number in 0..count {
            world.spawn((Place([1.0; 3]), Engine(number)));
            world.send_event(Mode::Busy);
        }
    };
    fill(&mut source, 3_000);
    let older = source.capture(ALL, &pool);
    fill(&mut source, 20_000);
    source.query_mut::<&mut Place>().for_each(|place| place.0[0] += 1.0);
    source.insert_resource(Mode::Busy).unwrap();
    let newer = source.capture(ALL, &pool);
    let (mut whole, mut delta) = (Vec::new(), Vec::new());
    Delta::encode(None, &older, &mut whole).unwrap();
    Delta::encode(&older, &newer, &mut delta).unwrap();
    let (mut refused, mut taken) = (0, 0);
    for kibibytes in (256..2_400).step_by(48) {
        let config = delta_config(usize::MAX).memory_limit_bytes(kibibytes * 1024);
        let mut follower = World::with_config(config);
        if follower.apply(&Delta::parse(&whole).unwrap()).is_err() {
            assert_eq!((follower.entity_count(), follower.spawn(()).index()), (0, 0));
            continue;
        }
        let view = follower.capture(ALL, &pool);
        let before = follower.state_hash();
        match follower.apply(&Delta::parse(&delta).unwrap()) {
            Ok(_) => {
                taken += 1;
                assert_eq!(follower.state_hash(), newer.state_hash());
            }
            Err(error) => {
                assert!(matches!(error, DeltaError::Memory(_)), "{error}");
                refused += 1;
                assert_eq!(follower.state_hash(), before);
                assert_same(&mut follower, &mut World::branch(&older).unwrap());
            }
        }
        assert_eq!(view.state_hash(), before);
    }
    assert!(refused > 3 && taken > 3, "{refused} {taken}");
}

#[test]
fn scattered_rows_take_two_bytes_more_each() {
    let mut twins = Twins::new(usize::MAX);
    let ships: Vec<_> = (0..10_000).map(|_| twins.source.spawn((Place([0.5; 3]),))).collect();
    twins.send();
    let changed: Vec<_> = ships.iter().step_by(10).collect();
    for &&ship in &changed {
        twins.source.get_mut::<Place>(ship).unwrap().0[1] = 7.0;
    }
    twins.send();
    let differing = changed.len() * size_of::<Place>();
    assert!(twins.bytes.len() * 10 <= differing * 12, "{} {differing}", twins.bytes.len());
}

/// A restore that takes rows away writes no chunk. Where the handle was reserved before, the head of the index
/// is the same as well, and the world was taken for the one that the last delta had made.
#[test]
fn a_restore_that_writes_no_chunk_is_another_state() {
    let mut twins = Twins::new(4);
    let reserved = twins.source.reserve_entity();
    twins.send();
    let (theirs, own) = (twins.last.clone(), twins.follower.capture(ALL, &twins.pool));
    twins.source.spawn_at(reserved, (Marked,)).unwrap();
    twins.send();
    twins.follower.restore(&own).unwrap();
    assert_eq!(twins.follower.delta_mark().state_hash(), twins.follower.state_hash());
    twins.last = theirs;
    twins.send();
}

#[test]
fn texts_that_do_not_fit_are_refused() {
    let mut twins = Twins::new(4);
    let config = delta_config(4).text_bytes_max(20);
    twins.follower = World::with_config(config);
    let words = twins.source.text("longer than twenty bytes, all in all");
    twins.source.spawn((Order { target: Entity::NONE, words },));
    let view = twins.source.capture(ALL, &twins.pool);
    Delta::encode(None, &view, &mut twins.bytes).unwrap();
    let refused = twins.follower.apply(&Delta::parse(&twins.bytes).unwrap());
    assert!(matches!(refused, Err(DeltaError::Text(_))), "{refused:?}");
    assert_eq!(twins.follower.entity_count(), 0);
}

#[test]
fn indices_of_lanes_far_away_take_a_byte_for_each_unused_chunk() {
    let mut twins = Twins::new(usize::MAX);
    let mut commands = Commands::new(&mut twins.source);
    for _ in 0..3 {
        (0..300).for_each(|_| _ = commands.spawn((Marked,)));
        _ = twins.source.play_back(&mut commands);
        twins.send();
    }
    let view = twins.source.capture(ALL, &twins.pool);
    Delta::encode(None, &view, &mut twins.bytes).unwrap();
    assert!(twins.bytes.len() < 100_000, "{}", twins.bytes.len());
    let mut late = World::with_config(
        WorldConfig::default().schema(convoy_tests::delta_schema()).event_retention(6),
    );
    late.apply(&Delta::parse(&twins.bytes).unwrap()).unwrap();
    assert_same(&mut twins.source, &mut late);
}
