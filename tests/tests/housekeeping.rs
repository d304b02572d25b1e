//! Housekeeping: the memory that compaction and trimming give back or leave alone, and the
//! statistics of archetypes.
#![allow(clippy::unwrap_used, reason = "a failed expectation is a failed test")]

use std::time::Duration;

use convoy_engine::events::EventCursor;
use convoy_engine::{ComponentMask, Entity, SnapshotPool, World, WorldConfig};
use convoy_tests::{Hundred, Mixer, Tag, Value, Wide, Word};

fn reserved(world: &World) -> usize {
    world.archetypes().map(|archetype| archetype.bytes_reserved).sum()
}

/// Spawns `count` entities and despawns all but the first `left`.
fn shrunken(world: &mut World, count: u64, left: usize) -> Vec<Entity> {
    let rows = (0..count).map(|seed| (Wide::from_seed(seed), Hundred::from_seed(seed)));
    let mut entities: Vec<_> = world.spawn_batch(rows).unwrap().collect();
    for entity in entities.drain(left..) {
        world.despawn(entity).unwrap();
    }
    entities
}

fn check(world: &World, entities: &[Entity]) {
    for (seed, &entity) in (0..).zip(entities) {
        assert_eq!(world.get::<Wide>(entity).unwrap().seed(), seed);
        assert_eq!(world.get::<Hundred>(entity).unwrap().seed(), seed);
    }
}

#[test]
fn compaction_gives_spare_chunks_back_and_refits_first_ones() {
    let mut world = World::new();
    let entities = shrunken(&mut world, 20_000, 20);
    let before = world.memory();
    let report = world.compact(Duration::MAX);
    assert!(report.complete && report.chunks > 0 && report.bytes > 0);
    let after = world.memory();
    assert_eq!(after.live_bytes, before.live_bytes - report.bytes);
    assert_eq!(after.mapped_bytes, before.mapped_bytes);
    // 20 rows of 8 + 8 + 100 bytes: 256 + 256 + 2,048.
    assert_eq!(reserved(&world), 2560);
    check(&world, &entities);
    let again = world.compact(Duration::MAX);
    assert!(again.complete && again.bytes == 0 && again.chunks == 0, "nothing is left to do");
    let more: Vec<_> = (20..5000)
        .map(|seed| world.spawn((Wide::from_seed(seed), Hundred::from_seed(seed))))
        .collect();
    check(&world, &[entities, more].concat());
}

#[test]
fn compaction_of_an_empty_world_leaves_nothing_live() {
    let mut world = World::new();
    shrunken(&mut world, 5000, 0);
    (0..5000_u32).for_each(|number| world.send_event(number));
    world.insert_resource(1_u8).unwrap();
    world.remove_resource::<u8>().unwrap();
    world.clear().unwrap();
    world.compact(Duration::MAX);
    // Only the index remembers which handles were used.
    assert_eq!(reserved(&world), 0);
    assert!(world.memory().live_bytes <= 5120 * 12 + 64 * 1024);
}

#[test]
fn budget_stops_the_compaction_and_the_next_call_goes_on() {
    let mut world = World::new();
    world.spawn((1_u8,));
    world.spawn((1_u16,));
    shrunken(&mut world, 10_000, 1);
    let (mut calls, mut bytes) = (0, 0);
    loop {
        let report = world.compact(Duration::ZERO);
        calls += 1;
        bytes += report.bytes;
        if report.complete {
            break;
        }
        assert_eq!(report.tables, 1, "one table at the least, and no more without time");
    }
    assert_eq!(calls, world.archetypes().len() + 1);
    assert!(bytes > 0);
    assert_eq!(world.compact(Duration::MAX).bytes, 0);
}

#[test]
fn snapshot_is_unchanged_by_compaction_and_its_memory_comes_back_later() {
    let (mut world, pool) = (World::new(), SnapshotPool::default());
    let rows = (0..5000).map(|seed| (Wide::from_seed(seed), Tag));
    let entities: Vec<_> = world.spawn_batch(rows).unwrap().collect();
    let view = world.capture(ComponentMask::ALL, &pool);
    for &entity in &entities[10..] {
        world.despawn(entity).unwrap();
    }
    world.compact(Duration::MAX);
    world.compact(Duration::MAX);
    for (seed, &entity) in (0..).zip(&entities) {
        assert_eq!(view.get::<Wide>(entity).unwrap().seed(), seed);
    }
    let shared = world.memory();
    assert_eq!(shared.live_bytes + shared.retained_bytes + shared.free_bytes, shared.mapped_bytes);
    drop(view);
    world.compact(Duration::MAX);
    let memory = world.memory();
    assert_eq!(memory.retained_bytes, 0);
    assert_eq!(reserved(&world), 256, "handles and numbers of ten rows");
    assert!(memory.live_bytes < shared.live_bytes + shared.retained_bytes);
}

/// A first chunk that was replaced by a smaller one counts as owned, so a write to it marks
/// nothing: had the replacement not marked it, a replica would never see that write.
#[test]
fn replica_sees_the_write_after_a_compaction() {
    let (mut world, mut replica) = (World::new(), World::new());
    let entities = shrunken(&mut world, 5000, 3);
    replica.sync_from(&world, ComponentMask::ALL).unwrap();
    world.compact(Duration::MAX);
    *world.get_mut::<Wide>(entities[1]).unwrap() = Wide::from_seed(99);
    replica.sync_from(&world, ComponentMask::ALL).unwrap();
    assert_eq!(replica.get::<Wide>(entities[1]).unwrap().seed(), 99);
    replica.compact(Duration::MAX);
    *world.get_mut::<Wide>(entities[1]).unwrap() = Wide::from_seed(1);
    replica.sync_from(&world, ComponentMask::ALL).unwrap();
    check(&replica, &entities);
}

#[test]
fn event_logs_go_on_after_a_compaction() {
    let config = WorldConfig::default().event_retention(100).chunk_rows_max(64);
    let mut world = World::with_config(config);
    let (mut cursor, mut next) = (EventCursor::<u32>::default(), 0);
    for round in 0..50 {
        for _ in 0..=round {
            world.send_event(next);
            next += 1;
        }
        world.compact(Duration::MAX);
        let read: Vec<_> = world.events(&mut cursor).collect();
        assert!(read.iter().copied().eq(next - round - 1..next));
    }
    assert_eq!(cursor.lost(), 0);
}

#[test]
fn random_churn_with_compactions_and_snapshots_keeps_every_row() {
    for chunk_rows_max in [1, 4, usize::MAX] {
        let config = WorldConfig::default().chunk_rows_max(chunk_rows_max);
        let (mut world, pool) = (World::with_config(config), SnapshotPool::default());
        let mut mixer = Mixer::new(11);
        let mut rows: Vec<(Entity, u64)> = Vec::new();
        let mut views = Vec::new();
        for step in 0..20_000_u64 {
            match mixer.below(100) {
                0..50 => {
                    let seed = step & 0xffff;
                    let entity = world.spawn((Wide::from_seed(seed), Word::from_seed(seed)));
                    rows.push((entity, seed));
                }
                50..90 if !rows.is_empty() => {
                    let (entity, _) = rows.swap_remove(mixer.below(rows.len()));
                    world.despawn(entity).unwrap();
                }
                90..95 if !rows.is_empty() => {
                    let row = mixer.below(rows.len());
                    rows[row].1 = step & 0xffff;
                    *world.get_mut::<Wide>(rows[row].0).unwrap() = Wide::from_seed(rows[row].1);
                    *world.get_mut::<Word>(rows[row].0).unwrap() = Word::from_seed(rows[row].1);
                }
                95 if rows.len() > 100 => {
                    for (entity, _) in rows.drain(20..) {
                        world.despawn(entity).unwrap();
                    }
                }
                96 => views.push((world.capture(ComponentMask::ALL, &pool), rows.clone())),
                97 if views.len() > 2 => drop(views.swap_remove(mixer.below(3))),
                98.. => _ = world.compact(Duration::from_nanos(mixer.below(3000) as u64)),
                _ => {}
            }
        }
        for &(entity, seed) in &rows {
            assert_eq!(world.get::<Wide>(entity).unwrap().seed(), seed);
            assert_eq!(world.get::<Word>(entity).unwrap().seed(), seed);
        }
        for (view, rows) in &views {
            assert_eq!(view.entity_count(), rows.len());
            for &(entity, seed) in rows {
                assert_eq!(view.get::<Wide>(entity).unwrap().seed(), seed);
                assert_eq!(view.get::<Word>(entity).unwrap().seed(), seed);
            }
        }
        drop(views);
        world.advance_tick();
        let memory = world.memory();
        assert_eq!(memory.live_bytes + memory.free_bytes, memory.mapped_bytes);
        assert_eq!(memory.retained_chunks, 0);
    }
}

#[test]
fn trim_gives_free_memory_back_within_its_budget() {
    let mut world = World::new();
    let entities = shrunken(&mut world, 50_000, 10);
    world.compact(Duration::MAX);
    assert_eq!(world.trim(Duration::ZERO), 0);
    let (mut trimmed, mut calls) = (0, 0);
    loop {
        let bytes = world.trim(Duration::from_micros(200));
        trimmed += bytes;
        calls += 1;
        if bytes == 0 || calls == 10_000 {
            break;
        }
    }
    assert!(trimmed > 3_000_000, "{trimmed} bytes in {calls} calls");
    check(&world, &entities);
    let (mapped, free) = (world.memory().mapped_bytes, world.memory().free_bytes);
    assert!(free < mapped);
    shrunken(&mut world, 10_000, 10_000);
    assert_eq!(world.memory().mapped_bytes, mapped, "the address space was kept");
}

#[test]
fn statistics_name_the_components_and_add_up() {
    let mut world = World::new();
    world.spawn_batch((0..1000).map(|seed| (Word::from_seed(seed), Tag))).unwrap();
    world.spawn((Wide::from_seed(1),));
    let archetypes: Vec<_> = world.archetypes().collect();
    assert_eq!(archetypes.len(), 3, "the archetype without components comes first");
    assert_eq!((archetypes[0].rows, archetypes[0].chunks, archetypes[0].occupancy()), (0, 0, 1.0));
    let names: Vec<_> = archetypes[1].names().collect();
    assert!(names[0].ends_with("::Word") && names[1].ends_with("::Tag") && names.len() == 2);
    assert_eq!(archetypes[1].rows, 1000);
    assert_eq!(archetypes[1].bytes_used, 1000 * (8 + 4));
    assert_eq!(archetypes[1].chunks, 2, "a tag has none");
    assert_eq!((archetypes[2].bytes_used, archetypes[2].bytes_reserved), (16, 256));
    assert_eq!(archetypes[2].occupancy(), 16.0 / 256.0);
    let index_bytes = world.memory().live_bytes - reserved(&world);
    assert!((1001 * 12..32 * 1024).contains(&index_bytes), "the rest is the index: {index_bytes}");
    let used: usize = archetypes.iter().map(|archetype| archetype.bytes_used).sum();
    assert_eq!(used, world.row_bytes(&ComponentMask::ALL));
}

#[test]
fn world_prints_its_archetypes_as_a_table() {
    let mut world = World::new();
    world.spawn_batch((0..1000).map(|seed| (Word::from_seed(seed), [0.5_f32; 3]))).unwrap();
    let table = format!("{world:#?}");
    let lines: Vec<_> = table.lines().collect();
    assert_eq!(lines[0], "World at tick 0 with 1000 entities");
    let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(words(lines[1]), ["rows", "chunks", "used", "reserved", "full", "components"]);
    let row = words(lines[2]);
    assert_eq!((row[0].as_str(), row[2].as_str()), ("1000", "24000"));
    assert!(lines[2].ends_with("%  Word, [f32; 3]"), "{table}");
    assert_eq!(lines[3], "and 1 archetypes without memory");
    assert_eq!(format!("{world:?}"), "World { tick: 0, entities: 1000, archetypes: 2, .. }");
}

/// Single writes under snapshots put the chunks of a column apart, and passes grow slower for good
/// unless they write all of it.
#[test]
fn compaction_gathers_what_scattered_writes_have_put_apart() {
    let mut world = World::new();
    let rows = (0..200_000).map(|seed| (Hundred::from_seed(seed),));
    let entities: Vec<_> = world.spawn_batch(rows).unwrap().collect();
    world.compact(Duration::MAX);
    let pool = SnapshotPool::for_world(&world);
    let mut held: Vec<_> = (0..3).map(|_| world.capture(ComponentMask::ALL, &pool)).collect();
    let mut random = 1_u64;
    for frame in 0..500 {
        held[frame % 3] = world.capture(ComponentMask::ALL, &pool);
        for _ in 0..20 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let seed = (random >> 33) % 200_000;
            *world.get_mut::<Hundred>(entities[seed as usize]).unwrap() = Hundred::from_seed(seed);
        }
        world.advance_tick();
    }
    let mut replica = World::new();
    replica.sync_from(&world, ComponentMask::ALL).unwrap();
    let (hash, live) = (world.state_hash(), world.memory().live_bytes);
    let shown = held[0].state_hash();

    let mut calls = 0;
    let mut gathered = 0;
    loop {
        calls += 1;
        let report = world.compact(Duration::ZERO);
        assert_eq!(report.bytes, 0);
        gathered += report.gathered;
        if report.complete {
            break;
        }
        assert!(calls < 1000, "there is an end to it");
    }
    assert!(calls > 2 && gathered > 200, "{gathered} chunks in {calls} calls");
    // Nothing was written: not for hashes, views and replicas.
    assert_eq!((world.state_hash(), world.memory().live_bytes), (hash, live));
    assert_eq!(held[0].state_hash(), shown);
    assert_eq!(replica.sync_from(&world, ComponentMask::ALL).unwrap().chunks_copied, 0);
    world.restore(&held[0]).unwrap();
    assert_eq!(world.state_hash(), shown);
    for (seed, &entity) in (0..).zip(&entities) {
        assert_eq!(world.get::<Hundred>(entity).unwrap().seed(), seed);
    }
}

/// Only some lists gave their room back, and whoever added one had to think of it.
#[test]
fn trim_gives_back_the_lists_of_the_last_large_operation() {
    let mut world = World::new();
    let entities: Vec<_> = world.spawn_batch((0..20_000_u32).map(|n| (n,))).unwrap().collect();
    let trimmed = |world: &mut World| {
        let bytes = world.trim(Duration::MAX);
        assert_eq!(world.trim(Duration::MAX), 0, "once is enough");
        bytes
    };
    trimmed(&mut world);
    // Every second entity is a run of its own: 12 bytes each, sorted by table and row.
    let seconds: Vec<_> = entities.iter().copied().step_by(2).collect();
    world.insert_many(&seconds, (0.5_f32,)).unwrap();
    world.insert_many(&entities[..2], (0.5_f32,)).unwrap();
    assert!(trimmed(&mut world) > 100_000, "the runs of the list");
    // The hash of every chunk is kept for the next time.
    let mut config = WorldConfig::default().chunk_rows_max(1);
    config = config.event_retention(8);
    let mut world = World::with_config(config);
    world.spawn_batch((0..5_000_u32).map(|n| (n,))).unwrap();
    world.state_hash();
    world.clear().unwrap();
    world.compact(Duration::MAX);
    trimmed(&mut world);
    world.state_hash();
    assert!(trimmed(&mut world) > 5_000 * 8, "the hashes of chunks that are gone");
}
