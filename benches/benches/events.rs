//! Events: what it costs to send one, and to read it.
//!
//! An event has 16 bytes. `raw` pushes the same values onto a list that has room for them, and `5 ns` is the
//! promise, which is a time and not a ratio.

mod common;

use convoy_benches::{Measure, write_measures};
use convoy_engine::World;
use convoy_engine::events::EventCursor;
use criterion::Criterion;

use common::timing::{Group, bench, bench_prepared, criterion};

/// How many events a pass sends and reads.
const EVENTS: u64 = 1_000;
const SEND: &str = "send_1000";
const READ: &str = "read_1000";

#[derive(Clone, Copy, PartialEq, Debug, bytemuck::Pod, bytemuck::Zeroable)]
#[cfg_attr(feature = "peers", derive(bevy_ecs::message::Message))]
#[repr(C)]
struct Hit {
    target: u64,
    force: f32,
    number: u32,
}

impl Hit {
    fn numbered(number: u64) -> Self {
        Self { target: number, force: 1.5, number: number as u32 }
    }
}

fn main() {
    let mut criterion = criterion();
    events(&mut criterion);
    criterion.final_summary();
}

fn events(criterion: &mut Criterion) {
    let promised = Measure {
        group: "events".to_owned(),
        workload: SEND.to_owned(),
        subject: "5 ns".to_owned(),
        value: 5.0 * EVENTS as f64,
        unit: "nanoseconds".to_owned(),
    };
    write_measures("events", &[promised]).expect("the target folder can be written");
    let mut group = criterion.benchmark_group("events");
    raw(&mut group);
    convoy(&mut group);
    #[cfg(feature = "peers")]
    bevy(&mut group);
    group.finish();
}

fn raw(group: &mut Group<'_>) {
    let set_up = || Vec::with_capacity(EVENTS as usize);
    let send =
        |list: &mut Vec<Hit>| (0..EVENTS).for_each(|number| list.push(Hit::numbered(number)));
    bench_prepared(group, ("raw", SEND), set_up, Vec::clear, |list, ()| send(list));
    let filled = || {
        let mut list = set_up();
        send(&mut list);
        list
    };
    bench(group, ("raw", READ), filled, |list| list.iter().map(|hit| hit.target).sum::<u64>());
}

fn send(world: &mut World) {
    (0..EVENTS).for_each(|number| world.send_event(Hit::numbered(number)));
}

fn convoy(group: &mut Group<'_>) {
    let set_up = || {
        let mut world = World::new();
        // Until the log is as long as it gets.
        (0..100).for_each(|_| send(&mut world));
        let cursor = world.event_cursor::<Hit>();
        (world, cursor)
    };
    type State = (World, EventCursor<Hit>);
    bench(group, ("convoy", SEND), set_up, |(world, _): &mut State| send(world));
    bench(group, ("convoy send_events", SEND), set_up, |(world, _): &mut State| {
        world.send_events((0..EVENTS).map(Hit::numbered));
    });
    let prepare = |(world, cursor): &mut State| {
        *cursor = world.event_cursor();
        send(world);
    };
    bench_prepared(group, ("convoy", READ), set_up, prepare, |(world, cursor), ()| {
        world.events(cursor).map(|hit| hit.target).sum::<u64>()
    });
}

#[cfg(feature = "peers")]
fn bevy(group: &mut Group<'_>) {
    use bevy_ecs::message::{MessageCursor, Messages};

    let send = |world: &mut bevy_ecs::world::World| {
        let mut messages = world.resource_mut::<Messages<Hit>>();
        (0..EVENTS).for_each(|number| _ = messages.write(Hit::numbered(number)));
    };
    let set_up = || {
        let mut world = bevy_ecs::world::World::new();
        world.init_resource::<Messages<Hit>>();
        let cursor = world.resource::<Messages<Hit>>().get_cursor_current();
        (world, cursor)
    };
    type State = (bevy_ecs::world::World, MessageCursor<Hit>);
    let update = |(world, _): &mut State| world.resource_mut::<Messages<Hit>>().update();
    bench_prepared(group, ("bevy", SEND), set_up, update, |(world, _), ()| send(world));
    let prepare = |state: &mut State| {
        update(state);
        state.1 = state.0.resource::<Messages<Hit>>().get_cursor_current();
        send(&mut state.0);
    };
    bench_prepared(group, ("bevy", READ), set_up, prepare, |(world, cursor), ()| {
        cursor.read(world.resource::<Messages<Hit>>()).map(|hit| hit.target).sum::<u64>()
    });
}
