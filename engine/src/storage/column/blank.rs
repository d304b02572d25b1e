//! Blank chunks: full chunks of equal rows that were never written, all of them one piece of
//! memory.
//!
//! A column with rows that are mostly unused, the entity index with its lanes, has an entry for
//! each blank chunk and no memory. The piece belongs to the process, so that snapshots, branches and
//! replicas share it and nothing has to keep it alive. Its birth is [`Epoch::BLANK`],
//! so a write to one of its rows copies it first.

#![allow(unsafe_code, reason = "vouches for the chunk that stands for unused rows")]

use std::sync::{Mutex, PoisonError};

use convoy_pool::ArenaConfig;

use super::*;

/// A piece of memory that is never given back, and its contents.
struct Blank {
    value: Box<[u8]>,
    rows: usize,
    chunk: ChunkPtr,
    /// Keeps the chunk mapped.
    _memory: Memory,
}

/// One for each value and number of rows, which follow from a world's configuration.
static BLANKS: Mutex<Vec<Blank>> = Mutex::new(Vec::new());

impl Column {
    /// Adds blank chunks, whose rows are `value`, until `rows` rows fit. The last chunk is full.
    pub(crate) fn push_blank<T: Component>(
        &mut self,
        value: T,
        rows: usize,
        memory: &mut Memory,
    ) -> Result<(), MemoryError> {
        assert!(self.chunks.is_full_sized(), "nothing comes after a chunk that is not full");
        let (chunk, class) = (self.blank_chunk(value)?, self.chunks.full());
        while self.capacity() < rows {
            let entry = ChunkEntry::new(chunk, class, Epoch::BLANK, memory.epoch());
            // SAFETY: the process keeps the chunk as it is, and no world writes or recycles a blank
            // one.
            let blank = unsafe { LooseChunk::new(entry, self.component()) };
            memory.note_added(&blank, self.chunks.len());
            self.chunks.push(blank);
        }
        Ok(())
    }

    /// The entry of a blank chunk whose rows are `value`, in a column of such values.
    pub(crate) fn blank_entry<T: Component>(&self, value: T) -> Result<ChunkEntry, MemoryError> {
        let (chunk, class) = (self.blank_chunk(value)?, self.chunks.full());
        Ok(ChunkEntry::new(chunk, class, Epoch::BLANK, Epoch::NEVER))
    }

    /// Whether `chunk` is blank.
    #[inline]
    pub(crate) fn is_blank(&self, chunk: usize) -> bool {
        self.chunks[chunk].born == Epoch::BLANK
    }

    fn blank_chunk<T: Component>(&self, value: T) -> Result<ChunkPtr, MemoryError> {
        assert!(size_of::<T>() == self.size(), "the column holds values of this type");
        let (bytes, rows) = (bytemuck::bytes_of(&value), self.chunk_rows());
        let mut blanks = BLANKS.lock().unwrap_or_else(PoisonError::into_inner);
        let known = blanks.iter().find(|blank| blank.rows == rows && *blank.value == *bytes);
        if let Some(blank) = known {
            return Ok(blank.chunk);
        }
        let class = SizeClass::for_bytes(rows * self.size())?;
        let slab_bytes = class.bytes().next_power_of_two();
        let config = ArenaConfig::default().first_slab_bytes(slab_bytes);
        let mut memory = Memory::new(config);
        let mut loose = memory.allocate(class, self.component())?;
        loose.fill(bytes, rows);
        // It stays where it is, in no list.
        let chunk = loose.into_entry().chunk;
        blanks.push(Blank { value: bytes.into(), rows, chunk, _memory: memory });
        Ok(chunk)
    }
}
