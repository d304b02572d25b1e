//! Reading the hierarchy: iterators over children and descendants.

use crate::storage::Entity;
use crate::storage::links::{ChildOf, Children};

use super::store::Store;

/// The children of an entity in their order, from either end. Each step looks one entity up.
#[derive(Clone)]
pub struct ChildIter<'a> {
    store: Store<'a>,
    front: Entity,
    back: Entity,
    left: usize,
}

impl<'a> ChildIter<'a> {
    pub(crate) fn new(store: Store<'a>, children: Option<Children>) -> Self {
        let Some(children) = children else {
            return Self { store, front: Entity::default(), back: Entity::default(), left: 0 };
        };
        Self { store, front: children.first, back: children.last, left: children.count() }
    }

    fn link(&self, child: Entity) -> ChildOf {
        *self.store.get::<ChildOf>(child).expect("a listed child has a link to its parent")
    }
}

impl Iterator for ChildIter<'_> {
    type Item = Entity;

    fn next(&mut self) -> Option<Entity> {
        self.left = self.left.checked_sub(1)?;
        let child = self.front;
        self.front = self.link(child).next;
        Some(child)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl DoubleEndedIterator for ChildIter<'_> {
    fn next_back(&mut self) -> Option<Entity> {
        self.left = self.left.checked_sub(1)?;
        let child = self.back;
        self.back = self.link(child).previous;
        Some(child)
    }
}

impl ExactSizeIterator for ChildIter<'_> {}

/// All descendants of an entity, each before its own children: depth first, in the order of
/// children. Needs no memory beyond the links.
#[derive(Clone)]
pub struct Descendants<'a> {
    store: Store<'a>,
    root: Entity,
    next: Option<Entity>,
}

impl<'a> Descendants<'a> {
    pub(crate) fn new(store: Store<'a>, root: Entity, children: Option<Children>) -> Self {
        Self { store, root, next: children.map(|children| children.first) }
    }

    fn after(&self, entity: Entity) -> Option<Entity> {
        if let Ok(children) = self.store.get::<Children>(entity) {
            return Some(children.first);
        }
        let mut at = entity;
        while at != self.root {
            let link =
                self.store.get::<ChildOf>(at).expect("a descendant has a link to its parent");
            if let Some(next) = link.next.some() {
                return Some(next);
            }
            at = link.parent;
        }
        None
    }
}

impl Iterator for Descendants<'_> {
    type Item = Entity;

    fn next(&mut self) -> Option<Entity> {
        let entity = self.next?;
        self.next = self.after(entity);
        Some(entity)
    }
}
