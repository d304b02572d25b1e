//! Component values of many sizes, each made from one number.

use bytemuck::{CheckedBitPattern, NoUninit, Pod, Zeroable};
use convoy_engine::Component;

/// How many component types the model knows.
pub const KINDS: usize = 7;

/// A component or event that is a function of one number.
pub trait Value: Component {
    /// The type's number in the model.
    const KIND: usize;

    /// The value of `seed`. It keeps as many low bytes of the number as it has itself.
    fn from_seed(seed: u64) -> Self;

    /// The number that the value was made from.
    ///
    /// # Panics
    ///
    /// When the bytes are not those of one number: the value is torn.
    fn seed(&self) -> u64 {
        let bytes = bytemuck::bytes_of(self);
        let mut low = [0; 8];
        let len = bytes.len().min(8);
        low[..len].copy_from_slice(&bytes[..len]);
        let seed = u64::from_le_bytes(low);
        assert_eq!(bytes, bytemuck::bytes_of(&Self::from_seed(seed)), "the value is whole");
        seed
    }

    /// The part of `seed` that a value of this type keeps.
    fn truncate(seed: u64) -> u64 {
        let bytes = size_of::<Self>();
        if bytes >= 8 { seed } else { seed & ((1 << (8 * bytes)) - 1) }
    }
}

/// A value whose bytes are all good.
fn filled<T: Pod>(seed: u64) -> T {
    let mut value = T::zeroed();
    fill(bytemuck::bytes_of_mut(&mut value), seed);
    value
}

/// Eight bytes of the seed, then eight of the seed plus one, and so on.
fn fill(bytes: &mut [u8], seed: u64) {
    for (index, part) in bytes.chunks_mut(8).enumerate() {
        let word = seed.wrapping_add((index as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        part.copy_from_slice(&word.to_le_bytes()[..part.len()]);
    }
}

/// How a writing loop changes a number: depends on the old one and on `factor`.
pub fn step(seed: u64, factor: u64) -> u64 {
    (seed ^ factor).wrapping_mul(0x2545_f491_4f6c_dd1d).wrapping_add(factor)
}

macro_rules! values {
    ($($(#[$doc:meta])* $name:ident($inner:ty) = $kind:literal;)*) => {
        $(
            $(#[$doc])*
            #[derive(Clone, Copy, Pod, Zeroable)]
            #[repr(transparent)]
            pub struct $name(pub $inner);

            impl Value for $name {
                const KIND: usize = $kind;

                fn from_seed(seed: u64) -> Self {
                    filled(seed)
                }
            }
        )*
    };
}

/// A value without bytes.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
pub struct Tag;

impl Value for Tag {
    const KIND: usize = 0;

    fn from_seed(_: u64) -> Self {
        Self
    }
}

/// One byte; four of its patterns are values.
#[derive(Clone, Copy, PartialEq, Eq, Debug, NoUninit, CheckedBitPattern)]
#[repr(u8)]
pub enum Byte {
    /// 10
    Ten = 10,
    /// 20
    Twenty = 20,
    /// 30
    Thirty = 30,
    /// 255
    Last = 255,
}

impl Value for Byte {
    const KIND: usize = 1;

    fn from_seed(seed: u64) -> Self {
        [Self::Ten, Self::Twenty, Self::Thirty, Self::Last][seed as usize & 3]
    }

    fn seed(&self) -> u64 {
        match self {
            Self::Ten => 0,
            Self::Twenty => 1,
            Self::Thirty => 2,
            Self::Last => 3,
        }
    }

    fn truncate(seed: u64) -> u64 {
        seed & 3
    }
}

/// Twelve bytes; two of them have few values.
#[derive(Clone, Copy, NoUninit, CheckedBitPattern)]
#[repr(C)]
pub struct Triple {
    words: [u32; 2],
    byte: Byte,
    flag: bool,
    half: u16,
}

impl Value for Triple {
    const KIND: usize = 4;

    fn from_seed(seed: u64) -> Self {
        let half = step(seed, 7) as u16;
        let (byte, flag) = (Byte::from_seed(u64::from(half)), half & 4 == 0);
        Self { words: [seed as u32, (seed >> 32) as u32], byte, flag, half }
    }
}

values! {
    /// Four bytes.
    Word(u32) = 2;
    /// Eight bytes.
    Wide(u64) = 3;
    /// A hundred bytes: not a multiple of any word.
    Hundred([[u8; 20]; 5]) = 5;
    /// 20,000 bytes: larger than the 16 KiB that a chunk usually has.
    Huge([[[u8; 25]; 25]; 32]) = 6;
    /// An event of eight bytes.
    Ping(u64) = 0;
    /// An event of twelve bytes.
    Alert([u32; 3]) = 1;
}

/// A small generator of numbers, for tests that need no shrinking.
pub struct Mixer(u64);

impl Mixer {
    /// A generator whose numbers follow from `seed`.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number (SplitMix64).
    pub fn next_number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut number = self.0;
        number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        number ^ (number >> 31)
    }

    /// The next number below `bound`.
    pub fn below(&mut self, bound: usize) -> usize {
        (self.next_number() % bound.max(1) as u64) as usize
    }
}
