//! States: an enum as a component, a timer beside it, and a switch for what an entity can't do for now.
//!
//! `cargo run -p convoy-engine --example states`

use std::error::Error;

use bytemuck::{CheckedBitPattern, NoUninit, Pod, Zeroable};
use convoy_engine::World;

#[derive(Clone, Copy, PartialEq, Eq, Debug, NoUninit, CheckedBitPattern)]
#[repr(u8)]
enum State {
    Idle,
    Charging,
    Firing,
    Broken,
}

/// Frames that the state lasts yet.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(transparent)]
struct Left(u32);

/// The gun of an entity, switched off while it is broken.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct Gun {
    shots: u32,
    shots_max: u32,
}

impl State {
    /// The state after this one, and how long it lasts.
    fn next(self, gun: &mut Gun) -> (Self, Left) {
        match self {
            Self::Idle => (Self::Charging, Left(3)),
            Self::Charging => (Self::Firing, Left(1)),
            Self::Firing => {
                gun.shots += 1;
                let is_worn = gun.shots == gun.shots_max;
                if is_worn { (Self::Broken, Left(5)) } else { (Self::Idle, Left(2)) }
            }
            Self::Broken => {
                gun.shots = 0;
                (Self::Idle, Left(2))
            }
        }
    }
}

/// Returns in how many frames each of three guns could shoot, and the state of each.
pub(crate) fn run(frames: u32) -> Result<[(u32, String); 3], Box<dyn Error>> {
    let mut world = World::new();
    world.register_toggle::<Gun>()?;
    let guns = [2, 3, 100]
        .map(|shots_max| world.spawn((State::Idle, Left(shots_max), Gun { shots: 0, shots_max })));
    let mut able = [0; 3];
    for _ in 0..frames {
        for left in world.query_mut::<&mut Left>() {
            left.0 = left.0.saturating_sub(1);
        }
        // All guns, also those that are switched off: by their states.
        let mut broken = Vec::new();
        for gun in guns {
            if world.get::<Left>(gun)?.0 > 0 {
                continue;
            }
            let state = *world.get::<State>(gun)?;
            let (state, left) = state.next(world.get_mut::<Gun>(gun)?);
            *world.get_mut::<State>(gun)? = state;
            *world.get_mut::<Left>(gun)? = left;
            broken.push((gun, state == State::Broken));
        }
        for (gun, is_broken) in broken {
            world.toggles::<Gun>()?.set(gun, !is_broken)?;
        }
        // Broken guns are passed over here, without a look at their state.
        let shooting = world.query::<&Gun>();
        for (able, gun) in able.iter_mut().zip(guns) {
            *able += u32::from(shooting.get(gun).is_ok());
        }
    }
    let mut told = [(0, String::new()), (0, String::new()), (0, String::new())];
    for ((told, able), gun) in told.iter_mut().zip(able).zip(guns) {
        *told = (able, format!("{:?}", world.get::<State>(gun)?));
    }
    Ok(told)
}

fn main() -> Result<(), Box<dyn Error>> {
    for (able, state) in run(60)? {
        println!("able to shoot in {able} of 60 frames, now {state}");
    }
    Ok(())
}
