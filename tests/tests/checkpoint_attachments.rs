//! Bytes that go with a checkpoint: those of the last one come back whole, also after a compaction, and hostile ones
//! are an error or come back as they are.
#![allow(clippy::unwrap_used, reason = "a failed expectation is a failed test")]

use std::time::Duration;

use convoy_engine::checkpoint::{Checkpoint, CheckpointReader};
use convoy_engine::{ComponentMask, SnapshotPool, World, WorldConfig};
use convoy_tests::Mixer;

type Attached<'a> = &'a [(&'a str, &'a [u8])];

fn attached(medium: &[u8]) -> Vec<(String, Vec<u8>)> {
    let reader = CheckpointReader::new(medium.to_vec()).unwrap();
    reader.attachments().map(|(name, bytes)| (name.to_owned(), bytes.to_vec())).collect()
}

#[test]
fn those_of_the_last_checkpoint_come_back_after_a_compaction() {
    let large = vec![7; 300_000];
    let lists: [Attached<'_>; 5] = [
        &[],
        &[("", &[])],
        &[("one", &[1]), ("one", &[2]), ("\u{fc}\0", &[])],
        &[("large", &large)],
        &[],
    ];
    let mut world = World::new();
    world.spawn((1_u32,));
    let mut checkpoint = Checkpoint::on(Vec::new()).unwrap();
    for list in lists {
        world.spawn((2_u32,));
        let view = world.capture(ComponentMask::ALL, &SnapshotPool::default());
        checkpoint.write_attached(&view, list).unwrap();
        checkpoint.compact(Duration::MAX).unwrap();
        let medium = checkpoint.into_medium();
        let expected: Vec<_> =
            list.iter().map(|(name, bytes)| ((*name).to_owned(), bytes.to_vec())).collect();
        assert_eq!(attached(&medium), expected);
        let reader = CheckpointReader::new(medium.clone()).unwrap();
        assert_eq!(
            reader.attachment("one"),
            list.iter().find(|(name, _)| *name == "one").map(|it| it.1)
        );
        assert_eq!(
            reader.read(WorldConfig::default()).unwrap().entity_count(),
            world.entity_count()
        );
        checkpoint = Checkpoint::on(medium).unwrap();
    }
}

#[test]
fn changed_bytes_are_an_error_or_come_back() {
    let mut world = World::new();
    world.spawn((1_u32,));
    let view = world.capture(ComponentMask::ALL, &SnapshotPool::default());
    let mut checkpoint = Checkpoint::on(Vec::new()).unwrap();
    checkpoint.write_attached(&view, &[("host", &[9; 40]), ("run", &[8; 20])]).unwrap();
    let good = checkpoint.into_medium();
    let (mut mixer, mut sound) = (Mixer::new(5), 0);
    for _ in 0..20_000 {
        let mut bytes = good.clone();
        for _ in 0..=mixer.below(2) {
            let at = bytes.len() - 1 - mixer.below(90);
            bytes[at] = [0, 1, 2, 0x7f, 0x80, 0xff, mixer.below(256) as u8][mixer.below(7)];
        }
        Checkpoint::mend(&mut bytes);
        let Ok(reader) = CheckpointReader::new(bytes) else { continue };
        let total: usize = reader.attachments().map(|(name, bytes)| name.len() + bytes.len()).sum();
        assert!(total < 200);
        reader.contents().unwrap();
        sound += 1;
    }
    assert!(sound > 1_000, "{sound}");
}
