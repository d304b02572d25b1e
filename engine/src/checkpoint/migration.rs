//! [`Migration`]: makes values of a type's present version of those of an older one.

use std::any::TypeId;
use std::error::Error;
use std::sync::Arc;

use crate::storage::component::{Component, ComponentInfo};
use crate::storage::list::ListHandle;
use crate::storage::names::name_of;

use super::error::CheckpointError;
use super::plan_error::PlanError;
use super::type_name::TypeName;

/// Why a migration has made no value.
enum Failed {
    /// The bytes of the file are no value of this type.
    Value(&'static str),
    Refused(Box<dyn Error + Send + Sync>),
}

/// Makes so many values of the bytes of as many.
type Migrate = dyn Fn(usize, &[u8], &mut [u8]) -> Result<(), Failed> + Send + Sync;

/// The Rust type of the values that are made.
#[derive(Clone, Copy)]
struct Made {
    value: TypeId,
    list: TypeId,
    size: usize,
    name: &'static str,
}

/// Makes values of the schema's version of a type of those of another one.
#[derive(Clone)]
pub(super) struct Migration {
    pub(super) name: TypeName,
    /// The version in the file.
    pub(super) version: u32,
    /// Bytes of a value, or of an element, in the file.
    pub(super) size: usize,
    /// None where there is no Rust type for it.
    made: Option<Made>,
    migrate: Arc<Migrate>,
}

impl Migration {
    pub(super) fn typed<Old: Component, New: Component>(
        name: TypeName,
        version: u32,
        migrate: impl Fn(&Old) -> New + Send + Sync + 'static,
    ) -> Self {
        let made = Made {
            value: TypeId::of::<New>(),
            list: TypeId::of::<ListHandle<New>>(),
            size: size_of::<New>(),
            name: name_of::<New>(),
        };
        let all = move |count: usize, from: &[u8], to: &mut [u8]| {
            let (size_from, size_to) = (size_of::<Old>(), size_of::<New>());
            for number in 0..count {
                let old = &from[number * size_from..][..size_from];
                let old = bytemuck::checked::try_pod_read_unaligned::<Old>(old);
                let Ok(old) = old else { return Err(Failed::Value(name_of::<Old>())) };
                let new = migrate(&old);
                to[number * size_to..][..size_to].copy_from_slice(bytemuck::bytes_of(&new));
            }
            Ok(())
        };
        Self { name, version, size: size_of::<Old>(), made: Some(made), migrate: Arc::new(all) }
    }

    pub(super) fn of_bytes(
        name: TypeName,
        version: u32,
        size: usize,
        migrate: impl Fn(&[u8], &mut [u8]) -> Result<(), Box<dyn Error + Send + Sync>>
        + Send
        + Sync
        + 'static,
    ) -> Self {
        let all = move |count: usize, from: &[u8], to: &mut [u8]| {
            let size_to = to.len() / count.max(1);
            for number in 0..count {
                let old = &from[number * size..][..size];
                let new = &mut to[number * size_to..][..size_to];
                migrate(old, new).map_err(Failed::Refused)?;
            }
            Ok(())
        };
        Self { name, version, size, made: None, migrate: Arc::new(all) }
    }

    /// Whether it makes values of a type of the schema.
    pub(super) fn check(&self, info: &ComponentInfo) -> Result<(), PlanError> {
        let Some(made) = self.made else { return Ok(()) };
        let own = if info.list().is_some() { made.list } else { made.value };
        match info.type_id().map_or(made.size == info.size(), |known| known == own) {
            true => Ok(()),
            false => {
                let name = self.name.name().to_owned();
                Err(PlanError::MigrationType { name, made: made.name })
            }
        }
    }

    /// Fills `to`, which is zero and has as many bytes as `count` values of the type of the schema, with values made
    /// of those in `from`, each of [`Migration::size`] bytes.
    pub(super) fn apply(
        &self,
        component: &'static str,
        count: usize,
        from: &[u8],
        to: &mut [u8],
    ) -> Result<(), CheckpointError> {
        (self.migrate)(count, from, to).map_err(|failed| match failed {
            Failed::Value(component) => CheckpointError::Value { component },
            Failed::Refused(error) => CheckpointError::Migration { component, error },
        })
    }
}
