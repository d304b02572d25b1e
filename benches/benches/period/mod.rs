//! One period of five or twenty modules at 10 Hz: every module takes its view, the world is written
//! while all views are held, and the views are dropped.
//!
//! The world has 100,000 entities with 8 components of 16 bytes each, in ten archetypes of equal
//! size. A period writes every row of one archetype or of all of them: 10 % or 100 % of the
//! chunks. Which one rotates, so that no part of the world stays in the cache.
//!
//! The views come from replicas, one for each module, or from one shared snapshot, with equal
//! masks: everything.

#![allow(dead_code, reason = "both benchmarks use a part of this module")]

use convoy_engine::provider::{ReplicaProvider, SharedSnapshotProvider, SnapshotProvider};
use convoy_engine::{ComponentMask, SnapshotPool, View, With, World};

use crate::common::components::{components, tags};

/// How often they read in a second.
pub(crate) const PERIODS_PER_SECOND: u64 = 10;
const ENTITIES: usize = 100_000;
const ARCHETYPES: usize = 10;

/// The bytes of all rows: 8 components of 16 bytes.
pub(crate) const ROW_BYTES: usize = ENTITIES * 8 * 16;

components! {
    /// 16 bytes.
    C0([f32; 4]);
    /// 16 bytes.
    C1([f32; 4]);
    /// 16 bytes.
    C2([f32; 4]);
    /// 16 bytes.
    C3([f32; 4]);
    /// 16 bytes.
    C4([f32; 4]);
    /// 16 bytes.
    C5([f32; 4]);
    /// 16 bytes.
    C6([f32; 4]);
    /// 16 bytes.
    C7([f32; 4]);
}

tags!(T0 T1 T2 T3 T4 T5 T6 T7 T8 T9);

type Row = (C0, C1, C2, C3, C4, C5, C6, C7);
type RowMut<'a> = (
    &'a mut C0,
    &'a mut C1,
    &'a mut C2,
    &'a mut C3,
    &'a mut C4,
    &'a mut C5,
    &'a mut C6,
    &'a mut C7,
);

/// How many modules read, and how much of the world a period writes.
#[derive(Clone, Copy)]
pub(crate) struct Load {
    pub(crate) modules: usize,
    pub(crate) written: Written,
}

impl Load {
    /// The measurements, by the names of the workloads.
    pub(crate) const EACH: [(&str, Self); 3] = [
        ("10%_written", Self { modules: 5, written: Written::Tenth }),
        ("100%_written", Self { modules: 5, written: Written::All }),
        ("10%_written_20_modules", Self { modules: 20, written: Written::Tenth }),
    ];
}

/// How much of the world a period writes.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Written {
    Tenth,
    All,
}

/// The provider of the modules' views.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Sharing {
    /// None: the world alone, for comparison.
    Nothing,
    /// Every module has a replica of its own.
    Individual,
    /// All modules share one snapshot.
    Convoy,
}

/// A world with its modules' providers.
pub(crate) struct Period {
    pub(crate) world: World,
    providers: Vec<Box<dyn SnapshotProvider>>,
    views: Vec<View>,
    load: Load,
    number: usize,
}

impl Period {
    pub(crate) fn new(sharing: Sharing, load: Load) -> Self {
        let mut world = World::new();
        for number in 0..ENTITIES {
            spawn(&mut world, number);
        }
        let providers: Vec<Box<dyn SnapshotProvider>> = match sharing {
            Sharing::Nothing => Vec::new(),
            Sharing::Individual => (0..load.modules)
                .map(|_| Box::new(ReplicaProvider::new(ComponentMask::ALL)) as Box<_>)
                .collect(),
            Sharing::Convoy => {
                let pool = SnapshotPool::for_world(&world);
                vec![Box::new(SharedSnapshotProvider::new(ComponentMask::ALL, pool))]
            }
        };
        let views = Vec::with_capacity(load.modules);
        Self { world, providers, views, load, number: 0 }
    }

    /// The whole period. `held` is called while all views are held, after the writes.
    pub(crate) fn run(&mut self, held: impl FnOnce(&Self)) {
        if !self.providers.is_empty() {
            for module in 0..self.load.modules {
                let provider = &self.providers[module % self.providers.len()];
                let view = provider.acquire(&mut self.world).expect("nobody is late");
                self.views.push(view);
            }
        }
        write(&mut self.world, self.load.written, self.number);
        held(self);
        self.views.clear();
        self.number += 1;
        self.world.advance_tick();
    }

    /// Bytes that exist only because the modules want their views: replicas, replaced chunks
    /// and the snapshots' lists.
    pub(crate) fn view_bytes(&self) -> usize {
        let copied: usize = self.providers.iter().map(|each| each.copied_bytes()).sum();
        let mut counted: Vec<&View> = Vec::new();
        for view in &self.views {
            if !counted.iter().any(|other| other.shares_with(view)) {
                counted.push(view);
            }
        }
        let lists: usize = counted.iter().map(|view| view.list_bytes()).sum();
        copied + self.world.memory().retained_bytes + lists
    }

    /// Checks that the views show the world as it was before this period's writes.
    pub(crate) fn check_views(&self) {
        let held = self.views.len() == self.load.modules;
        assert!(held || self.providers.is_empty(), "all views are held");
        for view in &self.views {
            assert_eq!(view.entity_count(), ENTITIES, "the view shows every entity");
            let written = view.query::<&C7>();
            let total: f64 = written.iter().map(|value| f64::from(value.0[0])).sum();
            let live = self.world.query::<&C7>();
            let live_total: f64 = live.iter().map(|value| f64::from(value.0[0])).sum();
            assert!(total < live_total, "the view does not show the writes");
        }
    }
}

fn spawn(world: &mut World, number: usize) {
    let value = [number as f32; 4];
    let row: Row =
        (C0(value), C1(value), C2(value), C3(value), C4(value), C5(value), C6(value), C7(value));
    macro_rules! with_tag {
        ($($tag:ident $index:literal)+) => {
            match number % ARCHETYPES {
                $($index => {
                    let (a, b, c, d, e, f, g, h) = row;
                    world.spawn((a, b, c, d, e, f, g, h, $tag));
                })+
                _ => unreachable!("a remainder is below the divisor"),
            }
        };
    }
    with_tag!(T0 0 T1 1 T2 2 T3 3 T4 4 T5 5 T6 6 T7 7 T8 8 T9 9);
}

fn write(world: &mut World, written: Written, period: usize) {
    macro_rules! write_tag {
        ($($tag:ident $index:literal)+) => {
            match period % ARCHETYPES {
                $($index => {
                    let mut query = world.query_mut::<RowMut<'_>>().filter::<With<$tag>>();
                    query.for_each(write_row);
                })+
                _ => unreachable!("a remainder is below the divisor"),
            }
        };
    }
    match written {
        Written::All => world.query_mut::<RowMut<'_>>().for_each(write_row),
        Written::Tenth => write_tag!(T0 0 T1 1 T2 2 T3 3 T4 4 T5 5 T6 6 T7 7 T8 8 T9 9),
    }
}

#[inline(always)]
fn write_row((a, b, c, d, e, f, g, h): RowMut<'_>) {
    let step = |value: &mut [f32; 4]| {
        for lane in value {
            *lane += 1.0;
        }
    };
    step(&mut a.0);
    step(&mut b.0);
    step(&mut c.0);
    step(&mut d.0);
    step(&mut e.0);
    step(&mut f.0);
    step(&mut g.0);
    step(&mut h.0);
}
