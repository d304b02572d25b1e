//! Spare chunks: allocated for every shared chunk that a parallel pass is going to write, before
//! the first of them is replaced.

#![allow(unsafe_code, reason = "returns unused chunks to the arena")]

use convoy_pool::{ChunkPtr, MemoryError, SizeClass};

use super::column::shrink_list;
use super::component_id::ComponentId;
use super::history::Memory;

/// Chunks that wait to take the place of shared ones, in the order in which they will.
///
/// Whoever allocates into the list empties it before the next pass, by [`Spares::give_back`].
#[derive(Default)]
pub struct Spares {
    list: Vec<Spare>,
    /// The first one that was not looked at yet.
    next: usize,
}

struct Spare {
    /// The chunk that this one is for.
    shared: ChunkPtr,
    /// `None` once taken.
    chunk: Option<ChunkPtr>,
    class: SizeClass,
    component: ComponentId,
}

impl Spares {
    /// Allocates a chunk of `class` for the place of `shared` in a column of `component`.
    pub(crate) fn allocate(
        &mut self,
        shared: ChunkPtr,
        (class, component): (SizeClass, ComponentId),
        memory: &mut Memory,
    ) -> Result<(), MemoryError> {
        let chunk = Some(memory.allocate(class, component)?);
        self.list.push(Spare { shared, chunk, class, component });
        Ok(())
    }

    /// The chunk for the place of `shared`; `None` when there is none. Chunks are taken in the
    /// order in which they were allocated; those in between are passed over.
    pub(crate) fn take(&mut self, shared: ChunkPtr) -> Option<ChunkPtr> {
        let ahead = self.list[self.next..].iter().position(|spare| spare.shared == shared)?;
        self.next += ahead + 1;
        self.list[self.next - 1].chunk.take()
    }

    /// Gives the chunks that were not taken back, and forgets all others.
    pub(crate) fn give_back(&mut self, memory: &mut Memory) {
        for spare in self.list.drain(..) {
            if let Some(chunk) = spare.chunk {
                // SAFETY: `allocate` took the chunk from this memory with this class and component,
                // and nobody took it from the list.
                unsafe { memory.discard(chunk, spare.class, spare.component) };
            }
        }
        self.next = 0;
    }

    /// Gives back the room of the list. Returns its bytes.
    pub(crate) fn trim_list(&mut self) -> usize {
        shrink_list(&mut self.list)
    }
}
