//! Slow readers: the writer is called once for each limit that a snapshot passes, and nothing
//! that the callback does can harm it.
#![allow(clippy::unwrap_used, reason = "a failed expectation is a failed test")]

use std::panic::resume_unwind;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread::{self, ThreadId};
use std::time::Duration;

use convoy_engine::host::{ModuleHost, ModuleSpec, Rate};
use convoy_engine::provider::{
    DoubleBufferProvider, OnDemandProvider, ProviderKind, SharedSnapshotProvider, SlowReader,
    SlowReaderLimits, SlowReason, SnapshotProvider,
};
use convoy_engine::{ComponentMask, SnapshotPool, View, World};

const ALL: ComponentMask = ComponentMask::ALL;

fn limits(lag_max: Option<u64>, retained_bytes_max: Option<usize>) -> SlowReaderLimits {
    SlowReaderLimits::default().lag_max(lag_max).retained_bytes_max(retained_bytes_max)
}

type Told = Receiver<(ThreadId, SlowReader)>;

fn teller() -> (impl Fn(&SlowReader) + Send + Sync + 'static, Told) {
    let (sender, told): (Sender<_>, _) = channel();
    (move |slow: &SlowReader| sender.send((thread::current().id(), *slow)).unwrap(), told)
}

/// One provider of each kind that captures, with its callback.
fn providers(limits: SlowReaderLimits) -> [(Box<dyn SnapshotProvider>, Told); 3] {
    let pool = SnapshotPool::default();
    let (shared, shared_told) = teller();
    let (double, double_told) = teller();
    let (own, own_told) = teller();
    let shared = SharedSnapshotProvider::new(ALL, pool.clone()).with_slow_readers(limits, shared);
    let double = DoubleBufferProvider::new(ALL, pool.clone()).with_slow_readers(limits, double);
    let own = OnDemandProvider::new(ALL, pool).with_slow_readers(limits, own);
    [(Box::new(shared), shared_told), (Box::new(double), double_told), (Box::new(own), own_told)]
}

#[test]
fn a_slow_reader_is_told_of_once_per_limit_on_the_thread_of_the_world() {
    for (provider, told) in providers(limits(Some(3), Some(0))) {
        let mut world = World::new();
        let entity = world.spawn((0_u32,));
        let slow = provider.acquire(&mut world).unwrap();
        let mut reasons = Vec::new();
        for tick in 1..=10 {
            world.advance_tick();
            provider.update(&mut world).unwrap();
            for (thread, told) in told.try_iter() {
                assert_eq!(thread, thread::current().id());
                assert_eq!((told.usage.id, told.usage.lag), (slow.id(), tick));
                assert_eq!(told.usage.readers, 1, "without the provider's own hold");
                assert!(told.to_string().contains(&format!("{tick} ticks old")));
                reasons.push((tick, told.reason));
            }
            if tick == 5 {
                // A replaced chunk is on the list of the newest snapshot that sees it, and comes
                // to the slow one when that ends.
                *world.get_mut::<u32>(entity).unwrap() = 5;
            }
        }
        // The double buffer's newest snapshot keeps the chunk until the tick after it was replaced.
        let last = if provider.kind() == ProviderKind::DoubleBuffer { 7 } else { 6 };
        assert_eq!(reasons, [(4, SlowReason::Lag), (last, SlowReason::RetainedBytes)]);
        assert_eq!(provider.held(&world).first(), slow.usage(&world).as_ref());
        drop(slow);
        assert!(provider.held(&world).is_empty());
    }
}

#[test]
fn a_reader_that_leaves_in_time_is_not_told_of() {
    for (provider, told) in providers(limits(Some(1), Some(1 << 20))) {
        let mut world = World::new();
        for _ in 0..20 {
            let view = provider.acquire(&mut world).unwrap();
            world.advance_tick();
            provider.update(&mut world).unwrap();
            drop(view);
        }
        assert!(told.try_iter().next().is_none());
    }
}

#[test]
fn a_callback_that_panics_is_counted_and_changes_nothing_else() {
    let provider = SharedSnapshotProvider::new(ALL, SnapshotPool::default())
        .with_slow_readers(limits(Some(0), None), |_| resume_unwind(Box::new("no")));
    let mut world = World::new();
    let mut views: Vec<View> = Vec::new();
    for tick in 0..5 {
        views.push(provider.acquire(&mut world).unwrap());
        assert_eq!(views.last().unwrap().tick(), tick);
        world.advance_tick();
        provider.update(&mut world).unwrap();
    }
    let statistics = provider.statistics();
    assert_eq!((statistics.callback_panics, statistics.captures), (5, 5));
    assert_eq!((statistics.live_generations, provider.held(&world).len()), (5, 5));
    views.clear();
    world.advance_tick();
    assert_eq!(world.memory().active_captures, 0);
    assert_eq!(provider.acquire(&mut world).unwrap().tick(), 6);
}

#[test]
fn a_host_tells_which_convoy_is_slow() {
    let mut world = World::new();
    let mut host = ModuleHost::default();
    let kept = Arc::new(Mutex::new(None));
    host.add(ModuleSpec::fast("quick").reads_all(), |_| {}).unwrap();
    let keeps = Arc::clone(&kept);
    let spec = ModuleSpec::slow("keeps", Rate::every_frames(2)).reads_all();
    host.add(spec, move |context| {
        keeps.lock().unwrap().get_or_insert_with(|| context.view().clone());
    })
    .unwrap();
    let (sender, told) = channel();
    host.on_slow_reader(limits(Some(4), None), move |slow| sender.send(*slow).unwrap()).unwrap();
    for _ in 0..20 {
        host.run_frame(&mut world, Duration::from_millis(10)).unwrap();
    }
    let told: Vec<_> = told.try_iter().collect();
    assert_eq!(told.len(), 1);
    assert_eq!((told[0].convoy, told[0].reader.usage.tick), (1, 2));
    let statistics = host.statistics(&world);
    assert_eq!((statistics.convoys[0].oldest_lag, statistics.convoys[1].oldest_lag), (0, 18));
    assert!(host.on_slow_reader(limits(None, None), |_| {}).is_err(), "the host runs");
}
