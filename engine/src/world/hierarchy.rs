//! The hierarchy: parents with ordered children, kept as links in components.
//!
//! A child has [`ChildOf`]: its parent and the siblings beside it. A parent has [`Children`]: the
//! ends of that list and its length. An entity without the one is a root, without the other a
//! leaf; so a first child and the loss of the last one move the parent to another archetype.
//! As the links are components, snapshots, queries and replicas know of them; as only this file
//! writes them, they always agree:
//!
//! * `mutual`: the entities that a link names are alive and link back.
//! * `acyclic`: no entity is its own ancestor, which is checked before a child gets a parent.
//!
//! Every operation prepares all rows and links that it writes, and only then writes them.

use std::fmt;
use std::mem;

use bytemuck::Zeroable;
use convoy_pool::MemoryError;

use crate::storage::Entity;
use crate::storage::component::{Component, Kind};
use crate::storage::links::{ChildOf, Children};

use super::core::World;
use super::edge_kind::{EdgeKind, Linking, Unlinking};
use super::error::SpawnError;
use super::family::{ChildIter, Descendants};
use super::moves::Moves;
use super::parts::ScratchLists;
use super::state::State;

/// Why a hierarchy can't be changed. The world is unchanged.
#[derive(Debug)]
#[non_exhaustive]
pub enum HierarchyError {
    /// The handle is stale, or never named an entity of this world.
    NotAlive {
        /// The handle.
        entity: Entity,
    },
    /// The parent is the child itself or one of its descendants.
    Cycle {
        /// The entity that was to get a parent.
        child: Entity,
        /// Its descendant, or itself.
        parent: Entity,
    },
    /// The entity has no parent, so nothing can stand before it.
    NoParent {
        /// The root.
        entity: Entity,
    },
    /// The parent has fewer other children than come before the position.
    Position {
        /// The parent.
        parent: Entity,
        /// The position that was asked for.
        position: usize,
        /// How many other children the parent has.
        children: usize,
    },
    /// The world is a replica of some columns only, where rows can't be moved or removed.
    PartialReplica,
    /// No memory to write the links.
    Memory(MemoryError),
    /// The rows can't be moved: the links can't be registered, or a table is full.
    Rows(SpawnError),
}

impl fmt::Display for HierarchyError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAlive { entity } => write!(formatter, "entity {entity} is not alive"),
            Self::Cycle { child, parent } => write!(
                formatter,
                "{parent} can't be the parent of {child}, as it is {child} or descends from it"
            ),
            Self::NoParent { entity } => write!(formatter, "entity {entity} has no parent"),
            Self::Position { parent, position, children } => write!(
                formatter,
                "{parent} has {children} other children, none of them at position {position}"
            ),
            Self::PartialReplica => SpawnError::PartialReplica.fmt(formatter),
            Self::Memory(error) => error.fmt(formatter),
            Self::Rows(error) => error.fmt(formatter),
        }
    }
}

impl std::error::Error for HierarchyError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Memory(error) => Some(error),
            Self::Rows(error) => Some(error),
            _ => None,
        }
    }
}

impl From<SpawnError> for HierarchyError {
    fn from(error: SpawnError) -> Self {
        match error {
            SpawnError::Memory(error) => Self::Memory(error),
            SpawnError::PartialReplica => Self::PartialReplica,
            other => Self::Rows(other),
        }
    }
}

/// An entity and the edge that it moves along.
#[derive(Clone, Copy)]
struct Step {
    entity: Entity,
    take: fn(&mut World, Entity),
}

/// # Parents and children
impl World {
    /// Makes `child` the last child of `parent`, in place of a parent that it had.
    ///
    /// A first link moves the row of the child, a first child that of the parent. Constant time,
    /// plus a walk from `parent` to its root where `child` has children of its own.
    ///
    /// ```
    /// # use convoy_engine::World;
    /// let mut world = World::new();
    /// let [ship, bridge, hold] = [1_u32, 2, 3].map(|number| world.spawn((number,)));
    /// world.set_parent(bridge, ship).unwrap();
    /// world.set_parent_at(hold, ship, 0).unwrap();
    /// assert!(world.children(ship).unwrap().eq([hold, bridge]));
    /// assert!(world.set_parent(ship, hold).is_err(), "a circle");
    /// assert_eq!(world.despawn_tree(ship).unwrap(), 3);
    /// ```
    ///
    /// # Errors
    ///
    /// When a handle is stale, when `parent` is `child` or descends from it, or when memory runs
    /// out. The world is unchanged.
    pub fn set_parent(&mut self, child: Entity, parent: Entity) -> Result<(), HierarchyError> {
        self.check_family(child, parent)?;
        self.link_child(child, parent, Entity::NONE)
    }

    /// Makes `child` a child of `parent` with `position` other children before it. Costs a walk to
    /// the position on top of [`World::set_parent`].
    ///
    /// # Errors
    ///
    /// As [`World::set_parent`], and when `parent` has fewer other children than `position`.
    pub fn set_parent_at(
        &mut self,
        child: Entity,
        parent: Entity,
        position: usize,
    ) -> Result<(), HierarchyError> {
        self.check_family(child, parent)?;
        let mut others = self.children_unchecked(parent).filter(|&other| other != child);
        let before = others.nth(position);
        if before.is_none() {
            let others = self.children_unchecked(parent).filter(|&other| other != child);
            let children = others.count();
            if position > children {
                return Err(HierarchyError::Position { parent, position, children });
            }
        }
        self.link_child(child, parent, before.unwrap_or(Entity::NONE))
    }

    /// Makes `child` a child of the parent of `sibling`, right before it. Costs as much as
    /// [`World::set_parent`].
    ///
    /// # Errors
    ///
    /// As [`World::set_parent`], and when `sibling` has no parent.
    pub fn set_parent_before(
        &mut self,
        child: Entity,
        sibling: Entity,
    ) -> Result<(), HierarchyError> {
        self.check_alive(sibling)?;
        let Some(link) = self.child_of(sibling) else {
            return Err(HierarchyError::NoParent { entity: sibling });
        };
        self.check_family(child, link.parent)?;
        if child == sibling {
            return Ok(());
        }
        self.link_child(child, link.parent, sibling)
    }

    /// Makes `child` a root. Returns the parent that it had. Constant time.
    ///
    /// # Errors
    ///
    /// When the handle is stale or memory runs out. The world is unchanged.
    pub fn remove_parent(&mut self, child: Entity) -> Result<Option<Entity>, HierarchyError> {
        self.check_alive(child)?;
        let Some(link) = self.child_of(child) else { return Ok(None) };
        let mut steps = [None; 2];
        self.with_moves(|world, moves| {
            steps = [
                world.plan_childless_parent(moves, &link)?,
                Some(world.plan_step::<Unlinking<ChildOf>>(moves, child)?),
            ];
            world.prepare_family(moves)?;
            world.own_neighbours(&link)?;
            Ok(())
        })?;
        self.unlink_child(&link);
        steps.into_iter().flatten().for_each(|step| self.take(step));
        self.finish_moves();
        Ok(Some(link.parent))
    }

    /// Despawns `entity` and all its descendants. Returns how many they were. The cost grows with
    /// their number.
    ///
    /// # Errors
    ///
    /// When the handle is stale or memory runs out. The world is unchanged.
    pub fn despawn_tree(&mut self, entity: Entity) -> Result<usize, HierarchyError> {
        self.check_alive(entity)?;
        let link = self.child_of(entity);
        let mut childless = None;
        let mut moves = mem::take(&mut self.scratch.moves);
        moves.clear();
        moves.add(entity, None);
        for descendant in Descendants::new(self.store(), entity, self.children_of(entity)) {
            moves.add(descendant, None);
        }
        let prepared = self.all_or_nothing(|world| {
            world.attempt(|world| world.prepare_despawn(&mut moves, link.as_ref(), &mut childless))
        });
        if prepared.is_ok() {
            self.leave_parent(link.as_ref(), childless);
            // The root last, so that the next spawn gets its slot.
            moves.despawned().rev().for_each(|each| self.remove_row(each));
        }
        let count = moves.despawned().count();
        self.scratch.moves = moves;
        prepared?;
        self.finish_moves();
        Ok(count)
    }

    /// Despawns an entity that has a parent or children: it leaves its parent's list, and its
    /// children become roots.
    #[cold]
    pub(crate) fn despawn_linked(&mut self, entity: Entity) -> Result<(), SpawnError> {
        let link = self.child_of(entity);
        let mut childless = None;
        let mut moves = mem::take(&mut self.scratch.moves);
        moves.clear();
        moves.add(entity, None);
        let prepared = self.all_or_nothing(|world| {
            world.attempt(|world| {
                world.plan_orphans(&mut moves, entity)?;
                world.prepare_despawn(&mut moves, link.as_ref(), &mut childless)
            })
        });
        self.scratch.moves = moves;
        prepared?;
        self.leave_parent(link.as_ref(), childless);
        let mut next = self.children_of(entity).map_or(Entity::NONE, |children| children.first);
        while let Some(child) = next.some() {
            next = self.child_of(child).map_or(Entity::NONE, |link| link.next);
            self.take_step::<Unlinking<ChildOf>>(child, &());
        }
        self.remove_row(entity);
        self.finish_moves();
        Ok(())
    }

    /// An empty list of entities, with the room that it had the last time.
    pub(crate) fn take_entity_list(&mut self) -> Vec<Entity> {
        let mut entities = mem::take(&mut self.scratch.entity_list);
        entities.clear();
        entities
    }

    /// Keeps the room of a list of entities for the next time.
    pub(crate) fn keep_entity_list(&mut self, entities: Vec<Entity>) {
        self.scratch.entity_list = entities;
    }

    /// Lists the children of an entity that become roots.
    fn plan_orphans(&mut self, moves: &mut Moves, entity: Entity) -> Result<(), SpawnError> {
        let mut next = self.children_of(entity).map_or(Entity::NONE, |children| children.first);
        while let Some(child) = next.some() {
            self.plan_step::<Unlinking<ChildOf>>(moves, child)?;
            next = self.child_of(child).map_or(Entity::NONE, |link| link.next);
        }
        Ok(())
    }

    /// Prepares the listed moves of a despawn, and the changes to the parent that loses a child.
    fn prepare_despawn(
        &mut self,
        moves: &mut Moves,
        link: Option<&ChildOf>,
        childless: &mut Option<Step>,
    ) -> Result<(), SpawnError> {
        if let Some(link) = link {
            *childless = self.plan_childless_parent(moves, link)?;
        }
        self.prepare_family(moves)?;
        link.map_or(Ok(()), |link| self.own_neighbours(link))
    }

    fn leave_parent(&mut self, link: Option<&ChildOf>, childless: Option<Step>) {
        if let Some(link) = link {
            self.unlink_child(link);
        }
        if let Some(step) = childless {
            self.take(step);
        }
    }

    /// Puts `child` into the list of `parent`, before another of its children or at the end.
    fn link_child(
        &mut self,
        child: Entity,
        parent: Entity,
        before: Entity,
    ) -> Result<(), HierarchyError> {
        let old = self.child_of(child);
        if old.is_some_and(|old| old.parent == parent && old.next == before) {
            return Ok(());
        }
        let mut steps = [None; 3];
        self.with_moves(|world, moves| {
            let left = old.as_ref().filter(|old| old.parent != parent);
            steps[0] = left.map_or(Ok(None), |old| world.plan_childless_parent(moves, old))?;
            if old.is_none() {
                steps[1] = Some(world.plan_step::<Linking<ChildOf>>(moves, child)?);
            }
            let children = world.children_of(parent);
            if children.is_none() {
                steps[2] = Some(world.plan_step::<Linking<Children>>(moves, parent)?);
            }
            world.prepare_family(moves)?;
            if let Some(old) = &old {
                world.own_neighbours(old)?;
                world.own_link::<ChildOf>(child)?;
            }
            world.own_place(parent, before)
        })?;
        if let Some(old) = &old {
            self.unlink_child(old);
        }
        steps.into_iter().flatten().for_each(|step| self.take(step));
        if steps[2].is_some() {
            *self.link_mut(parent) = Children { first: Entity::NONE, last: Entity::NONE, count: 0 };
        }
        self.attach_child(child, parent, before);
        self.finish_moves();
        Ok(())
    }

    /// Runs a preparation with the world's list of moves. The caller then takes the steps, and
    /// calls [`World::finish_moves`].
    fn with_moves(
        &mut self,
        prepare: impl FnOnce(&mut Self, &mut Moves) -> Result<(), SpawnError>,
    ) -> Result<(), SpawnError> {
        let mut moves = mem::take(&mut self.scratch.moves);
        moves.clear();
        let prepared =
            self.all_or_nothing(|world| world.attempt(|world| prepare(world, &mut moves)));
        self.scratch.moves = moves;
        prepared
    }

    /// Gives back the chunks that prepared moves have emptied. Not before the last of them: a chunk
    /// that one empties may be the one that another fills.
    fn finish_moves(&mut self) {
        let Self {
            scratch: ScratchLists { moves, .. }, state: State { tables, .. }, memory, ..
        } = self;
        moves.finish(tables, memory);
    }

    fn prepare_family(&mut self, moves: &mut Moves) -> Result<(), SpawnError> {
        Ok(moves.prepare(&mut self.state.tables, &mut self.state.index, &mut self.memory)?)
    }

    /// Lists the parent of a link that is about to lose its only child, and with it [`Children`].
    fn plan_childless_parent(
        &mut self,
        moves: &mut Moves,
        link: &ChildOf,
    ) -> Result<Option<Step>, SpawnError> {
        if link.previous != Entity::NONE || link.next != Entity::NONE {
            return Ok(None);
        }
        self.plan_step::<Unlinking<Children>>(moves, link.parent).map(Some)
    }

    /// Lists the move of an entity that gains or loses a link.
    fn plan_step<K: EdgeKind<Inserted: Zeroable>>(
        &mut self,
        moves: &mut Moves,
        entity: Entity,
    ) -> Result<Step, SpawnError> {
        let at = self.state.index.locate(entity).expect("a linked entity is alive");
        moves.add(entity, Some(self.edge::<K>(at.archetype)?));
        Ok(Step { entity, take: |world, entity| world.take_step::<K>(entity, &Zeroable::zeroed()) })
    }

    /// Moves an entity whose move was prepared. A link that comes is written later.
    fn take(&mut self, step: Step) {
        (step.take)(self, step.entity);
    }

    /// Despawns an entity whose removal was prepared.
    fn remove_row(&mut self, entity: Entity) {
        let at = self.state.index.locate(entity).expect("a listed entity is alive");
        let now = self.memory.now();
        let removal = self.state.tables[at.archetype.index()].removal(at.row as usize, now);
        let removal = removal.expect("the removal was prepared");
        let is_removed = self.state.index.remove(entity, (removal.moved(), at), now);
        assert!(is_removed, "the removal was prepared");
        removal.finish();
    }

    /// Makes the links beside a child writable: those of its siblings and of its parent.
    fn own_neighbours(&mut self, link: &ChildOf) -> Result<(), SpawnError> {
        self.own_link::<ChildOf>(link.previous)?;
        self.own_link::<ChildOf>(link.next)?;
        self.own_link::<Children>(link.parent)
    }

    /// Makes the links beside a place in the list of `parent` writable.
    fn own_place(&mut self, parent: Entity, before: Entity) -> Result<(), SpawnError> {
        let previous = match before.some() {
            Some(before) => self.child_of(before).map(|link| link.previous),
            None => self.children_of(parent).map(|children| children.last),
        };
        self.own_link::<ChildOf>(previous.unwrap_or(Entity::NONE))?;
        self.own_link::<ChildOf>(before)?;
        self.own_link::<Children>(parent)
    }

    /// Makes a link of an entity writable, if there is such an entity and it has one.
    fn own_link<T: Component>(&mut self, entity: Entity) -> Result<(), SpawnError> {
        let Some(at) = self.state.index.locate(entity) else { return Ok(()) };
        let id = self.catalog.registry.id_of::<T>(Kind::Component);
        let table = &mut self.state.tables[at.archetype.index()];
        if let Some(position) = id.and_then(|id| table.position(id)) {
            table.own_value(position, at.row as usize, &mut self.memory)?;
        }
        Ok(())
    }

    /// A link whose chunk was made writable.
    fn link_mut<T: Component>(&mut self, entity: Entity) -> &mut T {
        let at = self.state.index.locate(entity).expect("`mutual`: a linked entity is alive");
        let id = self.catalog.registry.id_of::<T>(Kind::Component);
        let table = &mut self.state.tables[at.archetype.index()];
        let position = id.and_then(|id| table.position(id));
        let position = position.expect("`mutual`: a linked entity links back");
        table.row_mut(position, at.row as usize, self.memory.now()).into_mut()
    }

    /// Takes a child out of the list of its parent. Its own link is left as it is.
    fn unlink_child(&mut self, link: &ChildOf) {
        match link.previous.some() {
            Some(previous) => self.link_mut::<ChildOf>(previous).next = link.next,
            None => self.link_mut::<Children>(link.parent).first = link.next,
        }
        match link.next.some() {
            Some(next) => self.link_mut::<ChildOf>(next).previous = link.previous,
            None => self.link_mut::<Children>(link.parent).last = link.previous,
        }
        self.link_mut::<Children>(link.parent).count -= 1;
    }

    /// Puts a child into the list of its parent, before one of its children or at the end.
    fn attach_child(&mut self, child: Entity, parent: Entity, before: Entity) {
        let previous = match before.some() {
            Some(before) => self.link_mut::<ChildOf>(before).previous,
            None => self.link_mut::<Children>(parent).last,
        };
        *self.link_mut(child) = ChildOf { parent, previous, next: before };
        match previous.some() {
            Some(previous) => self.link_mut::<ChildOf>(previous).next = child,
            None => self.link_mut::<Children>(parent).first = child,
        }
        match before.some() {
            Some(before) => self.link_mut::<ChildOf>(before).previous = child,
            None => self.link_mut::<Children>(parent).last = child,
        }
        self.link_mut::<Children>(parent).count += 1;
    }

    fn check_alive(&self, entity: Entity) -> Result<(), HierarchyError> {
        if self.state.index.locate(entity).is_none() {
            return Err(HierarchyError::NotAlive { entity });
        }
        Ok(self.check_whole()?)
    }

    /// Checks that `child` may become a child of `parent`: `acyclic`.
    fn check_family(&self, child: Entity, parent: Entity) -> Result<(), HierarchyError> {
        self.check_alive(child)?;
        self.check_alive(parent)?;
        let cycle = HierarchyError::Cycle { child, parent };
        if child == parent {
            return Err(cycle);
        }
        if self.children_of(child).is_none() {
            return Ok(());
        }
        let mut ancestor = parent;
        while let Some(link) = self.child_of(ancestor) {
            if link.parent == child {
                return Err(cycle);
            }
            ancestor = link.parent;
        }
        Ok(())
    }

    fn children_unchecked(&self, entity: Entity) -> ChildIter<'_> {
        ChildIter::new(self.store(), self.children_of(entity))
    }

    /// The link of `entity` to its parent.
    fn child_of(&self, entity: Entity) -> Option<ChildOf> {
        self.get(entity).ok().copied()
    }

    /// The link of `entity` to its children.
    fn children_of(&self, entity: Entity) -> Option<Children> {
        self.get(entity).ok().copied()
    }
}
