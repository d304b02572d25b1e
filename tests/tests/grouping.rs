//! Grouping: which modules of a host share a provider, and of which kind it is.
#![allow(clippy::unwrap_used, reason = "a failed expectation is a failed test")]

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use convoy_engine::host::{
    ConvoyStatistics, HostError, HostStatistics, Mode, ModuleHost, ModuleSpec, Rate, Tier,
};
use convoy_engine::provider::{
    AcquireError, ProviderKind, ProviderStatistics, SharedSnapshotProvider, SnapshotProvider,
};
use convoy_engine::{ComponentMask, Entity, SnapshotPool, View, World};

const FRAME: Duration = Duration::from_millis(20);

/// The statistics of a host with these modules, right after grouping.
fn grouped(world: &mut World, specs: impl IntoIterator<Item = ModuleSpec>) -> HostStatistics {
    let mut host = ModuleHost::default();
    for spec in specs {
        host.add(spec, |_| {}).unwrap();
    }
    host.initialize(world).unwrap();
    host.statistics(world)
}

fn kinds(convoys: &[ConvoyStatistics]) -> Vec<(ProviderKind, usize)> {
    convoys.iter().map(|convoy| (convoy.kind, convoy.members)).collect()
}

#[test]
fn modules_of_one_tier_and_rate_share_a_convoy() {
    let specs =
        ["a", "b", "c", "d", "e"].map(|name| ModuleSpec::slow(name, Rate::hz(10)).reads_all());
    let statistics = grouped(&mut World::new(), specs);
    assert_eq!(kinds(&statistics.convoys), [(ProviderKind::Shared, 5)]);
    let convoy = &statistics.convoys[0];
    assert_eq!((convoy.tier, convoy.mode), (Tier::Slow, Some(Mode::Synchronous)));
    assert!(convoy.rate == Rate::hz(10) && !convoy.manual);
}

#[test]
fn different_rates_do_not_share() {
    let rates = [Rate::hz(10), Rate::hz(5), Rate::every_frames(6), Rate::hz(10), Rate::hz(5)];
    let names = ["a", "b", "c", "d", "e"].into_iter();
    let specs = names.zip(rates).map(|(name, rate)| ModuleSpec::slow(name, rate).reads_all());
    let statistics = grouped(&mut World::new(), specs);
    let expected =
        [(ProviderKind::Shared, 2), (ProviderKind::Shared, 2), (ProviderKind::OnDemand, 1)];
    assert_eq!(kinds(&statistics.convoys), expected);
    let rates: Vec<Rate> = statistics.convoys.iter().map(|convoy| convoy.rate).collect();
    assert_eq!(rates, [Rate::hz(10), Rate::hz(5), Rate::every_frames(6)]);
}

#[test]
fn a_single_slow_module_gets_a_private_snapshot_on_demand() {
    let statistics =
        grouped(&mut World::new(), [ModuleSpec::slow("lone", Rate::hz(1)).reads_all()]);
    assert_eq!(kinds(&statistics.convoys), [(ProviderKind::OnDemand, 1)]);
}

#[test]
fn fast_modules_share_a_double_buffer_also_when_there_is_one() {
    let statistics =
        grouped(&mut World::new(), ["a", "b", "c"].map(|name| ModuleSpec::fast(name).reads_all()));
    assert_eq!(kinds(&statistics.convoys), [(ProviderKind::DoubleBuffer, 3)]);
    let statistics = grouped(&mut World::new(), [ModuleSpec::fast("lone").reads_all()]);
    assert_eq!(kinds(&statistics.convoys), [(ProviderKind::DoubleBuffer, 1)]);
}

#[test]
fn fast_and_slow_modules_of_one_rate_are_apart() {
    let slow = ModuleSpec::slow("slow", Rate::EVERY_FRAME).reads_all();
    let statistics = grouped(&mut World::new(), [ModuleSpec::fast("fast").reads_all(), slow]);
    let expected = [(ProviderKind::DoubleBuffer, 1), (ProviderKind::OnDemand, 1)];
    assert_eq!(kinds(&statistics.convoys), expected);
}

#[test]
fn modes_are_apart() {
    let modes = [Mode::Synchronous, Mode::Asynchronous, Mode::Synchronous, Mode::Asynchronous];
    let spec = |name| ModuleSpec::slow(name, Rate::hz(10)).reads_all();
    let specs =
        ["a", "b", "c", "d"].into_iter().zip(modes).map(|(name, mode)| spec(name).mode(mode));
    let statistics = grouped(&mut World::new(), specs);
    assert_eq!(kinds(&statistics.convoys), [(ProviderKind::Shared, 2), (ProviderKind::Shared, 2)]);
    let modes: Vec<_> = statistics.convoys.iter().map(|convoy| convoy.mode).collect();
    assert_eq!(modes, [Some(Mode::Synchronous), Some(Mode::Asynchronous)]);
}

#[test]
fn a_convoy_captures_the_union_of_its_members_masks_and_each_reads_its_own() {
    let mut world = World::new();
    world.spawn((1_u32, 2_u64, 3_i16));
    let union = world.mask_of::<(u32, u64)>().unwrap();
    let (first, second) = (world.mask_of::<(u32,)>().unwrap(), world.mask_of::<(u64,)>().unwrap());
    let seen = Arc::new(Mutex::new(Vec::new()));
    let mut host = ModuleHost::default();
    let specs = [
        ModuleSpec::slow("first", Rate::hz(50)).reads::<(u32,)>(),
        ModuleSpec::slow("second", Rate::hz(50)).reads::<(u64,)>(),
        ModuleSpec::slow("nothing", Rate::hz(50)).reads::<()>(),
    ];
    for spec in specs {
        let seen = Arc::clone(&seen);
        host.add(spec, move |context| {
            let view = context.view();
            assert_eq!(view.entity_count(), 1);
            seen.lock().unwrap().push((view.mask(), view.readers()));
        })
        .unwrap();
    }
    host.initialize(&mut world).unwrap();
    assert_eq!(host.statistics(&world).convoys[0].mask, union);
    assert_eq!(host.statistics(&world).convoys[0].copy_bytes, 4 + 8);
    host.run_frame(&mut world, FRAME).unwrap();
    // All leases are taken before the first module runs, and each ends with its run.
    let expected = [(first, 3), (second, 2), (ComponentMask::NONE, 1)];
    assert_eq!(*seen.lock().unwrap(), expected);
}

/// A provider that counts calls.
struct Counting {
    inner: SharedSnapshotProvider,
    acquires: AtomicU64,
    updates: AtomicU64,
}

impl Counting {
    fn new() -> Self {
        let inner = SharedSnapshotProvider::new(ComponentMask::ALL, SnapshotPool::default());
        Self { inner, acquires: AtomicU64::new(0), updates: AtomicU64::new(0) }
    }

    fn counts(&self) -> (u64, u64) {
        (self.acquires.load(Ordering::Relaxed), self.updates.load(Ordering::Relaxed))
    }
}

impl SnapshotProvider for Counting {
    fn kind(&self) -> ProviderKind {
        self.inner.kind()
    }

    fn mask(&self) -> ComponentMask {
        self.inner.mask()
    }

    fn acquire(&self, world: &mut World) -> Result<View, AcquireError> {
        self.acquires.fetch_add(1, Ordering::Relaxed);
        self.inner.acquire(world)
    }

    fn update(&self, world: &mut World) -> Result<(), AcquireError> {
        self.updates.fetch_add(1, Ordering::Relaxed);
        self.inner.update(world)
    }

    fn statistics(&self) -> ProviderStatistics {
        self.inner.statistics()
    }
}

#[test]
fn a_provider_assigned_by_hand_is_left_alone() {
    let mut world = World::new();
    world.spawn((1_u32,));
    let provider = Arc::new(Counting::new());
    let manual = ModuleSpec::slow("manual", Rate::EVERY_FRAME)
        .reads_all()
        .provider(&world, Arc::<Counting>::clone(&provider));
    let mut host = ModuleHost::default();
    for spec in [manual, ModuleSpec::slow("plain", Rate::EVERY_FRAME).reads_all()] {
        host.add(spec, |_| {}).unwrap();
    }
    for _ in 0..10 {
        host.run_frame(&mut world, FRAME).unwrap();
    }
    let convoys = host.statistics(&world).convoys;
    assert_eq!(kinds(&convoys), [(ProviderKind::Shared, 1), (ProviderKind::OnDemand, 1)]);
    assert_eq!((convoys[0].manual, convoys[1].manual), (true, false));
    assert_eq!(provider.counts(), (10, 10), "the host asks the very provider that was assigned");
    assert_eq!(convoys[0].provider, provider.statistics());
}

#[test]
fn modules_with_the_same_provider_form_a_convoy() {
    let mut world = World::new();
    let [one, other] = [(); 2].map(|()| Arc::new(Counting::new()));
    let with = |name: &str, provider: &Arc<Counting>| {
        ModuleSpec::slow(name, Rate::EVERY_FRAME)
            .reads_all()
            .provider(&world, Arc::<Counting>::clone(provider))
    };
    let specs = [with("a", &one), with("b", &other), with("c", &one)];
    let statistics = grouped(&mut world, specs);
    assert_eq!(kinds(&statistics.convoys), [(ProviderKind::Shared, 2), (ProviderKind::Shared, 1)]);
    assert!(statistics.convoys.iter().all(|convoy| convoy.manual));
}

/// A provider with modules of two rates belongs to two convoys. It is updated once per frame all
/// the same: a double buffer would capture every tick twice otherwise.
#[test]
fn a_provider_of_two_convoys_is_updated_once_per_frame() {
    let mut world = World::new();
    let provider = Arc::new(Counting::new());
    let mut host = ModuleHost::default();
    for (name, rate) in [("often", Rate::EVERY_FRAME), ("seldom", Rate::every_frames(2))] {
        let spec = ModuleSpec::slow(name, rate)
            .reads_all()
            .provider(&world, Arc::<Counting>::clone(&provider));
        host.add(spec, |_| {}).unwrap();
    }
    for _ in 0..10 {
        host.run_frame(&mut world, FRAME).unwrap();
    }
    assert_eq!(host.statistics(&world).convoys.len(), 2);
    assert_eq!(provider.counts(), (10 + 5, 10));
    let statistics = provider.statistics();
    assert_eq!(
        (statistics.captures, statistics.joins),
        (10, 5),
        "members of both share a snapshot"
    );
}

/// Trap 9 of the design: a member that declares nothing silently widens the union for all. It is refused, and
/// one that reads all says so.
#[test]
fn trap_9_an_undeclared_member_is_refused_and_one_that_reads_all_says_so() {
    let mut world = World::new();
    let numbers = world.mask_of::<(Entity, u32)>().unwrap();
    let declared = ModuleSpec::slow("declared", Rate::hz(10)).reads::<(Entity, u32)>();
    let again = ModuleSpec::slow("again", Rate::hz(10)).reads_ids(numbers.iter());
    let statistics = grouped(&mut world, [declared.clone(), again]);
    assert_eq!(statistics.convoys[0].mask, numbers);
    assert!(statistics.modules.iter().all(|module| !module.reads_all));

    let mut host = ModuleHost::default();
    let refused = host.add(ModuleSpec::slow("undeclared", Rate::hz(10)), |_| {}).unwrap_err();
    assert!(matches!(&refused, HostError::NoReads { module } if module == "undeclared"));
    assert!(refused.to_string().contains("reads_all()"));
    host.add(declared.clone(), |_| {}).unwrap();
    let refused = host.add(declared.clone(), |_| {}).unwrap_err();
    assert!(matches!(&refused, HostError::DuplicateName { module } if module == "declared"));
    assert_eq!(host.statistics(&world).modules.len(), 1, "what was refused is not there");

    let everything = ModuleSpec::slow("everything", Rate::hz(10)).reads_all();
    let nothing = ModuleSpec::slow("nothing", Rate::hz(10)).reads::<()>();
    let statistics = grouped(&mut world, [declared, everything, nothing]);
    assert_eq!(statistics.convoys[0].mask, ComponentMask::ALL);
    let reads_all: Vec<(&str, bool)> =
        statistics.modules.iter().map(|module| (&*module.name, module.reads_all)).collect();
    assert_eq!(reads_all, [("declared", false), ("everything", true), ("nothing", false)]);
}

/// A provider that captured less than a module had declared gave it views without them.
#[test]
fn a_module_with_a_provider_that_captures_less_than_it_declares_is_refused() {
    let mut world = World::new();
    world.spawn((1_u64,));
    world.spawn((1_u8, 2.5_f32));
    let narrow = world.mask_of::<(u64, u8)>().unwrap();
    let id = world.register::<f32>().unwrap();
    let provider = || Arc::new(SharedSnapshotProvider::new(narrow, SnapshotPool::default()));
    let spec = |name| ModuleSpec::slow(name, Rate::EVERY_FRAME).provider(&world, provider());
    let mut host = ModuleHost::default();
    host.add(spec("fits").reads::<(u8,)>(), |_| {}).unwrap();
    // Whatever comes first: the provider or the types.
    for spec in [
        spec("wants more").reads::<(u8, f32)>(),
        ModuleSpec::fast("wants more").reads::<(u8, f32)>().provider(&world, provider()),
    ] {
        let error = host.add(spec, |_| {}).unwrap_err();
        let HostError::ProviderMask { module, component } = &error else { panic!("{error}") };
        assert_eq!((module.as_str(), *component), ("wants more", "f32"));
        assert!(error.to_string().contains("give the provider a wider mask"), "{error}");
    }
    // Of types that the world does not know yet, events and resources.
    let unknown = host.add(spec("unknown").reads::<(i64,)>(), |_| {}).unwrap_err();
    assert!(
        matches!(unknown, HostError::ProviderMask { component: "i64" | "(i64,)", .. }),
        "{unknown}"
    );
    let event = host.add(spec("event").reads_events::<u8>(), |_| {}).unwrap_err();
    assert!(matches!(event, HostError::ProviderMask { component: "u8", .. }), "{event}");
    let resource = host.add(spec("resource").reads_resource::<u8>(), |_| {}).unwrap_err();
    assert!(matches!(resource, HostError::ProviderMask { component: "u8", .. }), "{resource}");
    let all = spec("takes what it gets").reads_all();
    let by_id = host.add(spec("by id").reads_ids([id]), |_| {}).unwrap_err();
    assert!(matches!(by_id, HostError::ProviderMask { component: "f32", .. }), "{by_id}");
    host.run_frame(&mut world, FRAME).unwrap();
    assert_eq!(host.statistics(&world).modules.len(), 1, "nothing but the one that fits");
    // A module that reads all reads all that was captured.
    let mut host = ModuleHost::default();
    let reads = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&reads);
    host.add(all, move |context| {
        assert!(context.view().try_query::<&f32>().is_err());
        let bytes = context.view().query::<&u8>().iter().count();
        count.fetch_add(bytes as u64, Ordering::Relaxed);
    })
    .unwrap();
    host.run_frame(&mut world, FRAME).unwrap();
    assert_eq!(reads.load(Ordering::Relaxed), 1);
}

/// Ids belong to a world: one that it has not given out is refused when the host starts.
#[test]
fn an_id_that_the_world_does_not_know_is_refused() {
    let mut other = World::new();
    let (_, id) = (other.register::<u32>().unwrap(), other.register::<u64>().unwrap());
    let (mut world, mut host) = (World::new(), ModuleHost::default());
    host.add(ModuleSpec::fast("stranger").reads_ids([id]), |_| {}).unwrap();
    let refused = host.run_frame(&mut world, FRAME).unwrap_err();
    assert!(matches!(refused, HostError::UnknownId { id: unknown, .. } if unknown == id));
    assert_eq!(world.tick(), 0);
    host.run_frame(&mut other, FRAME).unwrap();
    // No ids at all are a declaration as well: of nothing.
    let mut host = ModuleHost::default();
    host.add(ModuleSpec::fast("nothing").reads_ids([]), |_| {}).unwrap();
    host.run_frame(&mut other, FRAME).unwrap();
    assert_eq!(host.statistics(&other).convoys[0].mask, ComponentMask::NONE);
}
