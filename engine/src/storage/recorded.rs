//! [`RecordedValue`]: a value that was recorded as bytes.

#![allow(unsafe_code, reason = "makes a value of bytes that were one")]

use std::marker::PhantomData;

use super::component::Component;

/// The bytes of a value of `T`, which need not be aligned for it.
#[derive(Clone, Copy, Debug)]
pub struct RecordedValue<'a, T> {
    bytes: &'a [u8],
    value: PhantomData<T>,
}

impl<'a, T: Component> RecordedValue<'a, T> {
    /// The value with these bytes.
    ///
    /// # Safety
    ///
    /// They were the bytes of a `T`.
    #[inline]
    pub(crate) unsafe fn new(bytes: &'a [u8]) -> Self {
        assert!(bytes.len() == size_of::<T>(), "the bytes are of one value");
        Self { bytes, value: PhantomData }
    }

    /// As many bytes as a `T` has.
    #[inline]
    pub(crate) fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The value itself.
    #[inline]
    pub(crate) fn get(&self) -> T {
        // SAFETY: there are as many bytes as a `T` has, and they are a value of it.
        unsafe { self.bytes.as_ptr().cast::<T>().read_unaligned() }
    }
}

impl<'a, T: Component> From<&'a T> for RecordedValue<'a, T> {
    #[inline]
    fn from(value: &'a T) -> Self {
        Self { bytes: bytemuck::bytes_of(value), value: PhantomData }
    }
}
