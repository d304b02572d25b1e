//! A world beside its model: every operation is done to both, and both must agree on its outcome.

use std::cell::Cell;

use convoy_engine::commands::{Commands, Playback};
use convoy_engine::replication::SyncError;
use convoy_engine::snapshot::RestoreError;
use convoy_engine::world::{ComponentError, SpawnError};
use convoy_engine::{Entity, SnapshotPool, View, With, Without, World};
use convoy_tests::{
    Alert, Byte, Huge, Hundred, KINDS, KindMask, Model, Ping, SHAPES, Shape, Tag, Triple, Value,
    Wide, Word, assert_equals, step,
};

use crate::kept::{Followers, Prepared, Ties};
use crate::setting::{Command, OPERATIONS_PER_PROGRAM, Setting, VIEWS_MAX};

const ENTITIES_MAX: usize = 300;
const HUGE_MAX: usize = 6;
const SPAWN_MANY: u64 = 90;
/// Rows of the largest chunks that are filled with events.
const FILLED_ROWS_MAX: usize = 64;

/// A recorded command, and the handle that it acts upon.
#[derive(Clone)]
struct Recorded {
    command: Command,
    entity: Entity,
}

/// A view, and the copy that the model made at its capture.
pub(crate) struct Kept {
    pub(crate) view: View,
    pub(crate) copy: Model,
    pub(crate) mask: KindMask,
    /// What was captured: `mask`, or more where the view was narrowed.
    pub(crate) captured: KindMask,
    events: [Vec<u64>; 2],
    /// The cursors at the capture.
    pub(crate) followers: Followers,
    hash: u64,
    /// The handles that were reserved at the capture.
    pub(crate) reserved: Vec<Entity>,
}

/// A world beside its model.
pub(crate) struct Pair {
    pub(crate) world: World,
    pub(crate) model: Model,
    pub(crate) readable: KindMask,
    commands: Commands,
    recorded: Vec<Recorded>,
    /// How many recorded commands are from before a restore or a sync.
    outdated: u64,
    pub(crate) views: Vec<Kept>,
    pub(crate) prepared: Prepared,
    pub(crate) followers: Followers,
    pub(crate) ties: Ties,
    pub(crate) limited: bool,
    pub(crate) limit_bytes: Option<usize>,
    /// Whether handles were reserved that may not have been marked yet.
    pub(crate) is_unsettled: bool,
    /// Whether memory ran out in the operation under way.
    ran_out: Cell<bool>,
    retention: usize,
    /// Handles that are reserved for entities to come.
    pub(crate) reserved: Vec<Entity>,
    /// The highest index that was ever reserved.
    pub(crate) reserved_max: usize,
}

/// Evaluates an expression with `$type` standing for the component of number `$kind`.
macro_rules! with_kind {
    ($kind:expr, $type:ident => $body:expr) => {
        match $kind {
            0 => {
                type $type = convoy_tests::Tag;
                $body
            }
            1 => {
                type $type = convoy_tests::Byte;
                $body
            }
            2 => {
                type $type = convoy_tests::Word;
                $body
            }
            3 => {
                type $type = convoy_tests::Wide;
                $body
            }
            4 => {
                type $type = convoy_tests::Triple;
                $body
            }
            5 => {
                type $type = convoy_tests::Hundred;
                $body
            }
            _ => {
                type $type = convoy_tests::Huge;
                $body
            }
        }
    };
}

pub(crate) use with_kind;

impl Pair {
    pub(crate) fn new(setting: &Setting, template: &World) -> Self {
        let mut world = World::with_config(setting.config(setting.limit_bytes));
        world.sync_from(template, convoy_engine::ComponentMask::ALL).unwrap();
        Self::of(world, Model::default(), setting)
    }

    /// A world that has registered all types of the model in reverse, and no archetype.
    pub(crate) fn backwards(setting: &Setting) -> Self {
        let config = setting.config(setting.limit_bytes);
        let schema = setting.is_named.then(|| Model::schema(true));
        let mut world = World::with_config(config.schema(schema));
        world.register_event::<Alert>().unwrap();
        world.register_event::<Ping>().unwrap();
        world.register_resource::<Hundred>().unwrap();
        (0..KINDS).rev().for_each(|kind| _ = with_kind!(kind, T => world.register::<T>()).unwrap());
        KindMask(KindMask::ALL.0 - 1).to_mask(&mut world);
        Self::of(world, Model::default(), setting)
    }

    /// A complete world without views, and what it holds.
    pub(crate) fn of(mut world: World, model: Model, setting: &Setting) -> Self {
        let commands = Commands::new(&mut world);
        Self {
            world,
            model,
            readable: KindMask::ALL,
            commands,
            recorded: Vec::new(),
            outdated: 0,
            views: Vec::new(),
            prepared: Prepared::default(),
            followers: Followers::default(),
            ties: Ties::default(),
            limited: setting.limit_bytes.is_some(),
            limit_bytes: setting.limit_bytes,
            is_unsettled: false,
            ran_out: Cell::new(false),
            retention: setting.event_retention,
            reserved: Vec::new(),
            reserved_max: 0,
        }
    }

    /// Whether rows may be added, moved and removed.
    pub(crate) fn is_whole(&self) -> bool {
        self.readable == KindMask::ALL
    }

    pub(crate) fn is_alive(&self, entity: Entity) -> bool {
        self.readable.entities() && self.model.entities.contains_key(&entity)
    }

    pub(crate) fn has(&self, entity: Entity, kind: usize) -> bool {
        self.is_alive(entity) && self.model.entities[&entity][kind].is_some()
    }

    pub(crate) fn assert_all(&self) {
        assert_equals(&self.world, &self.model, self.readable);
        // Events that were not synced can still be read from the world that sent them.
        self.model.assert_events(&self.world, KindMask::ALL, self.retention);
        for kept in &self.views {
            kept.assert_unchanged();
        }
        let memory = self.world.memory();
        let used = memory.live_bytes + memory.retained_bytes + memory.free_bytes;
        assert_eq!(used, memory.mapped_bytes);
    }

    /// Only memory may run out, and only where it is limited.
    pub(crate) fn assert_memory(&self, is_memory: bool) {
        assert!(is_memory && self.limited, "an operation failed");
        self.ran_out.set(true);
    }

    /// Bytes that the world and its snapshots hold.
    pub(crate) fn used_bytes(&self) -> usize {
        let memory = self.world.memory();
        memory.live_bytes + memory.retained_bytes
    }

    /// Runs one operation of any number of steps: where memory runs out, it has taken none. One that
    /// comes after a reservation may mark that, which takes a chunk and stays.
    pub(crate) fn run_whole(&mut self, operation: impl FnOnce(&mut Self)) {
        let marks = self.is_unsettled;
        let used_bytes = self.used_bytes();
        self.ran_out.set(false);
        operation(self);
        let kept = self.ran_out.get() && self.used_bytes() > used_bytes;
        assert!(!kept || marks, "a failure takes nothing");
    }

    pub(crate) fn assert_component_error(&self, error: &ComponentError) {
        self.assert_memory(matches!(error, ComponentError::Memory(_)));
    }

    pub(crate) fn room_for(&self, shape: &Shape) -> bool {
        let huge = self.model.component(Huge::KIND).count();
        self.model.entities.len() < ENTITIES_MAX
            && (!shape.kinds.contains(&Huge::KIND) || huge < HUGE_MAX)
    }

    pub(crate) fn spawn(&mut self, shape: &Shape, seed: u64) {
        if !self.room_for(shape) {
            return;
        }
        match (shape.spawn)(&mut self.world, seed) {
            Ok(entity) => {
                assert!(self.is_whole());
                self.model.spawn(entity, shape, seed);
            }
            Err(SpawnError::PartialReplica) => assert!(!self.is_whole()),
            Err(error) => self.assert_memory(matches!(error, SpawnError::Memory(_))),
        }
    }

    pub(crate) fn despawn(&mut self, entity: Entity) {
        let alive = self.is_alive(entity);
        match self.world.despawn(entity) {
            Ok(()) => {
                assert!(alive && self.is_whole());
                self.model.despawn(entity);
            }
            Err(ComponentError::NotAlive { entity: stale }) => assert!(!alive && stale == entity),
            Err(ComponentError::PartialReplica) => assert!(!self.is_whole()),
            Err(error) => self.assert_component_error(&error),
        }
    }

    pub(crate) fn insert(&mut self, entity: Entity, shape: &Shape, seed: u64) {
        if !self.room_for(shape) {
            return;
        }
        let alive = self.is_alive(entity);
        match (shape.insert)(&mut self.world, entity, seed) {
            Ok(()) => {
                assert!(alive && self.is_whole());
                self.model.insert(entity, shape, seed);
            }
            Err(ComponentError::NotAlive { .. }) => assert!(!alive),
            Err(ComponentError::PartialReplica) => assert!(!self.is_whole()),
            Err(error) => self.assert_component_error(&error),
        }
    }

    pub(crate) fn remove(&mut self, entity: Entity, shape: &Shape) {
        let (alive, has) = (self.is_alive(entity), self.model.has(entity, shape));
        match (shape.remove)(&mut self.world, entity) {
            Ok(taken) => {
                assert!(alive && has && self.is_whole());
                assert_eq!(taken, self.model.remove(entity, shape));
            }
            Err(ComponentError::NotAlive { .. }) => assert!(!alive),
            Err(ComponentError::PartialReplica) => assert!(!self.is_whole()),
            Err(ComponentError::Missing { .. }) => assert!(!has),
            Err(error) => self.assert_component_error(&error),
        }
    }

    pub(crate) fn write<T: Value>(&mut self, entity: Entity, factor: u64) {
        let (alive, has) = (self.is_alive(entity), self.has(entity, T::KIND));
        let readable = self.readable.component(T::KIND);
        match self.world.get_mut::<T>(entity) {
            Ok(value) => {
                assert!(has && readable);
                *value = T::from_seed(step(value.seed(), factor));
                let seed = self.model.entities.get_mut(&entity).unwrap()[T::KIND].as_mut().unwrap();
                *seed = T::truncate(step(*seed, factor));
            }
            Err(ComponentError::NotAlive { .. }) => assert!(!alive),
            Err(ComponentError::Missing { .. }) => assert!(!has),
            Err(ComponentError::NotReadable { .. }) => assert!(!readable),
            Err(error) => self.assert_component_error(&error),
        }
    }

    /// Writes every `T` of the entities that pass a filter, in a bulk pass or by an iterator, and
    /// the model's for the entities that were visited.
    pub(crate) fn write_all<T: Value>(&mut self, bulk: bool, filter: u8, factor: u64) {
        if !self.readable.entities() || !self.readable.component(T::KIND) {
            assert!(self.world.try_query_mut::<(Entity, &mut T)>().is_err());
            return;
        }
        let visited = match filter {
            0 => self.visit_all::<T, ()>(bulk, factor),
            1 => self.visit_all::<T, With<Word>>(bulk, factor),
            2 => self.visit_all::<T, Without<Byte>>(bulk, factor),
            _ => self.visit_all::<T, (With<Wide>, Without<Tag>)>(bulk, factor),
        };
        let passes = |row: &[Option<u64>; KINDS]| match filter {
            0 => true,
            1 => row[Word::KIND].is_some(),
            2 => row[Byte::KIND].is_none(),
            _ => row[Wide::KIND].is_some() && row[Tag::KIND].is_none(),
        };
        let matching = self.model.entities.values().filter(|row| row[T::KIND].is_some());
        let expected = matching.filter(|row| passes(row)).count();
        assert!(visited.len() == expected || self.limited, "each entity is visited");
        for entity in visited {
            let row = self.model.entities.get_mut(&entity).unwrap();
            assert!(passes(row));
            let seed = row[T::KIND].as_mut().unwrap();
            *seed = T::truncate(step(*seed, factor));
        }
    }

    fn visit_all<T: Value, F: convoy_engine::query::Filter>(
        &mut self,
        bulk: bool,
        factor: u64,
    ) -> Vec<Entity> {
        let mut visited = Vec::new();
        let mut each = |(entity, value): (Entity, &mut T)| {
            *value = T::from_seed(step(value.seed(), factor));
            visited.push(entity);
        };
        let mut query = self.world.query_mut::<(Entity, &mut T)>().filter::<F>();
        if bulk || self.limited {
            // The rows before the failure have been visited, and no other.
            let result = query.try_for_each(each);
            assert!(result.is_ok() || self.limited);
        } else {
            let count = query.count();
            let rows = query.into_iter();
            assert_eq!(rows.len(), count);
            rows.for_each(&mut each);
        }
        visited
    }

    /// One pass that writes two columns and reads two others.
    pub(crate) fn write_two(&mut self, factor: u64) {
        type Row<'a> = (&'a mut Word, &'a Wide, &'a mut Triple, Option<&'a Byte>);
        let needed = [1, 2, 3, 4].iter().all(|&kind| self.readable.component(kind));
        if self.limited || !needed {
            assert!(needed || self.world.try_query_mut::<Row<'static>>().is_err());
            return;
        }
        let mixed = |word: u64, wide: u64, triple: u64, byte: Option<u64>| {
            let word = Word::truncate(step(word, wide ^ factor));
            (word, step(triple, word ^ byte.unwrap_or(1)))
        };
        self.world.query_mut::<Row<'static>>().for_each(|(word, wide, triple, byte)| {
            let next = mixed(word.seed(), wide.seed(), triple.seed(), byte.map(Byte::seed));
            (*word, *triple) = (Word::from_seed(next.0), Triple::from_seed(next.1));
        });
        for row in self.model.entities.values_mut() {
            if let [_, byte, Some(word), Some(wide), Some(triple), ..] = row {
                (*word, *triple) = mixed(*word, *wide, *triple, *byte);
            }
        }
    }

    pub(crate) fn clear(&mut self) {
        match self.world.clear() {
            Ok(()) => {
                self.reserved.clear();
                self.model.clear();
                if !self.readable.entities() {
                    // A replica without an index has given out no handle.
                    self.model.stale.clear();
                }
                self.readable = KindMask::ALL;
            }
            Err(_) => self.assert_memory(true),
        }
    }

    pub(crate) fn record(&mut self, command: &Command) {
        if self.limited {
            // One at a time, so that it is known which one failed.
            self.play_back();
        }
        let commands = &mut self.commands;
        let entity = match *command {
            Command::SpawnMany { shape, seed } => {
                for each in 0..SPAWN_MANY {
                    self.record(&Command::Spawn { shape, seed: step(seed, each) });
                }
                return;
            }
            Command::Spawn { shape, seed } => (SHAPES[shape].record_spawn)(commands, seed),
            Command::Insert { pick, .. }
            | Command::Remove { pick, .. }
            | Command::Despawn { pick } => {
                // Often an entity that an earlier command spawns.
                let known = self.recorded.len().max(1);
                let earlier = self.recorded.get(usize::from(pick) / 3 % known);
                let earlier = earlier.filter(|_| pick % 3 == 0).map(|recorded| recorded.entity);
                let entity = earlier.or(self.model.pick(pick));
                let Some(entity) = entity else { return };
                match *command {
                    Command::Insert { shape, seed, .. } => {
                        (SHAPES[shape].record_insert)(commands, entity, seed);
                    }
                    Command::Remove { shape, .. } => {
                        (SHAPES[shape].record_remove)(commands, entity);
                    }
                    _ => commands.despawn(entity),
                }
                entity
            }
            Command::SendEvent { kind: 0, seed } => {
                commands.send_event(Ping::from_seed(seed));
                Entity::default()
            }
            Command::SendEvent { seed, .. } => {
                commands.send_event(Alert::from_seed(seed));
                Entity::default()
            }
        };
        self.recorded.push(Recorded { command: command.clone(), entity });
        assert_eq!(self.commands.len() as u64, self.recorded.len() as u64 + self.outdated);
    }

    /// Discards what is recorded, as the world's entities are replaced.
    fn outdate(&mut self) {
        self.outdated += self.recorded.len() as u64;
        self.recorded.clear();
        self.followers.disturb();
    }

    pub(crate) fn play_back(&mut self) {
        let recorded = std::mem::take(&mut self.recorded);
        let playback = self.world.play_back(&mut self.commands);
        assert!(self.commands.is_empty());
        let dead = std::mem::take(&mut self.outdated);
        assert_eq!(playback.total(), recorded.len() as u64 + dead);
        if self.limited && playback.failed == 1 {
            // It lacked a component, or memory: nothing has changed either way.
            return;
        }
        let mut expected = Playback::default();
        expected.dead = dead;
        for each in recorded {
            match self.apply(&each) {
                Ok(true) => expected.applied += 1,
                Ok(false) => expected.dead += 1,
                Err(()) => expected.failed += 1,
            }
        }
        assert_eq!(playback, expected);
    }

    /// Whether a command is applied, meets a dead entity, or fails.
    fn apply(&mut self, recorded: &Recorded) -> Result<bool, ()> {
        let (entity, whole) = (recorded.entity, self.is_whole());
        let alive = self.is_alive(entity);
        match recorded.command {
            Command::SendEvent { kind, seed } => {
                let seed = if kind == 0 { seed } else { Alert::from_seed(seed).seed() };
                self.model.events[kind].push(seed);
            }
            Command::SpawnMany { .. } => unreachable!("they are recorded one by one"),
            Command::Spawn { .. } if !whole => return Err(()),
            Command::Spawn { shape, seed } => self.model.spawn(entity, &SHAPES[shape], seed),
            _ if !alive => return Ok(false),
            _ if !whole => return Err(()),
            Command::Insert { shape, seed, .. } => self.model.insert(entity, &SHAPES[shape], seed),
            Command::Remove { shape, .. } if self.model.has(entity, &SHAPES[shape]) => {
                self.model.remove(entity, &SHAPES[shape]);
            }
            Command::Remove { .. } => return Err(()),
            Command::Despawn { .. } => self.model.despawn(entity),
        }
        Ok(true)
    }

    pub(crate) fn forget_commands(&mut self) {
        self.commands.clear();
        self.recorded.clear();
        self.outdated = 0;
        assert!(self.commands.is_empty());
    }

    pub(crate) fn send(&mut self, kind: usize, seed: u64) {
        let (result, seed) = if kind == 0 {
            (self.world.try_send_event(Ping::from_seed(seed)), seed)
        } else {
            let event = Alert::from_seed(seed);
            (self.world.try_send_event(event), event.seed())
        };
        match result {
            Ok(()) => self.model.events[kind].push(seed),
            Err(error) => self.assert_memory(matches!(error, SpawnError::Memory(_))),
        }
    }

    /// Sends events in one go: also where memory runs out, those that were taken are sent.
    fn send_many(&mut self, kind: usize, seeds: impl Iterator<Item = u64>) {
        let Self { world, model, .. } = self;
        let taken = &mut model.events[kind];
        let result = if kind == 0 {
            world.try_send_events(seeds.map(|seed| {
                taken.push(seed);
                Ping::from_seed(seed)
            }))
        } else {
            world.try_send_events(seeds.map(|seed| {
                let event = Alert::from_seed(seed);
                taken.push(event.seed());
                event
            }))
        };
        if let Err(error) = result {
            self.assert_memory(matches!(error, SpawnError::Memory(_)));
        }
    }

    /// Sends events until the last chunk of the log is full, and `chunks` more chunks.
    pub(crate) fn fill_log(&mut self, kind: usize, chunks: usize, seed: u64) {
        let id = match kind {
            0 => self.world.register_event::<Ping>(),
            _ => self.world.register_event::<Alert>(),
        };
        let chunk_rows = self.world.component_info(id.unwrap()).unwrap().chunk_rows();
        if chunk_rows > FILLED_ROWS_MAX {
            return;
        }
        let held = self.model.events[kind].len() - self.model.cleared[kind];
        let count = held.next_multiple_of(chunk_rows) - held + chunks * chunk_rows;
        let seeds = (0..count as u64).map(|each| step(seed, each));
        if seed.is_multiple_of(2) {
            seeds.for_each(|seed| self.send(kind, seed));
        } else {
            self.send_many(kind, seeds);
        }
    }

    pub(crate) fn capture(&mut self, mask: KindMask, pool: &SnapshotPool) {
        let copied = self.world.copy_statistics();
        let engine_mask = mask.to_mask(&mut self.world);
        let view = self.world.capture(engine_mask, pool);
        assert_eq!(self.world.copy_statistics(), copied, "a capture copies nothing");
        let mask = mask.intersection(self.readable);
        let firsts = self.model.assert_events(&self.world, KindMask::ALL, self.retention);
        let events = [0, 1].map(|kind| self.model.events[kind][firsts[kind]..].to_vec());
        if self.views.len() == VIEWS_MAX {
            self.views.remove(0);
        }
        let (hash, copy) = (view.state_hash(), self.model.clone());
        if mask == KindMask::ALL {
            // This marks what is reserved, where there is memory for that.
            assert_eq!(self.world.state_hash(), hash);
            self.is_unsettled &= self.limited;
        }
        let (followers, reserved) = (self.followers.clone(), self.reserved.clone());
        self.views.push(Kept {
            view,
            copy,
            mask,
            captured: mask,
            events,
            followers,
            hash,
            reserved,
        });
    }

    pub(crate) fn narrow(&mut self, view: usize, mask: KindMask) {
        if view < self.views.len() && self.views.len() < VIEWS_MAX {
            let mask_of_engine = mask.to_mask(&mut self.world);
            let kept = &self.views[view];
            let narrowed = kept.view.clone().narrow(mask_of_engine);
            assert!(narrowed.shares_with(&kept.view) && kept.view.readers() >= 2);
            let mask = kept.mask.intersection(mask);
            let (copy, events, captured) = (kept.copy.clone(), kept.events.clone(), kept.captured);
            let hash = narrowed.state_hash();
            let (followers, reserved) = (kept.followers.clone(), kept.reserved.clone());
            let view = narrowed;
            self.views.push(Kept { view, copy, mask, captured, events, followers, hash, reserved });
        }
    }

    pub(crate) fn restore(&mut self, view: usize) {
        let Some(kept) = self.views.get(view) else { return };
        let (copied, mut hashed) = (self.world.copy_statistics(), false);
        match self.world.restore(&kept.view) {
            Ok(report) => {
                assert!(kept.captured == KindMask::ALL && report.chunks_restored <= report.chunks);
                self.model = kept.copy.clone();
                self.readable = KindMask::ALL;
                self.reserved.clone_from(&kept.reserved);
                self.is_unsettled |= !self.reserved.is_empty();
                let again = self.world.restore(&kept.view).unwrap();
                assert_eq!(again.chunks_restored, 0, "the world is there already");
                // Last, as this marks handles that were reserved at the capture.
                hashed = kept.mask == KindMask::ALL;
                self.outdate();
            }
            Err(RestoreError::NotCaptured { .. }) => assert!(kept.captured != KindMask::ALL),
            Err(error) => panic!("{error}"),
        }
        assert_eq!(self.world.copy_statistics(), copied, "a restore copies nothing");
        assert!(!hashed || self.world.state_hash() == self.views[view].hash);
    }

    pub(crate) fn tick(&mut self) {
        self.world.advance_tick();
        self.model.tick += 1;
    }

    /// Makes this world a replica of `source`.
    pub(crate) fn sync(&mut self, source: &mut Self, mask: KindMask) {
        let (engine_mask, used_bytes) = (mask.to_mask(&mut source.world), self.used_bytes());
        match self.world.sync_from(&source.world, engine_mask) {
            Ok(report) => {
                assert!(report.chunks_copied <= report.chunks);
                self.reserved.clone_from(&source.reserved);
                self.reserved_max = self.reserved_max.max(source.reserved_max);
                self.is_unsettled |= !self.reserved.is_empty();
                let own = std::mem::take(&mut self.model);
                self.model = source.model.clone();
                self.readable = mask.intersection(source.readable);
                for kind in (0..2).filter(|&kind| !self.readable.event(kind)) {
                    self.model.events[kind] = own.events[kind].clone();
                    self.model.cleared[kind] = own.cleared[kind];
                }
                if !self.readable.entities() {
                    self.model.stale.clear();
                    self.reserved.clear();
                }
                if !self.readable.resources() {
                    self.model.resources = Default::default();
                }
                self.outdate();
                std::mem::swap(&mut self.prepared, &mut source.prepared);
            }
            Err(SyncError::Memory(_)) => {
                self.assert_memory(true);
                // As in `run_whole`.
                let kept = self.used_bytes() > used_bytes;
                assert!(!kept || self.is_unsettled, "a failure takes nothing");
            }
            Err(error) => panic!("{error}"),
        }
    }

    /// Ends a world: with every view and branch gone, nothing may be retained, and with every
    /// entity gone, nothing may leak.
    pub(crate) fn finish(mut self) {
        self.assert_all();
        self.views.clear();
        self.tick();
        let memory = self.world.memory();
        assert!(memory.active_captures == 0 || self.ties.is_base());
        if memory.active_captures == 0 {
            assert_eq!((memory.retained_bytes, memory.retained_chunks), (0, 0));
        }
        self.clear();
        self.assert_all();
        if memory.active_captures > 0 {
            return;
        }
        let cleared_bytes = self.world.memory().live_bytes;
        let spawned = self.model.stale.iter().map(|entity| entity.index() as usize);
        // The index has a slot of twelve bytes for every handle: those of entities, and blocks of
        // 64 that command buffers hold. At one row a chunk each slot takes 256 bytes.
        let slots = spawned.max().unwrap_or(0).max(self.reserved_max) + 1;
        let bound = (slots + 64 * COMMAND_BUFFERS_MAX) * 256 + 16 * 1024;
        assert!(cleared_bytes <= bound, "{cleared_bytes} bytes for {slots} slots");
    }
}

/// Command buffers that one program makes for one world at the most: one for every sync or branch.
const COMMAND_BUFFERS_MAX: usize = 2 * OPERATIONS_PER_PROGRAM;

impl Kept {
    fn assert_unchanged(&self) {
        assert_equals(&self.view, &self.copy, self.mask);
        assert_eq!(self.view.state_hash(), self.hash);
        self.assert_log::<Ping>();
        self.assert_log::<Alert>();
    }

    fn assert_log<T: Value>(&self) {
        let mut cursor = convoy_engine::events::EventCursor::<T>::default();
        match self.view.try_events(&mut cursor) {
            Ok(events) => {
                assert!(self.mask.event(T::KIND));
                let found: Vec<u64> = events.map(|event| event.seed()).collect();
                assert_eq!(found, self.events[T::KIND]);
            }
            Err(_) => assert!(!self.mask.event(T::KIND)),
        }
    }
}
