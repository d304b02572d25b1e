//! The state of modules as bytes, and modules that bring their declarations along.
#![allow(clippy::unwrap_used, reason = "a failed expectation is a failed test")]

use std::error::Error as _;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use convoy_engine::World;
use convoy_engine::host::{
    Declared, HostConfig, HostError, LoadError, Mode, Module, ModuleContext, ModuleHost,
    ModuleSpec, Rate,
};

const FRAME: Duration = Duration::from_millis(10);

/// Counts its runs, and ends them when it is told to.
struct Counts {
    name: &'static str,
    runs: u64,
    gate: Option<Receiver<()>>,
}

impl Counts {
    fn open(name: &'static str) -> Self {
        Self { name, runs: 0, gate: None }
    }

    fn gated(name: &'static str) -> (Self, Sender<()>) {
        let (gate, opened) = channel();
        (Self { name, runs: 0, gate: Some(opened) }, gate)
    }
}

impl Declared for Counts {
    fn spec(&self) -> ModuleSpec {
        let mode = if self.gate.is_some() { Mode::Asynchronous } else { Mode::Synchronous };
        ModuleSpec::slow(self.name, Rate::EVERY_FRAME).mode(mode).reads::<()>()
    }
}

impl Module for Counts {
    fn run(&mut self, _: &mut ModuleContext<'_>) {
        // The other end is gone with a test that has ended.
        self.gate.as_ref().map(Receiver::recv);
        self.runs += 1;
    }

    fn save(&self) -> Option<Vec<u8>> {
        assert_ne!(self.name, "fails", "by plan");
        Some(self.runs.to_le_bytes().to_vec())
    }

    fn load(&mut self, bytes: &[u8]) -> Result<(), LoadError> {
        assert_ne!(self.name, "fails", "by plan");
        self.runs = u64::from_le_bytes(bytes.try_into()?);
        Ok(())
    }
}

#[test]
fn a_module_goes_on_in_another_host_where_it_was_saved() {
    let (mut world, mut host) = (World::new(), ModuleHost::default());
    let id = host.add_declared(Counts::open("counts")).unwrap();
    assert_eq!(
        host.save_module(id).unwrap().unwrap(),
        0_u64.to_le_bytes(),
        "before the first frame"
    );
    (0..5).for_each(|_| host.run_frame(&mut world, FRAME).unwrap());
    let saved = host.save_module(id).unwrap().unwrap();
    let mut other = ModuleHost::default();
    other.run_frame(&mut world, FRAME).unwrap();
    let id = other.install_declared(&mut world, Counts::open("counts")).unwrap();
    other.load_module(id, &saved).unwrap();
    (0..3).for_each(|_| other.run_frame(&mut world, FRAME).unwrap());
    assert_eq!(other.save_module(id).unwrap().unwrap(), 8_u64.to_le_bytes());
}

#[test]
fn a_module_whose_run_has_not_landed_is_busy() {
    let mut world = World::new();
    let mut host = ModuleHost::new(HostConfig::default().workers(1));
    let (module, gate) = Counts::gated("away");
    let id = host.add_declared(module).unwrap();
    host.run_frame(&mut world, FRAME).unwrap();
    assert!(matches!(host.save_module(id), Err(HostError::Busy { module }) if module == "away"));
    gate.send(()).unwrap();
    assert!(host.wait(Duration::MAX));
    assert!(matches!(host.load_module(id, &[]), Err(HostError::Busy { .. })), "it has not landed");
    host.finish(&mut world);
    assert_eq!(host.save_module(id).unwrap().unwrap(), 1_u64.to_le_bytes());
}

#[test]
fn what_cannot_be_saved_or_loaded_is_an_error_and_changes_nothing() {
    let mut host = ModuleHost::default();
    let counts = host.add_declared(Counts::open("counts")).unwrap();
    let fails = host.add_declared(Counts::open("fails")).unwrap();
    let stateless = host.add(ModuleSpec::fast("stateless").reads::<()>(), |_| {}).unwrap();
    host.load_module(counts, &7_u64.to_le_bytes()).unwrap();
    let refused = host.load_module(counts, &[1, 2]).unwrap_err();
    assert!(refused.to_string().contains("counts") && refused.source().is_some());
    assert_eq!(host.save_module(counts).unwrap().unwrap(), 7_u64.to_le_bytes());
    assert!(matches!(host.save_module(fails), Err(HostError::State { .. })));
    assert!(matches!(host.load_module(fails, &[]), Err(HostError::State { .. })));
    assert_eq!(host.save_module(stateless).unwrap(), None);
    assert!(matches!(host.load_module(stateless, &[]), Err(HostError::State { .. })));
    host.remove(counts).unwrap();
    assert!(matches!(host.save_module(counts), Err(HostError::UnknownModule { .. })));
}
