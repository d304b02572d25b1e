//! Instruction counts of the hot paths, by callgrind: the same number on every run, whatever else
//! the machine does. `benches/gate.sh` compares them with `benches/instructions.json`.
//!
//! Each benchmark is one call on a warm world: the same work ran before in its set-up, so that
//! lists and memory have grown. A benchmark returns its world, so that dropping it isn't counted.

#![allow(missing_docs, unreachable_pub, reason = "the macros make public items that nobody uses")]

use std::hint::black_box;
use std::time::Duration;

use bytemuck::{Pod, Zeroable};
use convoy_engine::checkpoint::Checkpoint;
use convoy_engine::commands::Commands;
use convoy_engine::delta::{Delta, DeltaEncoder};
use convoy_engine::events::EventCursor;
use convoy_engine::host::{ModuleHost, ModuleSpec, Rate};
use convoy_engine::list::List;
use convoy_engine::provider::{SharedSnapshotProvider, SnapshotProvider};
use convoy_engine::query::{Changed, PreparedQuery};
use convoy_engine::snapshot::diff;
use convoy_engine::{ComponentMask, Entity, SnapshotPool, View, With, World, WorldConfig};
use gungraun::{
    Callgrind, LibraryBenchmarkConfig, library_benchmark, library_benchmark_group, main,
};

macro_rules! components {
    ($($name:ident($value:ty);)+) => {
        $(
            #[derive(Clone, Copy, Debug, PartialEq, Pod, Zeroable)]
            #[repr(transparent)]
            struct $name($value);
        )+
    };
}

components! {
    Position([f32; 3]);
    Velocity([f32; 3]);
    Rotation([f32; 3]);
    Transform([f32; 16]);
    Health(f32);
    Marker(u32);
    Kind0(u32);
    Kind1(u32);
    Kind2(u32);
    Kind3(u32);
    Kind4(u32);
}

const ROWS: usize = 10_000;

type Wide = (Transform, Position, Rotation, Velocity);

fn wide(number: usize) -> Wide {
    let value = number as f32;
    (Transform([value; 16]), Position([value; 3]), Rotation([value; 3]), Velocity([1.0; 3]))
}

fn small(number: usize) -> (Health,) {
    (Health(number as f32),)
}

#[inline(always)]
fn step((position, velocity): (&mut Position, &Velocity)) {
    for axis in 0..3 {
        position.0[axis] += velocity.0[axis];
    }
}

/// A world of [`ROWS`] wide rows, and its entities in an order that jumps about.
struct Live {
    world: World,
    pool: SnapshotPool,
    entities: Vec<Entity>,
    view: Option<View>,
}

impl Live {
    fn new<B: convoy_engine::Bundle>(row: fn(usize) -> B) -> Self {
        let mut world = World::new();
        let mut entities: Vec<Entity> =
            world.spawn_batch((0..ROWS).map(row)).expect("there is memory").collect();
        // A stride that shares no factor with the number of rows visits each once.
        entities = (0..ROWS).map(|number| entities[number * 7919 % ROWS]).collect();
        let pool = SnapshotPool::for_world(&world);
        Self { world, pool, entities, view: None }
    }

    fn capture(&mut self) -> View {
        self.world.capture(ComponentMask::ALL, &self.pool)
    }

    /// Runs `work` until lists and memory have grown.
    fn warmed(mut self, work: impl Fn(&mut Self)) -> Self {
        for _ in 0..3 {
            work(&mut self);
            self.world.advance_tick();
        }
        self
    }

    /// Leaves a snapshot alive that shares everything.
    fn shared(mut self, work: impl Fn(&mut Self)) -> Self {
        for _ in 0..3 {
            self.view = Some(self.capture());
            work(&mut self);
            self.view = None;
            self.world.advance_tick();
        }
        self.view = Some(self.capture());
        self
    }
}

fn wide_live() -> Live {
    Live::new(wide)
}

fn moved(live: &mut Live) {
    live.world.query_mut::<(&mut Position, &Velocity)>().for_each(step);
}

/// Simulates caches of fixed sizes as well. Prefetchers are not simulated, so only these count: the
/// lines that a pass touches beside its rows.
fn with_caches() -> LibraryBenchmarkConfig {
    let arguments = ["--cache-sim=yes", "--I1=32768,8,64", "--D1=32768,8,64", "--LL=1048576,16,64"];
    LibraryBenchmarkConfig::default().tool(Callgrind::with_args(arguments)).clone()
}

// Passes over one table.

#[library_benchmark(config = with_caches())]
#[bench::owned(wide_live().warmed(moved))]
#[bench::shared(wide_live().shared(moved))]
fn for_each(mut live: Live) -> Live {
    moved(&mut live);
    live
}

#[library_benchmark]
#[bench::owned(wide_live().warmed(moved))]
fn for_each_run(mut live: Live) -> Live {
    let mut query = live.world.query_mut::<(&mut Position, &Velocity)>();
    query.for_each_run(|(positions, velocities)| {
        positions.iter_mut().zip(velocities).for_each(step);
    });
    live
}

#[library_benchmark]
#[bench::owned(wide_live().warmed(moved))]
fn iterate_mut(mut live: Live) -> Live {
    live.world.query_mut::<(&mut Position, &Velocity)>().into_iter().for_each(step);
    live
}

#[library_benchmark]
#[bench::owned(wide_live().warmed(moved))]
fn iterate_loop(mut live: Live) -> Live {
    // Not by `for_each`: a loop asks for one item after the other.
    for row in live.world.query_mut::<(&mut Position, &Velocity)>() {
        step(row);
    }
    live
}

#[library_benchmark]
#[bench::world(wide_live())]
fn iterate(live: Live) -> (Live, f32) {
    let sum = live.world.query::<&Velocity>().iter().map(|velocity| velocity.0[0]).sum();
    (live, sum)
}

#[library_benchmark]
#[bench::view(wide_live().shared(moved))]
fn view_for_each(live: Live) -> (Live, f32) {
    let mut sum = 0.0;
    let view = live.view.as_ref().expect("a snapshot is alive");
    let query = view.query::<&Velocity>();
    query.for_each(|velocity| sum += velocity.0[0]);
    (live, sum)
}

#[library_benchmark]
#[bench::all(wide_live().warmed(moved))]
fn changed(mut live: Live) -> (Live, usize) {
    let mark = live.world.change_mark();
    for &entity in &live.entities[..10] {
        live.world.get_mut::<Position>(entity).expect("it is alive").0[0] += 1.0;
    }
    let query = live.world.query::<&Position>().filter::<Changed<Position>>();
    let count = query.since(mark).count();
    (live, count)
}

fn write_columns(live: &mut Live) {
    type RowMut<'a> = (&'a mut Transform, &'a mut Position, &'a mut Rotation, &'a mut Velocity);
    let mut query = live.world.query_mut::<RowMut<'_>>();
    query.for_each(|(transform, position, rotation, velocity)| {
        transform.0[0] += 1.0;
        position.0[0] += 1.0;
        rotation.0[0] += 1.0;
        velocity.0[0] += 1.0;
    });
}

#[library_benchmark(config = with_caches())]
#[bench::owned(wide_live().warmed(write_columns))]
#[bench::shared(wide_live().shared(write_columns))]
fn write_all(mut live: Live) -> Live {
    write_columns(&mut live);
    live
}

// Passes over 26 tables of 20 rows.

type Moving = PreparedQuery<(&'static mut Health, &'static Marker)>;

fn many_tables() -> (World, Moving) {
    let mut world = World::new();
    for table in 0..26_u32 {
        for row in 0..20_u32 {
            let entity = world.spawn((Health(1.0), Marker(row)));
            let bit = |number: u32| ((table + 1) >> number) & 1 == 1;
            let inserted = [
                bit(0).then(|| world.insert(entity, (Kind0(0),))),
                bit(1).then(|| world.insert(entity, (Kind1(0),))),
                bit(2).then(|| world.insert(entity, (Kind2(0),))),
                bit(3).then(|| world.insert(entity, (Kind3(0),))),
                bit(4).then(|| world.insert(entity, (Kind4(0),))),
            ];
            inserted.into_iter().flatten().for_each(|inserted| inserted.expect("it is alive"));
        }
    }
    let mut moving = Moving::new();
    for _ in 0..3 {
        moving.query_mut(&mut world).for_each(|(health, _)| health.0 += 1.0);
        world.query_mut::<(&mut Health, &Marker)>().for_each(|(health, _)| health.0 += 1.0);
    }
    (world, moving)
}

#[library_benchmark]
#[bench::prepared(many_tables())]
fn tables_prepared((mut world, mut moving): (World, Moving)) -> (World, Moving) {
    moving.query_mut(&mut world).for_each(|(health, marker)| health.0 += marker.0 as f32);
    (world, moving)
}

#[library_benchmark]
#[bench::plain(many_tables())]
fn tables_plain((mut world, moving): (World, Moving)) -> (World, Moving) {
    let mut query = world.query_mut::<(&mut Health, &Marker)>();
    query.for_each(|(health, marker)| health.0 += marker.0 as f32);
    (world, moving)
}

#[library_benchmark]
#[bench::read(many_tables())]
fn tables_iterate((world, moving): (World, Moving)) -> (World, Moving, f32) {
    let sum = world.query::<&Health>().filter::<With<Marker>>().iter().map(|one| one.0).sum();
    (world, moving, sum)
}

#[library_benchmark]
#[bench::owned(many_tables())]
fn tables_loop((mut world, moving): (World, Moving)) -> (World, Moving) {
    for (health, marker) in world.query_mut::<(&mut Health, &Marker)>() {
        health.0 += marker.0 as f32;
    }
    (world, moving)
}

// Random access.

#[library_benchmark]
#[bench::world(wide_live())]
fn get(live: Live) -> (Live, f32) {
    let value = |&entity| live.world.get::<Position>(entity).expect("it is alive").0[0];
    let sum = live.entities.iter().map(value).sum();
    (live, sum)
}

#[library_benchmark]
#[bench::owned(wide_live().warmed(moved))]
fn get_mut(mut live: Live) -> Live {
    for &entity in &live.entities {
        live.world.get_mut::<Position>(entity).expect("it is alive").0[0] += 1.0;
    }
    live
}

#[library_benchmark]
#[bench::world(wide_live())]
fn reader(live: Live) -> (Live, f32) {
    let reader = live.world.reader::<Position>().expect("it is registered");
    let sum = live.entities.iter().map(|&one| reader.get(one).expect("it is alive").0[0]).sum();
    (live, sum)
}

#[library_benchmark]
#[bench::view(wide_live().shared(moved))]
fn view_get(live: Live) -> (Live, f32) {
    let view = live.view.as_ref().expect("a snapshot is alive");
    let value = |&entity| view.get::<Position>(entity).expect("it was captured").0[0];
    let sum = live.entities.iter().map(value).sum();
    (live, sum)
}

// Coming, going and moving.

fn spawn_all(live: &mut Live) {
    live.entities.clear();
    for number in 0..ROWS {
        live.entities.push(live.world.spawn(wide(number)));
    }
}

fn emptied() -> Live {
    let mut live = wide_live().warmed(|live| {
        live.world.clear().expect("there is memory");
        spawn_all(live);
    });
    live.world.clear().expect("there is memory");
    live.world.advance_tick();
    live
}

#[library_benchmark]
#[bench::single(emptied())]
fn spawn(mut live: Live) -> Live {
    spawn_all(&mut live);
    live
}

#[library_benchmark]
#[bench::wide(emptied())]
fn spawn_batch(mut live: Live) -> Live {
    live.world.spawn_batch((0..ROWS).map(wide)).expect("there is memory");
    live
}

#[library_benchmark]
#[bench::wide((emptied(), (0..ROWS).map(|number| wide(number).0).collect::<Vec<_>>()))]
fn spawn_columns((mut live, transforms): (Live, Vec<Transform>)) -> (Live, Vec<Transform>) {
    live.world.spawn_columns((&transforms[..],)).expect("there is memory");
    (live, transforms)
}

fn despawn_all(live: &mut Live) {
    for &entity in &live.entities {
        live.world.despawn(entity).expect("it is alive");
    }
}

#[library_benchmark]
#[bench::random(wide_live().warmed(|live| {
    despawn_all(live);
    spawn_all(live);
}))]
fn despawn(mut live: Live) -> Live {
    despawn_all(&mut live);
    live
}

fn insert_and_remove(live: &mut Live) {
    for &entity in &live.entities {
        live.world.insert(entity, (Marker(1),)).expect("it is alive");
    }
    for &entity in &live.entities {
        live.world.remove::<(Marker,)>(entity).expect("it was inserted");
    }
}

#[library_benchmark]
#[bench::small(Live::new(small).warmed(insert_and_remove))]
#[bench::wide(wide_live().warmed(insert_and_remove))]
#[bench::wide_shared(wide_live().shared(insert_and_remove))]
fn insert_remove(mut live: Live) -> Live {
    insert_and_remove(&mut live);
    live
}

fn insert_and_remove_many(live: &mut Live) {
    live.world.insert_many(&live.entities, (Marker(1),)).expect("all are alive");
    live.world.remove_many::<(Marker,)>(&live.entities).expect("all were inserted");
}

#[library_benchmark]
#[bench::wide(wide_live().warmed(insert_and_remove_many))]
fn insert_remove_many(mut live: Live) -> Live {
    insert_and_remove_many(&mut live);
    live
}

fn toggles() -> Live {
    let mut world = World::new();
    world.register_toggle::<Health>().expect("it is new");
    let entities: Vec<Entity> =
        world.spawn_batch((0..ROWS).map(small)).expect("there is memory").collect();
    let pool = SnapshotPool::for_world(&world);
    Live { world, pool, entities, view: None }.warmed(toggle_all)
}

fn toggle_all(live: &mut Live) {
    for &entity in &live.entities {
        live.world.disable::<Health>(entity).expect("it is alive");
    }
    for &entity in &live.entities {
        live.world.enable::<Health>(entity).expect("it is alive");
    }
}

#[library_benchmark]
#[bench::small(toggles())]
fn toggle(mut live: Live) -> Live {
    toggle_all(&mut live);
    live
}

fn lists() -> Live {
    let mut world = World::new();
    let row = |number| (Health(number as f32), List::<u32>::new());
    let entities: Vec<Entity> =
        world.spawn_batch((0..ROWS).map(row)).expect("there is memory").collect();
    let pool = SnapshotPool::for_world(&world);
    Live { world, pool, entities, view: None }.warmed(push_eight)
}

fn push_eight(live: &mut Live) {
    live.world.query_mut::<&mut List<u32>>().for_each(|mut list| {
        list.clear();
        (0..8).for_each(|element| list.push(black_box(element)));
    });
}

#[library_benchmark]
#[bench::warm(lists())]
fn list_push(mut live: Live) -> Live {
    push_eight(&mut live);
    live
}

#[library_benchmark]
#[bench::warm(lists())]
fn list_iterate(live: Live) -> (Live, u64) {
    let mut sum = 0;
    let query = live.world.query::<&List<u32>>();
    black_box(query).for_each(|list| sum += list.iter().map(|&each| u64::from(each)).sum::<u64>());
    (live, sum)
}

fn shared_lists() -> Live {
    let mut live = lists();
    for &entity in &live.entities {
        live.world.list_mut::<u32>(entity).expect("it has a list").push(1);
    }
    live.view = Some(live.capture());
    live
}

#[library_benchmark]
#[bench::shared(shared_lists())]
fn list_write(mut live: Live) -> Live {
    for &entity in live.entities.iter().step_by(10) {
        live.world.list_mut::<u32>(entity).expect("it has a list")[0] += 1;
    }
    live
}

// Snapshots.

#[library_benchmark(config = with_caches())]
#[bench::wide(wide_live().shared(moved))]
fn capture_and_drop(mut live: Live) -> Live {
    for _ in 0..100 {
        live.view = Some(live.capture());
    }
    live
}

#[library_benchmark]
#[bench::written({
    let mut live = wide_live().shared(write_columns);
    write_columns(&mut live);
    live
})]
fn restore(mut live: Live) -> Live {
    let view = live.view.take().expect("a snapshot is alive");
    live.world.restore(&view).expect("it is complete");
    live.view = Some(view);
    live
}

#[library_benchmark]
#[bench::tenth({
    let mut live = wide_live().shared(moved);
    for &entity in &live.entities[..10] {
        live.world.get_mut::<Position>(entity).expect("it is alive").0[0] += 1.0;
    }
    let newer = live.capture();
    (live, newer)
})]
fn diff_views((live, newer): (Live, View)) -> (Live, View, usize) {
    let older = live.view.as_ref().expect("a snapshot is alive");
    let changes = diff(older, &newer).expect("both are of one world");
    let count = changes.changed::<Position>().expect("it was captured").count();
    (live, newer, count)
}

#[library_benchmark]
#[bench::warm({
    let mut live = wide_live();
    let provider = SharedSnapshotProvider::new(ComponentMask::ALL, live.pool.clone());
    let view = provider.acquire(&mut live.world).expect("it is the first");
    live.view = Some(view);
    (live, provider)
})]
fn join_and_leave(
    (mut live, provider): (Live, SharedSnapshotProvider),
) -> (Live, SharedSnapshotProvider) {
    for _ in 0..1000 {
        drop(black_box(provider.acquire(&mut live.world).expect("it can be joined")));
    }
    (live, provider)
}

fn synced() -> (Live, World) {
    let mut live = wide_live();
    let mut replica = World::new();
    for _ in 0..3 {
        moved(&mut live);
        replica.sync_from(&live.world, ComponentMask::ALL).expect("there is memory");
    }
    moved(&mut live);
    (live, replica)
}

#[library_benchmark]
#[bench::one_column(synced())]
fn sync((live, mut replica): (Live, World)) -> (Live, World) {
    replica.sync_from(&live.world, ComponentMask::ALL).expect("there is memory");
    (live, replica)
}

// Events, commands, the host.

fn send(live: &mut Live, cursor: &mut EventCursor<Marker>) -> u32 {
    for number in 0..1000 {
        live.world.send_event(Marker(number));
    }
    live.world.events(cursor).map(|event| event.0).sum()
}

fn events() -> (Live, EventCursor<Marker>) {
    let mut live = wide_live();
    let mut cursor = live.world.event_cursor::<Marker>();
    for _ in 0..100 {
        send(&mut live, &mut cursor);
        live.world.advance_tick();
    }
    (live, cursor)
}

#[library_benchmark]
#[bench::thousand(events())]
fn send_and_read_events(
    (mut live, mut cursor): (Live, EventCursor<Marker>),
) -> (Live, EventCursor<Marker>, u32) {
    let sum = send(&mut live, &mut cursor);
    (live, cursor, sum)
}

fn record(live: &mut Live, commands: &mut Commands) {
    for number in 0..50 {
        live.entities.push(commands.spawn(wide(number)));
    }
    for &entity in &live.entities[..50] {
        commands.insert(entity, (Marker(1),));
    }
    live.world.play_back(commands);
    for &entity in &live.entities[..50] {
        commands.remove::<(Marker,)>(entity);
    }
    for entity in live.entities.drain(ROWS..) {
        commands.despawn(entity);
    }
    live.world.play_back(commands);
}

fn commands() -> (Live, Commands) {
    let mut live = wide_live();
    let mut commands = Commands::new(&mut live.world);
    for _ in 0..3 {
        record(&mut live, &mut commands);
    }
    (live, commands)
}

/// A source with the views of its last two frames, a hundredth of whose rows differ, and a world that follows.
struct Follow {
    live: Live,
    older: View,
    newer: View,
    encoder: DeltaEncoder,
    bytes: Vec<u8>,
    follower: World,
}

/// Stops before the delta of the last frame is written, or before it is applied.
fn follow(is_written: bool) -> Follow {
    let mut live = wide_live();
    let older = live.capture();
    let follower = World::branch(&older).expect("everything was captured");
    let (encoder, bytes, newer) = (DeltaEncoder::new(), Vec::new(), older.clone());
    let mut follow = Follow { live, older, newer, encoder, bytes, follower };
    for frame in 0..4 {
        for &entity in &follow.live.entities[100 * frame..][..100] {
            follow.live.world.get_mut::<Position>(entity).expect("it has one").0[0] += 1.0;
        }
        let newer = follow.live.capture();
        follow.older = std::mem::replace(&mut follow.newer, newer);
        if frame < 3 || is_written {
            write_delta(&mut follow);
        }
        if frame < 3 {
            apply_delta(&mut follow);
        }
    }
    follow
}

fn write_delta(follow: &mut Follow) {
    let Follow { older, newer, encoder, bytes, .. } = follow;
    encoder.encode(&*older, newer, bytes).expect("both are of one world");
}

fn apply_delta(follow: &mut Follow) {
    let delta = Delta::parse(&follow.bytes).expect("it was just written");
    follow.follower.apply(&delta).expect("it follows");
}

#[library_benchmark]
#[bench::hundredth(follow(false))]
fn delta_encode(mut follow: Follow) -> Follow {
    write_delta(&mut follow);
    follow
}

#[library_benchmark]
#[bench::hundredth(follow(true))]
fn delta_apply(mut follow: Follow) -> Follow {
    apply_delta(&mut follow);
    follow
}

/// A world that was saved, with a view in which a hundredth of the rows differ.
fn saved() -> (Live, View, Checkpoint<Vec<u8>>) {
    let mut live = wide_live();
    let mut checkpoint = Checkpoint::on(Vec::with_capacity(1 << 24)).expect("there is nothing yet");
    for frame in 0..3 {
        checkpoint.write(&live.capture()).expect("there is memory");
        for &entity in &live.entities[100 * frame..][..100] {
            live.world.get_mut::<Position>(entity).expect("it has one").0[0] += 1.0;
        }
    }
    let view = live.capture();
    (live, view, checkpoint)
}

#[library_benchmark]
#[bench::hundredth(saved())]
fn checkpoint_write(
    (live, view, mut checkpoint): (Live, View, Checkpoint<Vec<u8>>),
) -> (Live, View, Checkpoint<Vec<u8>>) {
    checkpoint.write(&view).expect("there is memory");
    (live, view, checkpoint)
}

#[library_benchmark]
#[bench::all(saved().2.into_medium())]
fn checkpoint_read(medium: Vec<u8>) -> (Vec<u8>, World) {
    let world =
        Checkpoint::read_from(&medium, WorldConfig::default()).expect("it was just written");
    (medium, world)
}

#[library_benchmark]
#[bench::two_hundred(commands())]
fn record_and_play_back((mut live, mut commands): (Live, Commands)) -> (Live, Commands) {
    record(&mut live, &mut commands);
    (live, commands)
}

const FRAME: Duration = Duration::from_micros(16_667);

fn host(frames: u64) -> (Live, ModuleHost) {
    let mut live = wide_live();
    let mut host = ModuleHost::default();
    for name in ["one", "two", "three"] {
        let spec = ModuleSpec::slow(name, Rate::every_frames(frames)).reads::<(Position,)>();
        host.add(spec, |context| {
            black_box(context.view().entity_count());
        })
        .expect("the host has not begun");
    }
    for _ in 0..13 {
        host.run_frame(&mut live.world, FRAME).expect("nothing fails");
    }
    (live, host)
}

// Four frames: in one of them three modules are due, in the others none is. Or in none of them.
#[library_benchmark]
#[bench::three_modules(host(4))]
#[bench::idle(host(1000))]
fn host_frames((mut live, mut host): (Live, ModuleHost)) -> (Live, ModuleHost) {
    for _ in 0..4 {
        host.run_frame(&mut live.world, FRAME).expect("nothing fails");
    }
    (live, host)
}

library_benchmark_group!(
    name = hot_paths,
    benchmarks = [
        for_each,
        for_each_run,
        iterate_mut,
        iterate_loop,
        iterate,
        view_for_each,
        changed,
        write_all,
        tables_prepared,
        tables_plain,
        tables_iterate,
        tables_loop,
        get,
        get_mut,
        reader,
        view_get,
        spawn,
        spawn_batch,
        spawn_columns,
        despawn,
        insert_remove,
        insert_remove_many,
        toggle,
        list_push,
        list_iterate,
        list_write,
        capture_and_drop,
        restore,
        diff_views,
        join_and_leave,
        sync,
        delta_encode,
        delta_apply,
        checkpoint_write,
        checkpoint_read,
        send_and_read_events,
        record_and_play_back,
        host_frames
    ]
);

main!(
    config = LibraryBenchmarkConfig::default().tool(Callgrind::with_args(["--cache-sim=no"])),
    library_benchmark_groups = hot_paths
);
