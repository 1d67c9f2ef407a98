//! What dead gateways left.

use super::element::Element;
use super::error::Error;
use super::set::{Family, Set};
use super::{Generation, Kernel};
use crate::nft::Happening;

/// How many elements one batch removes at most.
const AT_ONCE: usize = 256;

impl Kernel {
    /// Removes all elements of gateways that are not among `living`, and forgets their holes; chains and rules stay.
    /// Returns how many elements it removed.
    ///
    /// # Errors
    /// The kernel's reason.
    pub fn sweep(&mut self, living: &[Generation]) -> Result<usize, Error> {
        let mut swept = 0;
        for set in Family::BOTH.into_iter().flat_map(Set::of_holes) {
            let lives =
                |owner: Option<u32>| owner.is_some_and(|owner| living.contains(&Generation(owner)));
            let standing = self.list(set)?.into_iter();
            let dead: Vec<Element> = standing
                .filter(|standing| !lives(standing.owner))
                .map(|standing| standing.element)
                .collect();
            for some in dead.chunks(AT_ONCE) {
                self.remove("removing what a dead gateway left", some)?;
            }
            swept += dead.len();
        }
        self.holes
            .retain(|_, hole| living.contains(&hole.generation));
        let holes = &self.holes;
        self.awaited.retain(|_, keys| {
            keys.retain(|key| holes.contains_key(key));
            !keys.is_empty()
        });
        let unknown = |happening: &Happening| match happening {
            Happening::Used { key, .. } => !holes.contains_key(key),
            Happening::Knocked { .. } | Happening::Restored => false,
        };
        self.pending.retain(|happening| !unknown(happening));
        Ok(swept)
    }
}
