//! Deltas: an index takes slots and a head that come from elsewhere, after they have been checked.
//!
//! Everything here looks at the slots as they will be, through a closure: nothing is written before all
//! of it has passed.

use super::territory::{is_own, lane_len, lane_of, lane_run};
use super::*;
use crate::storage::index_state::LaneId;

/// What a slot holds.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum SlotUse {
    /// Nothing; the number of the next free slot.
    Free(u32),
    /// A handle without an entity.
    Reserved,
    Alive(Location),
}

impl Slot {
    /// A slot whose index was never given out.
    pub(crate) const UNUSED: Self = Self { generation: 1, archetype: RESERVED, row: 0 };

    pub(crate) fn slot_use(self) -> SlotUse {
        match self.archetype {
            FREE => SlotUse::Free(self.row),
            RESERVED => SlotUse::Reserved,
            number => {
                let archetype = ArchetypeId::new(number as usize);
                SlotUse::Alive(Location { archetype, row: self.row })
            }
        }
    }

    /// Where its entity is, if it has one.
    pub(crate) fn place(self) -> Option<(usize, usize)> {
        let at = self.locate(self.generation)?;
        Some((at.archetype.index(), at.row as usize))
    }

    pub(crate) fn generation(self) -> u32 {
        self.generation
    }
}

impl PartialEq for Slot {
    fn eq(&self, other: &Self) -> bool {
        bytemuck::bytes_of(self) == bytemuck::bytes_of(other)
    }
}

/// Whether an index may have this slot under this head: one whose index is given out later is unused.
/// `known` is a run of indices that were given out, which is found anew where it lacks the index.
#[inline]
pub(crate) fn may_hold(state: &IndexState, known: &mut Range<u32>, index: u32, slot: Slot) -> bool {
    let is_sound = match slot.slot_use() {
        SlotUse::Free(next) => slot.generation > 0 || next == NONE,
        SlotUse::Reserved => slot.generation > 0 && slot.row == 0,
        SlotUse::Alive(_) => slot.generation > 0,
    };
    is_sound
        && (known.contains(&index)
            || slot == Slot::UNUSED
            || (is_given(state, index) && {
                let own =
                    is_own(index).then(|| territory::own_runs(index..state.head.fresh).next());
                *known = own.flatten().unwrap_or(0..0);
                true
            }))
}

/// How many of `slots`, the first of which is that of `index`, are those of `entities`, which lie side by side from
/// `at` on.
#[inline]
pub(crate) fn count_in_order(
    slots: &[Slot],
    index: u32,
    entities: &[Entity],
    at: Location,
) -> usize {
    let number = at.archetype.index() as u32;
    let pairs = slots.iter().zip(entities).zip(0..);
    let in_order = pairs.take_while(|&((slot, &entity), offset)| {
        slot.archetype == number
            && slot.row == at.row + offset
            && slot.generation > 0
            && entity == Entity::new(index + offset, slot.generation)
    });
    in_order.count()
}

/// Whether the index was given out under this head.
fn is_given(state: &IndexState, index: u32) -> bool {
    match lane_of(index) {
        Some((lane, ordinal)) => {
            state.lanes.get(lane as usize).is_some_and(|lane| ordinal < lane.used)
        }
        None => is_own(index) && index < state.head.fresh,
    }
}

/// How far beyond the slots indices may have been given out. A head from elsewhere that claims more is
/// refused: the next entity would need a list of all chunks before its index.
const BEYOND_MAX: u32 = 1 << 20;

/// How many handles a lane may need where the world has few slots.
const NEED_MAX: u32 = 1 << 12;

/// The slots of an index as they will be.
pub(crate) struct Slots<S, B> {
    /// How many there were, and how many there will be.
    pub(crate) lens: (usize, usize),
    /// The slot of an index.
    pub(crate) slot: S,
    /// Those that come from elsewhere. All others beyond the old ones are unused.
    pub(crate) brought: B,
}

/// Whether a head goes with slots. Costs the slots that there were, and those that are brought. `numbers` is
/// scratch.
pub(crate) fn is_sound_head(
    state: &IndexState,
    slots: &Slots<impl Fn(u32) -> Slot, impl Iterator<Item = (usize, Slot)> + Clone>,
    numbers: &mut Vec<(u32, u32)>,
) -> bool {
    let IndexHead { free_head, reserved_from, fresh } = state.head;
    let (held, len) = slots.lens;
    let is_settled = reserved_from == NONE && len <= END as usize;
    if !is_settled || fresh > END || !(is_own(fresh) || fresh == END) {
        return false;
    }
    let len = len as u32;
    if fresh > len && territory::own_count(&(len..fresh)) > BEYOND_MAX {
        return false;
    }
    // A chain without a circle has no more links than there are slots that were used.
    let links_max = if free_head == NONE { 0 } else { held + slots.brought.clone().count() };
    let (mut next, mut links) = (free_head, 0);
    while next != NONE {
        if next >= len || links == links_max {
            return false;
        }
        let free = (slots.slot)(next);
        let SlotUse::Free(after) = free.slot_use() else { return false };
        if free.generation == 0 {
            return false;
        }
        (next, links) = (after, links + 1);
    }
    are_sound_lanes(state, len)
        && are_sound_reserved(state, len, &slots.slot, numbers)
        && are_sound_ranges(state, slots, numbers)
}

/// A lane has no more indices than it was given, and its recordings need no more handles than the
/// world has slots, or few.
fn are_sound_lanes(state: &IndexState, len: u32) -> bool {
    (0..).zip(&state.lanes).all(|(number, lane)| {
        let had = lane_len(number);
        let need_max = (u64::from(len) + u64::from(NEED_MAX)).next_power_of_two();
        let last = lane.used.checked_sub(1).map_or(0, |last| lane_run(number, last).start);
        let [_, need, _, calm_need, _] = lane.to_words();
        lane.used <= had
            && last <= len.saturating_add(BEYOND_MAX)
            && u64::from(need.max(calm_need)) <= need_max
    })
}

/// Handles that are reserved name reserved slots, each once.
fn are_sound_reserved(
    state: &IndexState,
    len: u32,
    slot: impl Fn(u32) -> Slot,
    numbers: &mut Vec<(u32, u32)>,
) -> bool {
    numbers.clear();
    numbers.extend(state.reserved.iter().map(|(_, handle)| (handle.index(), 0)));
    numbers.sort_unstable();
    let is_once = numbers.windows(2).all(|pair| pair[0] != pair[1]);
    is_once
        && state.reserved.iter().all(|&(lane, handle)| {
            let (index, generation) = (handle.index(), handle.generation());
            let is_lane = lane == LaneId::NONE || (lane.0 as usize) < state.lanes.len();
            let is_reserved = match index < len {
                true => slot(index).is_reserved(generation),
                false => generation == 1,
            };
            is_lane && is_reserved && (generation > 1 || is_given(state, index))
        })
}

/// Ranges that came back are the world's, were given out, have no entity, and don't overlap. Those
/// that it has noticed ascend.
fn are_sound_ranges(
    state: &IndexState,
    slots: &Slots<impl Fn(u32) -> Slot, impl Iterator<Item = (usize, Slot)> + Clone>,
    numbers: &mut Vec<(u32, u32)>,
) -> bool {
    numbers.clear();
    numbers.extend(state.given_back.iter().map(|back| (back.range.start, back.range.end)));
    if numbers.is_empty() {
        return true;
    }
    let noticed = state.given_back.iter().filter(|back| back.recalled);
    let ascends = noticed.map(|back| back.range.start).is_sorted();
    numbers.sort_unstable();
    let is_apart = numbers.windows(2).all(|pair| pair[0].1 <= pair[1].0);
    let is_outside = |index: u32| {
        let after = numbers.partition_point(|range| range.1 <= index);
        numbers.get(after).is_none_or(|range| index < range.0)
    };
    let held = slots.lens.0.min(slots.lens.1) as u32;
    ascends
        && is_apart
        && numbers.iter().all(|&(start, end)| {
            let is_own_range = start < end && end <= state.head.fresh && is_own(start);
            is_own_range && (start..end.min(held)).all(|index| (slots.slot)(index) == Slot::UNUSED)
        })
        && state.reserved.iter().all(|(_, handle)| is_outside(handle.index()))
        && slots
            .brought
            .clone()
            .all(|(index, slot)| slot == Slot::UNUSED || is_outside(index as u32))
}

impl EntityIndex {
    /// The indices that the world and its lanes have given out here and not under `state`, by runs.
    pub(crate) fn taken_back(&self, state: &IndexState) -> impl Iterator<Item = Range<u32>> {
        let own = territory::own_runs(state.head.fresh..self.head().fresh);
        let of_lanes = (0..).zip(&self.lanes.lanes).flat_map(|(number, lane)| {
            let (used, end) = (state.lanes.get(number as usize), lane.head.used);
            let mut next = used.map_or(0, |used| used.used);
            std::iter::from_fn(move || {
                let left = end.checked_sub(next).filter(|&left| left > 0)?;
                let run = lane_run(number, next);
                let run = run.start..run.end.min(run.start + left);
                next += run.end - run.start;
                (!run.is_empty()).then_some(run)
            })
        });
        own.chain(of_lanes)
    }

    /// Makes chunks for `rows` slots: blank ones where there is none yet, if some of them are.
    pub(crate) fn prepare_slots(
        &mut self,
        rows: usize,
        has_blanks: bool,
        memory: &mut Memory,
    ) -> Result<(), MemoryError> {
        self.slots.reserve_list(rows)?;
        if has_blanks {
            self.add_blank_chunks(rows.next_multiple_of(self.slots.chunk_rows()), memory)?;
        }
        self.slots.reserve(rows, self.len as usize, memory)
    }

    /// Goes on in `lineage` with `len` slots, `alive` of them with an entity, and the handles of `state`:
    /// the slots were written before.
    pub(crate) fn take_state(&mut self, len: usize, alive: u32, state: &IndexState, lineage: u64) {
        (self.len, self.alive) = (len as u32, alive);
        self.take_over(state, lineage);
    }
}
