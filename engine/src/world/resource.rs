//! [`Resource`]: the one value of a resource type.
//!
//! A resource is a column of its own with one row or none, so that capture, copy-on-write, syncs
//! and the accounting of memory work as for components. Taking the value out keeps the chunk.

#![allow(unsafe_code, reason = "takes the word of a sync for a value that it copied")]

use convoy_pool::MemoryError;

use crate::storage::ComponentId;
use crate::storage::chunk_entry::ChunkEntry;
use crate::storage::column::Column;
use crate::storage::component::{Component, ComponentInfo, ValueBytes};
use crate::storage::history::restore::Revival;
use crate::storage::history::{Memory, Returns};

/// The value of one resource type, if it has one.
pub(crate) struct Resource {
    column: Column,
    present: bool,
}

impl Resource {
    pub(crate) fn new(id: ComponentId, info: &ComponentInfo) -> Self {
        Self { column: Column::new(id, info), present: false }
    }

    pub(crate) fn component(&self) -> ComponentId {
        self.column.component()
    }

    pub(crate) fn column(&self) -> &Column {
        &self.column
    }

    pub(crate) fn column_mut(&mut self) -> &mut Column {
        &mut self.column
    }

    /// One, or none when there is no value.
    pub(crate) fn rows(&self) -> usize {
        usize::from(self.present)
    }

    /// Sets the number of rows after the column was filled by itself.
    ///
    /// # Safety
    ///
    /// The column has a value in its row, or `rows` is 0.
    pub(crate) unsafe fn set_rows(&mut self, rows: usize) {
        self.present = rows > 0;
    }

    pub(crate) fn get<T: Component>(&self) -> Option<&T> {
        self.present.then(|| self.column.get(0))
    }

    /// The value for writing, on a chunk that no snapshot shares.
    pub(crate) fn get_mut<T: Component>(
        &mut self,
        memory: &mut Memory,
    ) -> Result<Option<&mut T>, MemoryError> {
        if !self.present {
            return Ok(None);
        }
        Ok(Some(self.column.own_row(0, 1, memory)?.into_mut()))
    }

    /// Sets the value and returns the one before.
    pub(crate) fn insert<T: Component>(
        &mut self,
        value: T,
        memory: &mut Memory,
    ) -> Result<Option<T>, MemoryError> {
        if let Some(held) = self.get_mut(memory)? {
            return Ok(Some(std::mem::replace(held, value)));
        }
        self.column.append_row(0, memory)?.write(value);
        self.present = true;
        Ok(None)
    }

    /// Sets the value by its bytes.
    pub(crate) fn insert_bytes(
        &mut self,
        value: ValueBytes<'_>,
        memory: &mut Memory,
    ) -> Result<(), MemoryError> {
        let row = if self.present {
            self.column.own_row(0, 1, memory)?
        } else {
            self.column.append_row(0, memory)?
        };
        row.write_bytes(value);
        self.present = true;
        Ok(())
    }

    /// Takes the value out. Its chunk stays for the next one, unless it is another world's.
    pub(crate) fn remove<T: Component>(&mut self, memory: &mut Memory) -> Option<T> {
        let value = self.get().copied();
        self.present = false;
        self.column.release_foreign_spares(0, memory);
        value
    }

    /// Drops the value and its chunk.
    pub(crate) fn clear(&mut self, memory: &mut Returns) {
        self.present = false;
        self.column.truncate(0, memory);
    }

    /// Takes the value of a capture back, or none. Returns how many chunks were taken back.
    pub(crate) fn restore(
        &mut self,
        (entries, rows): (&[ChunkEntry], usize),
        revival: &mut Revival<'_>,
    ) -> u64 {
        let taken = self.column.restore(entries, (self.rows(), rows), revival);
        self.present = rows > 0;
        taken
    }
}
