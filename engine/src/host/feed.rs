//! [`ViewFeed`]: views for threads of the user's own, which ask for them and wait.

use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::snapshot::View;
use crate::world::World;

use super::causes::Cause;
use super::config::HostError;
use super::context::ModuleContext;
use super::module::Module;
use super::module_host::ModuleHost;
use super::spec::ModuleSpec;

/// Where a thread that is no worker of a host asks for the next snapshot, and waits for it.
///
/// A thread that keeps its views, eight or more of them, waits until it has dropped some, as modules are
/// refused then: see [`WhenBusy`](crate::provider::WhenBusy). Nothing is captured while nobody asks. Threads
/// that wait for the same frame share a view; clones of a feed are for more of them.
///
/// ```
/// use std::time::Duration;
///
/// use convoy_engine::World;
/// use convoy_engine::host::{ModuleHost, ModuleSpec};
///
/// let (mut world, mut host) = (World::new(), ModuleHost::default());
/// world.spawn((1_u32,));
/// let feed = host.feed(ModuleSpec::triggered("tool").reads::<(u32,)>()).unwrap();
/// let thread = std::thread::spawn(move || {
///     let view = feed.next().expect("the host goes on");
///     view.query::<&u32>().iter().sum::<u32>()
/// });
/// while !thread.is_finished() {
///     host.run_frame(&mut world, Duration::from_millis(16)).unwrap();
/// }
/// assert_eq!(thread.join().unwrap(), 1);
/// ```
#[derive(Clone)]
pub struct ViewFeed(Arc<Shared>);

/// What the threads and the host share. The lock is held for a few moves only.
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// Threads that wait for a view that has not come yet.
    asking: usize,
    /// Threads that wait for the view that has come, and have not taken it.
    taking: usize,
    view: Option<View>,
    /// How many views have come.
    given: u64,
    is_closed: bool,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        // The state is whole after every statement.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ViewFeed {
    /// Waits for the view of the next frame. `None` where the host is gone, or has removed the feed.
    pub fn next(&self) -> Option<View> {
        self.wait(None)
    }

    /// [`ViewFeed::next`], for `timeout` at the most: `None` as well where no frame came in that time.
    pub fn next_within(&self, timeout: Duration) -> Option<View> {
        // One that lies past the end of the clock is none.
        self.wait(Instant::now().checked_add(timeout))
    }

    fn wait(&self, deadline: Option<Instant>) -> Option<View> {
        let Shared { changed, .. } = &*self.0;
        let mut state = self.0.state();
        let before = state.given;
        state.asking += 1;
        loop {
            if state.given > before {
                state.taking -= 1;
                return if state.taking == 0 { state.view.take() } else { state.view.clone() };
            }
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            if state.is_closed || left == Some(Duration::ZERO) {
                state.asking -= 1;
                return None;
            }
            state = match left {
                None => changed.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(left) => {
                    let waited = changed.wait_timeout(state, left);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
    }
}

impl fmt::Debug for ViewFeed {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("ViewFeed").finish_non_exhaustive()
    }
}

/// Threads that ask.
struct Asked(Arc<Shared>);

impl Cause for Asked {
    fn may_be_up(&self, _: &World) -> bool {
        self.0.state().asking > 0
    }

    fn take(&mut self, _: &World, _: &View, _: Option<&View>) -> bool {
        true
    }
}

/// The module that hands the views over.
struct Gives(Arc<Shared>);

impl Module for Gives {
    fn run(&mut self, context: &mut ModuleContext<'_>) {
        let view = context.view().clone();
        let mut state = self.0.state();
        let old = if state.asking > 0 {
            state.given += 1;
            // Threads that have not taken the last one take this one.
            state.taking += std::mem::take(&mut state.asking);
            state.view.replace(view)
        } else {
            Some(view)
        };
        drop(state);
        drop(old);
        self.0.changed.notify_all();
    }
}

impl Drop for Gives {
    fn drop(&mut self) {
        self.0.state().is_closed = true;
        self.0.changed.notify_all();
    }
}

/// # Views for other threads
impl ModuleHost {
    /// Adds a feed of views: a module that gives them to whoever asks. Takes the name and the reads of `spec`, which
    /// [`ModuleSpec::triggered`] begins.
    ///
    /// # Errors
    ///
    /// As [`ModuleHost::add`].
    pub fn feed(&mut self, spec: ModuleSpec) -> Result<ViewFeed, HostError> {
        let shared = Arc::new(Shared { state: Mutex::default(), changed: Condvar::new() });
        let asked: Box<dyn Cause> = Box::new(Asked(Arc::clone(&shared)));
        self.add_caused(spec.spawns_nothing(), Gives(Arc::clone(&shared)), vec![asked])?;
        Ok(ViewFeed(shared))
    }
}
