//! [`SharedWorld`]: several queries at once, also ones that write, with checks at run time.
//!
//! A query on `&mut World` has everything for itself, and the compiler checks that. Where it is not
//! known at compile time which queries meet, on one thread or on several of a scope, the world is
//! *shared out* by component: a query says when it is made which components it reads and writes,
//! and it is made only if no query that is alive writes a component that it reads or uses one that
//! it writes.
//!
//! Beside its rows, a query that writes a component changes the chunk list of that
//! component's columns, which no other query looks at meanwhile, and the world's memory, when a
//! snapshot shares a chunk that has to be copied. The memory is behind a lock, which is taken for
//! such chunks only, and the copy is complete before the lock is given back: a copy that was still
//! under way could lose its source to the next reclaim. Rows, archetypes, types and the epoch
//! don't change while a world is shared out, as all of that takes `&mut World`.

#![allow(unsafe_code, reason = "makes passes over columns that a query has borrowed")]

use std::any::TypeId;
use std::fmt;
use std::marker::PhantomData;
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Mutex, PoisonError};

use convoy_pool::MemoryError;

use crate::storage::component::Registry;
use crate::storage::epoch::Epoch;
use crate::storage::{ComponentId, ComponentMask, Entity};
use crate::world::World;
use crate::world::store::Store;

use super::access::{Access, SharedWrites};
use super::cursor::count;
use super::error::{GetError, QueryError, or_panic};
use super::filter::Filter;
use super::iter::QueryIter;
use super::pass::Pass;
use super::plan::{Plan, Planned};
use super::random::{check_distinct, items};
use super::requirements::Claim;
use super::terms::Terms;
use super::writing::writing_methods;

/// A world that is shared out to queries component by component, with checks at run time. Made by
/// [`World::share`]; threads of a scope may use it at once.
///
/// ```
/// # use convoy_engine::World;
/// # use convoy_engine::query::QueryError;
/// let mut world = World::new();
/// world.spawn((1.0_f32, 2_u32));
/// world.spawn((3.0_f32, 4_u32));
/// let shared = world.share();
/// let mut values = shared.query::<&mut f32>();
/// let mut numbers = shared.query::<&u32>();
/// let mut sum = 0;
/// numbers.for_each(|number| {
///     values.for_each(|value| *value += 1.0);
///     sum += number;
/// });
/// let conflict = shared.try_query::<(&u32, &f32)>().err();
/// assert_eq!(conflict, Some(QueryError::Borrowed { component: "f32" }));
/// drop(values);
/// assert_eq!(shared.query::<(&u32, &f32)>().count(), 2);
/// assert_eq!(sum, 6);
/// ```
pub struct SharedWorld<'w> {
    /// Of the columns only those are looked at that a query has borrowed, each by itself.
    store: Store<'w>,
    writes: SharedWrites,
    /// For each type of the world how many queries read it, or `WRITTEN`.
    borrows: &'w [AtomicI32],
    /// The same for types that no component of the world has. Queries find nothing by them, but
    /// two that conflict are told apart from the start, and not when the first entity comes.
    strangers: &'w Mutex<Vec<(TypeId, i32)>>,
}

/// Marks a component that a query writes.
const WRITTEN: i32 = -1;

/// # Several queries at once
impl World {
    /// Shares the world out to queries that are alive at once. Sets a counter for each type of the
    /// world to zero.
    pub fn share(&mut self) -> SharedWorld<'_> {
        // A query that was forgotten, and not dropped, has borrowed until now.
        self.scratch.strangers.get_mut().unwrap_or_else(PoisonError::into_inner).clear();
        self.scratch.borrows.iter_mut().for_each(|count| *count.get_mut() = 0);
        self.scratch.borrows.resize_with(self.catalog.registry.len(), AtomicI32::default);
        let (store, parts, borrows, strangers) = self.store_to_share();
        let writes = SharedWrites::new(parts);
        SharedWorld { store, writes, borrows, strangers }
    }
}

impl<'w> SharedWorld<'w> {
    /// A query that reads and writes the components of its terms, until it is dropped.
    ///
    /// # Panics
    ///
    /// Where [`SharedWorld::try_query`] returns an error.
    #[track_caller]
    pub fn query<Q: Terms>(&self) -> SharedQuery<'_, Q> {
        or_panic(self.try_query())
    }

    /// A query that reads and writes the components of its terms, until it is dropped. Costs one
    /// atomic exchange for each component.
    ///
    /// # Errors
    ///
    /// [`QueryError::Borrowed`] with the component when a query that is alive writes one that this
    /// one uses, or uses one that this one writes, whether or not an entity has it; otherwise as
    /// [`World::try_query_mut`].
    pub fn try_query<Q: Terms>(&self) -> Result<SharedQuery<'_, Q>, QueryError> {
        let planned = Planned::scan(self.store)?;
        let (registry, mut strangers) = (self.registry(), false);
        let (mut read, mut write) = (ComponentMask::NONE, ComponentMask::NONE);
        Q::claims(&mut |claim| match registry.component_by_type(claim.component) {
            Some(id) if claim.writes => _ = write.insert(id),
            Some(id) => _ = read.insert(id),
            None => strangers = true,
        });
        let mut borrow = Borrow::new(self, &read, &write)?;
        if strangers {
            borrow.take_strangers(|each| Q::claims(&mut |claim| each(claim)))?;
        }
        Ok(SharedQuery { borrow, planned, filter: PhantomData })
    }

    fn registry(&self) -> &Registry {
        &self.store.catalog().registry
    }

    fn state(&self, id: ComponentId) -> &AtomicI32 {
        &self.borrows[id.index()]
    }

    fn component(&self, id: ComponentId) -> &'static str {
        self.registry().info(id).name()
    }
}

impl std::fmt::Debug for SharedWorld<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let ids = self.registry().ids();
        let used = ids.iter().filter(|id| self.state(*id).load(Ordering::Relaxed) != 0);
        let names: Vec<_> = used.map(|id| self.component(id)).collect();
        formatter.debug_struct("SharedWorld").field("borrowed", &names).finish_non_exhaustive()
    }
}

/// The components that a query of a shared world has, until it is dropped.
struct Borrow<'s> {
    shared: &'s SharedWorld<'s>,
    read: ComponentMask,
    write: ComponentMask,
    /// The claims of the terms, if a type among them is a stranger's.
    strangers: Option<Claims>,
}

/// Calls a function for every claim of some terms.
type Claims = fn(&mut dyn FnMut(Claim));

impl<'s> Borrow<'s> {
    fn new(
        shared: &'s SharedWorld<'s>,
        read: &ComponentMask,
        write: &ComponentMask,
    ) -> Result<Self, QueryError> {
        let none = ComponentMask::NONE;
        // Grows as components are taken, so that an early return gives those back.
        let mut borrow = Self { shared, read: none, write: none, strangers: None };
        for id in write.iter() {
            borrow.take(id, |state| (state == 0).then_some(WRITTEN))?;
            borrow.write.insert(id);
        }
        for id in read.iter() {
            borrow.take(id, |state| if state == WRITTEN { None } else { state.checked_add(1) })?;
            borrow.read.insert(id);
        }
        Ok(borrow)
    }

    /// Takes the types that no component has, all of them or none.
    #[cold]
    fn take_strangers(&mut self, claims: Claims) -> Result<(), QueryError> {
        let mut taken = self.shared.strangers.lock().unwrap_or_else(PoisonError::into_inner);
        let mut borrowed = None;
        self.each_stranger(claims, &mut |claim| {
            let mut states = taken.iter().filter(|(other, _)| *other == claim.component);
            if states.any(|(_, state)| claim.writes || *state == WRITTEN) {
                borrowed = Some(claim.name);
            }
        });
        if let Some(name) = borrowed {
            return Err(QueryError::Borrowed { component: name() });
        }
        self.each_stranger(claims, &mut |claim| {
            let state = taken.iter_mut().find(|(other, _)| *other == claim.component);
            match state {
                Some((_, readers)) => *readers += 1,
                None => taken.push((claim.component, if claim.writes { WRITTEN } else { 1 })),
            }
        });
        self.strangers = Some(claims);
        Ok(())
    }

    #[cold]
    fn drop_strangers(&self, claims: Claims) {
        let mut taken = self.shared.strangers.lock().unwrap_or_else(PoisonError::into_inner);
        self.each_stranger(claims, &mut |claim| {
            let place = taken.iter().position(|(other, _)| *other == claim.component);
            let place = place.expect("what a query has is taken");
            match &mut taken[place].1 {
                &mut (WRITTEN | 1) => _ = taken.swap_remove(place),
                readers => *readers -= 1,
            }
        });
    }

    fn each_stranger(&self, claims: Claims, each: &mut dyn FnMut(Claim)) {
        let registry = self.shared.registry();
        claims(&mut |claim| {
            if registry.component_by_type(claim.component).is_none() {
                each(claim);
            }
        });
    }

    fn take(&self, id: ComponentId, next: impl Fn(i32) -> Option<i32>) -> Result<(), QueryError> {
        // Acquire pairs with the Release in `drop`: the writes of the last query are seen.
        let state = self.shared.state(id);
        match state.fetch_update(Ordering::Acquire, Ordering::Relaxed, next) {
            Ok(_) => Ok(()),
            Err(_) => Err(QueryError::Borrowed { component: self.shared.component(id) }),
        }
    }
}

impl Drop for Borrow<'_> {
    fn drop(&mut self) {
        // Release pairs with the Acquire in `take`.
        for id in self.write.iter() {
            self.shared.state(id).store(0, Ordering::Release);
        }
        for id in self.read.iter() {
            self.shared.state(id).fetch_sub(1, Ordering::Release);
        }
        if let Some(claims) = self.strangers {
            self.drop_strangers(claims);
        }
    }
}

/// A query of a [`SharedWorld`]. Until it is dropped, no other query of that world writes a
/// component that it reads or uses one that it writes.
pub struct SharedQuery<'a, Q: Terms, F = ()> {
    borrow: Borrow<'a>,
    planned: Planned<'a, Q>,
    filter: PhantomData<fn() -> F>,
}

impl<'a, Q: Terms, F: Filter> SharedQuery<'a, Q, F> {
    /// The plan. Everything counts as changed.
    fn plan(&self) -> (Plan<'_, 'a, Q>, Epoch) {
        (self.planned.plan(), Epoch::BEFORE_ALL)
    }

    #[inline]
    fn pass(&mut self) -> Pass<'_, '_, Q, F> {
        let (plan, since) = self.plan();
        let access = Access::shared(&self.borrow.shared.writes);
        // SAFETY: the query has borrowed its columns, and the access is that of their world.
        unsafe { Pass::new(plan, since, access) }
    }

    #[inline]
    fn items<const N: usize>(
        &mut self,
        distinct: [Entity; N],
    ) -> Result<[Q::Item<'_>; N], GetError> {
        let (plan, since) = self.plan();
        let access = Access::shared(&self.borrow.shared.writes);
        // SAFETY: as in `pass`, and the entities are distinct.
        unsafe { items::<Q, F, N>(&plan, since, access, distinct) }
    }

    writing_methods!(SharedQuery);

    /// Restricts the query to the entities that pass `G` as well. Only filters that look at no
    /// column but toggles are accepted, as they borrow none: [`Changed`](crate::query::Changed) and
    /// [`Added`](crate::query::Added) don't compile here. No component is switched while a world is
    /// shared out.
    ///
    /// # Errors
    ///
    /// In a replica, when `G` looks at a toggle that was not synced.
    pub fn try_filter<G: Filter>(self) -> Result<SharedQuery<'a, Q, (F, G)>, QueryError> {
        const { assert!(G::BY_ARCHETYPE, "a shared query can't be filtered by columns") };
        let Self { borrow, planned, .. } = self;
        let store = borrow.shared.store;
        G::check(&store.catalog().registry, store.readable())?;
        Ok(SharedQuery { borrow, planned: planned.filtered(), filter: PhantomData })
    }
}

impl<Q: Terms, F> fmt::Debug for SharedQuery<'_, Q, F> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("SharedQuery")
            .field("reads", &self.borrow.read)
            .field("writes", &self.borrow.write)
            .finish_non_exhaustive()
    }
}
