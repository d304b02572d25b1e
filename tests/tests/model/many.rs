//! What random programs do to many rows at once.

use std::collections::BTreeSet;

use convoy_engine::memory::ListReport;
use convoy_engine::world::{ComponentError, SpawnError};
use convoy_engine::{Entity, With};
use convoy_tests::{Byte, KINDS, SHAPES, Shape, Triple, Value, Wide, Word, step};
use proptest::prelude::*;

use crate::pair::{Pair, with_kind};

/// An operation on many rows.
#[derive(Clone, Debug)]
pub(crate) enum Many {
    Spawn { shape: usize, count: u8, seed: u64 },
    SpawnColumns { count: u8, seed: u64 },
    InsertList { pick: u16, shape: usize, seed: u64 },
    RemoveList { pick: u16, shape: usize },
    DespawnList { pick: u16 },
    InsertFound { kind: usize, seed: u64 },
    RemoveFound { kind: usize },
    DespawnFound { kind: usize },
    Families { shape: usize, count: u8, seed: u64 },
    DespawnMiddle { shape: usize, count: u8, children: u8, left_bytes: usize, seed: u64 },
    Exhaust { kind: usize, left_bytes: usize },
    Runs { factor: u64 },
    Parallel { factor: u64 },
}

impl Many {
    /// Whether it is more than one operation of the engine. The despawning of a list begins with
    /// entities that have a parent or children, one by one.
    pub(crate) fn is_several(&self) -> bool {
        use Many::{DespawnList, DespawnMiddle, Exhaust, Families};
        matches!(self, Families { .. } | DespawnMiddle { .. } | Exhaust { .. } | DespawnList { .. })
    }
}

pub(crate) fn many() -> impl Strategy<Value = Many> {
    // The last two shapes are too large to be spawned in numbers.
    let shapes = || 0..SHAPES.len() - 2;
    let left_bytes = || (0..64_usize).prop_map(|chunks| 256 * chunks);
    prop_oneof![
        4 => (shapes(), 0..20_u8, any::<u64>())
            .prop_map(|(shape, count, seed)| Many::Spawn { shape, count, seed }),
        4 => (0..20_u8, any::<u64>()).prop_map(|(count, seed)| Many::SpawnColumns { count, seed }),
        4 => (any::<u16>(), shapes(), any::<u64>())
            .prop_map(|(pick, shape, seed)| Many::InsertList { pick, shape, seed }),
        4 => (any::<u16>(), shapes()).prop_map(|(pick, shape)| Many::RemoveList { pick, shape }),
        2 => any::<u16>().prop_map(|pick| Many::DespawnList { pick }),
        2 => (0..KINDS, any::<u64>()).prop_map(|(kind, seed)| Many::InsertFound { kind, seed }),
        2 => (0..KINDS).prop_map(|kind| Many::RemoveFound { kind }),
        1 => (0..KINDS).prop_map(|kind| Many::DespawnFound { kind }),
        1 => (shapes(), 1..20_u8, any::<u64>())
            .prop_map(|(shape, count, seed)| Many::Families { shape, count, seed }),
        2 => (shapes(), 1..60_u8, 1..9_u8, left_bytes(), any::<u64>()).prop_map(
            |(shape, count, children, left_bytes, seed)| {
                Many::DespawnMiddle { shape, count, children, left_bytes, seed }
            }
        ),
        1 => (0..3_usize, left_bytes())
            .prop_map(|(kind, left_bytes)| Many::Exhaust { kind, left_bytes }),
        4 => any::<u64>().prop_map(|factor| Many::Runs { factor }),
        4 => any::<u64>().prop_map(|factor| Many::Parallel { factor }),
    ]
}

impl Pair {
    pub(crate) fn run_many(&mut self, many: &Many) {
        match *many {
            Many::Spawn { shape, count, seed } => {
                let seeds: Vec<u64> = (0..u64::from(count)).map(|each| step(seed, each)).collect();
                let spawned = (SHAPES[shape].spawn_batch)(&mut self.world, &seeds);
                _ = self.note_spawned(&SHAPES[shape], &seeds, spawned);
            }
            Many::Families { shape, count, seed } => {
                _ = self.spawn_families(&SHAPES[shape], count, seed);
            }
            Many::DespawnMiddle { shape, count, children, left_bytes, seed } => {
                let found = self.spawn_families(&SHAPES[shape], count, seed);
                self.despawn_middle(&SHAPES[shape], &found, (children, left_bytes));
            }
            Many::Exhaust { kind, left_bytes } => self.exhaust(kind, left_bytes),
            Many::SpawnColumns { count, seed } => self.spawn_columns(count, seed),
            Many::InsertList { pick, shape, seed } => self.insert_list(pick, &SHAPES[shape], seed),
            Many::RemoveList { pick, shape } => self.remove_list(pick, &SHAPES[shape]),
            Many::DespawnList { pick } => self.despawn_list(pick),
            Many::Runs { factor } => self.write_runs(factor),
            Many::Parallel { factor } => self.write_parallel(factor),
            // Where memory runs out, some tables are changed and others not.
            _ if self.limited || !self.is_whole() => {}
            Many::InsertFound { kind, seed } => {
                let bundle = (Word::from_seed(step(seed, 0)), Triple::from_seed(step(seed, 1)));
                let found = self.found(|row| row[kind].is_some());
                with_kind!(kind, T => {
                    let query = self.world.query_mut::<()>().filter::<With<T>>();
                    assert_eq!(query.insert(bundle).unwrap(), found.len());
                });
                for entity in found {
                    let row = self.model.entities.get_mut(&entity).unwrap();
                    row[Word::KIND] = Some(bundle.0.seed());
                    row[Triple::KIND] = Some(bundle.1.seed());
                }
            }
            Many::RemoveFound { kind } => {
                let found = self.found(|row| row[kind].is_some() && row[Word::KIND].is_some());
                with_kind!(kind, T => {
                    let query = self.world.query_mut::<&T>();
                    assert_eq!(query.remove::<(Word,)>().unwrap(), found.len());
                });
                for entity in found {
                    self.model.entities.get_mut(&entity).unwrap()[Word::KIND] = None;
                }
            }
            Many::DespawnFound { kind } => {
                let found = self.found(|row| row[kind].is_some() && row[Word::KIND].is_some());
                with_kind!(kind, T => {
                    let query = self.world.query_mut::<&T>().filter::<With<Word>>();
                    assert_eq!(query.despawn().unwrap(), found.len());
                });
                found.into_iter().for_each(|entity| self.model.despawn(entity));
            }
        }
    }

    fn found(&self, passes: impl Fn(&convoy_tests::Row) -> bool) -> Vec<Entity> {
        let found = self.model.entities.iter().filter(|(_, row)| passes(row));
        found.map(|(&entity, _)| entity).collect()
    }

    fn note_spawned(
        &mut self,
        shape: &Shape,
        seeds: &[u64],
        spawned: Result<Vec<Entity>, SpawnError>,
    ) -> Option<Vec<Entity>> {
        match spawned {
            Ok(entities) => {
                assert!(self.is_whole() && entities.len() == seeds.len());
                for (&entity, &seed) in entities.iter().zip(seeds) {
                    self.model.spawn(entity, shape, seed);
                }
                return Some(entities);
            }
            Err(SpawnError::PartialReplica) => assert!(!self.is_whole()),
            Err(error) => self.assert_memory(matches!(error, SpawnError::Memory(_))),
        }
        None
    }

    /// Columns become long where many entities are of one shape and in families of one kind.
    /// Returns the parents.
    fn spawn_families(&mut self, shape: &Shape, count: u8, seed: u64) -> Vec<Entity> {
        let mut parents = Vec::new();
        for each in 0..u64::from(count) {
            let seed = step(seed, each);
            let Some(child) = self.spawn_one(shape, seed) else { break };
            let Some(parent) = self.spawn_one(shape, seed) else { break };
            let result = self.world.set_parent(child, parent);
            self.note_parent(child, parent, usize::MAX, result);
            parents.push(parent);
        }
        parents
    }

    fn spawn_one(&mut self, shape: &Shape, seed: u64) -> Option<Entity> {
        if !self.room_for(shape) {
            return None;
        }
        let spawned = (shape.spawn)(&mut self.world, seed).map(|entity| vec![entity]);
        self.note_spawned(shape, &[seed], spawned).map(|spawned| spawned[0])
    }

    /// Puts some parents below a middle, and that below a top, of which nothing else is, and
    /// despawns the middle when few bytes are left.
    fn despawn_middle(
        &mut self,
        shape: &Shape,
        parents: &[Entity],
        (children, left_bytes): (u8, usize),
    ) {
        let (top, middle) = (self.spawn_one(shape, 1), self.spawn_one(shape, 2));
        let (Some(top), Some(middle)) = (top, middle) else { return };
        let below = parents.iter().take(usize::from(children)).map(|&each| (each, middle));
        for (child, parent) in [(middle, top)].into_iter().chain(below) {
            let result = self.world.set_parent(child, parent);
            self.note_parent(child, parent, usize::MAX, result);
        }
        self.exhaust(2, left_bytes);
        self.run_whole(|pair| pair.despawn(middle));
    }

    /// Makes room for rows until little memory is left, or none. Nothing that can be read changes.
    fn exhaust(&mut self, kind: usize, left_bytes: usize) {
        let Some(limit_bytes) = self.limit_bytes else { return };
        for rows in (0..10_000).step_by(4) {
            if self.used_bytes() + left_bytes >= limit_bytes {
                return;
            }
            let reserved = match kind {
                0 => self.world.reserve::<(Byte,)>(rows),
                1 => self.world.reserve::<(Word, Wide)>(rows),
                _ => self.world.reserve::<()>(rows),
            };
            if reserved.is_err() {
                return;
            }
        }
    }

    fn spawn_columns(&mut self, count: u8, seed: u64) {
        // The shape of (Word, Wide).
        let shape = &SHAPES[7];
        let seeds: Vec<u64> = (0..u64::from(count)).map(|each| step(seed, each)).collect();
        let words: Vec<Word> = seeds.iter().map(|&seed| Word::from_seed(step(seed, 0))).collect();
        let wides: Vec<_> = seeds.iter().map(|&seed| Wide::from_seed(step(seed, 1))).collect();
        let spawned = self.world.spawn_columns((&words[..], &wides[..]));
        let spawned = spawned.map(Iterator::collect);
        _ = self.note_spawned(shape, &seeds, spawned);
    }

    /// Some entities in some order, with a stale handle and a repeated one among them.
    fn list(&self, pick: u16) -> Vec<Entity> {
        let pick = usize::from(pick);
        let keys = self.model.entities.keys().skip(pick % 64).step_by(1 + pick / 64 % 5);
        let mut list: Vec<Entity> = keys.take(1 + pick / 320 % 40).copied().collect();
        if pick.is_multiple_of(2) {
            list.reverse();
        }
        list.extend(self.model.stale.last().copied());
        list.extend(list.first().copied());
        list
    }

    /// The entities of a list that are alive and pass, each once.
    fn listed(&self, list: &[Entity], passes: impl Fn(Entity) -> bool) -> BTreeSet<Entity> {
        list.iter().copied().filter(|&each| self.is_alive(each) && passes(each)).collect()
    }

    fn assert_report(&self, report: ListReport, list: &[Entity], changed: usize) {
        assert!(self.is_whole());
        assert_eq!((report.changed, report.skipped), (changed, list.len() - changed));
    }

    fn assert_list_error(&self, error: &ComponentError) {
        match error {
            ComponentError::PartialReplica => assert!(!self.is_whole()),
            error => self.assert_component_error(error),
        }
    }

    fn insert_list(&mut self, pick: u16, shape: &Shape, seed: u64) {
        let list = self.list(pick);
        let changed = self.listed(&list, |_| true);
        match (shape.insert_many)(&mut self.world, &list, seed) {
            Ok(report) => {
                self.assert_report(report, &list, changed.len());
                changed.into_iter().for_each(|entity| self.model.insert(entity, shape, seed));
            }
            Err(error) => self.assert_list_error(&error),
        }
    }

    fn remove_list(&mut self, pick: u16, shape: &Shape) {
        let list = self.list(pick);
        let changed = self.listed(&list, |entity| self.model.has(entity, shape));
        match (shape.remove_many)(&mut self.world, &list) {
            Ok(report) => {
                self.assert_report(report, &list, changed.len());
                changed.into_iter().for_each(|entity| drop(self.model.remove(entity, shape)));
            }
            Err(error) => self.assert_list_error(&error),
        }
    }

    fn despawn_list(&mut self, pick: u16) {
        let list = self.list(pick);
        let changed = self.listed(&list, |_| true);
        match self.world.despawn_many(&list) {
            Ok(report) => {
                self.assert_report(report, &list, changed.len());
                changed.into_iter().for_each(|entity| self.model.despawn(entity));
            }
            Err(error) => {
                self.assert_list_error(&error);
                // Entities with a parent or children come first, and may be gone.
                for entity in changed {
                    if self.is_whole() && !self.world.contains(entity) {
                        self.model.despawn(entity);
                    }
                }
            }
        }
    }

    /// Writes a column on all threads.
    fn write_parallel(&mut self, factor: u64) {
        if self.limited || !self.readable.component(Triple::KIND) {
            return;
        }
        self.world.query_mut::<&mut Triple>().par_for_each(|value| {
            *value = Triple::from_seed(step(value.seed(), factor));
        });
        for row in self.model.entities.values_mut() {
            if let Some(seed) = &mut row[Triple::KIND] {
                *seed = step(*seed, factor);
            }
        }
    }

    /// Writes a column by slices.
    fn write_runs(&mut self, factor: u64) {
        if !self.readable.entities() || !self.readable.component(Triple::KIND) {
            return;
        }
        let mut visited = Vec::new();
        let mut query = self.world.query_mut::<(Entity, &mut Triple)>();
        let result = query.try_for_each_run(|(entities, values)| {
            for (entity, value) in entities.iter().zip(values) {
                *value = Triple::from_seed(step(value.seed(), factor));
                visited.push(*entity);
            }
        });
        assert!(result.is_ok() || self.limited);
        assert!(self.limited || visited.len() == self.model.component(Triple::KIND).count());
        for entity in visited {
            let row = self.model.entities.get_mut(&entity).unwrap();
            let seed = row[Triple::KIND].as_mut().unwrap();
            *seed = step(*seed, factor);
        }
    }
}
