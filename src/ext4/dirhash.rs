//! The half-MD4 hash of names, in its signed form, which large directories are indexed by.

use uuid::Uuid;

/// Seed of the hash (`s_hash_seed`).
#[derive(Debug, Clone, Copy)]
pub(super) struct HashSeed([u32; 4]);

/// Sort key of a name in an indexed directory: hash, then minor hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct NameHash {
    /// Always even: in an index, the low bit marks a hash that continues from the preceding leaf.
    pub(super) hash: u32,
    pub(super) minor: u32,
}

impl HashSeed {
    pub(super) fn new(seed: &Uuid) -> Self {
        let (words, _) = seed.as_bytes().as_chunks::<4>();
        let mut state = [0; 4];
        for (to, word) in state.iter_mut().zip(words) {
            *to = u32::from_le_bytes(*word);
        }
        // An all-zero seed selects the initial state of MD4.
        if state == [0; 4] {
            state = [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476];
        }
        Self(state)
    }

    pub(super) fn hash(self, name: &[u8]) -> NameHash {
        let mut state = self.0;
        let mut left = name;
        while !left.is_empty() {
            transform(&mut state, &words(left));
            left = left.get(32..).unwrap_or_default();
        }
        // The hash that marks the end of a directory must not be the hash of a name.
        let hash = match state[1] & !1 {
            0xFFFF_FFFE => 0xFFFF_FFFC,
            hash => hash,
        };
        NameHash { hash, minor: state[2] }
    }
}

/// Splits up to 32 bytes into eight words, with bytes taken as signed, padded with the remaining
/// length.
fn words(bytes: &[u8]) -> [u32; 8] {
    let len = u32::try_from(bytes.len()).expect("names are at most 255 bytes");
    let pad = len | len << 8;
    let pad = pad | pad << 16;
    let mut words = [pad; 8];
    for (word, chunk) in words.iter_mut().zip(bytes.chunks(4)) {
        for &byte in chunk {
            let signed = i32::from(byte.cast_signed()).cast_unsigned();
            *word = signed.wrapping_add(*word << 8);
        }
    }
    words
}

fn transform(state: &mut [u32; 4], input: &[u32; 8]) {
    const SQRT_2: u32 = 0x5A82_7999;
    const SQRT_3: u32 = 0x6ED9_EBA1;
    type Mix = fn(u32, u32, u32) -> u32;
    let choose: Mix = |x, y, z| z ^ (x & (y ^ z));
    let majority: Mix = |x, y, z| (x & y).wrapping_add((x ^ y) & z);
    let parity: Mix = |x, y, z| x ^ y ^ z;
    let rounds: [(Mix, u32, [usize; 8], [u32; 4]); 3] = [
        (choose, 0, [0, 1, 2, 3, 4, 5, 6, 7], [3, 7, 11, 19]),
        (majority, SQRT_2, [1, 3, 5, 7, 0, 2, 4, 6], [3, 5, 9, 13]),
        (parity, SQRT_3, [3, 7, 2, 6, 1, 5, 0, 4], [3, 9, 11, 15]),
    ];
    let [mut a, mut b, mut c, mut d] = *state;
    for (mix, constant, order, shifts) in rounds {
        for (step, &word) in order.iter().enumerate() {
            let sum = a
                .wrapping_add(mix(b, c, d))
                .wrapping_add(input[word])
                .wrapping_add(constant)
                .rotate_left(shifts[step % 4]);
            (a, b, c, d) = (d, sum, b, c);
        }
    }
    for (to, add) in state.iter_mut().zip([a, b, c, d]) {
        *to = to.wrapping_add(add);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Expected values from `debugfs -R "dx_hash -h half_md4 -s SEED NAME"` of e2fsprogs 1.47.0.
    #[test]
    fn hashes_are_those_of_debugfs() {
        let seed = HashSeed::new(&"12345678-1234-1234-1234-123456789abc".parse().unwrap());
        for (name, hash, minor) in VECTORS {
            assert_eq!(seed.hash(name), NameHash { hash: *hash, minor: *minor }, "{name:?}");
        }
    }

    const VECTORS: &[(&[u8], u32, u32)] = &[
        (b"a", 0x09da_0480, 0x8fd8_b27e),
        (b"abcd", 0x53d3_f6a2, 0x1fcd_9cb3),
        (b"hello.txt", 0xb824_72ac, 0xfaad_e289),
        ("Größe-файл".as_bytes(), 0x7f2f_731c, 0xa0a3_7444),
        (b"a-name-of-exactly-32-bytes-xxxxx", 0xf34f_63c0, 0x066e_c826),
        (b"a-name-that-is-longer-than-thirty-two-bytes.so.1.2.3", 0x4858_0d6c, 0x78fc_337a),
        (&[b'l'; 255], 0x32a2_e130, 0x6d08_0ff9),
    ];
}
