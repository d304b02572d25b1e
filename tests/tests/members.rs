//! Members of a convoy are charged for the views that they hold: one that keeps views, or is slow,
//! stops only itself, and memory stays bounded.
#![allow(clippy::unwrap_used, reason = "a failed expectation is a failed test")]

use std::collections::VecDeque;
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use convoy_engine::host::{HostConfig, Mode, ModuleContext, ModuleHost, ModuleSpec, Rate};
use convoy_engine::provider::{
    AcquireError, DoubleBufferProvider, Member, OnDemandProvider, ReplicaProvider,
    SharedSnapshotProvider, SnapshotProvider, WhenBusy,
};
use convoy_engine::{ComponentMask, SnapshotPool, View, World};
use convoy_tests::Mixer;

const ALL: ComponentMask = ComponentMask::ALL;
const FRAME: Duration = Duration::from_millis(10);

/// The bound on generations that a provider has unless told otherwise.
const BOUND: usize = 8;

fn world_of(number: u64) -> World {
    let mut world = World::new();
    world.spawn((number,));
    world
}

fn step(world: &mut World) {
    world.query_mut::<&mut u64>().for_each(|number| *number += 1);
}

fn shared(bound: usize, when_busy: WhenBusy) -> SharedSnapshotProvider {
    let provider = SharedSnapshotProvider::new(ALL, SnapshotPool::default());
    provider.with_generations_max(bound, when_busy)
}

/// A module that keeps its last ten snapshots.
fn keeping() -> impl FnMut(&mut ModuleContext<'_>) + Send + 'static {
    let mut kept = VecDeque::new();
    move |context: &mut ModuleContext<'_>| {
        kept.push_back(context.view().clone());
        if kept.len() > 10 {
            kept.pop_front();
        }
    }
}

/// One module kept the snapshots of its last ten runs, as one does for playing back in slow motion.
/// When it held eight, the most that the convoy could have, no member got another one: all of them
/// were refused from then on, for good (as in sschmid/Entitas#33, where the things that one reader keeps are
/// never given back and others suffer).
#[test]
fn a_module_that_keeps_views_stops_itself_and_no_other_member() {
    let tiers = [ModuleSpec::fast, |name: &str| ModuleSpec::slow(name, Rate::every_frames(2))];
    for (tier, mode) in tiers.into_iter().flat_map(|tier| {
        [Mode::Synchronous, Mode::FrameSynced, Mode::Asynchronous].map(|mode| (tier, mode))
    }) {
        let mut world = world_of(0);
        let mut host = ModuleHost::default();
        host.add(tier("keeping").reads_all().mode(mode), keeping()).unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        for name in ["plain", "comparing"] {
            let (seen, mut last) = (Arc::clone(&seen), None);
            let spec = tier(name).reads_all().mode(mode);
            host.add(spec, move |context| {
                let view = context.view();
                assert!(view.query::<&u64>().iter().all(|&number| number == view.tick()));
                seen.lock().unwrap().push(view.tick());
                if name == "comparing" {
                    drop(last.replace(view.clone()));
                }
            })
            .unwrap();
        }
        let mut ticks = Vec::new();
        for frame in 1..=200 {
            step(&mut world);
            host.run_frame(&mut world, FRAME).unwrap();
            assert!(host.wait(Duration::MAX));
            ticks.append(&mut seen.lock().unwrap());
            let convoy = &host.statistics(&world).convoys[0];
            let most = BOUND + 3 * (BOUND / 3);
            assert!(convoy.provider.live_generations <= most, "{mode:?}, frame {frame}");
        }
        host.finish(&mut world);
        let modules = host.statistics(&world).modules;
        let due = modules[0].runs + modules[0].refused;
        assert!(due == 200 || due == 100, "{modules:?}");
        assert_eq!((modules[0].runs, modules[0].snapshots_held), (BOUND as u64, BOUND));
        for innocent in &modules[1..] {
            assert_eq!((innocent.runs, innocent.refused), (due, 0), "{mode:?}");
        }
        assert_eq!((modules[1].snapshots_held, modules[2].snapshots_held), (0, 1));
        let fresh: Vec<u64> = (1..=due).flat_map(|run| [run * 200 / due; 2]).collect();
        assert_eq!(ticks, fresh, "every snapshot is of the tick of its run");
    }
}

/// With a bound of one snapshot, a member that was under way kept all others from running.
#[test]
fn a_module_that_is_slow_stops_no_other_member() {
    let mut world = world_of(0);
    let provider = Arc::new(shared(1, WhenBusy::Refuse));
    let config = HostConfig::default().workers(1);
    let mut host = ModuleHost::new(config);
    let (may_end, ends) = channel::<()>();
    let spec = |name| {
        let provider = Arc::<SharedSnapshotProvider>::clone(&provider);
        ModuleSpec::slow(name, Rate::EVERY_FRAME).reads_all().provider(&world, provider)
    };
    host.add(spec("slow").mode(Mode::Asynchronous), move |_| {
        ends.recv().unwrap();
    })
    .unwrap();
    host.add(spec("quick"), |context| {
        let view = context.view();
        assert!(view.query::<&u64>().iter().all(|&number| number == view.tick()));
    })
    .unwrap();
    for frame in 1..=50 {
        step(&mut world);
        host.run_frame(&mut world, FRAME).unwrap();
        let modules = host.statistics(&world).modules;
        assert_eq!((modules[1].runs, modules[1].panics), (frame, 0));
        assert_eq!((modules[0].overruns, modules[0].snapshots_held), (frame - 1, 1));
    }
    may_end.send(()).unwrap();
    drop(may_end);
    host.finish(&mut world);
}

/// Clones of a member's views are charged to it, wherever they are.
#[test]
fn clones_are_charged_to_the_member_that_was_given_the_view() {
    let (mut world, provider) = (world_of(0), shared(2, WhenBusy::Refuse));
    let (mut gives, mut takes) = (provider.enroll(), provider.enroll());
    let mut taken = Vec::new();
    for _ in 0..2 {
        let view = provider.acquire_for(&mut world, &mut gives).unwrap();
        let clone = view.clone();
        taken.push(std::thread::spawn(move || clone.clone().narrow(ALL)).join().unwrap());
        world.advance_tick();
    }
    assert_eq!((gives.snapshots_held(), takes.snapshots_held()), (2, 0));
    let error = provider.acquire_for(&mut world, &mut gives).unwrap_err();
    let AcquireError::Backpressure { generations, own_generations, .. } = error else {
        panic!("{error}");
    };
    assert_eq!((generations, own_generations), (2, 2));
    assert!(error.to_string().ends_with("views of this reader hold 2 of them"), "{error}");
    assert!(provider.acquire(&mut world).is_err(), "a reader without a membership is refused");
    assert_eq!(provider.acquire_for(&mut world, &mut takes).unwrap().tick(), 2);
    assert_eq!(provider.statistics().refused, 2);
    taken.pop();
    assert_eq!(provider.acquire_for(&mut world, &mut gives).unwrap().tick(), 2);
}

/// A branch holds the snapshot that it comes from, as do snapshots of the branch.
#[test]
fn branches_are_charged_to_the_member_whose_view_they_come_from() {
    let (mut world, provider) = (world_of(0), shared(2, WhenBusy::Refuse));
    let (mut looks_ahead, mut reads) = (provider.enroll(), provider.enroll());
    let pool = SnapshotPool::default();
    let mut ahead = Vec::new();
    for _ in 0..2 {
        let view = provider.acquire_for(&mut world, &mut looks_ahead).unwrap();
        let mut branch = World::branch(&view).unwrap();
        ahead.push((None, Some(branch.capture(ALL, &pool))));
        ahead.push((Some(branch), None));
        world.advance_tick();
    }
    assert_eq!(looks_ahead.snapshots_held(), 2);
    assert!(provider.acquire_for(&mut world, &mut looks_ahead).is_err());
    assert!(provider.acquire_for(&mut world, &mut reads).is_ok());
    ahead.pop();
    assert_eq!(looks_ahead.snapshots_held(), 2, "a snapshot of the branch holds it, too");
    ahead.pop();
    assert_eq!(looks_ahead.snapshots_held(), 1);
    assert!(provider.acquire_for(&mut world, &mut looks_ahead).is_ok());
}

/// By `Newest` a member at its share gets the newest snapshot that it holds already. So one that
/// drops old snapshots in its runs goes on running.
#[test]
fn newest_gives_a_member_at_its_share_nothing_new_to_hold() {
    let (mut world, provider) = (world_of(0), shared(4, WhenBusy::Newest));
    let (mut keeps, mut reads) = (provider.enroll(), provider.enroll());
    let mut kept = VecDeque::new();
    let (mut given, mut stale) = (0, 0);
    for tick in 0..50 {
        let view = provider.acquire_for(&mut world, &mut keeps).unwrap();
        (given, stale) = (given + 1, stale + u64::from(view.tick() < tick));
        assert!(view.tick() <= tick && keeps.snapshots_held() <= 4);
        kept.push_back(view);
        if kept.len() > 6 {
            kept.pop_front();
        }
        let view = provider.acquire_for(&mut world, &mut reads).unwrap();
        assert_eq!((view.tick(), reads.snapshots_held()), (tick, 1), "fresh for the other");
        given += 1;
        world.advance_tick();
    }
    let statistics = provider.statistics();
    assert!(stale > 0 && stale < 50, "it gets old ones and, having let go, fresh ones again");
    assert_eq!((statistics.stale, statistics.captures + statistics.joins), (stale, given));
    assert_eq!(statistics.refused, stale, "each was refused a fresh one");
}

/// A double buffer whose update was refused gave all its readers the last snapshot, for ever.
#[test]
fn a_double_buffer_refuses_members_that_keep_snapshots_and_goes_on_for_the_others() {
    let mut world = world_of(0);
    let provider = DoubleBufferProvider::new(ALL, SnapshotPool::default());
    let (mut keeps, mut reads) = (provider.enroll(), provider.enroll());
    let (mut kept, mut refused) = (Vec::new(), 0);
    for tick in 1..50 {
        world.advance_tick();
        provider.update(&mut world).unwrap();
        match provider.acquire_for(&mut world, &mut keeps) {
            Ok(view) => kept.push(view),
            Err(AcquireError::Backpressure { own_generations, .. }) => {
                refused += 1;
                assert_eq!(own_generations, kept.len());
            }
            Err(error) => panic!("{error}"),
        }
        assert_eq!(provider.acquire_for(&mut world, &mut reads).unwrap().tick(), tick);
        assert_eq!(provider.join().unwrap().tick(), tick);
    }
    assert_eq!((kept.len() + refused, provider.statistics().refused), (49, refused as u64));
    assert_eq!((kept.len(), provider.statistics().stale), (BOUND, 0));
    kept.clear();
    assert!(provider.acquire_for(&mut world, &mut keeps).is_ok());
}

/// Any number of readers that keep and drop snapshots as they like: a member below its share is
/// always served with a fresh snapshot, and as many generations are alive as `WhenBusy` says.
#[test]
fn members_below_their_share_are_served_and_generations_are_bounded() {
    for seed in 0..200 {
        let mut mixer = Mixer::new(seed);
        let (bound, count) = (1 + mixer.below(9), 1 + mixer.below(6));
        let busy = [WhenBusy::Refuse, WhenBusy::Newest][mixer.below(2)];
        let pool = SnapshotPool::default();
        let (provider, bound): (Box<dyn SnapshotProvider>, _) = match mixer.below(3) {
            0 => (Box::new(shared(bound, busy)), bound),
            1 => {
                let provider = OnDemandProvider::new(ALL, pool);
                (Box::new(provider.with_generations_max(bound)), bound)
            }
            _ => {
                let provider = DoubleBufferProvider::new(ALL, pool);
                (Box::new(provider.with_generations_max(bound)), bound.max(2))
            }
        };
        let share = (bound / count).max(bound.min(2));
        let mut members: Vec<Member> = (0..count).map(|_| provider.enroll()).collect();
        let mut kept: Vec<Vec<View>> = (0..count).map(|_| Vec::new()).collect();
        let mut anonymous = Vec::new();
        let mut world = world_of(0);
        for _ in 0..300 {
            world.advance_tick();
            let _ = provider.update(&mut world);
            for number in 0..count {
                let member = &mut members[number];
                if mixer.below(4) > 0 {
                    let held = member.snapshots_held();
                    match provider.acquire_for(&mut world, member) {
                        Ok(view) => {
                            let fresh = view.lag(&world) == Some(0);
                            assert!(fresh || held >= share && busy == WhenBusy::Newest);
                            kept[number].push(view);
                        }
                        Err(error) => assert!(held >= share, "{error}"),
                    }
                }
                let drops = mixer.below(4);
                for _ in 0..drops.min(kept[number].len()) {
                    let place = mixer.below(kept[number].len());
                    drop(kept[number].swap_remove(place));
                }
                let mut held: Vec<_> = kept[number].iter().map(View::id).collect();
                held.sort_unstable();
                held.dedup();
                assert_eq!(members[number].snapshots_held(), held.len());
            }
            // Readers without a membership, some of which keep their views for a while.
            if mixer.below(4) == 0 && anonymous.len() + 1 < share {
                anonymous.extend(provider.acquire(&mut world).ok());
            }
            if mixer.below(3) == 0 {
                anonymous.pop();
            }
            let live = provider.statistics().live_generations;
            assert!(live <= bound + count * share, "{live}");
        }
        drop((kept, anonymous));
        world.advance_tick();
        for member in &mut members {
            assert_eq!(member.snapshots_held(), 0);
            assert!(provider.acquire_for(&mut world, member).is_ok());
        }
    }
}

/// Readers that nobody enrolled have joined what members opened past the bound, and kept it: what
/// is alive stays bounded, at the expense of the members if need be.
#[test]
fn joins_without_a_membership_cannot_pass_the_bound_for_all() {
    let (mut world, provider) = (world_of(0), shared(3, WhenBusy::Refuse));
    let mut member = provider.enroll();
    let mut joined = Vec::new();
    for _ in 0..100 {
        let view = provider.acquire_for(&mut world, &mut member);
        joined.extend(provider.join());
        drop(view);
        world.advance_tick();
    }
    assert_eq!(provider.statistics().live_generations, 3 + 3);
    joined.clear();
    assert!(provider.acquire_for(&mut world, &mut member).is_ok());
}

/// Room for as many generations as there may be was taken at once, which is too much for a bound
/// that means none.
#[test]
fn no_bound_is_too_large() {
    let mut world = world_of(0);
    for provider in [
        Box::new(shared(usize::MAX, WhenBusy::Refuse)) as Box<dyn SnapshotProvider>,
        Box::new(
            OnDemandProvider::new(ALL, SnapshotPool::default()).with_generations_max(usize::MAX),
        ),
        Box::new(
            DoubleBufferProvider::new(ALL, SnapshotPool::default())
                .with_generations_max(usize::MAX),
        ),
    ] {
        let mut members = [provider.enroll(), provider.enroll()];
        let mut kept = Vec::new();
        for _ in 0..1_000 {
            world.advance_tick();
            kept.extend(
                members.each_mut().map(|each| provider.acquire_for(&mut world, each).unwrap()),
            );
        }
        assert!(provider.statistics().live_generations >= 1_000);
    }
}

/// A view that `Newest` gave was counted as stale and not as joined.
#[test]
fn joins_are_all_acquires_of_what_was_there_and_stale_those_that_are_too_old() {
    let (mut world, provider) = (world_of(0), shared(2, WhenBusy::Newest));
    let counts = |provider: &dyn SnapshotProvider| {
        let statistics = provider.statistics();
        (statistics.captures, statistics.joins, statistics.stale, statistics.refused)
    };
    let first = provider.acquire(&mut world).unwrap();
    let joined = (provider.acquire(&mut world).unwrap(), provider.join().unwrap());
    assert_eq!(counts(&provider), (1, 1, 0, 0), "`join` counts nothing");
    world.advance_tick();
    let second = provider.acquire(&mut world).unwrap();
    world.advance_tick();
    let old = provider.join().unwrap();
    assert!(old.shares_with(&second));
    assert_eq!(counts(&provider), (2, 1, 0, 0), "`join` promises nothing about the age");
    assert!(provider.acquire(&mut world).unwrap().shares_with(&second));
    assert_eq!(counts(&provider), (2, 2, 1, 1));
    assert_eq!(provider.statistics().live_generations, 2);
    drop((first, joined, second, old));
    assert!(provider.join().is_none());
    assert_eq!(counts(&provider), (2, 2, 1, 1), "nothing was given");
    assert_eq!(provider.statistics().live_generations, 0);

    let provider = DoubleBufferProvider::new(ALL, SnapshotPool::default())
        .with_generations_max(2)
        .with_max_age(1);
    let captured = provider.acquire(&mut world).unwrap();
    assert_eq!(counts(&provider), (1, 0, 0, 0), "captured for this acquire");
    world.advance_tick();
    provider.update(&mut world).unwrap();
    let joined = provider.acquire(&mut world).unwrap();
    assert_eq!(counts(&provider), (2, 1, 0, 0));
    world.advance_tick();
    assert!(provider.update(&mut world).is_err());
    assert!(provider.acquire(&mut world).unwrap().shares_with(&joined));
    assert_eq!(counts(&provider), (2, 2, 0, 1), "one tick old, as it may be");
    world.advance_tick();
    assert!(provider.acquire(&mut world).unwrap().shares_with(&joined));
    assert_eq!(counts(&provider), (2, 3, 1, 2));
    assert_eq!(provider.statistics().live_generations, 2, "its own hold is one of them");
    drop(captured);

    let replica = ReplicaProvider::new(ALL);
    let views = [(); 3].map(|()| replica.acquire(&mut world).unwrap());
    assert_eq!(counts(&replica), (3, 0, 0, 0));
    assert_eq!(replica.statistics().live_generations, 3);
    drop(views);
    assert_eq!(replica.statistics().live_generations, 0);
}

/// Retained bytes were not subtracted, so that a convoy seemed to save more than it did.
#[test]
fn saved_bytes_are_those_of_private_copies_less_the_cost_of_snapshots() {
    let mut world = World::new();
    world.spawn_batch((0..10_000_u64).map(|number| (number,))).unwrap();
    let bytes = world.mask_of::<(u64,)>().unwrap();
    let copy_bytes = world.row_bytes(&bytes);
    let mut host = ModuleHost::default();
    let kept = Arc::new(Mutex::new(None));
    for number in 0..3 {
        let kept = Arc::clone(&kept);
        let spec =
            ModuleSpec::slow(format!("slow {number}"), Rate::every_frames(4)).reads::<(u64,)>();
        host.add(spec, move |context| {
            if number == 0 {
                *kept.lock().unwrap() = Some(context.view().clone());
            }
        })
        .unwrap();
    }
    host.add(ModuleSpec::fast("fast").reads::<(u64,)>(), |_| ()).unwrap();
    // On the fourth frame both snapshots are captured, on the fifth that of the double buffer.
    (0..5).for_each(|_| host.run_frame(&mut world, FRAME).unwrap());
    let convoys = host.statistics(&world).convoys;
    assert_eq!(convoys.iter().map(|convoy| convoy.retained_bytes).collect::<Vec<_>>(), [0, 0]);
    assert_eq!(convoys[0].saved_bytes, 3 * copy_bytes);
    step(&mut world);
    let convoys = host.statistics(&world).convoys;
    // The double buffer's snapshot is the newer one, and retains the chunks that both of them see.
    let fast = &convoys[1];
    assert!(fast.retained_bytes >= copy_bytes && convoys[0].retained_bytes == 0);
    assert_eq!(fast.saved_bytes, copy_bytes.saturating_sub(fast.retained_bytes));
    host.run_frame(&mut world, FRAME).unwrap();
    world.advance_tick();
    let slow = &host.statistics(&world).convoys[0];
    assert!(slow.retained_bytes >= copy_bytes, "it came to the older snapshot");
    assert_eq!(slow.saved_bytes, 3 * copy_bytes - slow.retained_bytes);
    assert_eq!(slow.oldest_lag, 3);
    let memory = world.memory();
    assert_eq!(memory.retained_bytes, slow.retained_bytes);

    // Any number of observers read the peak, and none takes it from the others.
    let peak = memory.retained_bytes_peak;
    *kept.lock().unwrap() = None;
    (0..4).for_each(|_| host.run_frame(&mut world, FRAME).unwrap());
    assert_eq!((world.memory().retained_bytes, world.memory().retained_bytes_peak), (0, peak));
}
