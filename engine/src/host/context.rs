//! [`ModuleContext`]: what a module is given in a run.

use std::time::Duration;

use bumpalo::Bump;

use crate::query::error::or_panic;
use crate::snapshot::{Diff, View, diff};
use crate::storage::component::Component;
use crate::world::commands::Commands;
use crate::world::events::Events;
use crate::world::read_error::ReadError;

use super::inbox::Inbox;
use super::time::Time;

/// The view, the command buffer and the time of one run of a module.
#[derive(Debug)]
pub struct ModuleContext<'a> {
    pub(super) view: &'a View,
    pub(super) commands: &'a mut Commands,
    pub(super) inbox: &'a mut Inbox,
    pub(super) given: Given,
    pub(super) scratch: &'a Bump,
    /// Of a module that tracks changes, the view of its last run.
    pub(super) last: Option<Option<&'a View>>,
}

/// What a run is told, beside its view.
#[derive(Clone, Copy, Debug)]
pub(super) struct Given {
    /// Time since the last run.
    pub(super) dt: Duration,
    /// Simulated time.
    pub(super) time: Time,
    /// Commands of earlier runs that were dropped and not told of yet.
    pub(super) dropped_commands: u64,
}

impl Given {
    /// Before the first run.
    pub(super) const NOTHING: Self =
        Self { dt: Duration::ZERO, time: Time::ZERO, dropped_commands: 0 };
}

impl<'a> ModuleContext<'a> {
    /// The view that the module's convoy shares, narrowed to the types that the module declared.
    /// Clone it to keep it for longer than this run.
    pub fn view(&self) -> &'a View {
        self.view
    }

    /// Records changes to the live world, which are played back after the run.
    pub fn commands(&mut self) -> &mut Commands {
        self.commands
    }

    /// The events of type `T` that are new to the module, oldest first: each reaches it exactly once and in order, at
    /// whatever rate it runs. The first run that asks begins with the oldest event that is kept, and events that
    /// are not taken from the iterator come next time.
    ///
    /// An event counts as read once a run that read it has taken effect. The events of a run that panicked, missed
    /// its deadline, or lost its commands because the world was restored or replaced meanwhile come again, in so many
    /// runs as [`HostConfig::event_tries`](crate::host::HostConfig::event_tries) says. Then they are dropped and
    /// counted, so that an event that a module can't cope with does not stop it for good. Cursors of one's own
    /// ([`View::events`](crate::View::events)) know nothing of this.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use convoy_engine::World;
    /// use convoy_engine::host::{ModuleHost, ModuleSpec};
    ///
    /// let (mut world, mut host) = (World::new(), ModuleHost::default());
    /// let mut total = 0;
    /// host.add(ModuleSpec::fast("score").reads_events::<u32>(), move |context| {
    ///     total += context.events::<u32>().sum::<u32>();
    ///     context.commands().send_event(u64::from(total));
    /// })
    /// .unwrap();
    /// let mut totals = world.event_cursor::<u64>();
    /// for points in [3, 4, 5] {
    ///     world.send_event::<u32>(points);
    ///     host.run_frame(&mut world, Duration::from_millis(16)).unwrap();
    /// }
    /// assert!(world.events(&mut totals).eq([3, 7, 12]));
    /// ```
    ///
    /// # Panics
    ///
    /// Where [`ModuleContext::try_events`] returns an error.
    #[track_caller]
    pub fn events<T: Component>(&mut self) -> Events<'_, T> {
        or_panic(self.try_events())
    }

    /// [`ModuleContext::events`].
    ///
    /// # Errors
    ///
    /// When the module has not declared that it reads them.
    pub fn try_events<T: Component>(&mut self) -> Result<Events<'_, T>, ReadError> {
        self.inbox.events(self.view)
    }

    /// Everything that differs from the view of the module's last run that took effect: rows with other bytes, and
    /// those that came and went, of the types that the module declared. `None` on the first run, and on the first one
    /// after another world has taken the place of the host's: then everything is new. The cost grows with the chunks
    /// that were written.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use convoy_engine::World;
    /// use convoy_engine::host::{ModuleHost, ModuleSpec};
    ///
    /// let (mut world, mut host) = (World::new(), ModuleHost::default());
    /// let entities: Vec<_> = (0..100).map(|number| world.spawn((number,))).collect();
    /// host.add(ModuleSpec::fast("network").reads::<(i32,)>().tracks_changes(), |context| {
    ///     if let Some(changes) = context.changes() {
    ///         for change in changes.changed::<i32>().unwrap() {
    ///             context.commands().send_event((change.newer - change.older) as u64);
    ///         }
    ///     }
    /// })
    /// .unwrap();
    /// let mut sent = world.event_cursor::<u64>();
    /// for frame in 0..3 {
    ///     *world.get_mut::<i32>(entities[frame]).unwrap() += 7;
    ///     host.run_frame(&mut world, Duration::from_millis(16)).unwrap();
    /// }
    /// assert!(world.events(&mut sent).eq([7, 7]), "all but those of the first frame");
    /// ```
    ///
    /// # Panics
    ///
    /// When the module has not declared it: [`ModuleSpec::tracks_changes`](super::ModuleSpec::tracks_changes).
    #[track_caller]
    pub fn changes(&self) -> Option<Diff<'a>> {
        let seen = self.last.expect("the module has declared that it tracks changes");
        seen.and_then(|last| diff(last, self.view).ok())
    }

    /// Memory for the length of this run. It keeps its size from one run to the next, so that a module that needs as
    /// much each time takes nothing from the heap.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use convoy_engine::World;
    /// use convoy_engine::host::{ModuleHost, ModuleSpec};
    ///
    /// let (mut world, mut host) = (World::new(), ModuleHost::default());
    /// world.spawn_batch((0..100_u32).map(|number| (number,))).unwrap();
    /// host.add(ModuleSpec::fast("median").reads::<(u32,)>(), |context| {
    ///     let query = context.view().query::<&u32>();
    ///     let numbers = context.scratch().alloc_slice_fill_copy(query.count(), 0);
    ///     numbers.iter_mut().zip(query.iter()).for_each(|(place, number)| *place = *number);
    ///     numbers.sort_unstable();
    ///     context.commands().send_event(u64::from(numbers[50]));
    /// })
    /// .unwrap();
    /// let mut sent = world.event_cursor::<u64>();
    /// host.run_frame(&mut world, Duration::from_millis(16)).unwrap();
    /// assert!(world.events(&mut sent).eq([50]));
    /// ```
    pub fn scratch(&self) -> &'a Bump {
        self.scratch
    }

    /// Time since the module's last run. The sum over all runs is the time that has passed: an excess
    /// over `Duration::MAX` is added to the next run.
    pub fn dt(&self) -> Duration {
        self.given.dt
    }

    /// The simulated time at which the run was started: [`ModuleHost::time`](crate::host::ModuleHost::time) of
    /// that frame.
    pub fn time(&self) -> Duration {
        self.given.time.duration_since(Time::ZERO)
    }

    /// The tick that the view shows.
    pub fn tick(&self) -> u64 {
        self.view.tick()
    }

    /// How many commands of this module's earlier runs were dropped since it was last told: of runs that
    /// missed their deadline, and of runs that ended after the world was restored, synced or replaced. The
    /// changes have not happened; a module that still wants them records them again.
    pub fn dropped_commands(&self) -> u64 {
        self.given.dropped_commands
    }
}
