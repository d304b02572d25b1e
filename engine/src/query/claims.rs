//! Claims: whether the terms of a query may be used together.

use std::any::TypeId;

use crate::storage::Entity;
use crate::storage::links::engine_owns;

use super::error::QueryError;
use super::requirements::Claim;
use super::terms::Terms;

/// Checks that terms don't conflict. Compares constants, and compiles to nothing.
///
/// # Errors
///
/// When a component is written and used by another term as well, or is [`Entity`] and written. Types
/// decide, so the answer is the same before and after the components are registered.
#[inline]
pub(super) fn check_claims<Q: Terms>() -> Result<(), QueryError> {
    let mut conflict: Option<Claim> = None;
    Q::claims(&mut |claim| {
        let mut uses = 0_usize;
        if claim.writes {
            Q::claims(&mut |other| uses += usize::from(other.component == claim.component));
        }
        let written_entity = claim.writes && claim.component == TypeId::of::<Entity>();
        if (uses > 1 || written_entity) && conflict.is_none() {
            conflict = Some(claim);
        }
    });
    match conflict {
        Some(claim) => Err(conflict_of(claim)),
        None => Ok(()),
    }
}

#[cold]
fn conflict_of(claim: Claim) -> QueryError {
    if claim.component == TypeId::of::<Entity>() {
        return QueryError::WritesEntity;
    }
    if engine_owns(claim.component) {
        return QueryError::EngineOwned { component: (claim.name)() };
    }
    QueryError::Conflict { component: (claim.name)() }
}
