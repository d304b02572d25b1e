//! One writer and eight readers, for as long as `CONVOY_STRESS_SECONDS` says (3 by default; minutes
//! under the sanitizers, see `tests/sanitize.sh`).
//!
//! The writer changes a world in every way that the engine knows, with chunks of four rows, so that
//! every boundary is crossed, goes back to earlier snapshots of it, and captures it for two
//! providers, in private, and through a replica. Readers compare views and look ahead in branches.
//! Readers join, read, and leave after any time; their threads come and go, and some exit or panic
//! while they hold a view. Readers must see whole rows: each row is made of one number and
//! checks itself, two columns agree row by row, and sums that the writer kept beside its changes
//! and stored before the capture are those of the rows. Reading again must give the same.
#![allow(clippy::unwrap_used, reason = "a failed expectation is a failed test")]

use std::cell::RefCell;
use std::env;
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, TryLockError};
use std::thread;
use std::time::{Duration, Instant};

use bytemuck::{Pod, Zeroable};
use convoy_engine::commands::Commands;
use convoy_engine::component::ComponentId;
use convoy_engine::events::EventCursor;
use convoy_engine::memory::ArenaConfig;
use convoy_engine::provider::{DoubleBufferProvider, SharedSnapshotProvider, SnapshotProvider};
use convoy_engine::snapshot::{DiffError, diff};
use convoy_engine::{ComponentMask, Entity, SnapshotPool, View, With, Without, World, WorldConfig};
use convoy_tests::{Byte, Hundred, Mixer, Ping, Triple, Value, Wide, Word, step};

const READERS: u64 = 8;

/// Entities at the most, but for those of the last batch.
const ENTITIES_MAX: usize = 200;

/// Rounds, each with a world of its own. After every second one the world goes before its readers.
const ROUNDS: u32 = 4;

/// The writer's counts beside its changes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Pod, Zeroable)]
#[repr(C)]
struct Totals {
    entities: u64,
    /// Rows with [`Wide`] and [`Triple`], which are made of the same number.
    rows: u64,
    /// The sum of those numbers.
    sum: u64,
    /// Events sent so far; the events are numbered.
    events: u64,
}

/// The panic that ends a reader's thread on purpose.
struct Stumbled;

/// Where readers find views.
struct Sources {
    double: DoubleBufferProvider,
    shared: SharedSnapshotProvider,
    private: Mutex<Option<View>>,
    stop: AtomicBool,
    read: AtomicU64,
}

impl Sources {
    fn new(world: &World) -> Self {
        let pool = SnapshotPool::for_world(world);
        Self {
            double: DoubleBufferProvider::new(ComponentMask::ALL, pool.clone()),
            shared: SharedSnapshotProvider::new(ComponentMask::ALL, pool).with_max_age(3),
            private: Mutex::new(None),
            stop: AtomicBool::new(false),
            read: AtomicU64::new(0),
        }
    }

    fn join(&self, mixer: &mut Mixer) -> Option<View> {
        match mixer.below(4) {
            0 | 1 => self.double.join(),
            2 => self.shared.join(),
            _ => self.private().clone(),
        }
    }

    fn offer(&self, view: View) {
        let before = self.private().replace(view);
        drop(before);
    }

    /// The private view. Tries until it succeeds: the way in which `lock` waits for others is out of
    /// ThreadSanitizer's sight.
    fn private(&self) -> MutexGuard<'_, Option<View>> {
        loop {
            match self.private.try_lock() {
                Ok(view) => return view,
                Err(TryLockError::Poisoned(error)) => return error.into_inner(),
                Err(TryLockError::WouldBlock) => thread::yield_now(),
            }
        }
    }

    fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}

/// Stops the readers, also when the writer fails.
struct StopOnDrop<'a>(&'a Sources);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.stop.store(true, Ordering::Relaxed);
    }
}

/// The writer's world and tools.
struct Writer {
    world: World,
    replica: World,
    pool: SnapshotPool,
    commands: Commands,
    wide: ComponentId,
    triple: ComponentId,
    totals: Totals,
    /// A view to go back to.
    past: Option<View>,
    mixer: Mixer,
}

impl Writer {
    fn new(seed: u64) -> Self {
        let config = WorldConfig::default().chunk_rows_max(4).event_retention(10);
        let mut world = World::with_config(config.clone());
        let (wide, triple) =
            (world.register::<Wide>().unwrap(), world.register::<Triple>().unwrap());
        world.register_event::<Ping>().unwrap();
        world.insert_resource(Totals::default()).unwrap();
        let (commands, pool) = (Commands::new(&mut world), SnapshotPool::for_world(&world));
        let replica = World::with_config(config);
        let (totals, mixer) = (Totals::default(), Mixer::new(seed));
        Self { world, replica, pool, commands, wide, triple, totals, past: None, mixer }
    }

    fn any_entity(&mut self) -> Option<Entity> {
        let count = self.world.entity_count();
        let at = self.mixer.below(count);
        self.world.query::<Entity>().iter().nth(at)
    }

    fn some_entities(&mut self) -> Vec<Entity> {
        let every = 1 + self.mixer.below(5);
        self.world.query::<Entity>().iter().step_by(every).take(40).collect()
    }

    /// Some change, of one row, of many, or of none.
    fn change(&mut self) {
        match self.mixer.below(4) {
            0 => self.change_rows(),
            1 => self.change_shape(),
            2 => self.change_many(),
            _ => self.change_rest(),
        }
    }

    /// Writes rows where they are.
    fn change_rows(&mut self) {
        let factor = self.mixer.next_number();
        let next = |wide: &mut Wide, triple: &mut Triple| {
            let seed = step(wide.seed(), factor);
            (*wide, *triple) = (Wide::from_seed(seed), Triple::from_seed(seed));
        };
        match self.mixer.below(7) {
            0 => {
                let mut query = self.world.query_mut::<(&mut Wide, &mut Triple)>();
                query.for_each(|(wide, triple)| next(wide, triple));
            }
            6 => {
                let mut query = self.world.query_mut::<(&mut Wide, &mut Triple)>();
                query.par_for_each(|(wide, triple)| next(wide, triple));
            }
            1 => {
                let query =
                    self.world.query_mut::<(&mut Triple, &mut Wide)>().filter::<With<Byte>>();
                query.into_iter().for_each(|(triple, wide)| next(wide, triple));
            }
            2 => {
                let mut query = self.world.query_mut::<&mut Hundred>();
                query.for_each(|value| *value = Hundred::from_seed(step(value.seed(), factor)));
            }
            3 => {
                let mut query = self.world.query_mut::<(&mut Wide, &mut Triple)>();
                query.for_each_run(|(wides, triples)| {
                    wides.iter_mut().zip(triples).for_each(|(wide, triple)| next(wide, triple));
                });
            }
            4 => self.write_one(factor),
            _ => {
                let mut query = self.world.query_mut::<&mut Word>().filter::<Without<Hundred>>();
                query.for_each(|value| *value = Word::from_seed(step(value.seed(), factor)));
            }
        }
    }

    /// Writes the two columns of one entity, by types or by bytes.
    fn write_one(&mut self, seed: u64) {
        let Some(entity) = self.any_entity() else { return };
        let values = (Wide::from_seed(seed), Triple::from_seed(seed));
        if self.world.get::<Wide>(entity).is_err() {
            return;
        }
        if seed.is_multiple_of(2) {
            *self.world.get_mut::<Wide>(entity).unwrap() = values.0;
            *self.world.get_mut::<Triple>(entity).unwrap() = values.1;
        } else {
            self.world.set_bytes(entity, self.wide, bytemuck::bytes_of(&values.0)).unwrap();
            self.world.set_bytes(entity, self.triple, bytemuck::bytes_of(&values.1)).unwrap();
        }
    }

    /// Spawns, despawns, and changes the components of single entities.
    fn change_shape(&mut self) {
        let seed = self.mixer.next_number();
        let (wide, triple) = (Wide::from_seed(seed), Triple::from_seed(seed));
        let entity = self.any_entity();
        match self.mixer.below(8) {
            0 if self.world.entity_count() < ENTITIES_MAX => {
                self.world.spawn((wide, triple, Word::from_seed(seed)));
            }
            1 if self.world.entity_count() < ENTITIES_MAX => {
                let handle = self.world.reserve_entity();
                self.world.spawn_at(handle, (Hundred::from_seed(seed), triple, wide)).unwrap();
            }
            2 => entity.into_iter().for_each(|entity| self.world.despawn(entity).unwrap()),
            3 => {
                let hundred = (Hundred::from_seed(seed), Byte::from_seed(seed));
                entity.into_iter().for_each(|each| self.world.insert(each, hundred).unwrap());
            }
            4 => entity.into_iter().for_each(|each| drop(self.world.remove::<(Byte,)>(each))),
            5 => entity.into_iter().for_each(|each| {
                // Not all of them have it.
                let _lacks = self.world.exchange::<(Byte,), _>(each, (wide, triple));
            }),
            6 => entity.into_iter().for_each(|each| {
                let bytes = bytemuck::bytes_of(&wide);
                let with = [(self.wide, bytes), (self.triple, bytemuck::bytes_of(&triple))];
                self.world.insert_described(each, &with).unwrap();
            }),
            _ => entity.into_iter().for_each(|each| {
                let _lacks = self.world.remove_described(each, &[self.wide, self.triple]);
            }),
        }
    }

    /// Changes many entities at once.
    fn change_many(&mut self) {
        let seed = self.mixer.next_number();
        let (wide, triple, word) =
            (Wide::from_seed(seed), Triple::from_seed(seed), Word::from_seed(seed));
        let list = self.some_entities();
        let roomy = self.world.entity_count() < ENTITIES_MAX;
        match self.mixer.below(16) {
            0..=4 if roomy => {
                let seeds = (0..11).map(|each| step(seed, each));
                let bundles = seeds.map(|seed| (Wide::from_seed(seed), Triple::from_seed(seed)));
                self.world.spawn_batch(bundles).unwrap();
            }
            5..=8 if roomy => {
                self.world.spawn_columns((&[triple; 7][..], &[wide; 7][..])).unwrap();
            }
            9 => drop(self.world.insert_many(&list, (word,)).unwrap()),
            10 => drop(self.world.remove_many::<(Word,)>(&list).unwrap()),
            11 => drop(self.world.despawn_many(&list[..list.len() / 4]).unwrap()),
            12 => {
                let query = self.world.query_mut::<()>().filter::<With<Hundred>>();
                query.insert((wide, triple)).unwrap();
            }
            13 => {
                self.world.query_mut::<&Byte>().remove::<(Wide, Triple)>().unwrap();
            }
            14 if seed.is_multiple_of(8) => {
                self.world.query_mut::<&Hundred>().filter::<With<Word>>().despawn().unwrap();
            }
            15 if seed.is_multiple_of(64) => self.world.clear().unwrap(),
            _ => {}
        }
    }

    /// Commands, events, links, and the memory.
    fn change_rest(&mut self) {
        let seed = self.mixer.next_number();
        let (one, other) = (self.any_entity(), self.any_entity());
        match self.mixer.below(6) {
            0 => {
                for _ in 0..=seed % 7 {
                    self.world.send_event(Ping(self.totals.events));
                    self.totals.events += 1;
                }
            }
            1 => {
                let values = (Wide::from_seed(seed), Triple::from_seed(seed));
                let spawned = self.commands.spawn(values);
                self.commands.insert(spawned, (Byte::from_seed(seed),));
                one.into_iter().for_each(|entity| self.commands.insert(entity, values));
                other.into_iter().for_each(|entity| self.commands.despawn(entity));
                self.world.play_back(&mut self.commands);
            }
            2 => {
                let (Some(child), Some(parent)) = (one, other) else { return };
                // The child may be above the parent.
                let _circle = self.world.set_parent(child, parent);
            }
            3 => one.into_iter().for_each(|entity| {
                self.world.remove_parent(entity).unwrap();
            }),
            4 if seed.is_multiple_of(4) => {
                one.into_iter().for_each(|each| {
                    self.world.despawn_tree(each).unwrap();
                });
            }
            5 if seed.is_multiple_of(8) => {
                self.world.compact(Duration::MAX);
                self.world.trim(Duration::MAX);
            }
            _ => {}
        }
    }

    /// Stores the present sum of the rows.
    fn store_totals(&mut self) {
        let rows = self.world.query::<&Triple>();
        self.totals.rows = rows.count() as u64;
        self.totals.sum = rows.iter().map(Value::seed).fold(0, u64::wrapping_add);
        self.totals.entities = self.world.entity_count() as u64;
        *self.world.resource_mut::<Totals>().unwrap() = self.totals;
    }

    /// Goes back to an earlier snapshot, or captures one to go back to.
    fn go_back(&mut self) {
        match self.past.take() {
            Some(past) => {
                self.world.restore(&past).unwrap();
                self.totals = *past.resource::<Totals>().unwrap();
                // Commands recorded from here on count again.
                self.world.play_back(&mut self.commands);
            }
            None => self.past = Some(self.world.capture(ComponentMask::ALL, &self.pool)),
        }
    }

    /// One frame: changes, and captures of the results.
    fn frame(&mut self, sources: &Sources) {
        for _ in 0..self.mixer.below(6) {
            self.change();
        }
        self.store_totals();
        let choice = self.mixer.below(32);
        if choice.is_multiple_of(2) {
            // All generations may be held, then readers keep to the old ones.
            let _held = sources.double.update(&mut self.world);
        }
        if choice.is_multiple_of(3) {
            drop(sources.shared.acquire(&mut self.world));
        }
        if choice.is_multiple_of(5) {
            sources.offer(self.world.capture(ComponentMask::ALL, &self.pool));
        }
        if choice % 16 == 11 {
            self.go_back();
        }
        if choice == 7 {
            self.replica.sync_from(&self.world, ComponentMask::ALL).unwrap();
            sources.offer(self.replica.capture(ComponentMask::ALL, &self.pool));
        }
        if choice.is_multiple_of(7) {
            self.world.advance_tick();
        }
        let memory = self.world.memory();
        let used = memory.live_bytes + memory.retained_bytes + memory.free_bytes;
        assert_eq!(used, memory.mapped_bytes);
    }

    /// With every view gone, nothing is retained and every cell is back.
    fn finish(mut self) {
        self.past = None;
        for world in [&mut self.world, &mut self.replica] {
            world.advance_tick();
            let memory = world.memory();
            assert_eq!((memory.retained_bytes, memory.active_captures), (0, 0));
            assert_eq!(memory.live_bytes + memory.free_bytes, memory.mapped_bytes);
        }
        let cells = self.pool.statistics();
        assert_eq!(cells.created, cells.pooled as u64 + cells.discarded);
    }
}

/// Reads all of a view; returns values that must be the same at each reading.
fn examine(view: &View) -> (Totals, u64) {
    let totals = *view.resource::<Totals>().unwrap();
    let mut found = Totals { events: totals.events, ..Totals::default() };
    found.entities = view.entity_count() as u64;
    let mut fingerprint = 0_u64;
    let mut note = |seed: u64| fingerprint = step(fingerprint, seed);
    view.query::<(&Wide, &Triple)>().for_each(|(wide, triple)| {
        assert_eq!(wide.seed(), triple.seed(), "columns agree");
        found.sum = found.sum.wrapping_add(wide.seed());
        found.rows += 1;
        note(wide.seed());
    });
    assert_eq!(found, totals, "the rows are those of the capture");
    view.query::<&Hundred>().iter().for_each(|value| note(value.seed()));
    view.query::<&Word>().iter().for_each(|value| note(value.seed()));
    view.query::<&Byte>().iter().for_each(|value| note(value.seed()));
    for entity in view.query::<Entity>().iter() {
        assert!(view.contains(entity));
        note(view.get::<Wide>(entity).map_or(1, Value::seed));
        for child in view.children(entity).unwrap() {
            assert_eq!(view.parent(child).unwrap(), Some(entity), "links agree");
            note(u64::from(child.index()));
        }
    }
    note(view.state_hash());
    let mut cursor = EventCursor::<Ping>::default();
    let numbers: Vec<u64> = view.events(&mut cursor).map(|event| event.seed()).collect();
    let first = totals.events - numbers.len() as u64;
    assert!(numbers.into_iter().eq(first..totals.events), "events in order up to the capture");
    (totals, fingerprint)
}

/// Looks ahead from a view in a world of this thread's, which the view must not notice.
fn look_ahead(view: &View, mixer: &mut Mixer) {
    let memory = ArenaConfig::default().first_slab_bytes(64 * 1024).slab_bytes_max(64 * 1024);
    let mut ahead = World::branch_with(view, memory).unwrap();
    let factor = mixer.next_number();
    ahead.query_mut::<(&mut Wide, &mut Triple)>().for_each(|(wide, triple)| {
        let seed = step(wide.seed(), factor);
        (*wide, *triple) = (Wide::from_seed(seed), Triple::from_seed(seed));
    });
    let entities: Vec<Entity> = ahead.query::<Entity>().iter().collect();
    for &entity in entities.iter().step_by(3) {
        ahead.despawn(entity).unwrap();
    }
    let after = ahead.capture(ComponentMask::ALL, &SnapshotPool::default());
    assert_eq!(after.entity_count(), entities.len() - entities.len().div_ceil(3));
    drop(ahead);
    after.query::<(&Wide, &Triple)>().for_each(|(wide, triple)| {
        assert_eq!(wide.seed(), triple.seed(), "columns agree");
    });
}

/// Compares a view with another one, which may be of another world.
fn compare(view: &View, other: &View) {
    let changes = match diff(view, other) {
        Ok(changes) => changes,
        Err(error) => return assert_eq!(error, DiffError::DifferentWorlds),
    };
    let (came, went) = (changes.spawned().count(), changes.despawned().count());
    assert_eq!(view.entity_count() + came, other.entity_count() + went);
    for change in changes.changed::<Wide>().unwrap() {
        assert_ne!(change.older.seed(), change.newer.seed());
    }
    if changes.is_empty() {
        // Rows may be in another order, and other handles may be free.
        assert!(contents(view).eq(contents(other)), "no change is left out");
    }
}

/// The entities in the order of their handles, each with its components.
fn contents(view: &View) -> impl Iterator<Item = Content> + use<> {
    let rows =
        view.query::<(Entity, Option<&Wide>, Option<&Hundred>, Option<&Word>, Option<&Byte>)>();
    let seeds = rows.iter().map(|(entity, wide, hundred, word, byte)| {
        let seeds = [seed(wide), seed(hundred), seed(word), seed(byte)];
        (entity, seeds, view.parent(entity).unwrap())
    });
    let mut contents: Vec<Content> = seeds.collect();
    contents.sort_unstable_by_key(|(entity, ..)| *entity);
    contents.into_iter()
}

/// An entity, the seeds of its components and its parent.
type Content = (Entity, [Option<u64>; 4], Option<Entity>);

fn seed<T: Value>(value: Option<&T>) -> Option<u64> {
    value.map(T::seed)
}

thread_local! {
    /// A view that is dropped when its thread ends, after most of the thread is gone.
    static KEPT: RefCell<Option<View>> = const { RefCell::new(None) };
}

/// A reader's thread: some leases, of any length, and one of several ends.
fn read(sources: &Sources, seed: u64) {
    let mut mixer = Mixer::new(seed);
    let narrow = ComponentMask::NONE;
    for _ in 0..1 + mixer.below(60) {
        if sources.is_stopped() {
            return;
        }
        let Some(view) = sources.join(&mut mixer) else {
            thread::yield_now();
            continue;
        };
        let seen = examine(&view);
        for _ in 0..mixer.below(6) {
            match mixer.below(4) {
                0 => thread::yield_now(),
                1 => thread::sleep(Duration::from_micros(mixer.below(400) as u64)),
                2 => assert!(view.clone().narrow(narrow).try_query::<&Wide>().is_err()),
                _ if mixer.below(8) == 0 => look_ahead(&view, &mut mixer),
                _ => {
                    let other = sources.join(&mut mixer);
                    other.into_iter().for_each(|other| compare(&view, &other));
                }
            }
            assert_eq!(examine(&view), seen, "a view stays as it is");
        }
        sources.read.fetch_add(1, Ordering::Relaxed);
        match mixer.below(60) {
            0 => resume_unwind(Box::new(Stumbled)),
            1 => {
                KEPT.set(Some(view));
                return;
            }
            2 => drop(KEPT.replace(Some(view))),
            _ => {}
        }
    }
}

/// Starts readers one after another until told to stop.
fn keep_reading(sources: &Sources, number: u64) {
    let mut mixer = Mixer::new(number);
    while !sources.is_stopped() {
        let seed = mixer.next_number();
        let ended = thread::scope(|scope| scope.spawn(|| read(sources, seed)).join());
        if let Err(payload) = ended
            && !payload.is::<Stumbled>()
        {
            sources.stop.store(true, Ordering::Relaxed);
            resume_unwind(payload);
        }
    }
}

/// Runs a world under its readers. They stop before it goes, or after.
fn run(seed: u64, time: Duration, drop_under_readers: bool) -> u64 {
    let mut writer = Writer::new(seed);
    let sources = Sources::new(&writer.world);
    let mut writer = thread::scope(|scope| {
        let stop = StopOnDrop(&sources);
        let readers: Vec<_> = (0..READERS)
            .map(|number| {
                let sources = &sources;
                scope.spawn(move || keep_reading(sources, seed ^ number))
            })
            .collect();
        let began = Instant::now();
        while began.elapsed() < time && !sources.is_stopped() {
            writer.frame(&sources);
        }
        let mut left = Some(writer);
        if drop_under_readers {
            drop(left.take());
            thread::sleep(time / 10);
        }
        drop(stop);
        // One by one: ThreadSanitizer knows joins, but not how a scope waits.
        readers.into_iter().for_each(|reader| {
            reader.join().unwrap_or_else(|payload| resume_unwind(payload));
        });
        left
    });
    let Sources { double, shared, private, read, .. } = sources;
    drop((double, shared, private));
    writer.take().into_iter().for_each(Writer::finish);
    read.into_inner()
}

#[test]
fn eight_readers_see_whole_snapshots_while_one_writer_does_everything() {
    let seconds = env::var("CONVOY_STRESS_SECONDS");
    let seconds: f64 = seconds.map_or(3.0, |seconds| seconds.parse().expect("a number"));
    let seed = env::var("CONVOY_SEED").map_or(0, |seed| seed.parse().expect("a number"));
    let time = Duration::from_secs_f64(seconds) / ROUNDS;
    let read: u64 =
        (0..ROUNDS).map(|round| run(seed + u64::from(round), time, round % 2 == 1)).sum();
    assert!(read > 0, "somebody has read");
    println!("{read} leases");
}
