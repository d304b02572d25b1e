//! Orders: what a command does at its playback, and with which bundle.
//!
//! A buffer keeps a command as a function and bytes. Both are made of one [`Order`] in one place, so the
//! bytes are always those of the bundle that the function takes.

#![allow(unsafe_code, reason = "reads recorded bundles")]

use std::marker::PhantomData;

use convoy_pool::{Scratch, ScratchSlice};

use crate::storage::Entity;
use crate::storage::component::Component;
use crate::storage::recorded::RecordedValue;
use crate::world::bundle::{Bundle, Recorded};
use crate::world::core::World;
use crate::world::edge_kind::{Inserting, Removing};
use crate::world::error::ComponentError;
use crate::world::hierarchy::HierarchyError;
use crate::world::list_mut::ListError;

/// The outcome of a command.
pub(super) enum Outcome {
    Applied,
    /// Its entity was not alive.
    Dead,
    /// It could not be applied for another reason: a component is missing, memory ran out.
    Failed,
}

/// A kind of command.
pub(super) trait Order {
    /// The bundle that is recorded with it.
    type Payload: Bundle;

    fn apply(world: &mut World, entity: Entity, payload: Recorded<'_, Self::Payload>) -> Outcome;
}

/// A command that was recorded.
#[derive(Clone, Copy)]
pub(super) struct Command {
    apply: Apply,
    entity: Entity,
    payload: ScratchSlice,
    spawns: bool,
}

/// [`Order::apply`] with the bytes of its payload.
type Apply = unsafe fn(&mut World, Entity, &[u8]) -> Outcome;

impl Command {
    /// Records an order on `entity`: its payload in the scratch memory, by way of the list of bytes. One
    /// that `spawns` is the first with its handle.
    #[inline]
    pub(super) fn record<O: Order>(
        entity: Entity,
        payload: &O::Payload,
        spawns: bool,
        (bytes, scratch): (&mut Vec<u8>, &mut Scratch),
    ) -> Self {
        bytes.clear();
        Recorded::record(payload, bytes);
        Self { apply: apply_recorded::<O>, entity, payload: scratch.store(bytes), spawns }
    }

    /// Records that a list of `entity` gets these elements, or has them alone if `clears`.
    pub(super) fn record_list<T: Component>(
        entity: Entity,
        elements: &[T],
        clears: bool,
        scratch: &mut Scratch,
    ) -> Self {
        let apply: Apply = if clears { apply_list::<T, true> } else { apply_list::<T, false> };
        let payload = scratch.store(bytemuck::cast_slice(elements));
        Self { apply, entity, payload, spawns: false }
    }

    /// Applies the command to `world`.
    ///
    /// # Panics
    ///
    /// When its payload is not in `scratch`, or was there before a reset.
    #[inline]
    pub(super) fn apply(&self, world: &mut World, scratch: &Scratch) -> Outcome {
        let payload = scratch.get(self.payload);
        // SAFETY: the payload was recorded with the function, of the bundle of its order. The scratch
        // memory has the same bytes for the handle, or none.
        unsafe { (self.apply)(world, self.entity, payload) }
    }

    /// The handle of the entity that the command spawns, if it does.
    pub(super) fn spawned(&self) -> Option<Entity> {
        self.spawns.then_some(self.entity)
    }
}

/// [`Order::apply`] for a payload that was recorded.
///
/// # Safety
///
/// `bytes` were recorded of an [`Order::Payload`] of `O`.
unsafe fn apply_recorded<O: Order>(world: &mut World, entity: Entity, bytes: &[u8]) -> Outcome {
    // SAFETY: the caller's contract.
    O::apply(world, entity, unsafe { Recorded::new(bytes) })
}

/// Adds elements to a list, after those that it has unless it `CLEARS` them.
///
/// # Safety
///
/// `bytes` are those of elements of `T`.
unsafe fn apply_list<T: Component, const CLEARS: bool>(
    world: &mut World,
    entity: Entity,
    bytes: &[u8],
) -> Outcome {
    let added = world.list_mut::<T>(entity).map(|mut list| {
        let kept = if CLEARS { 0 } else { list.len() };
        let additional = (kept + bytes.len() / size_of::<T>()).saturating_sub(list.len());
        list.try_reserve(additional)?;
        list.truncate(kept);
        for element in bytes.chunks_exact(size_of::<T>()) {
            // SAFETY: the caller's contract.
            list.push(unsafe { RecordedValue::<T>::new(element) }.get());
        }
        Ok::<_, ListError>(())
    });
    match added {
        Ok(Ok(())) => Outcome::Applied,
        Ok(Err(_)) => Outcome::Failed,
        Err(error) => outcome(Err(error)),
    }
}

fn outcome(result: Result<(), ComponentError>) -> Outcome {
    match result {
        Ok(()) => Outcome::Applied,
        Err(ComponentError::NotAlive { .. }) => Outcome::Dead,
        Err(_) => Outcome::Failed,
    }
}

fn family_outcome(result: Result<(), HierarchyError>) -> Outcome {
    match result {
        Ok(()) => Outcome::Applied,
        Err(HierarchyError::NotAlive { .. }) => Outcome::Dead,
        Err(_) => Outcome::Failed,
    }
}

/// Spawns an entity under its reserved handle.
pub(super) struct Spawn<B>(PhantomData<B>);

impl<B: Bundle> Order for Spawn<B> {
    type Payload = B;

    fn apply(world: &mut World, entity: Entity, payload: Recorded<'_, B>) -> Outcome {
        match world.spawn_reserved::<B>(entity, &payload) {
            Ok(Some(())) => Outcome::Applied,
            Ok(None) => Outcome::Dead,
            Err(_) => Outcome::Failed,
        }
    }
}

pub(super) struct Insert<B>(PhantomData<B>);

impl<B: Bundle> Order for Insert<B> {
    type Payload = B;

    fn apply(world: &mut World, entity: Entity, payload: Recorded<'_, B>) -> Outcome {
        outcome(world.change_row::<Inserting<B>, _>(entity, &payload, |_| ()))
    }
}

pub(super) struct Remove<B>(PhantomData<B>);

impl<B: Bundle> Order for Remove<B> {
    type Payload = ();

    fn apply(world: &mut World, entity: Entity, _: Recorded<'_, ()>) -> Outcome {
        outcome(world.change_row::<Removing<B>, _>(entity, &(), |_| ()))
    }
}

/// Switches a component on or off.
pub(super) struct Switch<T, const ENABLED: bool>(PhantomData<T>);

impl<T: Component, const ENABLED: bool> Order for Switch<T, ENABLED> {
    type Payload = ();

    fn apply(world: &mut World, entity: Entity, _: Recorded<'_, ()>) -> Outcome {
        let switched = world.toggles::<T>().and_then(|mut toggles| toggles.set(entity, ENABLED));
        outcome(switched.map(|_| ()))
    }
}

pub(super) struct Despawn;

impl Order for Despawn {
    type Payload = ();

    fn apply(world: &mut World, entity: Entity, _: Recorded<'_, ()>) -> Outcome {
        outcome(world.despawn(entity))
    }
}

pub(super) struct SetParent;

impl Order for SetParent {
    type Payload = (Entity,);

    fn apply(world: &mut World, child: Entity, parent: Recorded<'_, (Entity,)>) -> Outcome {
        family_outcome(world.set_parent(child, parent.value().get()))
    }
}

pub(super) struct RemoveParent;

impl Order for RemoveParent {
    type Payload = ();

    fn apply(world: &mut World, child: Entity, _: Recorded<'_, ()>) -> Outcome {
        family_outcome(world.remove_parent(child).map(|_| ()))
    }
}

pub(super) struct DespawnTree;

impl Order for DespawnTree {
    type Payload = ();

    fn apply(world: &mut World, entity: Entity, _: Recorded<'_, ()>) -> Outcome {
        family_outcome(world.despawn_tree(entity).map(|_| ()))
    }
}

pub(super) struct SendEvent<T>(PhantomData<T>);

impl<T: Component> Order for SendEvent<T> {
    type Payload = (T,);

    fn apply(world: &mut World, _: Entity, event: Recorded<'_, (T,)>) -> Outcome {
        match world.send_recorded(event.value()) {
            Ok(()) => Outcome::Applied,
            Err(_) => Outcome::Failed,
        }
    }
}
