use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

fn encode(level: u8, raw: &[u8]) -> Vec<u8> {
    let mut output = vec![0; Lz4.bound(raw.len())];
    let len = Lz4.encoder(level)(raw, &mut output);
    output.truncate(len);
    output
}

/// Bytes with many repetitions, of any distance and length.
fn repetitive() -> impl Strategy<Value = Vec<u8>> {
    let step = prop_oneof![
        vec(any::<u8>(), 0..40).prop_map(|bytes| (bytes, 0, 0)),
        (1..80_000_usize, 0..3000_usize).prop_map(|(back, len)| (Vec::new(), back, len)),
    ];
    vec(step, 0..60).prop_map(|steps| {
        let mut bytes = Vec::new();
        for (literals, back, len) in steps {
            bytes.extend(literals);
            let Some(last) = bytes.len().checked_sub(1) else { continue };
            let start = last - back.min(last);
            for i in start..start + len {
                bytes.push(bytes[i]);
            }
        }
        bytes
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn another_decoder_reads_blocks(raw in repetitive()) {
        for level in Lz4.levels() {
            let block = encode(level, &raw);
            prop_assert!(Lz4.decode(&block, raw.len()).as_ref() == Some(&raw), "level {level}");
            let decoded = lz4_flex::block::decompress(&block, raw.len()).unwrap();
            prop_assert!(decoded == raw, "level {level}");
        }
    }

    #[test]
    fn blocks_of_another_encoder_are_read(raw in repetitive()) {
        let block = lz4_flex::block::compress(&raw);
        prop_assert!(Lz4.decode(&block, raw.len()) == Some(raw));
    }

    #[test]
    fn any_bytes_are_decoded_or_refused(data in vec(any::<u8>(), 0..100), len in 0..2000_usize) {
        let other = lz4_flex::block::decompress(&data, len).ok();
        prop_assert_eq!(Lz4.decode(&data, len), other);
    }
}

/// The end of a block is where implementations differ: the last match ends five bytes before, and
/// starts twelve bytes before.
#[test]
fn the_end_of_a_block_is_literals() {
    for level in Lz4.levels() {
        for len in 0..40 {
            let block = encode(level, &vec![7; len]);
            match len {
                0..=12 => assert_eq!(block.len(), len + 1, "level {level}, {len} bytes"),
                // A literal, a match and five literals.
                _ => assert_eq!(block[block.len() - 6..], [5 << 4, 7, 7, 7, 7, 7]),
            }
        }
    }
}

#[test]
fn invalid_blocks_are_refused() {
    for (block, what) in [
        (&[][..], "no token"),
        (&[0x10], "no literal"),
        (&[0xf0], "no length of literals"),
        (&[0xf0, 255], "no end of a length"),
        (&[0x10, 1, 1], "half a distance"),
        (&[0x10, 1, 0, 0, 0], "a distance of 0"),
        (&[0x10, 1, 2, 0, 0], "a distance before the start"),
        (&[0x1f, 1, 1, 0], "no length of a match"),
        (&[0x10, 1, 1, 0], "no last literals"),
        (&[0x1f, 1, 1, 0, 200, 0], "a match beyond the end"),
        (&[0xf0, 255, 255], "literals beyond the end"),
    ] {
        assert_eq!(Lz4.decode(block, 100), None, "{what}");
    }
    assert_eq!(Lz4.decode(&[0x10, 1, 1, 0, 0x10, 2], 6), Some(vec![1, 1, 1, 1, 1, 2]));
    assert_eq!(Lz4.decode(&[0x10, 1, 1, 0, 0x10, 2], 5), None);
}
