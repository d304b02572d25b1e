//! Growth: a column gets chunks for the rows to come, and a preparation that failed takes them back.

use super::*;

/// A column that grows keeps neighbours for this part of the chunks that it has.
const GROWTH_SHARE: usize = 4;

impl Column {
    /// Bytes of the chunks that `rows` rows need beyond those that the column has.
    pub(crate) fn missing_bytes(&self, rows: usize) -> usize {
        if self.size() == 0 || rows <= self.capacity() {
            return 0;
        }
        let class = SizeClass::for_bytes(rows.min(self.chunk_rows()) * self.size());
        let class = class.expect("the registry limits sizes to a chunk");
        let bytes = rows.div_ceil(self.chunk_rows()).saturating_mul(class.bytes());
        bytes.saturating_sub(self.reserved_bytes())
    }

    /// Makes room for the list of `rows` rows' chunks without making the chunks.
    pub(crate) fn reserve_list(&mut self, rows: usize) -> Result<(), MemoryError> {
        if self.size() == 0 {
            return Ok(());
        }
        self.chunks.reserve(rows.div_ceil(self.chunk_rows()).saturating_sub(self.chunks.len()))
    }

    /// Makes room for as many chunks as `other` has room for, and for no more: two worlds that sync
    /// from each other would add to each other's room for ever.
    pub(crate) fn reserve_list_like(&mut self, other: &Self) {
        self.chunks.reserve_exact(other.chunk_capacity().saturating_sub(self.chunks.len()));
    }

    /// Adds chunks until `rows` rows fit; `live` rows are in use now.
    pub(crate) fn reserve(
        &mut self,
        rows: usize,
        live: usize,
        memory: &mut Memory,
    ) -> Result<(), MemoryError> {
        while self.capacity() < rows {
            if self.chunks.is_empty() {
                self.add_first(rows, memory)?;
            } else if !self.chunks.is_full_sized() {
                self.grow_first(rows, live, memory)?;
            } else {
                let missing = (rows - self.capacity()).div_ceil(self.chunk_rows());
                let growth = self.listed_after(0) / GROWTH_SHARE;
                let chunk = self.allocate_next(missing, growth, memory)?;
                self.add_chunk(chunk, memory);
            }
        }
        Ok(())
    }

    fn add_first(&mut self, rows: usize, memory: &mut Memory) -> Result<(), MemoryError> {
        let class = self.first_class(rows)?;
        // Most tables of a world with many stay with one chunk.
        self.chunks.reserve_exact(1);
        let chunk = if rows > self.chunk_rows() {
            self.allocate_next(rows.div_ceil(self.chunk_rows()), 0, memory)?
        } else {
            memory.allocate(class, self.component())?
        };
        self.add_chunk(chunk, memory);
        Ok(())
    }

    /// Adds a chunk that is needed.
    fn add_chunk(&mut self, chunk: LooseChunk, memory: &mut Memory) {
        memory.note_added(&chunk, self.chunks.len());
        self.chunks.push(chunk);
    }

    /// A full chunk, beside the one that was taken last, for columns that take one after the other. Where
    /// a new run begins, it is of `count` chunks, if so many are known to be needed, or of as many as
    /// may come.
    pub(super) fn allocate_next(
        &mut self,
        count: usize,
        may_come: usize,
        memory: &mut Memory,
    ) -> Result<LooseChunk, MemoryError> {
        let (class, component) = (self.chunks.full(), self.component());
        let want = count.max(may_come.min(RUN_BYTES / class.bytes()));
        memory.allocate_next(class, component, self.chunks.run_mut(), want)
    }

    /// How many chunks there are from `chunk` on, for guesses at how many will be needed. Lists of
    /// blank chunks tell nothing of that.
    pub(super) fn listed_after(&self, chunk: usize) -> usize {
        let is_blank = self.chunks.last().is_some_and(|last| last.born == Epoch::BLANK);
        if is_blank { 0 } else { self.chunks.len() - chunk }
    }

    /// Takes a step of a preparation back.
    pub(crate) fn undo(&mut self, step: Step, memory: &mut Returns) {
        let new = match step.old {
            Some(old) => self.chunks.replace(step.number, old),
            None => self.chunks.pop().expect("a chunk that was added is there"),
        };
        assert_eq!(new.chunk(), step.new, "steps are taken back in reverse");
        memory.release(new);
        if self.chunks.is_empty() {
            memory.end_run(self.chunks.run_mut());
        }
    }

    /// Whether a step of a preparation was one of this column.
    pub(crate) fn took(&self, step: &Step) -> bool {
        self.chunks.get(step.number).is_some_and(|entry| entry.chunk == step.new)
    }

    /// The class of a first chunk for at least `rows` rows.
    pub(super) fn first_class(&self, rows: usize) -> Result<SizeClass, MemoryError> {
        SizeClass::for_bytes(rows.min(self.chunk_rows()) * self.size())
    }

    fn grow_first(
        &mut self,
        rows: usize,
        live: usize,
        memory: &mut Memory,
    ) -> Result<(), MemoryError> {
        let held = self.capacity();
        let class = self.first_class(rows.max(held * 3 / 2))?;
        let mut grown = memory.allocate(class, self.component())?;
        let to = grown.chunk();
        self.chunks.copy_to(0, &mut grown, live);
        // It counts as written: the row that this makes room for follows.
        let old = self.chunks.replace(0, grown);
        memory.let_go(old, 0, to);
        Ok(())
    }
}
