//! Comparing a world or a view with the model.

use std::fmt::Debug;

use convoy_engine::{
    Component, Entity, EventCursor, Query, QueryError, ReadError, ReadOnly, ResourceError, Tables,
    View, With, Without, World,
};

use crate::model::{KindMask, Model};
use crate::values::{Alert, Byte, Huge, Hundred, KINDS, Ping, Tag, Triple, Value, Wide, Word};

/// The common part of a world and a view.
pub trait Readable: Tables + Sized {
    /// A query that only reads.
    ///
    /// # Errors
    ///
    /// As [`World::try_query`] and [`View::query`].
    fn read<Q: ReadOnly>(&self) -> Result<Query<'_, Self, Q>, QueryError>;

    /// A component of an entity, if it can be read and is there.
    fn component<T: Component>(&self, entity: Entity) -> Option<&T>;

    /// Whether an entity is alive; `false` where entities can't be looked up.
    fn is_alive(&self, entity: Entity) -> bool;

    /// The events after a cursor, and how many of them were lost, or `None` where they can't be
    /// read.
    fn event_numbers<T: Value>(&self, cursor: &mut EventCursor<T>) -> Option<Vec<u64>>;

    /// The parent of an entity that is alive, if it can be read.
    fn parent_of(&self, entity: Entity) -> Option<Option<Entity>>;

    /// The children of an entity that is alive, if they can be read.
    fn children_of(&self, entity: Entity) -> Option<Vec<Entity>>;

    /// The resource, or `None` where it can't be read.
    fn resource_number<T: Value>(&self) -> Option<Option<u64>>;

    /// Entities alive.
    fn alive(&self) -> usize;

    /// The frame counter.
    fn frame(&self) -> u64;
}

impl Readable for World {
    fn read<Q: ReadOnly>(&self) -> Result<Query<'_, Self, Q>, QueryError> {
        self.try_query()
    }

    fn component<T: Component>(&self, entity: Entity) -> Option<&T> {
        self.get(entity).ok()
    }

    fn is_alive(&self, entity: Entity) -> bool {
        self.contains(entity)
    }

    fn event_numbers<T: Value>(&self, cursor: &mut EventCursor<T>) -> Option<Vec<u64>> {
        Some(self.events(cursor).map(|event| event.seed()).collect())
    }

    fn parent_of(&self, entity: Entity) -> Option<Option<Entity>> {
        self.parent(entity).ok()
    }

    fn children_of(&self, entity: Entity) -> Option<Vec<Entity>> {
        Some(self.children(entity).ok()?.collect())
    }

    fn resource_number<T: Value>(&self) -> Option<Option<u64>> {
        match self.resource::<T>() {
            Ok(value) => Some(Some(value.seed())),
            Err(ResourceError::Missing { .. }) => Some(None),
            Err(_) => None,
        }
    }

    fn alive(&self) -> usize {
        self.entity_count()
    }

    fn frame(&self) -> u64 {
        self.tick()
    }
}

impl Readable for View {
    fn read<Q: ReadOnly>(&self) -> Result<Query<'_, Self, Q>, QueryError> {
        self.query()
    }

    fn component<T: Component>(&self, entity: Entity) -> Option<&T> {
        self.get(entity).ok()
    }

    fn is_alive(&self, entity: Entity) -> bool {
        self.contains(entity) == Ok(true)
    }

    fn event_numbers<T: Value>(&self, cursor: &mut EventCursor<T>) -> Option<Vec<u64>> {
        Some(self.events(cursor).ok()?.map(|event| event.seed()).collect())
    }

    fn parent_of(&self, entity: Entity) -> Option<Option<Entity>> {
        self.parent(entity).ok()
    }

    fn children_of(&self, entity: Entity) -> Option<Vec<Entity>> {
        Some(self.children(entity).ok()?.collect())
    }

    fn resource_number<T: Value>(&self) -> Option<Option<u64>> {
        match self.resource::<T>() {
            Ok(value) => Some(Some(value.seed())),
            Err(ReadError::NoResource { .. }) => Some(None),
            Err(_) => None,
        }
    }

    fn alive(&self) -> usize {
        self.entity_count()
    }

    fn frame(&self) -> u64 {
        self.tick()
    }
}

/// Compares everything that can be read with the model.
///
/// # Panics
///
/// When anything differs.
pub fn assert_equals(readable: &impl Readable, model: &Model, mask: KindMask) {
    assert_eq!(readable.alive(), model.entities.len(), "entities alive");
    assert_eq!(readable.frame(), model.tick, "the tick");
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

fn assert_links(readable: &impl Readable, model: &Model, mask: KindMask) {
    if !mask.entities() {
        return;
    }
    for &entity in model.entities.keys() {
        let parent = model.parents.get(&entity).copied();
        let children = model.children_of(entity);
        if mask.links() {
            assert_eq!(readable.parent_of(entity), Some(parent), "the parent of {entity}");
            let found = readable.children_of(entity);
            assert_eq!(found.as_deref(), Some(children), "the children of {entity}");
        } else {
            assert!(readable.parent_of(entity).is_none_or(|found| found.is_none()));
            assert!(readable.children_of(entity).is_none_or(|found| found.is_empty()));
            assert!(parent.is_none() || readable.parent_of(entity).is_none());
            assert!(children.is_empty() || readable.children_of(entity).is_none());
        }
    }
}

fn assert_resource<T: Value>(readable: &impl Readable, expected: Option<u64>, mask: KindMask) {
    let found = readable.resource_number::<T>();
    if mask.resources() {
        assert_eq!(found, Some(expected), "a resource");
    } else {
        assert!(found.is_none_or(|number| number.is_none()), "a resource can be read");
    }
}

fn assert_handles(readable: &impl Readable, model: &Model, mask: KindMask) {
    for &entity in model.entities.keys() {
        assert_eq!(readable.is_alive(entity), mask.entities(), "{entity} is alive");
    }
    for &entity in model.stale.iter().rev().take(64) {
        assert!(!readable.is_alive(entity), "{entity} is stale");
        assert!(readable.component::<Word>(entity).is_none(), "{entity} is stale");
    }
    assert!(!readable.is_alive(Entity::default()));
    match readable.read::<Entity>() {
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
    match readable.read::<&T>() {
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
        let query = readable.read::<(Entity, &T)>().expect("both can be read");
        let rows = query.iter().map(|(entity, value)| (entity, value.seed()));
        assert_same(rows.collect(), model.component(T::KIND).collect());
    }
    for (&entity, row) in &model.entities {
        let expected = row[T::KIND].filter(|_| allowed && mask.entities());
        let found = readable.component::<T>(entity).map(T::seed);
        assert_eq!(found, expected, "component {} of {entity}", T::KIND);
    }
}

/// Queries of several terms, with options and filters.
fn assert_joins(readable: &impl Readable, model: &Model, mask: KindMask) {
    let allowed = [1, 2, 3].iter().all(|&kind| mask.component(kind)) && mask.entities();
    let Ok(query) = readable.read::<(Entity, &Word, Option<&Byte>, &Wide)>() else {
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
    // Filters look at archetypes, so they may name types that were not captured.
    let filtered = readable.read::<(Entity, &Word)>().expect("both can be read");
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
        let Some(found) = readable.event_numbers(&mut cursor) else {
            assert!(!mask.event(T::KIND), "event {} can be read", T::KIND);
            return 0;
        };
        assert!(mask.event(T::KIND), "event {} was not captured", T::KIND);
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
