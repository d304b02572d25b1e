//! Which index belongs to which owner, as a fixed map from numbers to numbers.
//!
//! The world's thread and every command buffer take fresh indices side by side, on threads that know
//! nothing of each other. So that none of them races for one, the indices are divided once and for
//! all: each buffer has a *lane*, and the world has the indices that belong to no lane. Which index
//! comes next then follows from the owner's own history, never from another's.
//!
//! Lanes lie in six *levels*, each eight times as large as the one before: level 0 is
//! 32,768..65,536, level 1 is 262,144..524,288, and so on. Half of a level is divided among the
//! lanes of group 0, half of the rest among those of group 1, and so on. Each group has twice as
//! many lanes as the one before, so that a lane has a quarter as many indices as one of the group
//! before:
//!
//! | lanes | each has in the levels | and in all |
//! | --- | --- | --- |
//! | 0..64 | 256, 2,048, 16,384, ... | 2,246,912 |
//! | 64..192 | 64, 512, 4,096, ... | 561,728 |
//! | 192..448 | 16, 128, 1,024, ... | 140,432 |
//! | 448..960 | 4, 32, 256, ... | 35,108 |
//! | 960..1,984 | 1, 8, 64, ... | 8,777 |
//!
//! So a lane never moves because there are more of them, and thousands of buffers have lanes that
//! are worth having. All lanes together have 7 % of the indices that there are.
//!
//! A lane is for the handles that its buffer needs beyond its stock, which grows with the need.
//! Indices far away cost a list entry for each chunk of unused slots (see
//! [`ensure`](super::EntityIndex::ensure)), not its memory.

use std::ops::Range;

use super::returned::NONE;

/// No index from here on is given out.
pub(super) const END: u32 = NONE - 1;

const LEVELS: u32 = 6;
/// The first index of level 0 is two to the power of this.
const FIRST_LOG2: u32 = 15;
/// Each level starts at eight times the index of the one before.
const GROWTH_LOG2: u32 = 3;
/// A level is as long as its first index says, but the last one, so that the world can have four
/// thousand million.
const LAST_LOG2: u32 = 27;
/// Group 0 has 64 lanes, and each group twice as many as the one before.
const GROUP_LOG2: u32 = 6;

/// The group of a lane, and its place there.
fn place_of(lane: u32) -> (u32, u32) {
    let group = ((lane >> GROUP_LOG2) + 1).ilog2();
    (group, lane - first_lane(group))
}

fn first_lane(group: u32) -> u32 {
    ((1 << group) - 1) << GROUP_LOG2
}

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

/// How much of a level a lane of `group` has: half of the rest that the groups before have left,
/// divided among the lanes of the group. Nothing where the level is too short for that.
fn block_len(group: u32, level: &Range<u32>) -> u32 {
    level.len() as u32 >> (2 * group + GROUP_LOG2 + 1).min(u32::BITS - 1)
}

/// The indices of `lane` in a level.
fn block(lane: u32, level: &Range<u32>) -> Range<u32> {
    let (group, place) = place_of(lane);
    let len = block_len(group, level);
    let start = level.end - (level.len() as u32 >> group) + place * len;
    start..start + len
}

/// How many indices `lane` has.
pub(super) fn lane_len(lane: u32) -> u32 {
    (0..LEVELS).map(|number| block_len(place_of(lane).0, &level(number))).sum()
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
    // The level's rest from `index` on tells the group, which has half of the rest at its start.
    let (size, left) = (range.len() as u32, range.end - index);
    let group = size.ilog2() - left.next_power_of_two().ilog2();
    let start = range.end - (size >> group);
    let place = (index - start).checked_div(block_len(group, &range))?;
    let before = (0..LEVELS).map(level).take_while(|level| level.start < range.start);
    let before: u32 = before.map(|level| block_len(group, &level)).sum();
    let lane = first_lane(group) + place;
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

/// Whether `index` is the world's: it lies in no level. The ends of levels have no owner.
pub(super) fn is_own(index: u32) -> bool {
    index < 1 << FIRST_LOG2 || level_of(index).is_none()
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
                // The rest of a level, which can't be divided further.
                None => {}
            }
        }
    }

    #[test]
    fn lanes_are_apart_and_stay_where_they_are_when_there_are_more() {
        for lane in [0, 1, 63, 64, 65, 191, 192, 447, 448, 959, 960, 1983, 1984, 5000, 65_000] {
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
            assert_eq!(ordinal, lane_len(lane));
            let least =
                [(64, 2_246_912), (192, 561_728), (448, 140_432), (960, 35_108), (1984, 8777)];
            let least =
                least.into_iter().find(|&(end, _)| lane < end).map_or(1, |(_, least)| least);
            assert!(ordinal >= least, "{lane}: {ordinal}");
        }
        assert_eq!(lane_run(1_000_000, 0), 0..0);
        assert_eq!(lane_of(0), None);
        assert_eq!(lane_of(u32::MAX), None);
    }

    #[test]
    fn the_world_has_four_thousand_million_indices_without_those_of_lanes() {
        let end = own_after(0, 4_000_000_000).unwrap();
        assert!(end < END && own_after(0, u32::MAX).is_none());
        let runs: Vec<_> = own_runs(32_700..own_after(32_700, 200).unwrap()).collect();
        assert_eq!(runs, [32_700..32_768, 65_536..65_668]);
        assert_eq!((own_after(32_700, 68), own_after(32_700, 69)), (Some(65_536), Some(65_537)));
        assert_eq!(own_after(END - 3, 3), Some(END));
        assert_eq!((own_after(END - 3, 4), own_after(END, 1)), (None, None));
        assert_eq!((own_after(7, 0), own_after(END - 3, 0)), (Some(7), Some(END - 3)));
    }
}
