//! The host's timeline: who joined a snapshot, who left it last, and when.
#![allow(clippy::unwrap_used, reason = "a failed expectation is a failed test")]

use std::sync::mpsc::channel;
use std::time::Duration;

use convoy_engine::World;
use convoy_engine::host::{
    HostConfig, HostError, Mode, ModuleContext, ModuleHost, ModuleSpec, Rate,
};

const FRAME: Duration = Duration::from_millis(10);

#[test]
fn timeline_tells_the_run_that_left_a_snapshot_last() {
    let mut world = World::new();
    world.spawn((0_u64,));
    let mut host = ModuleHost::new(HostConfig::default().workers(2).timeline(1_000));
    let (started, has_started) = channel();
    let mut gates = Vec::new();
    for name in ["first", "second"] {
        let (may_go_on, go_on) = channel::<()>();
        gates.push(may_go_on);
        let spec = ModuleSpec::slow(name, Rate::EVERY_FRAME).mode(Mode::Asynchronous);
        let started = started.clone();
        host.add(spec.reads::<(u64,)>(), move |context: &mut ModuleContext<'_>| {
            started.send(context.view().id()).unwrap();
            // Ends with a panic when the test is over, which the host contains.
            go_on.recv().unwrap();
        })
        .unwrap();
    }
    host.add(ModuleSpec::fast("fast").reads::<(u64,)>(), |_| {}).unwrap();
    host.run_frame(&mut world, FRAME).unwrap();
    let snapshot = has_started.recv().unwrap();
    assert_eq!(has_started.recv().unwrap(), snapshot, "both share it");
    assert_eq!(host.timeline().filter(|run| run.snapshot == snapshot).count(), 0, "none landed");
    // The second one goes first.
    for (gate, module) in [(1, 1), (0, 0)] {
        gates[gate].send(()).unwrap();
        while host.last_to_leave(snapshot).is_none_or(|run| run.module.index() != module) {
            // Far fewer frames than the timeline has.
            host.wait(Duration::from_millis(5));
            host.run_frame(&mut world, FRAME).unwrap();
        }
    }
    let runs: Vec<_> = host.timeline().filter(|run| run.snapshot == snapshot).collect();
    let [second, first] = runs[..] else { panic!("two runs") };
    assert_eq!((second.module.index(), first.module.index()), (1, 0), "in the order of landing");
    assert_eq!((first.convoy, first.frame, first.tick), (second.convoy, 1, 1));
    assert_eq!(first.joined, second.joined, "they joined at once");
    assert!(first.joined <= first.began && first.began <= first.ended && first.ended <= first.left);
    assert!(second.left < first.left && second.landed < first.landed && !first.panicked);
    let of_fast = host.timeline().filter(|run| run.module.index() == 2);
    assert!(of_fast.clone().all(|run| run.landed == run.frame && run.convoy != first.convoy));
    assert_eq!(of_fast.count() as u64, host.statistics(&world).frames.min(1_000));
}

#[test]
fn a_timeline_that_no_memory_holds_is_refused_and_the_host_can_be_asked_again() {
    let (mut world, mut host) =
        (World::new(), ModuleHost::new(HostConfig::default().timeline(u32::MAX)));
    for number in 0..100_000 {
        host.add(ModuleSpec::fast(format!("module {number}")).reads::<()>(), |_| {}).unwrap();
    }
    for _ in 0..2 {
        let refused = host.run_frame(&mut world, FRAME);
        assert!(matches!(refused, Err(HostError::Timeline(_))), "{refused:?}");
    }
}
