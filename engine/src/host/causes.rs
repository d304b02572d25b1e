//! Causes that run modules besides their rates: events, changes, and threads that ask for a view.
//!
//! A cause is looked for in the live world once a frame, cheaply and on the safe side. Where one is up, the
//! module is given a view, and the view tells whether it is in there. A cause that is not, as the view is
//! older than the world, stays up.

use crate::query::Changed;
use crate::snapshot::{View, diff};
use crate::storage::SnapshotId;
use crate::storage::component::Component;
use crate::world::World;
use crate::world::change_mark::ChangeMark;
use crate::world::events::EventCursor;

use super::bytes::put_flag;
use super::inbox::{event_name, place_in};
use super::saved::SavedCursor;
use super::world_state::WorldState;

/// A cause for runs of one module.
pub(super) trait Cause: Send {
    /// Whether the world may have a cause that no view had yet.
    fn may_be_up(&self, world: &World) -> bool;

    /// Takes the causes that `view` has, which the module is about to be given, and whose last one was `last`. Tells
    /// whether there were any.
    fn take(&mut self, world: &World, view: &View, last: Option<&View>) -> bool;

    /// Writes how far it has come in the events of a type, if it reads any: a flag, and the cursor.
    fn put_cursor(&self, view: &View, buffer: &mut Vec<u8>) {
        let _ = view;
        put_flag(false, buffer);
    }

    /// Whether `view` has changes since `last`, if it looks for any.
    fn has_changes(&self, view: &View, last: Option<&View>) -> bool {
        let _ = (view, last);
        false
    }

    /// Goes on with one of the cursors that were saved.
    fn resume_events(&mut self, cursors: &[SavedCursor], world: &World) {
        let _ = (cursors, world);
    }

    /// Goes on from `view`: all changes up to there were seen.
    fn resume_changes(&mut self, world: &World, view: &View) {
        let _ = (world, view);
    }
}

/// Events of a type.
pub(super) struct Sent<T>(EventCursor<T>);

impl<T> Sent<T> {
    pub(super) fn new() -> Self {
        Self(EventCursor::default())
    }
}

impl<T: Component> Cause for Sent<T> {
    fn may_be_up(&self, world: &World) -> bool {
        let mut ahead = self.0.clone();
        world.try_events(&mut ahead).is_ok_and(|mut events| events.next().is_some())
    }

    fn take(&mut self, _: &World, view: &View, _: Option<&View>) -> bool {
        view.try_events(&mut self.0).is_ok_and(|events| events.count() > 0)
    }

    fn put_cursor(&self, view: &View, buffer: &mut Vec<u8>) {
        put_flag(true, buffer);
        place_in(&self.0, view).put(event_name::<T>(&view.frozen().catalog().registry), buffer);
    }

    fn resume_events(&mut self, cursors: &[SavedCursor], world: &World) {
        let name = event_name::<T>(&world.catalog.registry);
        if let Some(saved) = cursors.iter().find(|saved| saved.event == name) {
            self.0 = saved.place.cursor();
        }
    }
}

/// Changes of a component: rows that have other bytes, come or go.
pub(super) struct Change {
    look: fn(&World, ChangeMark) -> Option<usize>,
    rows: fn(&View) -> usize,
    is_in: fn(&View, Option<&View>) -> bool,
    /// Of the last view that was taken: when that was, in which state of the world, and how many rows there were.
    last: Option<(ChangeMark, WorldState, usize)>,
}

impl Change {
    pub(super) fn of<T: Component>() -> Self {
        let rows = |view: &View| view.query::<&T>().count();
        Self { look: rows_unless_written::<T>, rows, is_in: has_change_of::<T>, last: None }
    }
}

impl Cause for Change {
    fn may_be_up(&self, world: &World) -> bool {
        let Some((mark, state, rows)) = self.last else { return true };
        // Rows that go are seen by their number: where others came meanwhile, these were written.
        state != WorldState::of(world) || (self.look)(world, mark) != Some(rows)
    }

    fn take(&mut self, world: &World, view: &View, last: Option<&View>) -> bool {
        // What was written after the capture is looked for again; somebody else may have made it before.
        let SnapshotId { world: of, epoch } = view.id();
        let (mark, is_known) = match of == world.id {
            true => (ChangeMark { world: of, epoch }, true),
            // A copy, which is brought up to date when it is asked for.
            false => (world.change_mark(), view.lag(world) == Some(0)),
        };
        let rows = if is_known { (self.rows)(view) } else { usize::MAX };
        self.last = Some((mark, WorldState::of(world), rows));
        (self.is_in)(view, last)
    }

    fn has_changes(&self, view: &View, last: Option<&View>) -> bool {
        (self.is_in)(view, last)
    }

    fn resume_changes(&mut self, world: &World, view: &View) {
        self.take(world, view, Some(view));
    }
}

/// The number of rows with a `T`, if no chunk of them was written after `mark`.
fn rows_unless_written<T: Component>(world: &World, mark: ChangeMark) -> Option<usize> {
    let written = world.query::<&T>().filter::<Changed<T>>().try_since(mark).ok()?;
    let is_written = written.iter().next().is_some();
    (!is_written).then(|| world.query::<&T>().count())
}

/// Whether a `T` of the newer view differs from the older one, or is there in one of them only.
fn has_change_of<T: Component>(view: &View, last: Option<&View>) -> bool {
    let compared = last.and_then(|last| diff(last, view).ok());
    let Some(diff) = compared else { return view.query::<&T>().count() > 0 };
    view.component_id::<T>().is_some_and(|id| diff.concerns(id))
}
