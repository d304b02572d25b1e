//! What a host calls: on slow readers, on panics of modules, and on threads that start.

use std::sync::Arc;

use crate::provider::SlowReaderLimits;
use crate::provider::contain::Contained;

use super::config::HostError;
use super::convoy::{SlowConvoy, SlowConvoyCallback, SlowConvoys};
use super::faults::ModulePanic;
use super::module_host::ModuleHost;
use super::workers::WorkerStart;

/// # Callbacks
impl ModuleHost {
    /// Calls `notify`, on the thread of the frame, when a snapshot of a convoy passes a limit while
    /// readers hold it: once for each snapshot and limit. A panic of `notify` is contained and
    /// counted in the convoy's [`ProviderStatistics`](crate::provider::ProviderStatistics); one of its drop is
    /// contained. Providers that were assigned by hand are left alone; they have callbacks of their own.
    ///
    /// # Errors
    ///
    /// [`HostError::Running`] after the first frame.
    pub fn on_slow_reader(
        &mut self,
        limits: SlowReaderLimits,
        notify: impl Fn(&SlowConvoy) + Send + Sync + 'static,
    ) -> Result<(), HostError> {
        let notify: SlowConvoyCallback = Contained::new(Arc::new(notify));
        if self.is_running() {
            return Err(HostError::Running);
        }
        self.slow_readers = Some(SlowConvoys { limits, notify });
        Ok(())
    }

    /// Calls `notify`, on the thread of the frame, for each run that ended in a panic, as it lands. The host
    /// names the module and the message on stderr as well, after what the panic hook prints, which knows only the
    /// thread. A panic of `notify` is contained.
    ///
    /// ```
    /// use std::sync::{Arc, Mutex};
    /// use std::time::Duration;
    ///
    /// use convoy_engine::World;
    /// use convoy_engine::host::{ModuleHost, ModuleSpec};
    ///
    /// let (mut world, mut host) = (World::new(), ModuleHost::default());
    /// let seen = Arc::new(Mutex::new(Vec::new()));
    /// let list = Arc::clone(&seen);
    /// host.on_panic(move |panic| list.lock().unwrap().push(panic.message.to_owned()));
    /// host.add(ModuleSpec::fast("careless").reads::<()>(), |_| panic!("no way out")).unwrap();
    /// host.run_frame(&mut world, Duration::from_millis(16)).unwrap();
    /// assert_eq!(*seen.lock().unwrap(), ["no way out"]);
    /// let statistics = host.statistics(&world);
    /// assert_eq!(statistics.modules[0].last_panic.as_deref(), Some("no way out"));
    /// ```
    pub fn on_panic(&mut self, notify: impl Fn(&ModulePanic<'_>) + Send + Sync + 'static) {
        self.on_panic = Some(Contained::new(Arc::new(notify)));
    }

    /// Calls `start` on each worker thread as it starts, with the number of the thread: to set its priority
    /// or the cores that it runs on, or to enrol it with a profiler. The host goes on once all have
    /// returned.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use std::sync::atomic::{AtomicUsize, Ordering};
    ///
    /// use convoy_engine::World;
    /// use convoy_engine::host::{HostConfig, Mode, ModuleHost, ModuleSpec, Rate};
    ///
    /// let mut host = ModuleHost::new(HostConfig::default().workers(1));
    /// let started = Arc::new(AtomicUsize::new(0));
    /// let count = Arc::clone(&started);
    /// host.on_worker_start(move |_| _ = count.fetch_add(1, Ordering::Relaxed)).unwrap();
    /// let spec = ModuleSpec::slow("idle", Rate::hz(1)).mode(Mode::Asynchronous).reads::<()>();
    /// host.add(spec, |_| {}).unwrap();
    /// host.initialize(&mut World::new()).unwrap();
    /// assert_eq!(started.load(Ordering::Relaxed), 1);
    /// ```
    ///
    /// # Errors
    ///
    /// [`HostError::Running`] after the first frame. When `start` panics, the host does not start:
    /// [`HostError::Threads`].
    pub fn on_worker_start(
        &mut self,
        start: impl Fn(usize) + Send + Sync + 'static,
    ) -> Result<(), HostError> {
        let start: Contained<WorkerStart> = Contained::new(Arc::new(start));
        if self.is_running() {
            return Err(HostError::Running);
        }
        self.on_worker_start = Some(start);
        Ok(())
    }
}
