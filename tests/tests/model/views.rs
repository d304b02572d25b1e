//! What random programs do with views: compare two of them, read them through a prepared query and
//! by cursors, and branch a world from one.

use convoy_engine::component::ComponentId;
use convoy_engine::events::Events;
use convoy_engine::memory::ArenaConfig;
use convoy_engine::query::ReadError;
use convoy_engine::snapshot::{Diff, DiffError, RestoreError, diff};
use convoy_engine::{Entity, World};
use convoy_tests::{Alert, Byte, Hundred, KINDS, KindMask, Model, Ping, Triple, Value, Wide, step};

use crate::kept::Followers;
use crate::pair::{Kept, Pair, with_kind};
use crate::setting::Setting;

impl Pair {
    /// Compares the difference of two of the views with that of their copies.
    pub(crate) fn diff(&self, older: usize, newer: usize) {
        if let (Some(older), Some(newer)) = (self.views.get(older), self.views.get(newer)) {
            let ids = std::array::from_fn(|kind| {
                with_kind!(kind, T => self.world.component_id::<T>()).unwrap()
            });
            assert_difference(older, newer, ids);
        }
    }

    /// A world that begins as what a view shows. `None` where there is no such view, or it is of an
    /// incomplete capture.
    pub(crate) fn branch(&mut self, view: usize, setting: &Setting) -> Option<Self> {
        let kept = self.views.get(view)?;
        let memory = ArenaConfig::default().limit_bytes(setting.limit_bytes);
        let mut world = match World::branch_with(&kept.view, memory) {
            Ok(world) => world,
            Err(RestoreError::NotCaptured { .. }) => {
                assert!(kept.captured != KindMask::ALL);
                return None;
            }
            Err(error) => panic!("{error}"),
        };
        assert!(kept.captured == KindMask::ALL);
        assert_eq!(world.memory().live_bytes, 0, "a branch copies nothing");
        assert!(world.restore(&kept.view).is_err(), "the view is of another world");
        let mut branch = Self::of(world, kept.copy.clone(), setting);
        branch.ties = self.ties.branch();
        branch.reserved_max = self.reserved_max;
        branch.reserved.clone_from(&kept.reserved);
        branch.is_unsettled = !branch.reserved.is_empty();
        branch.followers = kept.followers.clone();
        branch.followers.disturb();
        branch.prepared = std::mem::take(&mut self.prepared);
        Some(branch)
    }

    /// Writes a column through the prepared query, and reads another way what it and views hold.
    pub(crate) fn run_prepared(&mut self, factor: u64) {
        let readable = self.readable.component(Triple::KIND) && self.readable.entities();
        let query = self.prepared.write.try_query_mut(&mut self.world);
        assert_eq!(query.is_ok(), readable);
        if let Ok(mut query) = query {
            let mut visited = Vec::new();
            let result = query.try_for_each(|(entity, value)| {
                *value = Triple::from_seed(step(value.seed(), factor));
                visited.push(entity);
            });
            assert!(result.is_ok() || self.limited);
            assert!(self.limited || visited.len() == self.model.component(Triple::KIND).count());
            for entity in visited {
                let row = self.model.entities.get_mut(&entity).unwrap();
                let seed = row[Triple::KIND].as_mut().unwrap();
                *seed = step(*seed, factor);
            }
        }
        if let Ok(query) = self.prepared.read.try_query(&self.world) {
            assert_rows(query.iter().map(|(entity, value)| (entity, value.seed())), &self.model);
        }
        for kept in &self.views {
            let query = self.prepared.read.try_query(&kept.view);
            assert_eq!(query.is_ok(), kept.mask.entities() && kept.mask.component(Triple::KIND));
            if let Ok(query) = query {
                assert_rows(query.iter().map(|(entity, value)| (entity, value.seed())), &kept.copy);
            }
        }
    }

    /// Lets the cursors read a view, if it has the number, and then the world.
    pub(crate) fn follow(&mut self, view: usize) {
        let Followers { pings, alerts } = &mut self.followers;
        if let Some(kept) = self.views.get(view) {
            // It may be of a future that was taken back.
            pings.disturbed = true;
            alerts.disturbed = true;
            pings.read(|cursor| Some(numbers(kept.view.try_events(cursor).ok()?)));
            alerts.read(|cursor| Some(numbers(kept.view.try_events(cursor).ok()?)));
        }
        pings.read(|cursor| Some(numbers(self.world.events(cursor))));
        alerts.read(|cursor| Some(numbers(self.world.events(cursor))));
        pings.assert_caught_up(&self.model.events[Ping::KIND]);
        alerts.assert_caught_up(&self.model.events[Alert::KIND]);
    }
}

/// Compares what the prepared query found with the model.
fn assert_rows(found: impl Iterator<Item = (Entity, u64)>, model: &Model) {
    let found = sorted(found);
    let rows = model.entities.iter().filter(|(_, row)| row[Byte::KIND].is_none());
    let expected = rows.filter_map(|(&entity, row)| Some((entity, row[Triple::KIND]?)));
    assert!(found.iter().copied().eq(expected), "the rows of a prepared query");
}

/// Compares `diff` of two views with the difference of their copies.
fn assert_difference(older: &Kept, newer: &Kept, ids: [ComponentId; KINDS]) {
    let changes = match diff(&older.view, &newer.view) {
        Ok(changes) => changes,
        Err(DiffError::NoEntities { newer: is_newer }) => {
            assert!(!if is_newer { newer } else { older }.mask.entities());
            return;
        }
        Err(error) => panic!("{error}"),
    };
    let mask = older.mask.intersection(newer.mask);
    assert!(mask.entities());
    let (before, after) = (&older.copy.entities, &newer.copy.entities);
    let came = after.keys().filter(|entity| !before.contains_key(entity));
    let went = before.keys().filter(|entity| !after.contains_key(entity));
    let mut equal = came.clone().next().is_none() && went.clone().next().is_none();
    assert!(sorted(changes.spawned()).iter().eq(came), "what came");
    assert!(sorted(changes.despawned()).iter().eq(went), "what went");
    for (kind, id) in ids.into_iter().enumerate() {
        let changed = with_kind!(kind, T => changes.changed::<T>().map(|changed| {
            sorted(changed.map(|it| (it.entity, it.older.seed(), it.newer.seed())))
        }));
        let readable = mask.component(kind);
        assert_eq!(changes.components().any(|each| each == id), readable);
        match changed {
            Ok(changed) => equal &= is_unchanged(&changes, [older, newer], (kind, id), &changed),
            Err(ReadError::NotReadable { .. }) => assert!(!readable),
            Err(error) => panic!("{error}"),
        }
    }
    if mask.resources() {
        let resource = |which: usize| [older, newer].map(|kept| kept.copy.resources[which]);
        let different = |[old, new]: [Option<u64>; 2]| (old != new).then_some((old, new));
        let wide = changes.resource::<Wide>().unwrap();
        let wide = wide.map(|it| (it.older.map(Value::seed), it.newer.map(Value::seed)));
        assert_eq!(wide, different(resource(0)));
        let hundred = changes.resource::<Hundred>().unwrap();
        let hundred = hundred.map(|it| (it.older.map(Value::seed), it.newer.map(Value::seed)));
        assert_eq!(hundred, different(resource(1)));
        equal &= wide.is_none() && hundred.is_none();
    }
    if mask.links() {
        equal &= older.copy.parents == newer.copy.parents;
        equal &= older.copy.children == newer.copy.children;
    }
    assert_eq!(changes.is_empty(), equal, "an empty difference is one of equals");
}

/// Compares what changed of one component, and tells whether nothing did.
fn is_unchanged(
    changes: &Diff<'_>,
    [older, newer]: [&Kept; 2],
    (kind, id): (usize, ComponentId),
    changed: &[(Entity, u64, u64)],
) -> bool {
    let both: Vec<_> = older
        .copy
        .entities
        .iter()
        .filter_map(|(&entity, row)| {
            let newer = newer.copy.entities.get(&entity)?;
            Some((entity, row[kind], newer[kind]))
        })
        .collect();
    let expected = both.iter().filter_map(|&(entity, old, new)| Some((entity, old?, new?)));
    assert!(changed.iter().copied().eq(expected.filter(|(_, old, new)| old != new)));
    let of_kind = |list: &mut dyn Iterator<Item = (Entity, ComponentId)>| {
        sorted(list.filter(|entry| entry.1 == id).map(|entry| entry.0))
    };
    let new = both.iter().filter(|(_, old, new)| old.is_none() && new.is_some());
    let gone = both.iter().filter(|(_, old, new)| old.is_some() && new.is_none());
    let inserted = of_kind(&mut changes.inserted());
    let removed = of_kind(&mut changes.removed());
    assert!(inserted.iter().eq(new.map(|(entity, ..)| entity)), "what was inserted");
    assert!(removed.iter().eq(gone.map(|(entity, ..)| entity)), "what was removed");
    inserted.is_empty() && removed.is_empty() && changed.is_empty()
}

fn sorted<T: Ord>(list: impl Iterator<Item = T>) -> Vec<T> {
    let mut sorted: Vec<T> = list.collect();
    sorted.sort_unstable();
    sorted
}

fn numbers<T: Value>(events: Events<'_, T>) -> Vec<u64> {
    events.map(|event| event.seed()).collect()
}
