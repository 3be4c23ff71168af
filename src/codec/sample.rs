//! Inputs of the test vectors, computed by integer arithmetic.

/// Kind of input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sample {
    /// Words, of which some are frequent and some occur once.
    Text,
    /// Records that differ in a counter.
    Records,
    /// Bytes that can't be compressed.
    Noise,
    /// Short sections of the other kinds and of zeros.
    Mixed,
}

impl Sample {
    /// All kinds.
    pub(super) const ALL: [Self; 4] = [Self::Text, Self::Records, Self::Noise, Self::Mixed];

    /// Returns an input of `len` bytes.
    pub(super) fn bytes(self, len: usize) -> Vec<u8> {
        let mut random = Random(1);
        let mut bytes = Vec::with_capacity(len);
        while bytes.len() < len {
            self.extend(&mut bytes, &mut random);
        }
        bytes.truncate(len);
        bytes
    }

    /// Appends a word, a record, a byte of noise or a section.
    fn extend(self, bytes: &mut Vec<u8>, random: &mut Random) {
        match self {
            Self::Text => {
                // The product of two numbers is more often small than large.
                let number = u64::from(random.below(64)) * u64::from(random.below(64));
                let mut word = match random.below(16) {
                    0 => Random(random.next()),
                    _ => Random(number),
                };
                let letters = 2 + word.below(8);
                bytes.extend((0..letters).map(|_| b'a' + word.below(20)));
                bytes.push(if random.below(10) == 0 { b'\n' } else { b' ' });
            }
            Self::Records => {
                bytes.extend(format!("{:08x} is the offset of this record\n", bytes.len()).bytes());
            }
            Self::Noise => bytes.push(random.byte()),
            Self::Mixed => {
                let end = bytes.len() + 500 + 16 * usize::from(random.byte());
                let kind = match random.below(4) {
                    0 => Self::Text,
                    1 => Self::Records,
                    2 => Self::Noise,
                    _ => return bytes.resize(end, 0),
                };
                while bytes.len() < end {
                    kind.extend(bytes, random);
                }
            }
        }
    }
}

/// Linear congruential generator, with Knuth's constants for MMIX.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        let product = self.0.wrapping_mul(6_364_136_223_846_793_005);
        self.0 = product.wrapping_add(1_442_695_040_888_963_407);
        self.0
    }

    /// Returns the highest byte of the next number: low bits repeat early.
    fn byte(&mut self) -> u8 {
        let [.., byte] = self.next().to_le_bytes();
        byte
    }

    fn below(&mut self, end: u8) -> u8 {
        self.byte() % end
    }
}
