//! The tables of a file in a world that lacks some of its types, and the report of each type's fate.
//!
//! Archetypes of the file that differ by dropped types only are one archetype of the world: [`Targets`] says in which
//! table the rows of each table go, and after how many others. The slots of the entity index are moved along.

use std::collections::{HashMap, HashSet};

use crate::storage::ComponentMask;
use crate::storage::archetype::ArchetypeId;
use crate::storage::component::Registry;
use crate::world::index::{Location, Slot};

use super::error::{CheckpointError, CheckpointPart};
use super::manifest::{ColumnRecord, Manifest};
use super::report::{ReadReport, TypeDecision, TypeReport};
use super::type_name::TypeKind;
use super::types::Fate;

/// Where the rows of a table of the file go.
#[derive(Clone, Copy, Debug)]
pub(super) struct Target {
    /// The number of the table in the world.
    pub(super) table: usize,
    /// Its row that the first one becomes.
    pub(super) first: usize,
    /// The rows of the table in the file.
    rows: usize,
}

/// Where the rows of all tables of the file go.
pub(super) struct Targets {
    /// For each table of the file.
    of: Vec<Target>,
    /// The components of each table of the world, in the order of the file.
    pub(super) masks: Vec<ComponentMask>,
    /// All rows of each table of the world.
    rows: Vec<usize>,
}

impl Targets {
    /// Finds the tables of the archetypes of a file without its dropped types.
    pub(super) fn new(manifest: &Manifest, fates: &[Fate<'_>]) -> Result<Self, CheckpointError> {
        let malformed = || CheckpointError::Malformed { part: CheckpointPart::Archetypes };
        let count = manifest.archetypes.len();
        let all: HashSet<&[usize]> = manifest.archetypes.iter().map(Vec::as_slice).collect();
        if all.len() < count {
            return Err(malformed());
        }
        let mut targets =
            Self { of: Vec::with_capacity(count), masks: Vec::new(), rows: Vec::new() };
        let mut known: HashMap<ComponentMask, usize> = HashMap::with_capacity(count);
        for (types, table) in manifest.archetypes.iter().zip(&manifest.tables) {
            let mask: ComponentMask =
                types.iter().filter_map(|&number| fates[number].id()).collect();
            let next = targets.masks.len();
            let number = *known.entry(mask).or_insert(next);
            if number == next {
                targets.masks.push(mask);
                targets.rows.push(0);
            }
            let first = targets.rows[number];
            // Slots name rows by 32 bits.
            let rows = first.checked_add(table.rows).filter(|rows| u32::try_from(*rows).is_ok());
            targets.rows[number] = rows.ok_or_else(malformed)?;
            targets.of.push(Target { table: number, first, rows: table.rows });
        }
        // The first archetype of every world has no components.
        let is_first = manifest.archetypes.first().is_some_and(|types| types.len() == 1);
        if is_first { Ok(targets) } else { Err(malformed()) }
    }

    /// Where the rows of a table of the file go, and how many rows its table of the world will have.
    pub(super) fn of(&self, table: usize) -> (Target, usize) {
        let target = self.of[table];
        (target, self.rows[target.table])
    }

    /// How many archetypes became part of others.
    pub(super) fn merged(&self) -> usize {
        self.of.len() - self.masks.len()
    }

    /// The slots of a file as slots of the world; `None` where one names no row.
    pub(super) fn relocate(&self, slots: &[u8]) -> Option<Vec<Slot>> {
        let slots = slots.chunks_exact(size_of::<Slot>()).map(|bytes| {
            bytemuck::pod_read_unaligned::<Slot>(bytes).relocated(|Location { archetype, row }| {
                let target = self.of.get(archetype.index())?;
                let is_row = (row as usize) < target.rows;
                is_row.then(|| Location {
                    archetype: ArchetypeId::new(target.table),
                    row: row + target.first as u32,
                })
            })
        });
        slots.collect()
    }
}

/// The fate of each type of a file that was read.
pub(super) fn report(
    manifest: &Manifest,
    fates: &[Fate<'_>],
    targets: &Targets,
    registry: &Registry,
) -> ReadReport {
    let mut sizes = vec![(0, 0); manifest.types.len()];
    let bytes = |column: &ColumnRecord| column.rows as u64 * column.size as u64;
    let mut add = |number: usize, rows: usize, bytes: u64| {
        let (all_rows, all_bytes) = &mut sizes[number];
        (*all_rows, *all_bytes) = (*all_rows + rows as u64, *all_bytes + bytes);
    };
    for (types, table) in manifest.archetypes.iter().zip(&manifest.tables) {
        types.iter().for_each(|&number| add(number, table.rows, 0));
        table.columns.iter().for_each(|(number, column)| add(*number, 0, bytes(column)));
    }
    for log in &manifest.logs {
        add(log.of, log.rows, log.column.as_ref().map_or(0, bytes));
    }
    for resource in &manifest.resources {
        let rows = usize::from(resource.is_set);
        add(resource.of, rows, resource.column.as_ref().map_or(0, bytes));
    }
    for class in &manifest.classes {
        add(class.of, 0, class.columns.iter().map(bytes).sum());
    }
    let types = manifest.types.iter().zip(fates).zip(&sizes).skip(1);
    let types = types.map(|((record, fate), &(rows, bytes))| {
        let info = fate.id().map(|id| registry.info(id));
        let decision = match (fate, info) {
            (Fate::Migrated(..), Some(info)) => {
                TypeDecision::Migrated { from: record.version, to: info.version() }
            }
            (Fate::KeptBytes(_), _) => TypeDecision::KeptBytes,
            (_, Some(_)) => TypeDecision::Kept,
            (_, None) => TypeDecision::Dropped,
        };
        TypeReport {
            kind: TypeKind::of(record.kind),
            name: record.name.clone(),
            renamed: info.map(|info| info.name()).filter(|name| *name != record.name),
            version: record.version,
            decision,
            rows,
            bytes,
        }
    });
    ReadReport { types: types.collect(), merged: targets.merged() }
}
