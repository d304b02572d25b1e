//! Forgetting the registrations of an operation that failed.

use super::*;

impl Registry {
    /// How many ids are given.
    pub(crate) fn len(&self) -> usize {
        self.infos.len()
    }

    /// How many types took over a description.
    pub(crate) fn taken_over(&self) -> usize {
        self.taken_over.len()
    }

    /// Forgets all types but the first `len`, and all take-overs of descriptions but the first
    /// `taken_over`.
    pub(crate) fn truncate(&mut self, len: usize, taken_over: usize) {
        for (id, described) in self.taken_over.drain(taken_over..).rev() {
            self.infos[id.index()].shape = described;
        }
        let mut kept = Self::empty(self.shape);
        kept.taken_over = std::mem::take(&mut self.taken_over);
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
