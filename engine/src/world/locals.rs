//! Local resources: one value of any type, which snapshots and replicas leave out.
//!
//! They hold values that belong to the world's own thread and are no plain old data: caches,
//! channels, handles of devices. The slot of a type stays when its value is taken out, so that
//! putting one back touches no heap.

use std::any::{Any, TypeId};

use crate::storage::type_map::TypeMap;

/// The local resources of a world: a boxed `Option<T>` for every type that ever had a value.
#[derive(Default)]
pub(crate) struct Locals {
    slots: TypeMap<Box<dyn Any + Send + Sync>>,
}

impl Locals {
    /// The value of type `T`.
    pub(crate) fn get<T: Send + Sync + 'static>(&self) -> Option<&T> {
        self.slots.get(TypeId::of::<T>())?.downcast_ref::<Option<T>>()?.as_ref()
    }

    /// The slot of type `T`, which exists once there was a value.
    pub(crate) fn slot_mut<T: Send + Sync + 'static>(&mut self) -> Option<&mut Option<T>> {
        self.slots.get_mut(TypeId::of::<T>())?.downcast_mut()
    }

    /// Puts a value into the slot of its type and returns the one before.
    pub(crate) fn insert<T: Send + Sync + 'static>(&mut self, value: T) -> Option<T> {
        if let Some(slot) = self.slot_mut() {
            return slot.replace(value);
        }
        self.slots.insert(TypeId::of::<T>(), Box::new(Some(value)));
        None
    }
}
