//! Which handles an entity index gives out next: all that says so, apart from its slots.
//!
//! A snapshot keeps it, and a restore, a branch and a replica take it over by one function. So all
//! of them know the same: a reserved slot whose handle has no holder would stay reserved for ever.

use std::ops::Range;

use super::encoding::{Part, Reader, put_number};
use super::entity::Entity;
use super::room::shrink_list;

/// The number of a lane: of a command buffer, and of the indices that are its own.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct LaneId(pub(crate) u32);

impl LaneId {
    /// Stands for no lane.
    pub(crate) const NONE: Self = Self(u32::MAX);
}

/// A lane, apart from the handles that its buffer holds.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct LaneHead {
    /// How many indices were drawn from it by recordings that were played back.
    pub(crate) used: u32,
    /// How many handles a recording starts with: as many as the largest one so far has needed,
    /// unless that is long ago.
    pub(crate) need: u32,
    /// How many recordings in a row have needed less than a quarter of that, and the most of them.
    calm: u32,
    calm_need: u32,
    /// How often the need has fallen.
    falls: u8,
}

impl LaneHead {
    /// All of it as numbers, for a delta.
    pub(crate) fn to_words(self) -> [u32; 5] {
        let Self { used, need, calm, calm_need, falls } = self;
        [used, need, calm, calm_need, u32::from(falls)]
    }

    /// The head of [`LaneHead::to_words`]; `None` for numbers that no head has.
    pub(crate) fn from_words([used, need, calm, calm_need, falls]: [u32; 5]) -> Option<Self> {
        let falls = u8::try_from(falls).ok().filter(|&falls| falls <= Self::FALLS_MAX)?;
        Some(Self { used, need, calm, calm_need, falls })
    }

    /// Needs below this don't fall: so few handles cost next to nothing.
    const KEPT: u32 = 1024;
    /// How many calm recordings in a row let the need fall for the first time. Each fall doubles it,
    /// so that a buffer whose large recordings come again and again soon keeps enough for them.
    const CALM: u32 = 16;
    const FALLS_MAX: u8 = 20;

    /// Notes that a recording has used, or would have needed, `handles`. The lane has `left` unused
    /// indices: handles that a fall gives up have to come from there when they are needed again,
    /// and do not go back there.
    pub(crate) fn note_recording(&mut self, handles: usize, left: impl FnOnce() -> u32) {
        let wanted = if handles == 0 { 0 } else { handles.next_power_of_two() };
        let wanted = u32::try_from(wanted).unwrap_or(u32::MAX);
        if self.need < Self::KEPT || wanted >= self.need / 4 {
            self.need = self.need.max(wanted);
            (self.calm, self.calm_need) = (0, 0);
            return;
        }
        self.calm = self.calm.saturating_add(1);
        self.calm_need = self.calm_need.max(wanted);
        if self.calm >= Self::CALM << self.falls && left() / 2 >= self.need {
            self.falls = (self.falls + 1).min(Self::FALLS_MAX);
            self.need = self.calm_need;
            (self.calm, self.calm_need) = (0, 0);
        }
    }
}

/// Entity indices that were reserved and given back, and that never had a slot.
#[derive(Clone, Debug)]
pub(crate) struct GivenBack {
    pub(crate) range: Range<u32>,
    /// Whether the world had noticed.
    pub(crate) recalled: bool,
}

/// Where the index goes on.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct IndexHead {
    /// The first free slot.
    pub(crate) free_head: u32,
    /// The first slot that was reserved and not marked yet.
    pub(crate) reserved_from: u32,
    /// The world's first index that was never given out.
    pub(crate) fresh: u32,
}

/// Which handles an entity index gives out next.
#[derive(Clone, Default)]
pub(crate) struct IndexState {
    pub(crate) head: IndexHead,
    /// The lanes of command buffers, in the order of their numbers.
    pub(crate) lanes: Vec<LaneHead>,
    /// Handles that are reserved for command buffers, lane by lane, or, with no lane, were given
    /// back and are not free yet.
    pub(crate) reserved: Vec<(LaneId, Entity)>,
    pub(crate) given_back: Vec<GivenBack>,
}

impl IndexState {
    /// Forgets all of it, and keeps the lists' room.
    pub(crate) fn clear(&mut self) {
        self.head = IndexHead::default();
        self.lanes.clear();
        self.reserved.clear();
        self.given_back.clear();
    }

    /// Writes all of it but the slots that are reserved and not marked yet.
    pub(crate) fn encode(&self, buffer: &mut Vec<u8>) {
        for number in [self.head.free_head, self.head.fresh] {
            buffer.extend_from_slice(&number.to_le_bytes());
        }
        put_number(buffer, self.lanes.len() as u64);
        for lane in &self.lanes {
            lane.to_words().iter().for_each(|&word| put_number(buffer, u64::from(word)));
        }
        put_number(buffer, self.reserved.len() as u64);
        for (lane, handle) in &self.reserved {
            put_number(buffer, u64::from(lane.0));
            put_number(buffer, u64::from(handle.index()));
            put_number(buffer, u64::from(handle.generation()));
        }
        put_number(buffer, self.given_back.len() as u64);
        for back in &self.given_back {
            put_number(buffer, u64::from(back.range.start));
            put_number(buffer, u64::from(back.range.end));
            buffer.push(u8::from(back.recalled));
        }
    }

    /// Reads what [`IndexState::encode`] wrote over this one, which is empty. Nothing of it is checked.
    pub(crate) fn decode<P: Part>(&mut self, reader: &mut Reader<'_, P>) -> Result<(), P::Error> {
        let (free_head, fresh) = (reader.u32()?, reader.u32()?);
        self.head = IndexHead { free_head, reserved_from: u32::MAX, fresh };
        for _ in 0..reader.number()? {
            let mut words = [0; 5];
            for word in &mut words {
                *word = reader.short()?;
            }
            match LaneHead::from_words(words) {
                Some(lane) => self.lanes.push(lane),
                None => return reader.malformed(),
            }
        }
        for _ in 0..reader.number()? {
            let lane = LaneId(reader.short()?);
            let handle = Entity::new(reader.short()?, reader.short()?);
            self.push_reserved(lane, &[handle]);
        }
        for _ in 0..reader.number()? {
            let range = reader.short()?..reader.short()?;
            let recalled = reader.flag()?;
            self.given_back.push(GivenBack { range, recalled });
        }
        Ok(())
    }

    /// Adds handles that are reserved for `lane`.
    pub(crate) fn push_reserved(&mut self, lane: LaneId, handles: &[Entity]) {
        self.reserved.extend(handles.iter().map(|&handle| (lane, handle)));
    }

    /// Gives back room in the lists. Returns its bytes.
    pub(crate) fn trim_lists(&mut self) -> usize {
        shrink_list(&mut self.lanes)
            + shrink_list(&mut self.reserved)
            + shrink_list(&mut self.given_back)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The need of a lane after each of some recordings, which all find plenty of indices.
    fn needs(head: &mut LaneHead, recordings: &[usize]) -> Vec<u32> {
        let needs = recordings.iter().map(|&handles| {
            head.note_recording(handles, || u32::MAX);
            head.need
        });
        needs.collect()
    }

    /// One large recording had every later one start with as many handles, for ever.
    #[test]
    fn the_need_of_a_lane_falls_to_what_calm_recordings_need() {
        let mut head = LaneHead::default();
        assert_eq!(needs(&mut head, &[1_000_000, 0, 300_000]), [1 << 20; 3]);
        assert_eq!(needs(&mut head, &[0, 100, 3000, 0, 7, 0, 0, 0]), [1 << 20; 8]);
        assert_eq!(needs(&mut head, &[0; 8]), [&[1 << 20; 7][..], &[4096]].concat());
        // The next time it takes twice as many.
        assert_eq!(needs(&mut head, &[1_000_000; 1]), [1 << 20]);
        assert_eq!(needs(&mut head, &[0; 32]), [&[1 << 20; 31][..], &[0]].concat());
        assert_eq!(needs(&mut head, &[512, 0]), [512; 2]);
        assert_eq!(needs(&mut head, &[0; 200]), [512; 200], "so few stay");
    }

    /// Handles that a fall gives up come from the lane when needed again, and do not go back there.
    #[test]
    fn the_need_of_a_lane_does_not_fall_when_the_lane_has_little_left() {
        let mut head = LaneHead::default();
        head.note_recording(4096, || 0);
        (0..100).for_each(|_| head.note_recording(1, || 2 * 4096 - 1));
        assert_eq!(head.need, 4096);
        head.note_recording(1, || 2 * 4096);
        assert_eq!(head.need, 1);
    }
}
