//! Accounting: every chunk is live, retained or free at every moment, and the counters that say
//! so, which are kept and never recomputed, agree with observations.
#![allow(clippy::unwrap_used, reason = "a failed expectation is a failed test")]

use std::time::Duration;

use convoy_engine::commands::Commands;
use convoy_engine::{ComponentMask, Entity, SnapshotPool, View, World, WorldConfig};
use convoy_tests::Mixer;

const ALL: ComponentMask = ComponentMask::ALL;

/// A world whose chunks have four rows.
fn world_of_small_chunks() -> World {
    let config = WorldConfig::default().chunk_rows_max(4).event_retention(8);
    World::with_config(config)
}

/// Takes one of the list, any.
fn draw<T>(dice: &mut Mixer, list: &mut Vec<T>) -> Option<T> {
    if list.is_empty() {
        return None;
    }
    let place = dice.below(list.len());
    Some(list.swap_remove(place))
}

/// Asserts the invariants that hold after every operation.
fn assert_adds_up(world: &World) {
    let memory = world.memory();
    assert_eq!(
        memory.live_bytes + memory.retained_bytes + memory.free_bytes,
        memory.mapped_bytes,
        "every mapped byte is live, retained or free"
    );
    assert!(memory.shared_chunks <= memory.live_chunks);
    assert!(memory.shared_bytes <= memory.live_bytes);
    assert!(memory.retained_bytes <= memory.retained_bytes_peak);
    assert_eq!(memory.retained_chunks == 0, memory.retained_bytes == 0);
    assert_eq!(memory.shared_chunks == 0, memory.shared_bytes == 0);
    if memory.active_captures == 0 {
        assert_eq!((memory.shared_chunks, memory.retained_chunks), (0, 0), "nobody is left to");
    }
    let (mut chunks, mut bytes, mut exclusive) = (0, 0, 0);
    for usage in world.snapshots() {
        let own = world.exclusive_bytes(usage.id);
        assert!(own <= usage.retained_bytes);
        exclusive += own;
        chunks += usage.retained_chunks;
        bytes += usage.retained_bytes;
    }
    assert!(exclusive <= memory.retained_bytes);
    if world.snapshots().count() == memory.active_captures {
        assert_eq!((chunks, bytes), (memory.retained_chunks, memory.retained_bytes));
    }
}

struct Program {
    world: World,
    pool: SnapshotPool,
    commands: Commands,
    entities: Vec<Entity>,
    views: Vec<View>,
    masks: Vec<ComponentMask>,
}

impl Program {
    fn new() -> Self {
        let mut world = world_of_small_chunks();
        world.insert_resource(7_u64).unwrap();
        // As many slots as the program ever takes, so that the entity index does not grow.
        assert_eq!(world.spawn_batch((0..600_u32).map(|row| (row,))).unwrap().len(), 600);
        world.clear().unwrap();
        world.register_event::<u16>().unwrap();
        let masks = vec![
            ALL,
            world.mask_of::<(u32,)>().unwrap(),
            world.mask_of::<(u64,)>().unwrap(),
            world.mask_of::<(Entity, u32, u8)>().unwrap(),
            ComponentMask::NONE,
        ];
        let (pool, commands) = (SnapshotPool::default(), Commands::new(&mut world));
        Self { world, pool, commands, entities: Vec::new(), views: Vec::new(), masks }
    }

    fn change_entities(&mut self, dice: &mut Mixer) {
        let Self { world, commands, entities, .. } = self;
        match dice.below(8) {
            0 | 1 => entities.push(world.spawn((1_u32, 2_u64))),
            2 if entities.len() < 200 => {
                let rows = (0..dice.below(20) as u32).map(|row| (row, 3_u8));
                entities.extend(world.spawn_batch(rows).unwrap());
            }
            3 => {
                for _ in 0..dice.below(6) {
                    draw(dice, entities).into_iter().for_each(|each| world.despawn(each).unwrap());
                }
            }
            4 => {
                if let Some(&entity) = entities.first() {
                    world.insert(entity, (9_u64, 8_u8)).unwrap();
                }
            }
            5 => {
                if let Some(&entity) = entities.last() {
                    // It may have no such component.
                    let _ = world.remove::<(u64,)>(entity);
                }
            }
            6 => {
                entities.push(commands.spawn((4_u32,)));
                assert_eq!(world.play_back(commands).failed, 0);
            }
            _ => {
                if dice.below(8) == 0 {
                    world.clear().unwrap();
                    entities.clear();
                }
            }
        }
    }

    fn write(&mut self, dice: &mut Mixer) {
        let Self { world, entities, .. } = self;
        match dice.below(5) {
            0 => world.query_mut::<&mut u32>().for_each(|number| *number += 1),
            1 => world.query_mut::<&mut u64>().for_each(|number| *number += 1),
            2 => {
                if let Some(&entity) = entities.last() {
                    *world.get_mut::<u32>(entity).unwrap() += 1;
                }
            }
            3 => (0..5).for_each(|event| world.send_event(event as u16)),
            _ => *world.resource_mut::<u64>().unwrap() += 1,
        }
    }

    fn read(&mut self, dice: &mut Mixer) {
        match dice.below(6) {
            0 | 1 if self.views.len() < 6 => {
                let mask = self.masks[dice.below(self.masks.len())];
                self.views.push(self.world.capture(mask, &self.pool));
            }
            2 => self.views.extend(self.views.last().cloned().filter(|_| dice.below(2) == 0)),
            3 | 4 => drop(draw(dice, &mut self.views)),
            _ => self.world.advance_tick(),
        }
    }

    fn step(&mut self, dice: &mut Mixer) {
        match dice.below(12) {
            0..4 => self.change_entities(dice),
            4..8 => self.write(dice),
            8..11 => self.read(dice),
            _ => assert!(self.world.compact(Duration::MAX).complete),
        }
    }

    /// The bytes that an empty world keeps.
    fn bytes_of_the_empty_world(&mut self) -> usize {
        self.views.clear();
        self.entities.clear();
        self.world.clear().unwrap();
        self.world.advance_tick();
        assert!(self.world.compact(Duration::MAX).complete);
        assert_adds_up(&self.world);
        let memory = self.world.memory();
        assert_eq!((memory.active_captures, memory.retained_bytes), (0, 0));
        assert_eq!(memory.shared_bytes, 0);
        memory.live_bytes
    }
}

#[test]
fn live_retained_and_free_add_up_to_mapped_after_every_operation() {
    for seed in 0..100 {
        let (mut program, mut dice) = (Program::new(), Mixer::new(seed));
        for _ in 0..500 {
            program.step(&mut dice);
            assert_adds_up(&program.world);
        }
        program.world.advance_tick();
        // Dropped one by one, every view gives back the chunks that it alone kept.
        while let Some(view) = draw(&mut dice, &mut program.views) {
            let before = program.world.memory();
            let usage = view.usage(&program.world).unwrap();
            let own = view.exclusive_bytes(&program.world);
            assert_eq!(view.share_bytes(&program.world), own / view.readers());
            drop(view);
            program.world.advance_tick();
            assert_adds_up(&program.world);
            let ended = if usage.readers == 1 { own } else { 0 };
            assert_eq!(before.retained_bytes - program.world.memory().retained_bytes, ended);
        }
        // The memory of an empty world does not grow: nothing leaked.
        let first = program.bytes_of_the_empty_world();
        for _ in 0..500 {
            program.step(&mut dice);
        }
        assert_eq!(program.bytes_of_the_empty_world(), first, "seed {seed}");
    }
}

#[test]
fn writing_everything_copies_exactly_the_chunks_that_count_as_shared() {
    for seed in 0..100 {
        let (mut world, mut dice, mut views) =
            (world_of_small_chunks(), Mixer::new(seed), Vec::new());
        let pool = SnapshotPool::default();
        let some = world.mask_of::<(u32,)>().unwrap();
        let both = world.mask_of::<(u32, u64)>().unwrap();
        let other = world.mask_of::<(u64,)>().unwrap();
        let mut entities: Vec<_> = (0..30_u32).map(|row| world.spawn((row, 1_u64))).collect();
        assert!(world.compact(Duration::MAX).complete);
        for round in 0..300 {
            match dice.below(8) {
                0 | 1 if views.len() < 6 => {
                    views.push(world.capture([some, both, other][dice.below(3)], &pool));
                }
                2 | 3 => drop(draw(&mut dice, &mut views)),
                4 => *world.get_mut::<u64>(entities[dice.below(entities.len())]).unwrap() += 1,
                5 => {
                    entities.push(world.spawn((5_u32, 5_u64)));
                    // Chunks without rows count as shared, too, and no write would copy them.
                    assert!(world.compact(Duration::MAX).complete);
                }
                6 => world.query_mut::<&mut u32>().for_each(|number| *number += 1),
                _ => *world.get_mut::<u32>(entities[dice.below(entities.len())]).unwrap() += 1,
            }
            assert_adds_up(&world);
            if dice.below(6) > 0 {
                continue;
            }
            // Captures whose end was not noticed yet still count as sharing.
            world.advance_tick();
            let (shared, before) = (world.memory(), world.copy_statistics());
            world.query_mut::<(&mut u32, &mut u64)>().for_each(|(small, wide)| {
                *small += 1;
                *wide += 1;
            });
            let (memory, after) = (world.memory(), world.copy_statistics());
            let copied = after.chunks_copied - before.chunks_copied;
            assert_eq!(copied as usize, shared.shared_chunks, "seed {seed}, round {round}");
            let retained = memory.retained_bytes - shared.retained_bytes;
            assert_eq!(retained, shared.shared_bytes, "what was shared is retained now");
            assert_eq!((memory.shared_chunks, memory.live_chunks), (0, shared.live_chunks));
        }
    }
}

#[test]
fn chunks_are_shared_from_capture_to_first_write_and_never_beyond_the_last_reader() {
    let mut world = world_of_small_chunks();
    let entities: Vec<_> = (0..40_u32).map(|row| world.spawn((row,))).collect();
    assert!(world.compact(Duration::MAX).complete);
    let pool = SnapshotPool::for_world(&world);
    let numbers = world.mask_of::<(u32,)>().unwrap();
    assert_eq!(world.memory().shared_chunks, 0);
    let older = world.capture(numbers, &pool);
    assert_eq!(world.memory().shared_chunks, 10);
    for row in [0, 1, 5, 9] {
        *world.get_mut::<u32>(entities[row]).unwrap() += 1;
    }
    assert_eq!((world.memory().shared_chunks, world.memory().retained_chunks), (7, 3));
    let newer = world.capture(numbers, &pool);
    assert_eq!(world.memory().shared_chunks, 10, "the copies are shared with the newer one");
    *world.get_mut::<u32>(entities[39]).unwrap() += 1;
    assert_eq!((world.memory().shared_chunks, world.memory().retained_chunks), (9, 4));
    let retained = [&older, &newer].map(|view| view.usage(&world).unwrap().retained_chunks);
    assert_eq!(retained, [3, 1], "on the list of the newest that sees it");
    assert_eq!(newer.exclusive_bytes(&world), 0, "the older one sees that chunk, too");
    drop(older);
    world.advance_tick();
    assert_eq!((world.memory().shared_chunks, world.memory().retained_chunks), (9, 1));
    assert!(newer.exclusive_bytes(&world) > 0);
    drop(newer);
    world.advance_tick();
    assert_eq!((world.memory().shared_chunks, world.memory().retained_chunks), (0, 0));
    let copies = world.copy_statistics();
    assert_eq!(copies.chunks_reowned, 0);
    world.query_mut::<&mut u32>().for_each(|number| *number += 1);
    let after = world.copy_statistics();
    assert_eq!((after.chunks_copied, after.chunks_reowned), (copies.chunks_copied, 9));
    assert_eq!(after.bytes_reowned, 9 * 128, "the smallest chunks there are");
}

#[test]
fn a_view_of_another_world_is_no_snapshot_of_this_one() {
    let (mut one, other) = (world_of_small_chunks(), world_of_small_chunks());
    let entity = one.spawn((1_u32,));
    let view = one.capture(ALL, &SnapshotPool::default());
    *one.get_mut::<u32>(entity).unwrap() = 2;
    assert!(view.usage(&one).is_some() && view.usage(&other).is_none());
    assert!(view.exclusive_bytes(&one) > 0);
    assert_eq!((view.exclusive_bytes(&other), view.share_bytes(&other)), (0, 0));
}
