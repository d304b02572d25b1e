//! A game without an engine: bodies that fall, and a list of those that hit the ground.
#![deny(unsafe_code)]

/// Some bodies.
pub struct Game {
    bodies: Vec<Body>,
    landed: Vec<usize>,
}

#[derive(Clone, Copy)]
struct Body {
    height_m: f32,
    speed_m_per_s: f32,
}

impl Game {
    /// Bodies at rest, each a metre above the one before.
    pub fn new(count: usize) -> Self {
        let bodies = (0..count).map(|number| Body { height_m: number as f32, speed_m_per_s: 0.0 });
        Self { bodies: bodies.collect(), landed: Vec::with_capacity(count) }
    }

    /// Moves the bodies on. Those that land bounce.
    pub fn step(&mut self, dt_s: f32) {
        self.landed.clear();
        for (number, body) in self.bodies.iter_mut().enumerate() {
            body.speed_m_per_s -= 9.81 * dt_s;
            body.height_m += body.speed_m_per_s * dt_s;
            if body.height_m < 0.0 {
                (body.height_m, body.speed_m_per_s) = (0.0, -body.speed_m_per_s);
                self.landed.push(number);
            }
        }
    }

    /// The bodies that landed in the last step.
    pub fn landed(&self) -> &[usize] {
        &self.landed
    }
}
