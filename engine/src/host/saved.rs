//! [`SavedHost`]: the state of a host as bytes, and what can be made of bytes that nobody should trust.
//!
//! The first byte is the version, 1. Then follow, as [numbers](crate::storage::encoding) but for the flags, which are
//! bytes, and texts, which are the number of their bytes and these:
//!
//! 1. The frames that were run; the time that they add up to in nanoseconds, its upper and its lower 64 bits; the
//!    [pace](super::pace): a flag for a host that is paused, the steps that it may go, the scale and the rest of the
//!    last frame. Then the time in providers in nanoseconds, upper and lower bits again.
//! 2. How many modules, and for each its name; a flag, and where it is 1 the number of bytes of its state and these; a
//!    flag for a run that is due because the last one has to be repeated, and one for a run that is skipped; the time
//!    that its runs were given, as above; counters; the time of its runs and how many there were of each length; a
//!    flag, and where it is 1 the message of its last panic; the lanes of its idle buffers; the runs that have
//!    ended and not landed, oldest first, and for each its frame, the tick of its view, its time, a flag, and where it
//!    is 1 the lane of its buffer; how many runs in a row have failed, how many events were dropped, and the cursors;
//!    for each of its triggers a flag, and where it is 1 a cursor; and a flag for changes that it would run on.
//! 3. How many convoys, and for each the name of its first module and the counters of its provider.
//! 4. How many systems, and for each its name, its phase, how often it has run, how long, and how many runs there were
//!    of each length.
//!
//! A cursor is the name of its event type, and three numbers: the next event, and how many were lost and taken back.
//! Before each list is its length.

use std::time::Duration;

use crate::storage::encoding::{put_number, put_piece};
use crate::storage::index_state::LaneId;

use super::bytes::{
    HostState, Reader, StateError, take_counts, take_duration, take_list, take_long,
};
use super::pace::Pace;
use super::run_time::RunTimes;
use super::time::Time;

/// The version of the bytes.
pub(super) const VERSION: u8 = 1;

/// How many counters a module has, and a convoy.
pub(super) const MODULE_COUNTERS: usize = 16;
pub(super) const CONVOY_COUNTERS: usize = 5;

/// The state of a host between two frames on which no run is under way.
pub(super) struct SavedHost {
    pub(super) frame: u64,
    pub(super) now: Time,
    pub(super) pace: Pace,
    pub(super) acquire_time: Duration,
    pub(super) modules: Vec<SavedModule>,
    pub(super) convoys: Vec<(String, [u64; CONVOY_COUNTERS])>,
    pub(super) systems: Vec<SavedSystem>,
}

/// The state of one module.
pub(super) struct SavedModule {
    pub(super) name: String,
    /// Its own, if it has one.
    pub(super) state: Option<Vec<u8>>,
    pub(super) comes_again: bool,
    pub(super) skips_next: bool,
    pub(super) accounted: Time,
    pub(super) counters: [u64; MODULE_COUNTERS],
    pub(super) run_time: Duration,
    pub(super) run_times: RunTimes,
    pub(super) last_panic: Option<String>,
    /// Of its idle command buffers, in the order in which they are used.
    pub(super) lanes: Vec<u32>,
    /// Runs that have ended and not landed, oldest first.
    pub(super) ended: Vec<SavedRun>,
    pub(super) failed: u32,
    pub(super) dropped_events: u64,
    pub(super) cursors: Vec<SavedCursor>,
    pub(super) triggers: Vec<SavedCursor>,
    /// Whether something that it runs on has changed since its last run.
    pub(super) has_changes: bool,
}

/// A run that has ended without effect, and lands later.
pub(super) struct SavedRun {
    /// The frame on which it was given its view.
    pub(super) since: u64,
    /// The tick of that.
    pub(super) tick: u64,
    pub(super) run_time: Duration,
    /// Of its command buffer, if it may spawn.
    pub(super) lane: Option<u32>,
}

/// How far a reader has come in the events of one type.
pub(super) struct SavedCursor {
    /// The name of the type.
    pub(super) event: String,
    pub(super) place: CursorPlace,
}

/// A place in a log, and what was passed over on the way there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct CursorPlace {
    pub(super) next: u64,
    pub(super) lost: u64,
    pub(super) taken_back: u64,
}

/// The counts of one system.
pub(super) struct SavedSystem {
    pub(super) name: String,
    pub(super) phase: u8,
    pub(super) runs: u64,
    pub(super) run_time: Duration,
    pub(super) run_times: RunTimes,
}

impl CursorPlace {
    /// Writes the cursor of the event type of this name.
    pub(super) fn put(self, event: &str, buffer: &mut Vec<u8>) {
        put_piece(buffer, event.as_bytes());
        [self.next, self.lost, self.taken_back]
            .iter()
            .for_each(|&number| put_number(buffer, number));
    }
}

impl SavedCursor {
    fn take(reader: &mut Reader<'_>) -> Result<Self, StateError> {
        let event = reader.text()?.to_owned();
        let [next, lost, taken_back] = take_counts(reader)?;
        Ok(Self { event, place: CursorPlace { next, lost, taken_back } })
    }
}

impl SavedRun {
    fn take(reader: &mut Reader<'_>) -> Result<Self, StateError> {
        let ([since], tick) = (take_counts(reader)?, reader.number()?);
        let run_time = take_duration(reader)?;
        let lane = reader.flag()?.then(|| reader.short()).transpose()?;
        Ok(Self { since, tick, run_time, lane })
    }
}

impl SavedModule {
    /// All cursors that have read anything.
    pub(super) fn all_cursors(&self) -> impl Iterator<Item = &SavedCursor> {
        let all = self.cursors.iter().chain(&self.triggers);
        all.filter(|cursor| cursor.place.next > 0)
    }

    /// The lanes of all its buffers.
    pub(super) fn all_lanes(&self) -> impl Iterator<Item = LaneId> {
        let ended = self.ended.iter().filter_map(|run| run.lane);
        self.lanes.iter().copied().chain(ended).map(LaneId)
    }

    /// Whether its times and frames come before those of the host, and one after the other.
    fn is_sound(&self, frame: u64, now: Time) -> bool {
        let are_in_order = self.ended.is_sorted_by(|one, next| one.since < next.since);
        let are_past = self.ended.last().is_none_or(|run| run.since <= frame);
        self.accounted <= now && are_in_order && are_past
    }

    fn take(reader: &mut Reader<'_>) -> Result<Self, StateError> {
        let name = reader.text()?.to_owned();
        let state = match reader.flag()? {
            false => None,
            true => Some(reader.piece()?.to_vec()),
        };
        Ok(Self {
            name,
            state,
            comes_again: reader.flag()?,
            skips_next: reader.flag()?,
            accounted: Time::new(take_long(reader)?),
            counters: take_counts(reader)?,
            run_time: take_duration(reader)?,
            run_times: RunTimes::take(reader)?,
            last_panic: if reader.flag()? { Some(reader.text()?.to_owned()) } else { None },
            lanes: take_list(reader, |reader| reader.short())?,
            ended: take_list(reader, SavedRun::take)?,
            failed: reader.short()?,
            dropped_events: take_counts::<1>(reader)?[0],
            cursors: take_list(reader, SavedCursor::take)?,
            triggers: take_list(reader, |reader| {
                reader.flag()?.then(|| SavedCursor::take(reader)).transpose()
            })?
            .into_iter()
            .flatten()
            .collect(),
            has_changes: reader.flag()?,
        })
    }
}

impl SavedSystem {
    fn take(reader: &mut Reader<'_>) -> Result<Self, StateError> {
        Ok(Self {
            name: reader.text()?.to_owned(),
            phase: reader.u8()?,
            runs: take_counts::<1>(reader)?[0],
            run_time: take_duration(reader)?,
            run_times: RunTimes::take(reader)?,
        })
    }
}

impl SavedHost {
    /// Takes bytes apart. Nothing of it was compared with a host yet.
    pub(super) fn take(bytes: &[u8]) -> Result<Self, StateError> {
        let mut reader = Reader { bytes, at: 0, part: HostState };
        match reader.u8()? {
            VERSION => {}
            found => return Err(StateError::Version(found)),
        }
        let saved = Self {
            frame: take_counts::<1>(&mut reader)?[0],
            now: Time::new(take_long(&mut reader)?),
            pace: Pace::take(&mut reader)?,
            acquire_time: take_duration(&mut reader)?,
            modules: take_list(&mut reader, SavedModule::take)?,
            convoys: take_list(&mut reader, |reader| {
                Ok((reader.text()?.to_owned(), take_counts(reader)?))
            })?,
            systems: take_list(&mut reader, SavedSystem::take)?,
        };
        let is_sound = reader.at == bytes.len()
            && saved.modules.iter().all(|module| module.is_sound(saved.frame, saved.now));
        if is_sound { Ok(saved) } else { reader.malformed() }
    }
}
