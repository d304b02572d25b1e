//! Texts: the same in every world, resolved wherever a row with one can be read, and kept until they are dropped.
#![allow(clippy::unwrap_used, reason = "a failed expectation is a failed test")]

use std::collections::{HashMap, HashSet};
use std::thread;
use std::time::Duration;

use bytemuck::{Pod, Zeroable};
use convoy_engine::commands::Commands;
use convoy_engine::host::{ModuleHost, ModuleSpec};
use convoy_engine::schema::{Schema, TypeEntry, TypeLayout};
use convoy_engine::text::{Text, TextError};
use convoy_engine::{ComponentMask, Entity, SnapshotPool, View, With, World, WorldConfig};
use convoy_tests::Mixer;

const ALL: ComponentMask = ComponentMask::ALL;

/// A name, twice, among other bytes.
#[derive(Clone, Copy, Pod, Zeroable, TypeLayout)]
#[repr(C)]
struct Item {
    count: u64,
    names: [Text; 2],
}

fn item(name: Text) -> Item {
    Item { count: 3, names: [name; 2] }
}

fn schema() -> Schema {
    let schema = Schema::builder()
        .component(TypeEntry::<Item>::new().named("item", 1).with_layout())
        .event(TypeEntry::<Item>::new().named("taken", 1).with_layout())
        .resource(TypeEntry::<Item>::new().named("chosen", 1).with_layout());
    schema.build().unwrap()
}

#[test]
fn equal_contents_are_equal_texts_and_short_ones_need_no_world() {
    let (mut one, mut other) = (World::new(), World::new());
    let contents =
        ["", "a", "\0", "seven b", "1234567", "eight by", "äöü", "äöüa", "äöüß", "a\0b\0c\0"];
    let mut texts = HashSet::new();
    for content in contents {
        let text = one.text(content);
        assert_eq!((text, text), (other.text(content), Text::new(content)));
        assert_eq!((one.resolve(&text), other.resolve(&text)), (Ok(content), Ok(content)));
        assert_eq!(text.is_inline(), content.len() <= Text::INLINE_BYTES_MAX);
        assert_eq!(World::new().resolve(&text).is_ok(), text.is_inline());
        assert!(texts.insert(text), "{content:?} is a text of its own");
    }
    assert_eq!(Text::EMPTY, Text::new(""));
    assert_eq!(one.text_statistics().texts, 2, "of eight bytes and more");
    let unknown = Text::new("nobody asked for it");
    assert_eq!(one.resolve(&unknown), Err(TextError::Unknown { text: unknown }));
}

#[test]
fn bytes_that_are_no_text_are_told_apart() {
    let world = World::new();
    // Not UTF-8, longer than there is room, and something behind the end.
    for bytes in
        [[0xFF, 0, 0, 0, 0, 0, 0, 1], [0, 0, 0, 0, 0, 0, 0, 8], [0, b'a', 0, 0, 0, 0, 0, 1]]
    {
        let text: Text = bytemuck::cast(bytes);
        assert_eq!(world.resolve(&text), Err(TextError::Malformed { text }));
    }
}

#[test]
fn the_limit_refuses_new_contents_only() {
    let mut world = World::with_config(WorldConfig::default().text_bytes_max(20));
    let known = world.text("sixteen bytes...");
    let before = world.text_statistics();
    assert_eq!(world.try_text("five more"), Err(TextError::Limit { bytes_max: 20 }));
    assert_eq!(world.text_statistics(), before);
    assert_eq!(
        (world.try_text("sixteen bytes..."), world.try_text("short")),
        (Ok(known), Ok(Text::new("short")))
    );
    let mut commands = Commands::new(&mut world);
    let refused = commands.text("also too much");
    let entity = commands.spawn((refused,));
    let playback = world.play_back(&mut commands);
    assert_eq!((playback.applied, playback.texts_refused), (1, 1));
    assert_eq!(
        world.resolve(world.get::<Text>(entity).unwrap()),
        Err(TextError::Unknown { text: refused })
    );
    let branch = World::branch(&world.capture(ALL, &SnapshotPool::default()));
    assert!(branch.unwrap().try_text("also too much").is_err(), "a branch has the same limit");
}

#[test]
fn texts_are_found_wherever_layouts_say_and_dropped_elsewhere() {
    let mut world = World::with_schema(&schema());
    let names =
        ["in a component", "in an event", "in a resource", "in a variable", "nowhere at all"];
    let texts = names.map(|name| world.text(name));
    let entity = world.spawn((item(texts[0]), 5_u32));
    world.send_event(item(texts[1]));
    world.insert_resource(item(texts[2])).unwrap();
    let held = world.held_texts().unwrap();
    assert_eq!(held, texts[..3].iter().copied().collect());
    let before = world.capture(ALL, &SnapshotPool::default());
    world.retain_texts(held.into_iter().chain([texts[3]]));
    assert_eq!(world.text_statistics().texts, 4);
    assert_eq!(world.resolve(&texts[4]), Err(TextError::Unknown { text: texts[4] }));
    assert_eq!(before.resolve(&texts[4]), Ok(names[4]), "a view keeps what it had");
    world.despawn(entity).unwrap();
    world.retain_texts([]);
    assert_eq!(world.text_statistics().texts, 0);
    world.restore(&before).unwrap();
    for (text, name) in texts.iter().zip(names) {
        assert_eq!(world.resolve(text), Ok(name), "a restore brings them back");
    }
    world.spawn((7_u64,));
    let refused = world.held_texts().unwrap_err();
    assert!(
        matches!(refused, TextError::NoLayout { component } if component.contains("u64")),
        "{refused}"
    );
}

#[test]
fn worlds_of_one_past_keep_their_own_texts_and_limits() {
    let (pool, config) = (SnapshotPool::default(), WorldConfig::default().text_bytes_max(100));
    let mut source = World::with_config(config);
    let name = source.text("known to everybody");
    let ship = source.spawn((name,));
    let before = source.text_statistics();
    let mut replica = World::new();
    replica.text(&"x".repeat(2_000));
    replica.sync_from(&source, ALL).unwrap();
    let mut branch = World::branch(&source.capture(ALL, &pool)).unwrap();
    let aside = branch.text("thought of in a branch");
    assert_eq!(source.text_statistics(), before, "nobody else adds to the source");
    assert!(source.resolve(&aside).is_err() && replica.resolve(&aside).is_err());
    for world in [&source, &replica, &branch] {
        assert_eq!(world.resolve(world.get::<Text>(ship).unwrap()), Ok("known to everybody"));
    }
    let view = source.capture(ALL, &pool);
    let later = source.text("known from now on");
    assert!(view.resolve(&later).is_err(), "a view knows what the world kept at its capture");
    replica.sync_from(&source, ALL).unwrap();
    assert_eq!(replica.resolve(&later), Ok("known from now on"));
}

#[test]
fn replicas_of_some_columns_tell_what_they_hold() {
    let (mut source, mut replica) = (World::new(), World::new());
    let name = source.text("a name that is synced");
    source.spawn((name, 1_u32));
    for mask in [source.mask_of::<(Text,)>().unwrap(), source.mask_of::<(Entity, u32)>().unwrap()] {
        replica.sync_from(&source, mask).unwrap();
        let held = replica.held_texts().unwrap();
        assert_eq!(held.contains(&name), mask.contains(source.register::<Text>().unwrap()));
    }
}

/// A restore, and a module's run without effect, discard commands and not the texts that somebody may have by now.
#[test]
fn texts_of_discarded_commands_are_kept() {
    let mut world = World::new();
    let before = world.capture(ALL, &SnapshotPool::default());
    let mut commands = Commands::new(&mut world);
    let title = commands.text("Captain of the guard");
    world.restore(&before).unwrap();
    let guard = commands.spawn((title,));
    world.play_back(&mut commands);
    assert_eq!(world.resolve(world.get::<Text>(guard).unwrap()), Ok("Captain of the guard"));
    let other = commands.text("nobody asks for it again");
    commands.clear();
    world.play_back(&mut commands);
    assert!(world.resolve(&other).is_err(), "cleared");

    let mut host = ModuleHost::default();
    let mut title = None;
    host.add(ModuleSpec::fast("guards").reads::<()>(), move |context| {
        let Some(title) = title else {
            title = Some(context.commands().text("Sergeant of the guard"));
            panic!("the first run fails, and the module goes on with the text");
        };
        context.commands().spawn((title, 7_u8));
    })
    .unwrap();
    host.on_panic(|_| {});
    (0..3).for_each(|_| host.run_frame(&mut world, Duration::from_millis(16)).unwrap());
    let guards = world.query::<&Text>().filter::<With<u8>>();
    assert_eq!(guards.count(), 2);
    assert!(guards.iter().all(|title| world.resolve(title) == Ok("Sergeant of the guard")));
}

/// A world with texts in it, and what they are.
struct Program {
    world: World,
    contents: HashMap<Entity, String>,
}

impl Program {
    fn check(&self, read: impl Fn(Entity) -> String) {
        self.contents.iter().for_each(|(entity, content)| assert_eq!(read(*entity), *content));
    }

    fn check_world(&self, world: &World) {
        let read = |entity| world.get::<Item>(entity).unwrap().names[1];
        self.check(|entity| world.resolve(&read(entity)).unwrap().to_owned());
    }

    fn step(&mut self, mixer: &mut Mixer) {
        let content = "x".repeat(mixer.below(12)) + &mixer.below(400).to_string();
        let entity = self.contents.keys().min().copied();
        match (mixer.below(6), entity) {
            (0, Some(entity)) => {
                self.world.despawn(entity).unwrap();
                self.contents.remove(&entity);
            }
            (1, Some(entity)) => {
                let name = self.world.text(&content);
                self.world.get_mut::<Item>(entity).unwrap().names[1] = name;
                self.contents.insert(entity, content);
            }
            (2, _) => {
                let mut commands = Commands::new(&mut self.world);
                let name = commands.text(&content);
                let entity = commands.spawn((item(name),));
                self.world.play_back(&mut commands);
                self.contents.insert(entity, content);
            }
            (3, _) if mixer.below(4) == 0 => {
                let held = self.world.held_texts().unwrap();
                self.world.retain_texts(held);
            }
            _ => {
                let name = self.world.text(&content);
                self.contents.insert(self.world.spawn((item(name),)), content);
            }
        }
    }
}

#[test]
fn random_programs_resolve_every_text_in_worlds_views_branches_and_replicas() {
    for seed in 0..40 {
        let (mut mixer, pool) = (Mixer::new(seed), SnapshotPool::default());
        let mut program =
            Program { world: World::with_schema(&schema()), contents: HashMap::new() };
        let mut replica = World::with_schema(&schema());
        let mut views: Vec<(View, HashMap<Entity, String>)> = Vec::new();
        for _ in 0..300 {
            program.step(&mut mixer);
            match mixer.below(30) {
                0 => views.push((program.world.capture(ALL, &pool), program.contents.clone())),
                1 if !views.is_empty() => {
                    let (view, contents) = &views[mixer.below(views.len())];
                    // Views of the world from before it was replaced by a branch are of another.
                    if program.world.restore(view).is_ok() {
                        program.contents.clone_from(contents);
                    }
                }
                2 => {
                    let view = program.world.capture(ALL, &pool);
                    program.world = World::branch(&view).unwrap();
                }
                3 => {
                    replica.sync_from(&program.world, ALL).unwrap();
                    program.check_world(&replica);
                    assert_eq!(replica.state_hash(), program.world.state_hash());
                }
                4 => {
                    let mut aside = World::branch(&program.world.capture(ALL, &pool)).unwrap();
                    aside.text("a content that the branch alone keeps");
                    program.check_world(&aside);
                }
                _ => {}
            }
        }
        program.check_world(&program.world);
        for (view, contents) in views {
            for (entity, content) in contents {
                let name = &view.get::<Item>(entity).unwrap().names[1];
                assert_eq!(view.resolve(name).unwrap(), content);
            }
        }
    }
}

#[test]
fn readers_resolve_while_the_world_keeps_more() {
    let (mut world, pool) = (World::new(), SnapshotPool::default());
    thread::scope(|scope| {
        for number in 0..2_000_u32 {
            let content = format!("text number {number}");
            let name = world.text(&content);
            let entity = world.spawn((name,));
            if number % 100 == 7 {
                let view = world.capture(ALL, &pool);
                scope.spawn(move || {
                    for _ in 0..20 {
                        let all = view.query::<&Text>();
                        assert_eq!(
                            all.iter().filter(|text| view.resolve(text).is_ok()).count(),
                            view.entity_count()
                        );
                        let own = view.get::<Text>(entity).unwrap();
                        assert_eq!(view.resolve(own).unwrap(), format!("text number {number}"));
                    }
                });
            }
        }
    });
}
