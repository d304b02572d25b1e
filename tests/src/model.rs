//! The model: the expected contents of a world, in maps that know nothing of chunks.

use std::collections::BTreeMap;

use convoy_engine::component::ComponentId;
use convoy_engine::hierarchy::{ChildOf, Children};
use convoy_engine::schema::{Schema, SchemaBuilder, TypeEntry};
use convoy_engine::{ComponentMask, Entity, World};

use crate::shapes::Shape;
use crate::values::{Alert, Byte, Huge, Hundred, KINDS, Ping, Tag, Triple, Wide, Word};

/// The components of one entity, by the number of their type.
pub type Row = [Option<u64>; KINDS];

/// The number of an event type in the model.
pub type EventKind = usize;

/// How many resources the model knows: a [`Wide`] and a [`Hundred`].
pub const RESOURCES: usize = 2;

/// The types that may be read: bits 0 to 6 for the components, 7 for the handles, 8 and 9 for the events,
/// 10 for the links between parents and children, and 11 for the resources.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct KindMask(pub u16);

impl KindMask {
    /// Everything.
    pub const ALL: Self = Self(0xfff);

    /// Whether component `kind` is in the mask.
    pub fn component(self, kind: usize) -> bool {
        self.0 >> kind & 1 == 1
    }

    /// Whether the entity handles are in the mask.
    pub fn entities(self) -> bool {
        self.0 >> KINDS & 1 == 1
    }

    /// Whether event type `kind` is in the mask.
    pub fn event(self, kind: EventKind) -> bool {
        self.0 >> (KINDS + 1 + kind) & 1 == 1
    }

    /// Whether parents and children are in the mask.
    pub fn links(self) -> bool {
        self.0 >> (KINDS + 3) & 1 == 1
    }

    /// Whether the resources are in the mask.
    pub fn resources(self) -> bool {
        self.0 >> (KINDS + 4) & 1 == 1
    }

    /// The types that are in both.
    pub fn intersection(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// The engine's mask for it. Everything is [`ComponentMask::ALL`].
    ///
    /// # Panics
    ///
    /// When a type can't be registered in `world`.
    pub fn to_mask(self, world: &mut World) -> ComponentMask {
        if self == Self::ALL {
            return ComponentMask::ALL;
        }
        let ids = Model::register(world);
        let held = ids.into_iter().enumerate().filter(|(bit, _)| self.0 >> bit & 1 == 1);
        let mut mask: ComponentMask = held.map(|(_, id)| id).collect();
        let registered = "a world has room for the types of the model";
        if self.links() {
            mask.insert(world.register::<ChildOf>().expect(registered));
            mask.insert(world.register::<Children>().expect(registered));
        }
        if self.resources() {
            mask.insert(world.register_resource::<Wide>().expect(registered));
            mask.insert(world.register_resource::<Hundred>().expect(registered));
        }
        mask
    }
}

/// A world, naively.
#[derive(Clone, Debug, Default)]
pub struct Model {
    /// The living entities.
    pub entities: BTreeMap<Entity, Row>,
    /// Handles that must be refused.
    pub stale: Vec<Entity>,
    /// Every event ever sent, by type.
    pub events: [Vec<u64>; 2],
    /// How many events of each type a `clear` has dropped.
    pub cleared: [usize; 2],
    /// The frame counter.
    pub tick: u64,
    /// The parent of each child.
    pub parents: BTreeMap<Entity, Entity>,
    /// The children of each parent, in order.
    pub children: BTreeMap<Entity, Vec<Entity>>,
    /// The numbers of the resources.
    pub resources: [Option<u64>; RESOURCES],
}

impl Model {
    /// Registers every type of the model, in the order of the bits of [`KindMask`].
    ///
    /// # Panics
    ///
    /// When a type can't be registered in `world`.
    pub fn register(world: &mut World) -> [ComponentId; KINDS + 3] {
        let registered = "a world has room for the types of the model";
        [
            world.register::<Tag>().expect(registered),
            world.register::<Byte>().expect(registered),
            world.register::<Word>().expect(registered),
            world.register::<Wide>().expect(registered),
            world.register::<Triple>().expect(registered),
            world.register::<Hundred>().expect(registered),
            world.register::<Huge>().expect(registered),
            ComponentId::ENTITY,
            world.register_event::<Ping>().expect(registered),
            world.register_event::<Alert>().expect(registered),
        ]
    }

    /// A schema of the types of the model, in one of two orders.
    pub fn schema(backwards: bool) -> Schema {
        type Add = fn(SchemaBuilder) -> SchemaBuilder;
        let mut all: [Add; 13] = [
            |schema| schema.component(TypeEntry::<Tag>::new().named("tag", 1)),
            |schema| schema.component(TypeEntry::<Byte>::new().named("byte", 1)),
            |schema| schema.component(TypeEntry::<Word>::new().named("word", 2)),
            |schema| schema.component(TypeEntry::<Wide>::new().named("wide", 1)),
            |schema| schema.component(TypeEntry::<Triple>::new().named("triple", 9)),
            |schema| schema.component(TypeEntry::<Hundred>::new().named("hundred", 1)),
            |schema| schema.component(TypeEntry::<Huge>::new().named("huge", 1)),
            |schema| schema.event(TypeEntry::<Ping>::new().named("ping", 1)),
            |schema| schema.event(TypeEntry::<Alert>::new().named("alert", 1)),
            |schema| schema.component(TypeEntry::<ChildOf>::new().named("child of", 1)),
            |schema| schema.component(TypeEntry::<Children>::new().named("children", 1)),
            |schema| schema.resource(TypeEntry::<Wide>::new().named("wide", 1)),
            |schema| schema.resource(TypeEntry::<Hundred>::new().named("hundred", 1)),
        ];
        if backwards {
            all.reverse();
        }
        let schema = all.into_iter().fold(Schema::builder(), |schema, add| add(schema));
        schema.build().expect("all names differ")
    }

    /// A living entity, or a stale one, or none: `pick` decides.
    pub fn pick(&self, pick: u16) -> Option<Entity> {
        let pick = usize::from(pick);
        if pick % 16 == 15 && !self.stale.is_empty() {
            return Some(self.stale[pick / 16 % self.stale.len()]);
        }
        let count = self.entities.len().max(1);
        self.entities.keys().nth(pick / 16 % count).copied()
    }

    /// Adds an entity.
    ///
    /// # Panics
    ///
    /// When the handle is that of a living or despawned one.
    pub fn spawn(&mut self, entity: Entity, shape: &Shape, seed: u64) {
        let known = self.entities.insert(entity, Row::default());
        assert!(known.is_none() && !self.stale.contains(&entity), "{entity} is a new handle");
        self.insert(entity, shape, seed);
    }

    /// Puts the components of a bundle.
    ///
    /// # Panics
    ///
    /// When the entity is not alive.
    pub fn insert(&mut self, entity: Entity, shape: &Shape, seed: u64) {
        let row = self.entities.get_mut(&entity).expect("the entity is alive in the model");
        for (kind, seed) in (shape.seeds)(seed) {
            row[kind] = Some(seed);
        }
    }

    /// Whether the entity is alive and has all components of a bundle.
    pub fn has(&self, entity: Entity, shape: &Shape) -> bool {
        let row = self.entities.get(&entity);
        row.is_some_and(|row| shape.kinds.iter().all(|&kind| row[kind].is_some()))
    }

    /// Takes the components of a bundle out and returns their numbers.
    ///
    /// # Panics
    ///
    /// When the entity does not have them.
    pub fn remove(&mut self, entity: Entity, shape: &Shape) -> Vec<(usize, u64)> {
        let row = self.entities.get_mut(&entity).expect("the entity is alive in the model");
        let taken = shape.kinds.iter().map(|&kind| (kind, row[kind].take()));
        taken.map(|(kind, seed)| (kind, seed.expect("the entity has it"))).collect()
    }

    /// Takes an entity out.
    ///
    /// # Panics
    ///
    /// When it is not alive.
    pub fn despawn(&mut self, entity: Entity) {
        assert!(self.entities.remove(&entity).is_some(), "the entity is alive in the model");
        self.orphan(entity);
        for child in self.children.remove(&entity).unwrap_or_default() {
            self.parents.remove(&child);
        }
        self.stale.push(entity);
    }

    /// Takes everything out.
    pub fn clear(&mut self) {
        self.stale.extend(std::mem::take(&mut self.entities).into_keys());
        self.cleared = [self.events[0].len(), self.events[1].len()];
        self.parents.clear();
        self.children.clear();
    }

    /// The children of an entity, in order.
    pub fn children_of(&self, parent: Entity) -> &[Entity] {
        self.children.get(&parent).map_or(&[], Vec::as_slice)
    }

    /// Takes the parent away from a child and returns it.
    pub fn orphan(&mut self, child: Entity) -> Option<Entity> {
        let parent = self.parents.remove(&child)?;
        let siblings = self.children.get_mut(&parent).expect("links agree");
        siblings.retain(|&each| each != child);
        if siblings.is_empty() {
            self.children.remove(&parent);
        }
        Some(parent)
    }

    /// Makes an entity without a parent the child at `position` of `parent`.
    pub fn adopt(&mut self, child: Entity, parent: Entity, position: usize) {
        self.parents.insert(child, parent);
        self.children.entry(parent).or_default().insert(position, child);
    }

    /// An entity and all that descend from it, depth first.
    pub fn tree(&self, root: Entity) -> Vec<Entity> {
        let mut tree = vec![root];
        for &child in self.children_of(root) {
            tree.extend(self.tree(child));
        }
        tree
    }

    /// The numbers of component `kind`, by entity.
    pub fn component(&self, kind: usize) -> impl Iterator<Item = (Entity, u64)> {
        self.entities.iter().filter_map(move |(&entity, row)| Some((entity, row[kind]?)))
    }
}
