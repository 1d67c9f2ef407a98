//! Buffers for copying, shared by all relays of a thread: an idle relay holds none.

use std::cell::RefCell;
use std::ops::{Deref, DerefMut};

/// Size of a buffer, in bytes.
pub(super) const BUFFER: usize = 256 * 1024;
/// Buffers that a thread keeps when nobody needs them.
const KEPT: usize = 8;

thread_local! {
    static IDLE: RefCell<Vec<Box<[u8]>>> = const { RefCell::new(Vec::new()) };
}

/// A buffer on loan; its content is whatever the last user left.
#[derive(Debug)]
pub(super) struct Buffer {
    bytes: Option<Box<[u8]>>,
}

impl Buffer {
    /// Borrows a buffer of [`BUFFER`] bytes.
    pub(super) fn take() -> Buffer {
        let kept = IDLE.with_borrow_mut(Vec::pop);
        Buffer {
            bytes: Some(kept.unwrap_or_else(|| vec![0; BUFFER].into_boxed_slice())),
        }
    }
}

impl Deref for Buffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.bytes.as_deref().unwrap_or_default()
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [u8] {
        self.bytes.as_deref_mut().unwrap_or_default()
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let Some(bytes) = self.bytes.take() else {
            return;
        };
        // At the end of the thread there is no pool any more; then the memory just goes.
        let _gone = IDLE.try_with(|idle| {
            if let Ok(mut idle) = idle.try_borrow_mut()
                && idle.len() < KEPT
            {
                idle.push(bytes);
            }
        });
    }
}
