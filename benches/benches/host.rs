//! The module host: a frame in which nothing is due, the way of a run to its thread, and frames beside a module
//! that takes long.
//!
//! The first two are compared with times that are promised, the second also with `wake-up`: a thread that waits for a
//! condition variable, which is the least that a dispatch takes on the machine. The last is the 99th of 100 frames of
//! a simulation at 240 frames a second, which moves 100 thousand rows: `alone` without a module; `sleeps` beside one
//! that holds its view for 100 ms and reads other columns; `sleeps on written columns` where the simulation writes
//! what it reads, so that the first frame under each of its views copies these. Windows of each take turns.

mod common;

use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use convoy_benches::{Measure, write_measures};
use convoy_engine::World;
use convoy_engine::host::{HostConfig, Mode, ModuleHost, ModuleSpec, Rate};
use criterion::{BenchmarkId, Criterion};

use common::components::{Position, Velocity, components};
use common::timing::{Group, criterion};

components! {
    /// Which the simulation only reads.
    Charge([f32; 2]);
}

/// 60 frames a second, in simulated time.
const FRAME: Duration = Duration::from_nanos(16_666_667);
/// The frames of the simulation beside a long run.
const PACE: Duration = Duration::from_nanos(4_166_667);
const LONG: Duration = Duration::from_millis(100);
const ROWS: usize = 100_000;
/// Windows of each subject, and frames in one.
const WINDOWS: usize = 8;
const WINDOW: usize = 250;

fn main() {
    let mut criterion = criterion();
    let promised = [("20_idle_modules", "2 us", 2_000.0), ("dispatch", "20 us", 20_000.0)];
    let promised = promised.map(|(workload, subject, value)| time(workload, subject, value));
    write_measures("host", &promised).expect("the target folder can be written");
    idle(&mut criterion);
    dispatch(&mut criterion);
    criterion.final_summary();
    beside_a_long_run();
}

fn time(workload: &str, subject: &str, value: f64) -> Measure {
    Measure {
        group: "host".to_owned(),
        workload: workload.to_owned(),
        subject: subject.to_owned(),
        value,
        unit: "nanoseconds".to_owned(),
    }
}

fn world_of(rows: usize) -> World {
    let mut world = World::new();
    let row = |number| (Position([number as f32; 3]), Velocity([1.0; 3]), Charge([0.0; 2]));
    world.spawn_batch((0..rows).map(row)).expect("there is memory");
    world
}

/// Frames of a host with modules of several rates and modes, none of which is due.
fn idle(criterion: &mut Criterion) {
    let (mut world, mut host) = (world_of(1_000), ModuleHost::default());
    for number in 0..20 {
        let rate = Rate::every_frames((1 << 40) + number % 3);
        let mode = if number % 2 == 0 { Mode::Asynchronous } else { Mode::Synchronous };
        let spec = ModuleSpec::slow(format!("module {number}"), rate).mode(mode);
        host.add(spec.reads::<(Position,)>(), |_| {}).expect("the host has not begun");
    }
    let mut group = criterion.benchmark_group("host");
    group.bench_function(BenchmarkId::new("convoy", "20_idle_modules"), |bencher| {
        bencher.iter(|| host.run_frame(black_box(&mut world), FRAME).expect("nothing fails"));
    });
    group.finish();
    assert!(host.statistics(&world).modules.iter().all(|module| module.runs == 0));
}

/// From the call of the frame, with its capture, to the first instruction of a run on a thread that waits.
fn dispatch(criterion: &mut Criterion) {
    let (mut world, mut host) = (world_of(1_000), ModuleHost::default());
    let (start, began) = (Instant::now(), Arc::new(AtomicU64::new(0)));
    let noted = Arc::clone(&began);
    let spec = ModuleSpec::slow("module", Rate::EVERY_FRAME).mode(Mode::Asynchronous);
    host.add(spec.reads::<(Position,)>(), move |_| {
        // Relaxed: the job that comes back orders it.
        noted.store(start.elapsed().as_nanos() as u64, Ordering::Relaxed);
    })
    .expect("the host has not begun");
    let mut group = criterion.benchmark_group("host");
    group.bench_function(BenchmarkId::new("convoy", "dispatch"), |bencher| {
        bencher.iter_custom(|frames| {
            let mut total = 0;
            for _ in 0..frames {
                let sent = start.elapsed().as_nanos() as u64;
                host.run_frame(&mut world, FRAME).expect("nothing fails");
                assert!(host.wait(Duration::MAX));
                total += began.load(Ordering::Relaxed) - sent;
            }
            Duration::from_nanos(total.max(1))
        });
    });
    wake_up(&mut group);
    group.finish();
}

/// From a notification to the first instruction of the thread that waits for it.
fn wake_up(group: &mut Group<'_>) {
    let start = Instant::now();
    let turn = Arc::new((Mutex::new(Turn::Host), Condvar::new()));
    let waiting = Arc::clone(&turn);
    let thread = thread::spawn(move || {
        let (turn, changed) = &*waiting;
        loop {
            let held = turn.lock().expect("nobody panics");
            let mut held = changed
                .wait_while(held, |turn| matches!(turn, Turn::Host | Turn::Began(_)))
                .expect("nobody panics");
            match *held {
                Turn::Thread => *held = Turn::Began(start.elapsed()),
                Turn::Host | Turn::Began(_) | Turn::Over => return,
            }
            changed.notify_all();
        }
    });
    let (turn, changed) = &*turn;
    group.bench_function(BenchmarkId::new("wake-up", "dispatch"), |bencher| {
        bencher.iter_custom(|turns| {
            let mut total = Duration::ZERO;
            for _ in 0..turns {
                let sent = start.elapsed();
                *turn.lock().expect("nobody panics") = Turn::Thread;
                changed.notify_all();
                let held = turn.lock().expect("nobody panics");
                let held = changed
                    .wait_while(held, |turn| matches!(turn, Turn::Thread))
                    .expect("nobody panics");
                if let Turn::Began(began) = *held {
                    total += began - sent;
                }
            }
            total
        });
    });
    *turn.lock().expect("nobody panics") = Turn::Over;
    changed.notify_all();
    thread.join().expect("nobody panics");
}

/// Whose turn it is.
enum Turn {
    Host,
    Thread,
    /// The thread has had it, and began then.
    Began(Duration),
    Over,
}

/// A simulation at a fixed pace, and its host.
struct Paced {
    world: World,
    host: ModuleHost,
    times: Vec<Duration>,
}

impl Paced {
    fn new(spec: Option<ModuleSpec>) -> Self {
        let (world, mut host) = (world_of(ROWS), ModuleHost::new(HostConfig::default().workers(1)));
        if let Some(spec) = spec {
            host.add(spec, |_| thread::sleep(LONG)).expect("the host has not begun");
        }
        Self { world, host, times: Vec::with_capacity(WINDOWS * WINDOW) }
    }

    fn run_window(&mut self) {
        let mut due = Instant::now();
        for _ in 0..WINDOW {
            let began = Instant::now();
            let mut rows = self.world.query_mut::<(&mut Position, &Velocity)>();
            rows.for_each(|(position, velocity)| {
                for axis in 0..3 {
                    position.0[axis] += velocity.0[axis];
                }
            });
            self.host.run_frame(&mut self.world, FRAME).expect("nothing fails");
            self.times.push(began.elapsed());
            due += PACE;
            thread::sleep(due.saturating_duration_since(Instant::now()));
        }
        self.host.finish(&mut self.world);
    }

    fn p99(&mut self) -> Duration {
        self.times.sort_unstable();
        self.times[self.times.len() * 99 / 100]
    }
}

fn beside_a_long_run() {
    let long = || ModuleSpec::slow("long", Rate::hz(10)).mode(Mode::Asynchronous);
    let mut subjects = [
        ("alone", Paced::new(None)),
        ("sleeps", Paced::new(Some(long().reads::<(Charge,)>()))),
        ("sleeps on written columns", Paced::new(Some(long().reads::<(Position,)>()))),
    ];
    for _ in 0..WINDOWS {
        subjects.iter_mut().for_each(|(_, paced)| paced.run_window());
    }
    let measures = subjects
        .each_mut()
        .map(|(subject, paced)| time("p99_of_frames", subject, paced.p99().as_nanos() as f64));
    write_measures("host_p99", &measures).expect("the target folder can be written");
}
