//! The spans and events of the engine: each operation has its own, with its fields, in the span that it is
//! part of.
#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

use std::fmt::{Debug, Write};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use convoy_engine::commands::Commands;
use convoy_engine::host::{ModuleHost, ModuleSpec};
use convoy_engine::{ComponentMask, Entity, SnapshotPool, World};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id};
use tracing::{Event, Subscriber};
use tracing_subscriber::layer::{Context, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::{Layer, Registry};

/// Keeps the path of each span that opens and of each event, with its fields: `frame > module name=...`.
#[derive(Clone, Default)]
struct Paths(Arc<Mutex<Vec<String>>>);

impl Paths {
    /// The paths since the last call.
    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }

    fn enter(&self, spans: Vec<&str>, name: &str, fields: Fields) {
        let path = spans.into_iter().chain([name]).collect::<Vec<_>>().join(" > ");
        self.0.lock().unwrap().push(path + &fields.0);
    }
}

#[derive(Default)]
struct Fields(String);

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if field.name() != "message" {
            write!(self.0, " {}={value:?}", field.name()).unwrap();
        }
    }
}

impl<S: Subscriber + for<'s> LookupSpan<'s>> Layer<S> for Paths {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        assert_eq!(attributes.metadata().target(), "convoy");
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        let span = context.span(id).unwrap();
        let above: Vec<_> = span.scope().skip(1).collect();
        let above = above.iter().rev().map(|span| span.name()).collect();
        self.enter(above, attributes.metadata().name(), fields);
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        assert_eq!(event.metadata().target(), "convoy");
        let mut fields = Fields::default();
        event.record(&mut fields);
        let above: Vec<_> = context.event_scope(event).into_iter().flatten().collect();
        let above = above.iter().rev().map(|span| span.name()).collect();
        self.enter(above, event.metadata().name(), fields);
    }
}

#[test]
fn each_operation_has_a_span_or_an_event() {
    let paths = Paths::default();
    let subscriber = Registry::default().with(paths.clone());
    tracing::subscriber::with_default(subscriber, || {
        let (mut world, pool) = (World::new(), SnapshotPool::default());
        let entity = world.spawn((7_u32,));
        let mut host = ModuleHost::default();
        host.add(ModuleSpec::fast("doubler").reads::<(Entity, u32)>(), move |context| {
            let number = *context.view().get::<u32>(entity).unwrap();
            context.commands().insert(entity, (2 * number,));
        })
        .unwrap();
        host.run_frame(&mut world, Duration::from_millis(16)).unwrap();
        let frame =
            ["frame tick=1", "frame > capture tick=1", "frame > module name=\"doubler\" tick=1"];
        let playback = ["frame > playback commands=1", "frame > playback > copy on write bytes=4"];
        assert_eq!(paths.take(), [&frame[..], &playback[..]].concat());
        assert_eq!(*world.get::<u32>(entity).unwrap(), 14);

        let view = world.capture(ComponentMask::ALL, &pool);
        *world.get_mut::<u32>(entity).unwrap() = 1;
        world.restore(&view).unwrap();
        let own = ["capture tick=1", "copy on write bytes=4", "restore tick=1"];
        assert_eq!(paths.take(), own);

        let mut replica = World::new();
        replica.sync_from(&world, ComponentMask::ALL).unwrap();
        world.trim(Duration::MAX);
        assert_eq!(paths.take(), ["sync tick=1", "trim"]);

        let mut commands = Commands::new(&mut world);
        commands.despawn(entity);
        world.play_back(&mut commands);
        let played = paths.take();
        assert_eq!(played[0], "playback commands=1");
        assert!(played[1..].iter().all(|path| path.starts_with("playback > copy on write bytes=")));
    });
}
