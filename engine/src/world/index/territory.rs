//! Which index belongs to whom, as a fixed map from numbers to numbers.
//!
//! The world's thread and every command buffer take fresh indices side by side, on threads that know
//! nothing of each other. So that none of them races for one, the indices are divided once and for
//! all: each buffer has a *lane*, and the world has what belongs to no lane. Which index comes next
//! then follows from the owner's own history, never from somebody else's.
//!
//! Lanes lie in seven *levels*, each eight times as large as the one before: level 0 is 4,096..8,192,
//! level 1 is 32,768..65,536, and so on. A level has 64 blocks. Lanes 0 to 62 have one block each,
//! the last block is divided in the same way among lanes 63 to 125, and so on. So a lane never moves
//! because there are more of them. The first lanes have 64 + 512 + 4,096 + ... = 4.5 million
//! indices, and all lanes together 7 % of the indices that there are.
//!
//! A lane is for what its buffer needs beyond its stock, which grows with the need. Indices far
//! away cost a list entry for each chunk of slots that nobody has used (see
//! [`ensure`](super::EntityIndex::ensure)), not its memory.

use std::ops::Range;

use super::handles::NONE;

/// No index from here on is given out.
pub(super) const END: u32 = NONE - 1;

const LEVELS: u32 = 7;
/// The first index of level 0 is two to the power of this.
const FIRST_LOG2: u32 = 12;
/// Each level starts at eight times the index of the one before.
const GROWTH_LOG2: u32 = 3;
/// A level is as long as its first index says, but the last one, so that the world can have four
/// thousand million.
const LAST_LOG2: u32 = 27;
/// A level has 64 blocks.
const BLOCKS_LOG2: u32 = 6;
/// Lanes that share the blocks of a group: all blocks but the last, which the next group divides.
const LANES: u32 = (1 << BLOCKS_LOG2) - 1;

/// The indices of a level.
const fn level(number: u32) -> Range<u32> {
    let start_log2 = FIRST_LOG2 + GROWTH_LOG2 * number;
    let size_log2 = if start_log2 < LAST_LOG2 { start_log2 } else { LAST_LOG2 };
    1 << start_log2..(1 << start_log2) + (1 << size_log2)
}

/// The level that `index` lies in.
fn level_of(index: u32) -> Option<Range<u32>> {
    let log2 = index.checked_ilog2()?.checked_sub(FIRST_LOG2)?;
    let number = log2 / GROWTH_LOG2;
    let range = level(number.min(LEVELS - 1));
    (number < LEVELS && range.contains(&index)).then_some(range)
}

/// What `lane` has in a level; empty where the level is too short for it.
fn block(lane: u32, level: &Range<u32>) -> Range<u32> {
    let (group, place) = (lane / LANES, lane % LANES);
    let size = level.end - level.start;
    let Some(part) = size.checked_shr(group.saturating_mul(BLOCKS_LOG2)) else { return 0..0 };
    let block = part >> BLOCKS_LOG2;
    let start = level.end - part + place * block;
    start..start + block
}

/// The indices that follow each other from number `ordinal` of `lane` on; empty past the last.
pub(super) fn lane_run(lane: u32, mut ordinal: u32) -> Range<u32> {
    for number in 0..LEVELS {
        let block = block(lane, &level(number));
        let count = block.end - block.start;
        if ordinal < count {
            return block.start + ordinal..block.end;
        }
        ordinal -= count;
    }
    0..0
}

/// The lane that `index` belongs to, and the number that it has there. `None` for the world's.
#[inline]
pub(super) fn lane_of(index: u32) -> Option<(u32, u32)> {
    if index < 1 << FIRST_LOG2 { None } else { find_lane(index) }
}

fn find_lane(index: u32) -> Option<(u32, u32)> {
    let range = level_of(index)?;
    let (mut lane, mut part) = (0, range.clone());
    let place = loop {
        let block = (part.end - part.start) >> BLOCKS_LOG2;
        let place = (index - part.start).checked_div(block)?;
        if place < LANES {
            break place;
        }
        (lane, part.start) = (lane + LANES, part.end - block);
    };
    let lane = lane + place;
    let before = (0..LEVELS).map(level).take_while(|level| level.start < range.start);
    let before: u32 =
        before.map(|level| block(lane, &level)).map(|block| block.end - block.start).sum();
    Some((lane, before + (index - block(lane, &range).start)))
}

/// `next`, or the world's first index after the level that begins there. Indices of the world are
/// counted up by this.
#[inline]
pub(super) fn own(next: u32) -> u32 {
    // Levels begin at powers of two.
    if next.is_power_of_two() { past_level(next) } else { next }
}

fn past_level(next: u32) -> u32 {
    level_of(next).map_or(next, |level| level.end)
}

/// The world's indices in `range`, by runs.
pub(super) fn own_runs(range: Range<u32>) -> impl Iterator<Item = Range<u32>> {
    let mut next = range.start;
    std::iter::from_fn(move || {
        if next >= range.end {
            return None;
        }
        let run = next..level_after(next).min(range.end);
        next = own(run.end);
        Some(run)
    })
}

/// How many of the indices in `range` are the world's.
pub(super) fn own_count(range: &Range<u32>) -> u32 {
    own_runs(range.clone()).map(|run| run.end - run.start).sum()
}

/// Where the first level after `index`, which is one of the world's, begins.
fn level_after(index: u32) -> u32 {
    let mut levels = (0..LEVELS).map(|number| level(number).start);
    levels.find(|&start| start > index).unwrap_or(END)
}

/// The world's first index after the next `count` from `start` on; `None` when there are fewer.
pub(super) fn own_after(start: u32, count: u32) -> Option<u32> {
    let (mut end, mut left) = (start, count);
    while left > 0 {
        let run = level_after(end).checked_sub(end).filter(|&run| run > 0)?.min(left);
        (end, left) = (own(end + run), left - run);
    }
    Some(end)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed expectation is a failed test")]

    use super::*;

    #[test]
    fn every_index_has_one_owner() {
        let mut own_next = 0;
        for index in 0..1 << 19 {
            match lane_of(index) {
                Some((lane, ordinal)) => assert_eq!(lane_run(lane, ordinal).start, index),
                None if level_of(index).is_none() => {
                    assert_eq!(own_next, index);
                    own_next = own(index + 1);
                }
                // What is left of a level that can't be divided further.
                None => {}
            }
        }
    }

    #[test]
    fn lanes_are_apart_and_stay_where_they_are_when_there_are_more() {
        for lane in [0, 1, 62, 63, 64, 125, 126, 200] {
            let mut ordinal = 0;
            loop {
                let run = lane_run(lane, ordinal);
                if run.is_empty() {
                    break;
                }
                for (index, ordinal) in
                    [(run.start, ordinal), (run.end - 1, ordinal + run.end - run.start - 1)]
                {
                    assert_eq!(lane_of(index), Some((lane, ordinal)));
                }
                ordinal += run.end - run.start;
            }
            assert!(ordinal > 0 && (lane >= LANES || ordinal > 4_490_000), "{lane}: {ordinal}");
        }
        assert_eq!(lane_run(1_000_000, 0), 0..0);
        assert_eq!(lane_of(0), None);
        assert_eq!(lane_of(u32::MAX), None);
    }

    #[test]
    fn the_world_has_four_thousand_million_indices_without_those_of_lanes() {
        let end = own_after(0, 4_000_000_000).unwrap();
        assert!(end < END && own_after(0, u32::MAX).is_none());
        let runs: Vec<_> = own_runs(4000..own_after(4000, 200).unwrap()).collect();
        assert_eq!(runs, [4000..4096, 8192..8296]);
        assert_eq!((own_after(4000, 96), own_after(4000, 97)), (Some(8192), Some(8193)));
        assert_eq!(own_after(END - 3, 3), Some(END));
        assert_eq!((own_after(END - 3, 4), own_after(END, 1)), (None, None));
        assert_eq!((own_after(7, 0), own_after(END - 3, 0)), (Some(7), Some(END - 3)));
    }
}
