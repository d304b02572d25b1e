//! Forgetting: what an operation registered that then failed.

use super::*;

impl Registry {
    /// How many ids are given.
    pub(crate) fn len(&self) -> usize {
        self.infos.len()
    }

    /// Forgets all types but the first `len`.
    pub(crate) fn truncate(&mut self, len: usize) {
        let mut kept = Self::empty(self.shape);
        for info in self.infos.drain(..).take(len) {
            kept.keep(info);
        }
        *self = kept;
    }

    /// Adds a shape with all that is known of it.
    fn keep(&mut self, info: ComponentInfo) {
        let id = ComponentId::new(self.infos.len());
        match (info.kind, info.shape.type_id) {
            (Kind::Component, Some(type_id)) => {
                self.near.insert(type_id, id);
                self.components.insert(type_id, id);
            }
            (Kind::Event, Some(type_id)) => self.events.insert(type_id, id),
            (Kind::Resource, Some(type_id)) => self.resources.insert(type_id, id),
            (Kind::Toggle, _) => {
                let of = self.infos.iter().position(|each| each.toggle == Some(id));
                self.toggled.extend(of.map(ComponentId::new));
                self.toggles.insert(id);
                self.has_toggles = true;
            }
            (_, None) => {}
        }
        self.has_checks |= !info.check().is_none();
        self.infos.push(info);
    }
}
