//! Hosts: one convoy on two threads, and twenty modules of all kinds.

use crate::common::*;

use std::num::NonZeroU32;

use convoy_engine::host::{HostConfig, Mode, ModuleHost, ModuleSpec, Phase, Rate};
use convoy_profiling::Threads;

const DT: Duration = Duration::from_millis(16);

/// A host whose workers are counted. In lock step, so that views overlap in the same way in all frames.
fn counted_host(threads: &Threads, workers: usize) -> ModuleHost {
    let config = HostConfig::default().workers(workers).lock_step(NonZeroU32::new(3)).timeline(30);
    let mut host = ModuleHost::new(config);
    let threads = threads.clone();
    host.on_worker_start(move |_| threads.enroll()).unwrap();
    host
}

fn step(world: &mut World, host: &mut ModuleHost, frame: u32) {
    world.query_mut::<(&mut u32, &mut Position)>().for_each(|(number, position)| {
        *number = frame;
        position[0] += 0.5;
    });
    host.run_frame(world, DT).unwrap();
}

pub(crate) fn convoy_with_threads(threads: &Threads) -> Frame {
    let (mut world, _) = filled();
    let mut host = counted_host(threads, 2);
    for name in ["one", "two", "three"] {
        let spec = ModuleSpec::slow(name, Rate::every_frames(6)).mode(Mode::Asynchronous);
        host.add(spec.reads::<Row>(), |context| {
            black_box(context.view().query::<&Position>().iter().map(|at| at[0]).sum::<f32>());
        })
        .unwrap();
    }
    host.initialize(&mut world).unwrap();
    on(world, move |world, frame| step(world, &mut host, frame))
}

/// Modules of four rates and three modes, which read, send events, and change components by commands. Some run on
/// events as well, some are told changes, all use scratch, and a system moves the rows. Five frames are one.
pub(crate) fn twenty_modules(threads: &Threads) -> Frame {
    let (mut world, entities) = filled();
    let mut host = counted_host(threads, 2);
    for number in 0..20_usize {
        let rate = Rate::every_frames([1, 2, 6, 30][number % 4]);
        let mode = [Mode::Synchronous, Mode::Asynchronous, Mode::FrameSynced][number % 3];
        let spec = ModuleSpec::slow(format!("module {number}"), rate).mode(mode);
        let entity = entities[number * 40];
        let mut runs = 0_u32;
        let spec = spec.reads::<(Entity, u32, Position)>().reads_events::<u64>();
        let (is_caused, is_told) = (number % 5 == 4, number % 5 == 3);
        let spec = if is_caused { spec.on_event::<u64>() } else { spec };
        let spec = if is_told { spec.tracks_changes() } else { spec };
        let module = host.add(spec, move |context| {
            runs += 1;
            black_box(context.events::<u64>().count());
            let rows = context.view().query::<(Entity, &u32)>().iter().count();
            black_box(context.scratch().alloc_slice_fill_copy(rows, 0_u64));
            if is_told && let Some(changes) = context.changes() {
                black_box(changes.changed::<u32>().unwrap().count());
            }
            let commands = context.commands();
            commands.send_event(rows as u64);
            if runs.is_multiple_of(2) {
                commands.insert(entity, (number as u8,));
            } else {
                commands.remove::<(u8,)>(entity);
            }
            let spawned = commands.spawn((runs, [0.0_f32; 3]));
            commands.despawn(spawned);
        });
        module.unwrap();
    }
    host.add_system(Phase::Simulation, "move", |world, frame| {
        world.query_mut::<&mut Position>().for_each(|position| position[1] = frame.tick as f32);
    });
    let mut cursor = world.event_cursor::<u64>();
    host.initialize(&mut world).unwrap();
    on(world, move |world, frame| {
        for _ in 0..5 {
            step(world, &mut host, frame);
            black_box(world.events(&mut cursor).count());
        }
    })
}
