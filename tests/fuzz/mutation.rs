//! Makes new inputs of a corpus, the same ones in every run.

/// Bytes that mean something somewhere in the language.
const TOKENS: &[&[u8]] = &[
    b"\r\n",
    b"\n",
    b"\r",
    b"\0",
    b" ",
    b"-",
    b",",
    b"|",
    b"(",
    b")",
    b"\xFF",
    b"\xFF\xFF",
    b"\xFF\xF4\xFF\xF2",
    b"\xFF\xFB\x01",
    b"\xFF\xFA",
    b"\xFF\xF0",
    b"\xF2",
    b"200 ",
    b"211-",
    b"211 ",
    b"227 ",
    b"0",
    b"255",
    b"256",
    b"65536",
    b"4294967296",
    b"::ffff:",
    b"\\",
    b"\"",
    b"\xE2\x80\xAE",
    b"\xC2\x9B",
    b"\x1b[2J",
    b"PASS ",
    b"ABOR",
    b"RETR ",
];

/// Mutates inputs by a small generator that is seeded with a name.
pub struct Mutator(u64);

impl Mutator {
    /// Makes the generator of one body.
    pub fn new(name: &str) -> Self {
        Self(name.bytes().fold(0x9E37_79B9_7F4A_7C15, |seed, byte| {
            seed.rotate_left(9) ^ u64::from(byte)
        }))
    }

    /// Makes an input of one or two of the seeds.
    pub fn mutated(&mut self, seeds: &[Vec<u8>]) -> Vec<u8> {
        let mut input = seeds[self.below(seeds.len())].clone();
        for _ in 0..=self.below(4) {
            self.mutate(&mut input, seeds);
        }
        input.truncate(8192);
        input
    }

    fn mutate(&mut self, input: &mut Vec<u8>, seeds: &[Vec<u8>]) {
        let at = self.below(input.len() + 1);
        let end = at + self.below(input.len() + 1 - at);
        match self.below(6) {
            0 => {
                if let Some(byte) = input.get_mut(at) {
                    *byte = self.0 as u8;
                }
            }
            1 => {
                let token = TOKENS[self.below(TOKENS.len())];
                input.splice(at..at, token.iter().copied());
            }
            2 => {
                input.drain(at..end);
            }
            3 => {
                let repeated = input[at..end].repeat(1 + self.below(4));
                input.splice(at..at, repeated);
            }
            4 => input.truncate(at),
            _ => {
                let other = &seeds[self.below(seeds.len())];
                let from = self.below(other.len() + 1);
                input.splice(at..end, other[from..].iter().copied());
            }
        }
    }

    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 33) as usize % bound
    }
}
