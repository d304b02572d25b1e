//! A server and two clients over loopback TCP: one joins late, one loses its connection and comes back.
//!
//! The server sends all of its world to whoever connects, and then a delta each second, of the tenth of the
//! rows that have changed. A client answers each with a byte. Both assert each second that their worlds are
//! equal, by their state hashes.
//!
//! `cargo run --release -p convoy-engine --example replicate -- [SECONDS]`

use std::error::Error;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;

use bytemuck::{Pod, Zeroable};
use convoy_engine::delta::{Delta, DeltaEncoder};
use convoy_engine::schema::{Schema, TypeEntry};
use convoy_engine::{ComponentMask, SnapshotPool, View, World};

const SHIPS: u64 = 10_000;

#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct Place([f32; 3]);

#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(transparent)]
struct Number(u64);

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// Both sides make their worlds of one schema.
fn new_world() -> Outcome<World> {
    let schema = Schema::builder()
        .component(TypeEntry::<Place>::new().named("place", 1))
        .component(TypeEntry::<Number>::new().named("number", 1));
    Ok(World::with_schema(&schema.build()?))
}

/// A tenth of the ships move, one goes and one comes.
fn step(world: &mut World) -> Outcome<()> {
    world.advance_tick();
    let tick = world.tick();
    for (place, number) in world.query_mut::<(&mut Place, &Number)>().iter() {
        if number.0 % 10 == tick % 10 {
            place.0[0] += 1.0;
        }
    }
    let last = world.query::<convoy_engine::Entity>().iter().last();
    last.map_or(Ok(()), |ship| world.despawn(ship))?;
    world.spawn((Place([0.0; 3]), Number(SHIPS + tick)));
    Ok(())
}

/// Sends bytes and the hash that the world has then. Tells whether the client wants more.
fn send(client: &mut TcpStream, bytes: &[u8], hash: u64) -> io::Result<bool> {
    client.write_all(&(bytes.len() as u64).to_le_bytes())?;
    client.write_all(&hash.to_le_bytes())?;
    client.write_all(bytes)?;
    let mut answer = [0];
    client.read_exact(&mut answer)?;
    Ok(answer == [1])
}

/// Serves until `leaving` clients have had enough.
fn serve(listener: &TcpListener, late: &dyn Fn(u64), mut leaving: usize) -> Outcome<u64> {
    let (mut world, pool) = (new_world()?, SnapshotPool::default());
    let ships = (0..SHIPS).map(|number| (Place([number as f32, 0.0, 0.0]), Number(number)));
    world.spawn_batch(ships)?;
    let (mut encoder, mut bytes) = (DeltaEncoder::new(), Vec::new());
    let (mut clients, mut last): (Vec<TcpStream>, Option<View>) = (Vec::new(), None);
    while leaving > 0 {
        step(&mut world)?;
        late(world.tick());
        let (view, hash) = (world.capture(ComponentMask::ALL, &pool), world.state_hash());
        encoder.encode(last.as_ref(), &view, &mut bytes)?;
        // A connection that is lost is one client less; it may come back.
        let mut follow = |client: &mut TcpStream, bytes: &[u8]| {
            let wants_more = send(client, bytes, hash);
            leaving -= usize::from(matches!(wants_more, Ok(false)));
            wants_more.unwrap_or(false)
        };
        clients.retain_mut(|client| follow(client, &bytes));
        while let Ok((mut client, _)) = listener.accept() {
            client.set_nonblocking(false)?;
            Delta::encode(None, &view, &mut bytes)?;
            if follow(&mut client, &bytes) {
                clients.push(client);
            }
        }
        last = Some(view);
    }
    Ok(world.tick())
}

/// Follows the server for some seconds. Returns how many deltas of them were of a whole world.
fn follow(world: &mut World, address: SocketAddr, seconds: u64, is_over: bool) -> Outcome<u64> {
    let mut server = TcpStream::connect(address)?;
    let (mut bytes, mut wholes) = (Vec::new(), 0);
    for second in 1..=seconds {
        let mut head = [[0; 8]; 2];
        server.read_exact(head.as_flattened_mut())?;
        let [len, hash] = head.map(u64::from_le_bytes);
        bytes.resize(usize::try_from(len)?, 0);
        server.read_exact(&mut bytes)?;
        let delta = Delta::parse(&bytes)?;
        world.apply(&delta)?;
        assert_eq!(world.state_hash(), hash, "equal each second");
        wholes += u64::from(delta.base().is_none());
        let is_last = second == seconds;
        if is_last && !is_over {
            // The connection is lost, without a word.
            return Ok(wholes);
        }
        server.write_all(&[u8::from(!is_last)])?;
    }
    Ok(wholes)
}

/// Runs all three for at least so many seconds of the simulation.
pub(crate) fn run(seconds: u64) -> Outcome<u64> {
    let listener = TcpListener::bind(("127.0.0.1", 0))?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    let (go, wait) = std::sync::mpsc::channel();
    thread::scope(|scope| {
        let server =
            scope.spawn(move || serve(&listener, &|tick| _ = (tick == 3).then(|| go.send(())), 2));
        let mut first = new_world()?;
        let lossy = scope.spawn(move || {
            let before = follow(&mut first, address, seconds / 2, false)?;
            Ok::<_, Box<dyn Error + Send + Sync>>(
                before + follow(&mut first, address, seconds, true)?,
            )
        });
        wait.recv()?;
        let late = follow(&mut new_world()?, address, seconds, true)?;
        let lossy = lossy.join().map_err(|_| "the first client panicked")??;
        assert_eq!((lossy, late), (2, 1), "a whole world for each connection");
        server.join().map_err(|_| "the server panicked")?
    })
}

fn main() -> Outcome<()> {
    let seconds = std::env::args().nth(1).map_or(Ok(20), |told| told.parse())?;
    println!("two clients had the world of the server in each of {} seconds", run(seconds)?);
    Ok(())
}
