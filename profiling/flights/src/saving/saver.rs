//! [`Saver`]: the thread that writes checkpoints of a scenario.

use std::fmt;
use std::num::NonZeroU64;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use convoy_engine::checkpoint::{Checkpoint, CheckpointError, CheckpointReport};
use convoy_engine::host::HostError;
use convoy_engine::{SnapshotPool, View};

use super::identity::IDENTITY;
use crate::scenario::{HOST, Scenario};

/// A file is compacted once it has this many times the bytes of its first checkpoint, which has all chunks.
const GROWTH_MAX: u64 = 3;

/// Why a checkpoint was not written. The run goes on.
#[derive(Debug)]
#[non_exhaustive]
pub enum SavingError {
    /// A module can't save its state.
    Host(HostError),
    /// The file can't be written.
    File(CheckpointError),
    /// The thread that writes could not be started, or has ended.
    Thread,
}

impl fmt::Display for SavingError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host(error) => error.fmt(formatter),
            Self::File(error) => error.fmt(formatter),
            Self::Thread => formatter.write_str("the thread that writes has ended"),
        }
    }
}

impl std::error::Error for SavingError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Host(error) => Some(error),
            Self::File(error) => Some(error),
            Self::Thread => None,
        }
    }
}

/// The cost of checkpoints.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SavingCosts {
    /// Checkpoints that were completed.
    pub checkpoints: u64,
    /// Those that were not.
    pub failed: u64,
    /// Time that the simulation's thread spent in their captures.
    pub capture_time: Duration,
    /// Time that it spent on the states of modules, which these put together anew each time.
    pub state_time: Duration,
    /// Bytes that were written, the first checkpoint included.
    pub bytes_written: u64,
    /// Bytes of the file after the last one.
    pub file_bytes: u64,
}

/// A view and the state of its host, on the way to the file.
struct Request {
    view: View,
    state: Vec<u8>,
}

/// What came of it. The list comes back for the next one.
struct Reply {
    state: Vec<u8>,
    outcome: Result<CheckpointReport, CheckpointError>,
}

/// Writes a checkpoint of a scenario every so many frames, on a thread of its own: on the first frame from then on
/// after which the host is at rest and the checkpoint before is written.
#[derive(Debug)]
pub struct Saver {
    every: NonZeroU64,
    /// The frame from which on the next checkpoint is taken.
    due: u64,
    pool: SnapshotPool,
    /// The list for the next state; none while a checkpoint is written.
    spare: Option<Vec<u8>>,
    requests: Option<SyncSender<Request>>,
    replies: Receiver<Reply>,
    thread: Option<JoinHandle<()>>,
    costs: SavingCosts,
}

impl Saver {
    /// Starts a thread that writes to `checkpoint`, every `every` frames from the next one on. Each checkpoint has
    /// `identity` with it.
    ///
    /// # Errors
    ///
    /// When the thread can't be started.
    pub fn new(
        checkpoint: Checkpoint,
        every: NonZeroU64,
        identity: Vec<u8>,
    ) -> Result<Self, SavingError> {
        let (requests, to_write) = sync_channel::<Request>(1);
        let (written, replies) = sync_channel(1);
        let mut writer = Writer { checkpoint, identity, first_bytes: None };
        let thread = std::thread::Builder::new().name("checkpoints".to_owned()).spawn(move || {
            for Request { view, state } in to_write {
                let outcome = writer.write(&view, &state);
                drop(view);
                if written.send(Reply { state, outcome }).is_err() {
                    return;
                }
            }
        });
        Ok(Self {
            every,
            due: 0,
            pool: SnapshotPool::default(),
            spare: Some(Vec::new()),
            requests: Some(requests),
            replies,
            thread: Some(thread.map_err(|_| SavingError::Thread)?),
            costs: SavingCosts::default(),
        })
    }

    /// Takes a checkpoint of a scenario after a frame, where one is due. The first call always does, unless the host is
    /// not at rest.
    ///
    /// # Errors
    ///
    /// Why this one, or the one before, was not written.
    pub fn offer(&mut self, scenario: &mut Scenario) -> Result<(), SavingError> {
        if let Ok(reply) = self.replies.try_recv() {
            self.settle(reply)?;
        }
        let frame = scenario.world().tick();
        if frame < self.due || !scenario.is_at_rest() {
            return Ok(());
        }
        let Some(mut state) = self.spare.take() else { return Ok(()) };
        self.due = frame + self.every.get();
        state.clear();
        let began = Instant::now();
        let view = scenario.capture(&self.pool);
        let captured = Instant::now();
        self.costs.capture_time += captured - began;
        let saved = scenario.save(&view, &mut state);
        self.costs.state_time += captured.elapsed();
        if let Err(error) = saved {
            (self.spare, self.costs.failed) = (Some(state), self.costs.failed + 1);
            return Err(SavingError::Host(error));
        }
        let requests = self.requests.as_ref().ok_or(SavingError::Thread)?;
        requests.send(Request { view, state }).map_err(|_| SavingError::Thread)
    }

    fn settle(&mut self, Reply { state, outcome }: Reply) -> Result<(), SavingError> {
        self.spare = Some(state);
        match outcome {
            Ok(report) => {
                self.costs.checkpoints += 1;
                self.costs.bytes_written += report.bytes_written;
                self.costs.file_bytes = report.file_bytes;
                Ok(())
            }
            Err(error) => {
                self.costs.failed += 1;
                Err(SavingError::File(error))
            }
        }
    }

    /// Waits for the checkpoint that is being written.
    ///
    /// # Errors
    ///
    /// Why it was not written.
    pub fn wait(&mut self) -> Result<(), SavingError> {
        if self.spare.is_some() {
            return Ok(());
        }
        let reply = self.replies.recv().map_err(|_| SavingError::Thread)?;
        self.settle(reply)
    }

    /// The cost of the checkpoints so far that were written, or failed.
    pub fn costs(&self) -> SavingCosts {
        self.costs
    }
}

impl Drop for Saver {
    /// Waits for the checkpoint that is being written.
    fn drop(&mut self) {
        drop(self.requests.take());
        if let Some(thread) = self.thread.take() {
            // A panic of it was told already.
            _ = thread.join();
        }
    }
}

/// What the thread has.
struct Writer {
    checkpoint: Checkpoint,
    identity: Vec<u8>,
    /// Bytes of the first checkpoint of this process.
    first_bytes: Option<u64>,
}

impl Writer {
    fn write(&mut self, view: &View, state: &[u8]) -> Result<CheckpointReport, CheckpointError> {
        let attachments = [(HOST, state), (IDENTITY, self.identity.as_slice())];
        let mut report = self.checkpoint.write_attached(view, &attachments)?;
        let first = *self.first_bytes.get_or_insert(report.bytes_written);
        if report.file_bytes / GROWTH_MAX > first {
            // The checkpoint is complete. Where there is no room for another file, this one goes on growing, and
            // the next checkpoint tells of anything worse.
            if let Ok(compacted) = self.checkpoint.compact(Duration::MAX) {
                report.file_bytes = compacted.file_bytes;
            }
        }
        Ok(report)
    }
}
