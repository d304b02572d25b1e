//! Memory of 10,000 archetypes with 20 rows each.
//!
//! Rows have 5 components, 104 bytes together. The archetypes differ in a set of 14
//! tags: number `n` has the tags of the bits of `n`. Tags are inserted from the highest bit down,
//! so that every archetype on the way is one of the 10,000 as well. The measure is what is
//! allocated: from the C library by all, and from its arena by Convoy. What an allocator keeps for
//! later counts for nobody; `convoy mapped` adds what Convoy's arena keeps. `rows` is the bytes of
//! the values alone.

mod common;

use convoy_benches::{Measure, heap_bytes, pin_allocator, write_measures};
use convoy_engine::memory::WorldMemory;
use flecs_ecs::prelude::{World as FlecsWorld, id};

use common::columns::Wide;
use common::components::{Health, tags};
use common::rows::Row;

const GROUP: &str = "memory";
const WORKLOAD: &str = "10k_archetypes_x_20";
const ARCHETYPES: usize = 10_000;
const ROWS: usize = 20;
/// 4 components of together 100 bytes and one of 4.
const ROW_BYTES: usize = size_of::<Wide>() + size_of::<Health>();

tags!(T0 T1 T2 T3 T4 T5 T6 T7 T8 T9 T10 T11 T12 T13);

/// Calls `$insert` for the tag of every bit of `$number`, the highest first.
macro_rules! for_tags {
    ($number:expr, |$tag:ident| $insert:expr) => {
        for_tags!(@ $number, $tag, $insert,
            T13 13 T12 12 T11 11 T10 10 T9 9 T8 8 T7 7 T6 6 T5 5 T4 4 T3 3 T2 2 T1 1 T0 0)
    };
    (@ $number:expr, $tag:ident, $insert:expr, $($type:ident $bit:literal)+) => {
        $(if $number >> $bit & 1 == 1 {
            #[allow(non_snake_case, reason = "stands for the value and the type of a tag")]
            let $tag = $type;
            $insert;
        })+
    };
}

fn main() {
    pin_allocator();
    let rows = ARCHETYPES * ROWS * ROW_BYTES;
    let mut measures = vec![Measure::bytes(GROUP, WORKLOAD, "rows", rows)];
    let mut measure = |subject: &str, bytes: usize| {
        assert!(bytes >= rows, "{subject} stores the rows");
        measures.push(Measure::bytes(GROUP, WORKLOAD, subject, bytes));
    };
    let (allocated, mapped) = convoy();
    measure("convoy", allocated);
    measure("convoy mapped", mapped);
    measure("hecs", grown_by(hecs));
    measure("bevy", grown_by(bevy));
    measure("flecs", grown_by(flecs));
    write_measures(GROUP, &measures).expect("the target folder can be written");
}

/// The heap bytes of the result of `build`.
fn grown_by<W>(build: impl FnOnce() -> W) -> usize {
    let before = heap_bytes();
    let world = build();
    let bytes = heap_bytes() - before;
    drop(world);
    bytes
}

/// The numbers of archetypes, entity by entity: every archetype is complete before the next.
fn numbers() -> impl Iterator<Item = usize> {
    (0..ARCHETYPES).flat_map(|number| std::iter::repeat_n(number, ROWS))
}

fn row(number: usize) -> (Wide, Health) {
    (Wide::numbered(number), Health(1.0))
}

/// The heap and the chunks that are in use, and the heap and all that is mapped.
fn convoy() -> (usize, usize) {
    let mut chunks = WorldMemory::default();
    let heap = grown_by(|| {
        let mut world = convoy_engine::World::new();
        for number in numbers() {
            let ((transform, position, rotation, velocity), health) = row(number);
            let entity = world.spawn((transform, position, rotation, velocity, health));
            for_tags!(number, |tag| world.insert(entity, (tag,)).expect("the entity is alive"));
        }
        chunks = world.memory();
        world
    });
    (heap + chunks.mapped_bytes - chunks.free_bytes, heap + chunks.mapped_bytes)
}

fn hecs() -> hecs::World {
    let mut world = hecs::World::new();
    for number in numbers() {
        let ((transform, position, rotation, velocity), health) = row(number);
        let entity = world.spawn((transform, position, rotation, velocity, health));
        for_tags!(number, |tag| world.insert_one(entity, tag).expect("the entity is alive"));
    }
    world
}

fn bevy() -> bevy_ecs::world::World {
    let mut world = bevy_ecs::world::World::new();
    for number in numbers() {
        let ((transform, position, rotation, velocity), health) = row(number);
        let mut entity = world.spawn((transform, position, rotation, velocity, health));
        for_tags!(number, |tag| entity.insert(tag));
    }
    world
}

fn flecs() -> FlecsWorld {
    let world = FlecsWorld::new();
    for number in numbers() {
        let (wide, health) = row(number);
        let entity = world.entity();
        wide.set(entity);
        entity.set(health);
        macro_rules! add {
            ($($type:ident $bit:literal)+) => {
                $(if number >> $bit & 1 == 1 {
                    entity.add(id::<$type>());
                })+
            };
        }
        add!(T13 13 T12 12 T11 11 T10 10 T9 9 T8 8 T7 7 T6 6 T5 5 T4 4 T3 3 T2 2 T1 1 T0 0);
    }
    world
}
