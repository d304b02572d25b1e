//! [`State`]: what a world holds, and snapshots capture.

use crate::storage::table::Table;

use super::event_log::EventLog;
use super::index::EntityIndex;
use super::resource::Resource;

/// What a world holds, and snapshots capture: four kinds of holders of columns.
pub(crate) struct State {
    /// By the numbers of archetypes.
    pub(crate) tables: Vec<Table>,
    pub(crate) index: EntityIndex,
    /// One for each event type, in the order of ids.
    pub(crate) logs: Vec<EventLog>,
    /// One for each resource type, in the order of ids.
    pub(crate) resources: Vec<Resource>,
}
