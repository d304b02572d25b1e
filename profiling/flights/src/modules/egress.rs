//! [`Egress`]: the bytes that a network would have to send.
//!
//! The module keeps the last values sent of every flight and encodes only the difference:
//!
//! | record | bytes |
//! |---|---|
//! | departed | kind (1), slot (4), time (4) |
//! | moved | kind (1), slot (4), position (16) |
//! | landed | kind (1), slot (4), delay (4) |
//!
//! Records are little-endian and gathered in packets. A packet that is full, and the last one of a
//! run, is sent: added to the ledger. Nothing is rounded, so a receiver has the exact positions.

use bytemuck::{Zeroable, bytes_of, cast, try_pod_read_unaligned};
use convoy_engine::Entity;
use convoy_engine::host::{LoadError, Module, ModuleContext, Rate};

use crate::analysis::Checksum;
use crate::traffic::{FlightDeparted, FlightLanded, Position};

use super::ledger::Ledger;
use super::state::{StateReader, StateWriter};
use super::watch::{EventsRead, Watch};

/// Bytes of a full packet.
const PACKET_BYTES: usize = 16 * 1024;

/// Bytes of the longest record.
const RECORD_BYTES_MAX: usize = 1 + 4 + 16;

const DEPARTED: u8 = 1;
const MOVED: u8 = 2;
const LANDED: u8 = 3;

/// Encodes the changes since its last run.
#[derive(Debug)]
pub struct Egress {
    /// The position last sent of each flight, by the slot of its entity; zero for none.
    sent: Box<[Position]>,
    packet: Vec<u8>,
    ledger: Ledger,
}

impl Egress {
    /// An egress for flights in the first `slots` slots of the world.
    pub fn new(slots: usize, ledger: Ledger) -> Self {
        let sent = vec![Position::zeroed(); slots].into_boxed_slice();
        Self { sent, packet: Vec::with_capacity(PACKET_BYTES), ledger }
    }
}

impl Watch for Egress {
    const NAME: &'static str = "egress";
    const RATE: Option<Rate> = Some(Rate::hz(10));
    type Reads = (Entity, Position);
    const EVENTS: EventsRead = EventsRead { departed: true, landed: true, alerts: false };
}

impl Module for Egress {
    fn run(&mut self, context: &mut ModuleContext<'_>) {
        let view = context.view();
        let Self { sent, packet, ledger } = self;
        ledger.enter(view, |checksum| {
            let mut stream = Stream { packet, checksum };
            for event in context.events::<FlightDeparted>() {
                stream.record(DEPARTED, event.entity, &event.departure_s.to_le_bytes());
            }
            let airborne = view.query::<(Entity, &Position)>();
            airborne.for_each(|(entity, position)| {
                let Some(known) = sent.get_mut(entity.index() as usize) else { return };
                if bytes_of(known) != bytes_of(position) {
                    *known = *position;
                    stream.position(entity, position);
                }
            });
            for event in context.events::<FlightLanded>() {
                if let Some(known) = sent.get_mut(event.entity.index() as usize) {
                    *known = Position::zeroed();
                }
                stream.record(LANDED, event.entity, &event.delay_s.to_le_bytes());
            }
            stream.send();
        });
    }

    fn save(&self) -> Option<Vec<u8>> {
        let mut state = StateWriter::default();
        self.ledger.put(&mut state);
        let sent = self.sent.iter().enumerate();
        let sent = sent.filter(|(_, position)| cast::<Position, [u64; 2]>(**position) != [0; 2]);
        for (slot, position) in sent {
            state.number(slot as u64);
            state.piece(bytes_of(position));
        }
        Some(state.finish())
    }

    fn load(&mut self, bytes: &[u8]) -> Result<(), LoadError> {
        let mut state = StateReader::new(bytes);
        let entries = Ledger::take(&mut state)?;
        let mut sent = vec![Position::zeroed(); self.sent.len()].into_boxed_slice();
        while !state.is_empty() {
            let (slot, position) = (usize::try_from(state.number()?)?, state.piece()?);
            let known = sent.get_mut(slot).ok_or("there is no flight in this slot")?;
            *known = try_pod_read_unaligned(position).map_err(|error| error.to_string())?;
        }
        self.sent = sent;
        self.ledger.resume(entries);
        Ok(())
    }
}

/// Records on their way into packets, and packets on their way out.
struct Stream<'a> {
    packet: &'a mut Vec<u8>,
    checksum: &'a mut Checksum,
}

impl Stream<'_> {
    fn record(&mut self, kind: u8, entity: Entity, content: &[u8]) {
        if self.packet.len() + RECORD_BYTES_MAX > PACKET_BYTES {
            self.send();
        }
        self.packet.push(kind);
        self.packet.extend_from_slice(&entity.index().to_le_bytes());
        self.packet.extend_from_slice(content);
    }

    fn position(&mut self, entity: Entity, position: &Position) {
        let [x, y, z] = position.over.0;
        let mut content = [0; 16];
        for (bytes, part) in content.chunks_exact_mut(4).zip([x, y, z, position.altitude_ft]) {
            bytes.copy_from_slice(&part.to_le_bytes());
        }
        self.record(MOVED, entity, &content);
    }

    /// Sends the packet, which may be empty, and starts the next.
    fn send(&mut self) {
        self.checksum.add_u32(self.packet.len() as u32);
        self.checksum.add_bytes(self.packet);
        self.packet.clear();
    }
}
