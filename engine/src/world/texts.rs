//! Texts of a world: [`World::text`] and its kin.

use std::any::TypeId;
use std::collections::HashSet;

use crate::storage::column::Column;
use crate::storage::component::{ComponentInfo, Kind};
use crate::storage::layout::{Layout, LayoutKind};
use crate::storage::links::engine_owns;
use crate::storage::rows::Rows;
use crate::storage::text::{Text, TextError, TextStatistics};
use crate::storage::{ComponentId, Entity};

use super::core::World;
use super::error::fail;
use super::state::Holder;

/// # Texts
impl World {
    /// The text with this content: up to [`Text::INLINE_BYTES_MAX`] bytes lie in it, and the world keeps those of a
    /// longer one, until it goes or [`World::retain_texts`] drops them. Snapshots and branches share them.
    ///
    /// Costs a hash and a look-up; allocates where the content is new.
    ///
    /// ```
    /// # use convoy_engine::World;
    /// # use convoy_engine::text::Text;
    /// let mut world = World::new();
    /// let text = world.text("north of the river");
    /// assert_eq!(world.resolve(&text).unwrap(), "north of the river");
    /// assert_eq!(world.resolve(&Text::new("here")).unwrap(), "here");
    /// assert!(World::new().resolve(&text).is_err(), "another world was not asked for it");
    /// ```
    ///
    /// # Panics
    ///
    /// Where [`World::try_text`] returns an error.
    #[track_caller]
    pub fn text(&mut self, content: &str) -> Text {
        match self.try_text(content) {
            Ok(text) => text,
            Err(error) => fail("keep a text", &error),
        }
    }

    /// [`World::text`].
    ///
    /// # Errors
    ///
    /// [`TextError::Collision`] when the world keeps another content with the same 63-bit hash: with a million of them
    /// that happens once in 18 million worlds, unless somebody means it to, so ask here for contents
    /// that come from strangers. [`TextError::Limit`] beyond
    /// [`WorldConfig::text_bytes_max`](crate::WorldConfig::text_bytes_max).
    pub fn try_text(&mut self, content: &str) -> Result<Text, TextError> {
        self.texts.keep(content)
    }

    /// The content of a text.
    ///
    /// # Errors
    ///
    /// [`TextError::Unknown`] when this world does not keep it, [`TextError::Malformed`] when these bytes are no text.
    #[inline]
    pub fn resolve<'a>(&'a self, text: &'a Text) -> Result<&'a str, TextError> {
        self.texts.resolve(text)
    }

    /// How many texts the world keeps.
    pub fn text_statistics(&self) -> TextStatistics {
        self.texts.statistics()
    }

    /// Drops the contents of all texts but those in `held`. Snapshots have all of theirs as before, and a restore of
    /// one brings them back. Commands that are not played back yet bring those that [`Commands::text`] was asked for.
    /// So a module that copies a text from its view into a command while this may be called, asks for it once more.
    ///
    /// ```
    /// # use convoy_engine::World;
    /// # use convoy_engine::text::Text;
    /// let mut world = World::new();
    /// let [kept, mine, old] = ["in a component", "in a variable", "nowhere at all"].map(|each| world.text(each));
    /// world.spawn((kept,));
    /// let held = world.held_texts().unwrap();
    /// world.retain_texts(held.into_iter().chain([mine]));
    /// assert!(world.resolve(&kept).is_ok() && world.resolve(&mine).is_ok());
    /// assert!(world.resolve(&old).is_err());
    /// ```
    ///
    /// [`Commands::text`]: crate::commands::Commands::text
    pub fn retain_texts(&mut self, held: impl IntoIterator<Item = Text>) {
        let held: HashSet<Text> = held.into_iter().collect();
        self.texts.retain(|text| held.contains(&text));
    }

    /// All long texts in components, events and resources, wherever their layouts say that one lies. Reads every
    /// value of the types that have texts.
    ///
    /// # Errors
    ///
    /// [`TextError::NoLayout`] when a type of eight bytes and more has values and no layout, so that nobody can tell
    /// whether texts are among them: see [`TypeEntry::with_layout`](crate::schema::TypeEntry::with_layout). [`Text`]
    /// itself needs none.
    pub fn held_texts(&self) -> Result<HashSet<Text>, TextError> {
        let (mut held, registry, store) = (HashSet::new(), &self.catalog.registry, self.store());
        let mut collect = |id: ComponentId, rows: Rows<'_>| -> Result<(), TextError> {
            let info = registry.info(id);
            let places = places_of(info, rows.len())?;
            let size = info.list().map_or(info.size(), |list| list.size);
            let rows = (0..rows.len()).filter(|_| !places.is_empty()).map(|row| (row, &rows));
            let bytes = rows.map(|(row, rows)| store.value_bytes(*rows, id, row));
            for value in bytes.flat_map(|bytes| bytes.chunks_exact(size)) {
                let texts = places.iter().map(|&place| &value[place..place + size_of::<Text>()]);
                let texts = texts.map(bytemuck::pod_read_unaligned::<Text>);
                held.extend(texts.filter(|text| !text.is_inline()));
            }
            Ok(())
        };
        for holder in self.state.holders() {
            match holder {
                Holder::Table(table) => {
                    let is_there = |column: &&Column| self.role.may_read(column.component());
                    for column in table.columns().iter().filter(is_there) {
                        collect(column.component(), column.rows(table.rows()))?;
                    }
                }
                Holder::Log(log) => collect(log.component(), log.column().rows(log.rows()))?,
                Holder::Resource(resource) => {
                    collect(resource.component(), resource.column().rows(resource.rows()))?;
                }
                // Elements are looked at by the lists that have them.
                Holder::Index(_) | Holder::Blocks(_) => {}
            }
        }
        Ok(held)
    }
}

/// Where texts lie in a value of a type that has `values` values.
fn places_of(info: &ComponentInfo, values: usize) -> Result<Vec<usize>, TextError> {
    let mut places = Vec::new();
    let size = info.list().map_or(info.size(), |list| list.size);
    let may_hold = size >= size_of::<Text>() && values > 0;
    if !may_hold || info.kind() == Kind::Toggle {
        return Ok(places);
    }
    if let Some(type_id) = info.type_id() {
        if type_id == TypeId::of::<Text>() {
            places.push(0);
        }
        if !places.is_empty() || type_id == TypeId::of::<Entity>() || engine_owns(type_id) {
            return Ok(places);
        }
    }
    let layout = info.layout().ok_or(TextError::NoLayout { component: info.name() })?;
    add_places(layout, 0, &mut places);
    Ok(places)
}

fn add_places(layout: &Layout, offset: usize, places: &mut Vec<usize>) {
    match layout.kind() {
        LayoutKind::Text => places.push(offset),
        LayoutKind::Array { element, count } => {
            (0..count).for_each(|each| add_places(element, offset + each * element.size(), places));
        }
        LayoutKind::Struct(fields) => {
            fields.iter().for_each(|field| add_places(field.layout, offset + field.offset, places));
        }
        _ => {}
    }
}
