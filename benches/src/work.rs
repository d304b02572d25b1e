//! The work of passes that several programs time.

/// Pulls a position towards a ring, in many small steps: the work of a small force law, so that the threads
/// and not the memory decide.
#[inline(always)]
pub fn pull(position: &mut [f32; 3], velocity: &[f32; 3]) {
    let [mut x, mut y, z] = *position;
    for _ in 0..64 {
        let distance = (x * x + y * y + 1.0).sqrt();
        x += velocity[0] * 0.001 - x / distance * 0.01;
        y += velocity[1] * 0.001 - y / distance * 0.01;
    }
    *position = [x, y, z];
}

/// Adds a velocity to a position, which memory decides.
#[inline(always)]
pub fn add(position: &mut [f32; 3], velocity: &[f32; 3]) {
    for axis in 0..3 {
        position[axis] += velocity[axis];
    }
}
