//! The key of an upstream that is known beforehand.

use super::super::problem::Refusal;
use super::super::wording::shorten;

/// The SHA-256 of a public key (its SubjectPublicKeyInfo), as RFC 7469 has it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Pin([u8; 32]);

impl Pin {
    /// Takes the digest of a key.
    #[must_use]
    pub fn of_digest(digest: [u8; 32]) -> Self {
        Self(digest)
    }

    /// Reads 44 characters of base64.
    ///
    /// # Errors
    /// When `text` is something else.
    pub fn parse(text: &str) -> Result<Self, Refusal> {
        let bare = text.strip_prefix("sha256/");
        let refusal = || Refusal::new(format!("`{}` is not a pin", shorten(text)));
        if let Some(bare) = bare.map(|bare| bare.trim_start_matches('/')) {
            return Err(refusal().help(format!(
                "write it without what stands before it: `{}`",
                shorten(bare)
            )));
        }
        decode(text).map(Self).ok_or_else(|| {
            refusal().help(
                "write the SHA-256 of the server's public key in base64, 44 characters; `openssl x509 -pubkey -noout -in server.pem | openssl pkey -pubin -outform der | openssl dgst -sha256 -binary | base64` prints it",
            )
        })
    }
}

impl std::fmt::Display for Pin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for group in self.0.chunks(3) {
            let bits = group
                .iter()
                .chain(&[0; 2])
                .take(3)
                .fold(0_usize, |bits, byte| bits << 8 | usize::from(*byte));
            for place in 0..4 {
                let digit = ALPHABET.get(bits >> (18 - 6 * place) & 63);
                let shown = digit.filter(|_| place <= group.len()).unwrap_or(&b'=');
                write!(f, "{}", char::from(*shown))?;
            }
        }
        Ok(())
    }
}

impl std::fmt::Debug for Pin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{self}")
    }
}

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Decodes 32 bytes of base64 (RFC 4648 section 4), padded.
fn decode(text: &str) -> Option<[u8; 32]> {
    let digits = text.strip_suffix('=').filter(|digits| digits.len() == 43)?;
    let mut bytes = [0; 32];
    let (mut bits, mut held, mut place) = (0_u32, 0, bytes.iter_mut());
    for digit in digits.bytes() {
        let value = ALPHABET.iter().position(|known| *known == digit)?;
        bits = bits << 6 | u32::try_from(value).ok()?;
        held += 6;
        if held >= 8 {
            held -= 8;
            *place.next()? = u8::try_from(bits >> held & 0xFF).ok()?;
        }
    }
    // What is left over must be nothing, so that each pin has one form.
    (place.next().is_none() && bits & ((1 << held) - 1) == 0).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pin_is_32_bytes_of_base64_in_one_form() {
        let text = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";
        let pin = Pin::parse(text).expect("the SHA-256 of nothing");
        assert_eq!(pin.0[..4], [0xe3, 0xb0, 0xc4, 0x42]);
        assert_eq!(pin.to_string(), text);
        for bad in [
            "",
            "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU",
            "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFV=",
            "47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU=",
            "sha256/47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=",
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        ] {
            Pin::parse(bad).expect_err(bad);
        }
    }
}
