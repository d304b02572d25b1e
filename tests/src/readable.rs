//! Comparing what can be read, a world or a view, with the model.

use std::fmt::Debug;

use convoy_engine::events::EventCursor;
use convoy_engine::query::{ReadError, Readable};
use convoy_engine::{Entity, With, Without};

use crate::model::{KindMask, Model};
use crate::values::{Alert, Byte, Huge, Hundred, KINDS, Ping, Tag, Triple, Value, Wide, Word};

/// Compares everything that can be read with the model.
///
/// # Panics
///
/// When anything differs.
pub fn assert_equals(readable: &impl Readable, model: &Model, mask: KindMask) {
    assert_eq!(readable.entity_count(), model.entities.len(), "entities alive");
    assert_eq!(readable.tick(), model.tick, "the tick");
    assert_handles(readable, model, mask);
    assert_component::<Tag>(readable, model, mask);
    assert_component::<Byte>(readable, model, mask);
    assert_component::<Word>(readable, model, mask);
    assert_component::<Wide>(readable, model, mask);
    assert_component::<Triple>(readable, model, mask);
    assert_component::<Hundred>(readable, model, mask);
    assert_component::<Huge>(readable, model, mask);
    assert_joins(readable, model, mask);
    assert_links(readable, model, mask);
    assert_resource::<Wide>(readable, model.resources[0], mask);
    assert_resource::<Hundred>(readable, model.resources[1], mask);
}

/// Whether an entity is alive; `false` where entities can't be looked up.
fn is_alive(readable: &impl Readable, entity: Entity) -> bool {
    readable.try_contains(entity) == Ok(true)
}

fn assert_links(readable: &impl Readable, model: &Model, mask: KindMask) {
    if !mask.entities() {
        return;
    }
    for &entity in model.entities.keys() {
        let parent = model.parents.get(&entity).copied();
        let children = model.children_of(entity);
        if mask.links() {
            assert_eq!(readable.parent(entity), Ok(parent), "the parent of {entity}");
            let found: Vec<_> = readable.children(entity).expect("children can be read").collect();
            assert_eq!(found, children, "the children of {entity}");
        } else {
            let (found, others) = (readable.parent(entity), readable.children(entity));
            assert!(found.is_err() || (found == Ok(None) && parent.is_none()));
            assert!(
                others.is_err()
                    || (others.is_ok_and(|found| found.len() == 0) && children.is_empty())
            );
        }
    }
}

fn assert_resource<T: Value>(readable: &impl Readable, expected: Option<u64>, mask: KindMask) {
    let found = match readable.resource::<T>() {
        Ok(value) => Some(Some(value.seed())),
        Err(ReadError::NoResource { .. }) => Some(None),
        Err(_) => None,
    };
    if mask.resources() {
        assert_eq!(found, Some(expected), "a resource");
    } else {
        assert!(found.is_none_or(|number| number.is_none()), "a resource can be read");
    }
}

fn assert_handles(readable: &impl Readable, model: &Model, mask: KindMask) {
    for &entity in model.entities.keys() {
        assert_eq!(is_alive(readable, entity), mask.entities(), "{entity} is alive");
    }
    for &entity in model.stale.iter().rev().take(64) {
        assert!(!is_alive(readable, entity), "{entity} is stale");
        assert!(readable.get::<Word>(entity).is_err(), "{entity} is stale");
    }
    assert!(!is_alive(readable, Entity::default()));
    match readable.try_query::<Entity>() {
        Ok(query) => {
            assert!(mask.entities());
            assert_eq!(query.count(), model.entities.len());
            assert_same(query.iter().collect(), model.entities.keys().copied().collect());
        }
        Err(_) => assert!(!mask.entities(), "the handles can be read"),
    }
}

fn assert_component<T: Value>(readable: &impl Readable, model: &Model, mask: KindMask) {
    let allowed = mask.component(T::KIND);
    match readable.try_query::<&T>() {
        Ok(query) => {
            assert!(allowed, "component {} was not captured", T::KIND);
            let rows = query.iter();
            assert_eq!(rows.len(), model.component(T::KIND).count());
            let mut seeds: Vec<u64> = rows.map(T::seed).collect();
            let mut visited = Vec::with_capacity(seeds.len());
            query.for_each(|value| visited.push(value.seed()));
            assert_eq!(seeds, visited, "iter and for_each agree");
            seeds.sort_unstable();
            assert_same(seeds, model.component(T::KIND).map(|(_, seed)| seed).collect());
        }
        Err(_) => assert!(!allowed, "component {} can be read", T::KIND),
    }
    if mask.entities() && allowed {
        let query = readable.try_query::<(Entity, &T)>().expect("both can be read");
        let rows = query.iter().map(|(entity, value)| (entity, value.seed()));
        assert_same(rows.collect(), model.component(T::KIND).collect());
    }
    for (&entity, row) in &model.entities {
        let expected = row[T::KIND].filter(|_| allowed && mask.entities());
        let found = readable.get::<T>(entity).ok().map(T::seed);
        assert_eq!(found, expected, "component {} of {entity}", T::KIND);
    }
}

/// Queries of several terms, with options and filters.
fn assert_joins(readable: &impl Readable, model: &Model, mask: KindMask) {
    let allowed = [1, 2, 3].iter().all(|&kind| mask.component(kind)) && mask.entities();
    let Ok(query) = readable.try_query::<(Entity, &Word, Option<&Byte>, &Wide)>() else {
        assert!(!allowed, "all of them can be read");
        return;
    };
    assert!(allowed);
    let rows = query
        .iter()
        .map(|(entity, word, byte, wide)| (entity, word.seed(), byte.map(Byte::seed), wide.seed()));
    let expected = model.entities.iter().filter_map(|(&entity, row)| {
        Some((entity, row[Word::KIND]?, row[Byte::KIND], row[Wide::KIND]?))
    });
    assert_same(rows.collect(), expected.collect());
    // Filters look at archetypes, so they may name what was not captured.
    let filtered = readable.try_query::<(Entity, &Word)>().expect("both can be read");
    let filtered = filtered.filter::<(With<Triple>, Without<Hundred>)>();
    let rows = filtered.iter().map(|(entity, word)| (entity, word.seed()));
    let expected = model.entities.iter().filter_map(|(&entity, row)| {
        let passes = row[Triple::KIND].is_some() && row[Hundred::KIND].is_none();
        Some((entity, row[Word::KIND].filter(|_| passes)?))
    });
    assert_same(rows.collect(), expected.collect());
}

fn assert_same<T: Ord + Debug>(mut found: Vec<T>, mut expected: Vec<T>) {
    found.sort_unstable();
    expected.sort_unstable();
    assert_eq!(found, expected);
}

impl Model {
    /// Compares the events of a world or view with the model, which keeps all of them: what can be
    /// read must be the newest ones, and at least `retention` of those sent since the last clear.
    /// Returns the oldest that can be read, by type.
    ///
    /// # Panics
    ///
    /// When anything differs.
    pub fn assert_events(
        &self,
        readable: &impl Readable,
        mask: KindMask,
        retention: usize,
    ) -> [usize; 2] {
        let firsts = [
            self.assert_log::<Ping>(readable, mask, retention),
            self.assert_log::<Alert>(readable, mask, retention),
        ];
        debug_assert_eq!(KINDS, 7, "event bits follow the handles");
        firsts
    }

    fn assert_log<T: Value>(
        &self,
        readable: &impl Readable,
        mask: KindMask,
        retention: usize,
    ) -> usize {
        let sent = &self.events[T::KIND];
        let mut cursor = EventCursor::<T>::default();
        let Ok(events) = readable.try_events(&mut cursor) else {
            assert!(!mask.event(T::KIND), "event {} can be read", T::KIND);
            return 0;
        };
        assert!(mask.event(T::KIND), "event {} was not captured", T::KIND);
        let found: Vec<_> = events.map(|event| event.seed()).collect();
        let first = sent.len() - found.len();
        assert_eq!(found, sent[first..], "the newest events, in order");
        assert_eq!(cursor.lost(), first as u64, "what is gone is counted");
        assert_eq!(cursor.next_sequence(), sent.len() as u64);
        let kept = found.len();
        assert!(
            first >= self.cleared[T::KIND]
                && kept >= retention.min(sent.len() - self.cleared[T::KIND])
        );
        first
    }
}
