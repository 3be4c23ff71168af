//! Block-wise rendering of any part of a region.

use crate::error::Result;

/// Fills `out` with the bytes from `offset` on of a sequence of blocks.
///
/// `render` fills the block of a given number, which is all zeros on entry, as `out` must be.
///
/// # Errors
/// The errors of `render`.
pub(crate) fn render_blocks(
    block_size: usize,
    offset: u64,
    mut out: &mut [u8],
    render: impl Fn(u64, &mut [u8]) -> Result<()>,
) -> Result<()> {
    let mut block = offset / block_size as u64;
    let mut skip = usize::try_from(offset % block_size as u64).expect("less than a block");
    let mut whole = Vec::new();
    while !out.is_empty() {
        let len = out.len().min(block_size - skip);
        let (part, rest) = out.split_at_mut(len);
        if len == block_size {
            render(block, part)?;
        } else {
            whole.clear();
            whole.resize(block_size, 0);
            render(block, &mut whole)?;
            part.copy_from_slice(&whole[skip..skip + len]);
        }
        (out, skip) = (rest, 0);
        block += 1;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_part_is_the_same_bytes() {
        let render = |block: u64, out: &mut [u8]| {
            for (byte, at) in out.iter_mut().zip(0u64..) {
                assert_eq!(*byte, 0, "blocks are zeros before");
                *byte = u8::try_from((block * 31 + at) % 251).unwrap();
            }
            Ok(())
        };
        let mut whole = vec![0; 5 * 64];
        render_blocks(64, 0, &mut whole, render).unwrap();
        for start in 0..5 * 64 {
            for len in [1, 63, 64, 65, 200] {
                let len = len.min(5 * 64 - start);
                let mut part = vec![0; len];
                render_blocks(64, start as u64, &mut part, render).unwrap();
                assert_eq!(part, whole[start..start + len]);
            }
        }
    }
}
