//! Reading the hierarchy: iterators over children and descendants, on whatever has links.

use crate::storage::Entity;
use crate::storage::links::{ChildOf, Children, somebody};

/// What knows the links of entities: a world, or a picture of one. Both links can be read there.
pub trait Links {
    /// The link of `entity` to its parent.
    #[doc(hidden)]
    fn child_of(&self, entity: Entity) -> Option<ChildOf>;

    /// The link of `entity` to its children.
    #[doc(hidden)]
    fn children_of(&self, entity: Entity) -> Option<Children>;
}

/// The children of an entity in their order, from either end. Each step looks one entity up.
pub struct ChildIter<'a, S: ?Sized> {
    links: &'a S,
    front: Entity,
    back: Entity,
    left: usize,
}

impl<S: ?Sized> Clone for ChildIter<'_, S> {
    fn clone(&self) -> Self {
        Self { ..*self }
    }
}

impl<'a, S: Links + ?Sized> ChildIter<'a, S> {
    pub(crate) fn new(links: &'a S, children: Option<Children>) -> Self {
        let Some(children) = children else {
            return Self { links, front: Entity::default(), back: Entity::default(), left: 0 };
        };
        Self { links, front: children.first, back: children.last, left: children.count() }
    }

    fn link(&self, child: Entity) -> ChildOf {
        self.links.child_of(child).expect("a listed child has a link to its parent")
    }
}

impl<S: Links + ?Sized> Iterator for ChildIter<'_, S> {
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

impl<S: Links + ?Sized> DoubleEndedIterator for ChildIter<'_, S> {
    fn next_back(&mut self) -> Option<Entity> {
        self.left = self.left.checked_sub(1)?;
        let child = self.back;
        self.back = self.link(child).previous;
        Some(child)
    }
}

impl<S: Links + ?Sized> ExactSizeIterator for ChildIter<'_, S> {}

/// All descendants of an entity, each before its own children: depth first, in the order of
/// children. Needs no memory beyond the links.
pub struct Descendants<'a, S: ?Sized> {
    links: &'a S,
    root: Entity,
    next: Option<Entity>,
}

impl<S: ?Sized> Clone for Descendants<'_, S> {
    fn clone(&self) -> Self {
        Self { ..*self }
    }
}

impl<'a, S: Links + ?Sized> Descendants<'a, S> {
    pub(crate) fn new(links: &'a S, root: Entity, children: Option<Children>) -> Self {
        Self { links, root, next: children.map(|children| children.first) }
    }

    fn after(&self, entity: Entity) -> Option<Entity> {
        if let Some(children) = self.links.children_of(entity) {
            return Some(children.first);
        }
        let mut at = entity;
        while at != self.root {
            let link = self.links.child_of(at).expect("a descendant has a link to its parent");
            if let Some(next) = somebody(link.next) {
                return Some(next);
            }
            at = link.parent;
        }
        None
    }
}

impl<S: Links + ?Sized> Iterator for Descendants<'_, S> {
    type Item = Entity;

    fn next(&mut self) -> Option<Entity> {
        let entity = self.next?;
        self.next = self.after(entity);
        Some(entity)
    }
}
