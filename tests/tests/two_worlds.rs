//! One provider, two worlds: no reader is handed a view of the other world.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use convoy_engine::provider::{DoubleBufferProvider, SharedSnapshotProvider, SnapshotProvider};
use convoy_engine::{ComponentMask, SnapshotPool, World};

fn a_view_is_of_the_world_it_was_asked_for(provider: &dyn SnapshotProvider) {
    let (mut one, mut other) = (World::new(), World::new());
    one.spawn((1_u32,));
    other.spawn((2_u32,));
    for _ in 0..3 {
        let first = provider.acquire(&mut one).unwrap();
        let second = provider.acquire(&mut other).unwrap();
        assert!(first.is_of(&one) && second.is_of(&other));
        assert_eq!(first.query::<&u32>().single(), Some(&1));
        assert_eq!(second.query::<&u32>().single(), Some(&2));
    }
}

#[test]
fn a_shared_provider_keeps_two_worlds_apart() {
    let pool = SnapshotPool::default();
    a_view_is_of_the_world_it_was_asked_for(&SharedSnapshotProvider::new(ComponentMask::ALL, pool));
}

#[test]
fn a_double_buffer_keeps_two_worlds_apart() {
    let pool = SnapshotPool::default();
    a_view_is_of_the_world_it_was_asked_for(&DoubleBufferProvider::new(ComponentMask::ALL, pool));
}
