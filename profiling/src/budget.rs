//! [`Budget`]: how much of everything the measured frames may use.

use crate::counts::HeapCounts;
use crate::process::ProcessCounts;

/// The most that the measured frames of a test may use, all frames and enrolled threads together. The
/// default is nothing.
///
/// ```
/// use convoy_profiling::{Allocator, Budget, SteadyState};
///
/// #[global_allocator]
/// static ALLOCATOR: Allocator = Allocator::SYSTEM;
///
/// // At most two allocations in a thousand frames: a list that grows now and then.
/// let mut log = Vec::new();
/// let budget = Budget::ZERO.allocations(2).reallocations(10).bytes(64 * 1024);
/// let test = SteadyState::new("log").warm_up(0).frames(1_000).budget(budget);
/// test.run(|frame| log.push(frame)).assert();
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Budget {
    heap: HeapCounts,
    limits_frees: bool,
    limits_bytes: bool,
    mapped_bytes: u64,
    resident_bytes: u64,
}

impl Budget {
    /// Nothing at all.
    pub const ZERO: Self = Self {
        heap: HeapCounts { allocations: 0, frees: 0, reallocations: 0, bytes: 0, peak_bytes: 0 },
        limits_frees: false,
        limits_bytes: false,
        mapped_bytes: 0,
        resident_bytes: 0,
    };

    /// At most so many blocks allocated, and as many freed, unless [`Budget::frees`] says otherwise.
    #[must_use]
    pub const fn allocations(mut self, blocks: u64) -> Self {
        self.heap.allocations = blocks;
        self
    }

    /// At most so many blocks freed.
    #[must_use]
    pub const fn frees(mut self, blocks: u64) -> Self {
        (self.heap.frees, self.limits_frees) = (blocks, true);
        self
    }

    /// At most so many blocks given another size.
    #[must_use]
    pub const fn reallocations(mut self, blocks: u64) -> Self {
        self.heap.reallocations = blocks;
        self
    }

    /// At most so many bytes allocated by all of these. Without it, bytes are limited by the blocks only.
    #[must_use]
    pub const fn bytes(mut self, bytes: u64) -> Self {
        (self.heap.bytes, self.limits_bytes) = (bytes, true);
        self
    }

    /// At most so many bytes mapped: by the process in tests that are [alone](crate::SteadyState::alone), and
    /// by the world in those that have one.
    #[must_use]
    pub const fn mapped_bytes(mut self, bytes: u64) -> Self {
        self.mapped_bytes = bytes;
        self
    }

    /// At most so much growth of the process's resident memory; asserted by tests that are
    /// [alone](crate::SteadyState::alone). The call stacks of requests that a budget allows are recorded as
    /// well; beyond the first 16 each may take some kilobytes.
    #[must_use]
    pub const fn resident_bytes(mut self, bytes: u64) -> Self {
        self.resident_bytes = bytes;
        self
    }

    /// The bytes that a world mapped, if they are above the budget.
    pub(crate) fn exceeded_by_world(&self, bytes: i64) -> Option<(&'static str, u64, u64)> {
        let bytes = bytes.max(0) as u64;
        (bytes > self.mapped_bytes).then_some((
            "bytes mapped by the world",
            bytes,
            self.mapped_bytes,
        ))
    }

    /// Each number that is above the budget: its name, itself, and the limit.
    pub(crate) fn exceeded(
        &self,
        heap: HeapCounts,
        process: Option<ProcessCounts>,
    ) -> Vec<(&'static str, u64, u64)> {
        let process = process.unwrap_or_default();
        let grown = |bytes: i64| bytes.max(0) as u64;
        let frees_max = if self.limits_frees { self.heap.frees } else { self.heap.allocations };
        let bytes_max = if self.limits_bytes { self.heap.bytes } else { u64::MAX };
        let numbers = [
            ("allocations", heap.allocations, self.heap.allocations),
            ("frees", heap.frees, frees_max),
            ("reallocations", heap.reallocations, self.heap.reallocations),
            ("bytes allocated", heap.bytes, bytes_max),
            ("bytes mapped", grown(process.mapped_bytes), self.mapped_bytes),
            ("bytes of resident growth", grown(process.resident_bytes), self.resident_bytes),
        ];
        numbers.into_iter().filter(|(_, number, limit)| number > limit).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_that_may_be_allocated_may_be_freed() {
        let used = |allocations, frees| HeapCounts { allocations, frees, ..HeapCounts::default() };
        let two = Budget::ZERO.allocations(2);
        assert!(two.exceeded(used(2, 2), None).is_empty());
        assert_eq!(two.exceeded(used(2, 3), None), [("frees", 3, 2)]);
        assert_eq!(two.frees(0).exceeded(used(2, 1), None), [("frees", 1, 0)]);
        assert_eq!(Budget::ZERO.exceeded(used(0, 1), None), [("frees", 1, 0)]);
    }
}
